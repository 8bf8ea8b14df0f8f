"""The objectives of generative adversarial networks, from logits.

A discriminator gives one unbounded number per image, the logit l; the probability that the image is real is

    D = σ(l) = 1 / (1 + e⁻ˡ)        log D = −softplus(−l)        log(1 − D) = −softplus(l)

with softplus(l) = ln(1 + eˡ), which is exact for every l: no probability is rounded to 0 or 1 before its logarithm
is taken. Below, `real` are the logits of data x, `fake` those of samples G(z), each of any shape; expectations are
means over all elements; x ~ p_data, z ~ p_z. Ids in brackets (A2 ...) number the formulas of the articles; where an
article's form differs it is quoted, and stands as code in :mod:`minigen.losses.documents`.

Goodfellow, Pouget-Abadie, Mirza, Xu, Warde-Farley, Ozair, Courville & Bengio, "Generative Adversarial Nets", 2014.
"""

from __future__ import annotations

from typing import Any

from ..backend import xp
from ..errors import ConfigError
from ..ops import mean, relu, softplus
from ..tensor import Tensor

__all__ = ["LOSSES", "discriminator_loss", "generator_loss", "optimal_discriminator", "value"]

LOSSES = ("nonsaturating", "saturating", "hinge", "least-squares")


def value(real: Any, fake: Any) -> Tensor:
    """V(D, G) = E_x log D(x) + E_z log(1 − D(G(z)))        (…), (…) -> ()

    The game is min_G max_D V: Goodfellow et al. 2014, eq. 1; [C1], where only a bracket is missing.

    [A2] writes L_GAN = −E_x[log D(x)] − E_z[log(1 − D(G(z)))] with min_G max_D L_GAN. That L_GAN is −V, the
    discriminator's *loss*: maximising it over D teaches D to be wrong, minimising it over G teaches G to be found out.
    """
    return -(mean(softplus(-real)) + mean(softplus(fake)))


def discriminator_loss(real: Any, fake: Any, kind: str = "nonsaturating") -> Tensor:
    """The discriminator's loss on the logits of data and of samples        (…), (…) -> ()

    nonsaturating   L_D = −E_x log D(x) − E_z log(1 − D(G(z))) = E softplus(−l_real) + E softplus(l_fake)
    saturating      the same
    hinge           L_D = E max(0, 1 − l_real) + E max(0, 1 + l_fake)        Lim & Ye 2017; [C8]
    least-squares   L_D = ½ E (l_real − 1)² + ½ E l_fake²                    Mao et al. 2017; [C8]

    The first is −V, the cross-entropy of "real or fake?": Goodfellow et al. 2014, algorithm 1; [C2], [E1]. The hinge
    asks for no more than a margin of 1, least squares for the very scores 1 and 0.

    [A5] writes L_D = −E_x[log D(x)] − E_z[log D(G(z))]: without the 1 −, D is rewarded for calling fakes real, and
    D = 1 everywhere is its best answer. Raises ConfigError for another kind.
    """
    _check("discriminator_loss", kind)
    if kind == "hinge":
        return mean(relu(1 - real)) + mean(relu(1 + fake))
    if kind == "least-squares":
        return 0.5 * mean((real - 1) ** 2) + 0.5 * mean(fake * fake)
    return mean(softplus(-real)) + mean(softplus(fake))


def generator_loss(fake: Any, kind: str = "nonsaturating") -> Tensor:
    """The generator's loss on the logits of its samples        (…) -> ()

    nonsaturating   L_G = −E_z log D(G(z))      =  E softplus(−l)        [C2], [E1]
    saturating      L_G = +E_z log(1 − D(G(z))) = −E softplus(l)         the part of V that depends on G
    hinge           L_G = −E l                                           Lim & Ye 2017; [C8]
    least-squares   L_G = ½ E (l − 1)²                                   Mao et al. 2017; [C8]

    The first two fall as D(G(z)) rises. With ∂L_G/∂l = −(1 − D) and −D: the saturating loss of the min-max game has no
    slope where D is sure (D → 0), which is where G has everything to learn; the non-saturating one is steepest there.
    Goodfellow et al. 2014, §3.

    [A4] writes L_G = −E_z[log(1 − D(G(z)))]: the saturating loss with the wrong sign, whose minimum is D(G(z)) = 0.
    [C3] writes L = L_G + λ L_D for everything at once: over G, its term λ L_D also asks for D(G(z)) → 0; see
    :func:`minigen.losses.documents.c3_joint_loss_as_written`. Raises ConfigError for another kind.
    """
    _check("generator_loss", kind)
    if kind == "nonsaturating":
        return mean(softplus(-fake))
    if kind == "saturating":
        return -mean(softplus(fake))
    return -mean(fake) if kind == "hinge" else 0.5 * mean((fake - 1) ** 2)


def _check(function: str, kind: str) -> None:
    if kind not in LOSSES:
        raise ConfigError(f"{function}: kind must be one of {', '.join(LOSSES)}, got {kind!r}.")


def optimal_discriminator(p_data: Any, p_g: Any) -> Any:
    """D*(x) = p_data(x) / (p_data(x) + p_g(x))        densities (…), (…) -> probabilities (…), arrays

    The best answer to a fixed generator (Goodfellow et al. 2014, proposition 1); ½ where both densities are 0 and
    the answer does not matter. There V(D*, G) = −log 4 + 2 JSD(p_data ‖ p_g), so the game ends at p_g = p_data with
    D* = ½, L_G = log 2 and V = −log 4.

    [B7] sets the derivative of an expectation to zero and ends in E_z[−log D(G(z))] = 0, which would mean D(G(z)) = 1.
    """
    total = p_data + p_g
    return xp.where(total > 0, p_data, 0.5) / xp.where(total > 0, total, 1.0)
