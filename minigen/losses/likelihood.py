"""How probable is the data? Negative log-likelihoods −log p(x | parameters), in nats, one number per example.

Every function sums over all axes but the first: (N, …) -> (N,). The parameters come as a network gives them, logits
and log-variances, so that no probability is ever clipped.
"""

from __future__ import annotations

import math

from .. import ops
from ..errors import ShapeError
from ..tensor import Tensor


def _same_shape(name: str, **tensors: Tensor) -> None:
    shapes = {key: t.shape for key, t in tensors.items()}
    if len(set(shapes.values())) > 1:
        came = ", ".join(f"{key} {list(shape)}" for key, shape in shapes.items())
        raise ShapeError(f"{name}: expected equal shapes (N, …), got {came}; reshape one of them.")


def per_example(x: Tensor) -> Tensor:
    """Σ over all axes but the first: (N, …) -> (N,)"""
    return ops.sum(x, axis=tuple(range(1, x.ndim))) if x.ndim > 1 else x


def bernoulli_nll(logits: Tensor, x: Tensor) -> Tensor:
    """−log p(x) = Σ softplus(l) − x l, for p = Bernoulli(σ(l)): (N, …), (N, …) -> (N,) nats.

    This is −Σ x log σ(l) + (1 − x) log(1 − σ(l)) (formula B3's decoder for binary pixels). Grey values x in [0, 1]
    count as probabilities of a white pixel: the value is then the mean over such draws.
    """
    _same_shape("bernoulli_nll", logits=logits, x=x)
    return per_example(ops.bce_with_logits(logits, x, reduction="none"))


def gaussian_nll(mean: Tensor, x: Tensor, log_variance: Tensor | float = 0.0) -> Tensor:
    """−log N(x; m, v) = ½ Σ (x − m)²/v + log v + log 2π: (N, …), (N, …) -> (N,) nats, with v = e^log_variance.

    With v = ½ and without the constant it is the squared error ‖x − m‖² (formula E2); with v = 1, half of it (C4).
    """
    _same_shape("gaussian_nll", mean=mean, x=x)
    error = x - mean
    if isinstance(log_variance, Tensor):
        squares = error * error * ops.exp(-log_variance) + log_variance
    else:
        squares = error * error * math.exp(-log_variance) + log_variance
    return per_example(0.5 * (squares + math.log(2 * math.pi)))
