"""Layers that are one matrix: Linear, Embedding."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from .. import backend, ops
from ..errors import ConfigError, ShapeError
from ..tensor import Tensor, tensor
from . import init as initialisers
from .module import Module

__all__ = ["Embedding", "Linear"]

Initialiser = Callable[..., Any]


def parameter(array: Any) -> Tensor:
    return tensor(array, requires_grad=True)


def weight_and_bias(
    rng: Any, shape: tuple[int, ...], outputs: int, bias: bool, init: Initialiser | None, dtype: Any
) -> tuple[Tensor, Tensor | None]:
    """The two parameters of a layer. Without `init` both are U(−a, a), a = 1/√fan_in; with it the bias is 0."""
    weight = parameter((init or initialisers.torch_default)(rng, shape, dtype))
    if not bias:
        return weight, None
    if init is not None:
        return weight, parameter(initialisers.zeros(rng, (outputs,), dtype))
    a = 1 / math.sqrt(initialisers.fans(shape)[0])
    return weight, parameter(a * (2 * backend.uniform(rng, (outputs,), dtype) - 1))


def check_sizes(layer: str, **sizes: int) -> None:
    for name, size in sizes.items():
        if not isinstance(size, int) or size < 1:
            raise ConfigError(f"{layer}: {name} must be a whole number from 1, got {size!r}.")


class Linear(Module):
    """y = x Wᵀ + b        (…, in_features) -> (…, out_features)

    weight (out_features, in_features) and bias (out_features,) start as U(−a, a), a = 1/√in_features, drawn from
    `rng`; with an initialiser from :mod:`minigen.nn.init` the weight starts as it says and the bias at 0.
    Raises ShapeError where the last axis is not in_features.
    """

    def __init__(
        self, in_features: int, out_features: int, *, bias: bool = True, init: Initialiser | None = None, rng: Any,
        dtype: Any = None,
    ):  # fmt: skip
        check_sizes("Linear", in_features=in_features, out_features=out_features)
        self.in_features, self.out_features = in_features, out_features
        self.weight, self.bias = weight_and_bias(rng, (out_features, in_features), out_features, bias, init, dtype)

    def forward(self, x: Tensor) -> Tensor:
        if not x.shape or x.shape[-1] != self.in_features:
            raise ShapeError(
                f"{self!r}{_at(self)}: expected an input of shape (…, {self.in_features}), got {tuple(x.shape)}."
            )
        return ops.linear(x, self.weight, self.bias)

    def settings(self) -> str:
        return f"{self.in_features}, {self.out_features}" + ("" if self.bias is not None else ", bias=False")


class Embedding(Module):
    """y = W[i]        integers (…) -> (…, features)

    One learnt vector for each of `count` symbols: the rows of weight (count, features), which start as N(0, 1).
    """

    def __init__(self, count: int, features: int, *, init: Initialiser | None = None, rng: Any, dtype: Any = None):
        check_sizes("Embedding", count=count, features=features)
        self.count, self.features = count, features
        self.weight = parameter((init or backend.normal)(rng, (count, features), dtype))

    def forward(self, ids: Any) -> Tensor:
        return ops.embedding(ids, self.weight)

    def settings(self) -> str:
        return f"{self.count}, {self.features}"


def _at(module: Module) -> str:
    """Where in the model, for messages."""
    return f" at {module._path!r}" if module._path else ""
