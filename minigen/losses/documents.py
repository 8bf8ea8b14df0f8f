"""The articles' objectives exactly as they are written, where they are wrong: for lessons and tests, never to train on.

Each takes logits like :mod:`minigen.losses.gan`, so that it can stand in for the right one and show what it does.
D = σ(l); log D = −softplus(−l); log(1 − D) = −softplus(l).
"""

from __future__ import annotations

from typing import Any

from ..ops import mean, softplus
from ..tensor import Tensor

__all__ = [
    "a2_value_as_written",
    "a4_generator_loss_as_written",
    "a5_discriminator_loss_as_written",
    "a9_loss_as_written",
    "b7_generator_condition_as_written",
    "c3_joint_loss_as_written",
]


def a2_value_as_written(real: Any, fake: Any) -> Tensor:
    """[A2] L_GAN = −E_x[log D(x)] − E_z[log(1 − D(G(z)))], to be played as min_G max_D L_GAN

    It is −V. Under max_D the discriminator goes to D(x) = 0 and D(G(z)) = 1; under min_G the generator wants
    D(G(z)) = 0. And the game has no end: L_GAN is convex in the logits and without an upper bound, so that even where
    p_g = p_data the balance D = ½ is its minimum over D, from which max_D runs away. Right:
    :func:`minigen.losses.gan.value`.
    """
    return mean(softplus(-real)) + mean(softplus(fake))


def a4_generator_loss_as_written(fake: Any) -> Tensor:
    """[A4] L_G = −E_z[log(1 − D(G(z)))]

    Its minimum is D(G(z)) = 0: the generator learns to be recognised as a forger. Right: :func:`minigen.losses.gan
    .generator_loss`, where the sign is + (saturating) or 1 − D is D (non-saturating).
    """
    return mean(softplus(fake))


def a5_discriminator_loss_as_written(real: Any, fake: Any) -> Tensor:
    """[A5] L_D = −E_x[log D(x)] − E_z[log D(G(z))]

    It falls when D calls a fake real; its infimum 0 is reached by D = 1 for every image. Right:
    :func:`minigen.losses.gan.discriminator_loss`.
    """
    return mean(softplus(-real)) + mean(softplus(-fake))


def a9_loss_as_written(logits: Any, pitches: Any) -> Tensor:
    """[A9] −y log σ(l) − (1 − y) log(1 − σ(l)) with y = pitch / 127, one number l for the next pitch

    (…), (…) -> (). Its least is where σ(l) is the mean of the pitches that may come, a note between them. And that is
    not 0, even where the next pitch is certain: it is the entropy of a coin that falls on one side with probability y.
    Right: a class for each pitch, ``softmax_cross_entropy``; where several sound at once, a Bernoulli for each key.
    """
    return mean(softplus(logits) - pitches / 127 * logits)


def b7_generator_condition_as_written(fake: Any) -> Tensor:
    """[B7, eq. 14] E_z[−log D(G(z))], said to be 0 at the optimum

    It is the non-saturating loss itself, not its derivative, and is log 2 at the optimum, where D = ½. Zero would mean
    D(G(z)) = 1, a discriminator that has given up.
    """
    return mean(softplus(-fake))


def c3_joint_loss_as_written(real: Any, fake: Any, lam: float) -> Tensor:
    """[C3] L = L_G + λ L_D, minimised over all parameters at once

    L_G = −E_z log D(G(z)) and L_D = −E_x log D(x) − E_z log(1 − D(G(z))) [C2]. On a fake logit the two pull in
    opposite directions: ∂L/∂l = −(1 − D) + λ D = (1 + λ) D − 1, which vanishes at D = 1 / (1 + λ) for both players.
    G loses what it should gain wherever D(G(z)) > 1 / (1 + λ), and D learns from L_G to call fakes real. Right: two
    losses, each minimised over its own player's parameters, in turns [E4].
    """
    generator = mean(softplus(-fake))
    discriminator = mean(softplus(-real)) + mean(softplus(fake))
    return generator + lam * discriminator
