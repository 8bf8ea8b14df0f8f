"""The Wasserstein distance as a game: a critic f instead of a discriminator (Arjovsky, Chintala & Bottou 2017).

    W(p_data, p_g) = max over 1-Lipschitz f of  E_x f(x) − E_z f(G(z))

f gives any real number. Where the two distributions do not overlap, a discriminator is sure and its loss flat, while
the Wasserstein distance still falls as they come nearer.

[B2] writes min_G max_D V = E_x[D(x)] − E_z[D(G(z))] with D = P(x is real) in [0, 1]. It is this objective without its
condition: with D in [0, 1] its best value is the total variation distance, which stays 1, without slope, wherever the
supports do not meet.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..backend import Array, xp
from ..errors import ConfigError, ShapeError
from ..ops import mean, reshape, sqrt, sum, where
from ..tensor import Tensor, grad, tensor

__all__ = ["clip_weights", "critic_loss", "generator_loss", "gradient_norm", "gradient_penalty"]


def critic_loss(real: Any, fake: Any) -> Tensor:
    """L_f = E f(G(z)) − E f(x), which is −W for the best f        (…), (…) -> ()        [B2 corrected]"""
    return mean(fake) - mean(real)


def generator_loss(fake: Any) -> Tensor:
    """L_G = −E f(G(z))        (…) -> ()"""
    return -mean(fake)


def clip_weights(parameters: list[Tensor], c: float = 0.01) -> None:
    """w ← min(max(w, −c), c) for every parameter, in place, after each of the critic's updates (Arjovsky et al. 2017).

    It makes f Lipschitz, with some constant; with which, nobody says.
    """
    if not c > 0:
        raise ConfigError(f"clip_weights: c must be positive, got {c}.")
    for p in parameters:
        xp.clip(p.data, -c, c, out=p.data)
        p.mark_updated()


def gradient_norm(f: Callable[[Tensor], Tensor], x: Any) -> Tensor:
    """‖∇ₓ f(x)‖₂ of each example, as a recorded computation        x (N, …) -> (N,)

    f must treat the examples independently. Where the gradient is 0 the norm has no derivative; here it gets 0.
    """
    x = tensor(x, requires_grad=True)
    scores = f(x)
    if scores.shape[:1] != x.shape[:1]:
        raise ShapeError(f"gradient_norm: f must give one score per example, {len(x)}, got shape {scores.shape}.")
    g = grad(sum(scores), x, create_graph=True)
    squares = sum(reshape(g * g, (len(x), -1)), axis=1)
    zero = squares == 0
    return where(zero, 0.0, sqrt(where(zero, 1.0, squares)))


def gradient_penalty(f: Callable[[Tensor], Tensor], real: Array, fake: Array, rng: Any, weight: float = 10.0) -> tuple[
    Tensor, Tensor
]:  # fmt: skip
    """λ E (‖∇ f(x̂)‖₂ − 1)², x̂ = ε x + (1 − ε) G(z), ε ~ U(0, 1) for each example (Gulrajani et al. 2017)

    A 1-Lipschitz f that measures W has slope 1 on the lines between coupled points of the two distributions; the
    penalty asks for that slope at random points of random lines. Its own gradient is a derivative of a derivative.
    real, fake: arrays (N, …). Returns (penalty (), mean norm ()).
    """
    if real.shape != fake.shape:
        raise ShapeError(f"gradient_penalty: expected equal shapes, got real {real.shape} and fake {fake.shape}.")
    epsilon = xp.asarray(rng.random((len(real),) + (1,) * (real.ndim - 1), dtype=real.dtype), like=real)
    norms = gradient_norm(f, epsilon * real + (1 - epsilon) * fake)
    return weight * mean((norms - 1) ** 2), mean(norms)
