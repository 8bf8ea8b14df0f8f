"""Layers that behave differently in training and evaluation, and layer normalisation."""

from __future__ import annotations

from typing import Any

from .. import ops
from ..errors import ConfigError, ShapeError
from ..tensor import Tensor, tensor
from .init import ones, zeros
from .linear import _at, check_sizes, parameter
from .module import Module

__all__ = ["BatchNorm1d", "BatchNorm2d", "Dropout", "LayerNorm"]


class _BatchNorm(Module):
    layouts: tuple[tuple[str, ...], ...]

    def __init__(self, features: int, *, momentum: float = 0.1, eps: float = 1e-5, dtype: Any = None):
        check_sizes(type(self).__name__, features=features)
        self.features, self.momentum, self.eps = features, momentum, eps
        self.weight, self.bias = (parameter(f(None, (features,), dtype)) for f in (ones, zeros))
        self.running_mean, self.running_var = (tensor(f(None, (features,), dtype)) for f in (zeros, ones))

    def forward(self, x: Tensor) -> Tensor:
        if len(x.shape) not in map(len, self.layouts) or x.shape[1] != self.features:
            expected = " or ".join(f"({', '.join(axes)})".replace("C", str(self.features)) for axes in self.layouts)
            raise ShapeError(f"{self!r}{_at(self)}: expected an input of shape {expected}, got {tuple(x.shape)}.")
        return ops.batch_norm(
            x, self.weight, self.bias, running_mean=self.running_mean, running_var=self.running_var,
            training=self.training, momentum=self.momentum, eps=self.eps,
        )  # fmt: skip

    def settings(self) -> str:
        return str(self.features)


class BatchNorm1d(_BatchNorm):
    """y = γ (x − μ) / √(σ² + ε) + β        (N, features) or (N, features, W), same shape        Ioffe & Szegedy 2015

    μ, σ² of each feature: over the batch in training, running averages in evaluation. After each training pass
    running ← (1 − momentum) · running + momentum · batch. γ = weight starts at 1, β = bias at 0.
    """

    layouts = (("N", "C"), ("N", "C", "W"))


class BatchNorm2d(_BatchNorm):
    """y = γ (x − μ) / √(σ² + ε) + β        (N, features, H, W), same shape; else as :class:`BatchNorm1d`"""

    layouts = (("N", "C", "H", "W"),)


class LayerNorm(Module):
    """y = γ ⊙ (x − μ) / √(σ² + ε) + β        (…, features), same shape        Ba et al. 2016

    μ, σ² over the last axis of each example alone. γ = weight starts at 1, β = bias at 0.
    """

    def __init__(self, features: int, *, eps: float = 1e-5, dtype: Any = None):
        check_sizes("LayerNorm", features=features)
        self.features, self.eps = features, eps
        self.weight, self.bias = (parameter(f(None, (features,), dtype)) for f in (ones, zeros))

    def forward(self, x: Tensor) -> Tensor:
        if not x.shape or x.shape[-1] != self.features:
            raise ShapeError(
                f"{self!r}{_at(self)}: expected an input of shape (…, {self.features}), got {tuple(x.shape)}."
            )
        return ops.layer_norm(x, self.features, self.weight, self.bias, eps=self.eps)

    def settings(self) -> str:
        return str(self.features)


class Dropout(Module):
    """y = m ⊙ x / (1 − p), m ~ Bernoulli(1 − p) in training; y = x in evaluation        Srivastava et al. 2014

    The mask is drawn from the generator that the forward pass is given, ``dropout(x, rng=rng)``; the layer keeps
    none. A model's objective receives the training loop's generator and hands it on (a :class:`Sequential` passes it
    to the layers that take one), so that the loop's generator is the only random state there is: saving it with a
    checkpoint is enough for training to go on exactly.
    """

    def __init__(self, p: float = 0.5):
        if not 0 <= p < 1:
            raise ConfigError(f"Dropout: p is the probability of dropping, from 0 to below 1, got {p}.")
        self.p = p

    def forward(self, x: Tensor, rng: Any = None) -> Tensor:
        if not self.training or self.p == 0:
            return x
        if rng is None:
            raise ConfigError(
                f"{self!r}{_at(self)}: training draws a mask, so pass the generator: model(x, rng=rng), "
                "or switch with model.eval()."
            )
        return ops.dropout(x, self.p, rng=rng, training=True)

    def settings(self) -> str:
        return str(self.p)
