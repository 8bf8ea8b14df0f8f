"""Layers of layers, and layers that only move numbers."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from .. import ops
from ..errors import DtypeError, ShapeError
from ..tensor import Tensor
from .linear import _at
from .module import Module

__all__ = ["Flatten", "Reshape", "Sequential"]


class Sequential(Module):
    """y = fₙ(… f₂(f₁(x)))        the layers' names are their places: ``0.weight``

    ``rng`` is handed to the layers whose forward pass takes one, such as :class:`Dropout`.
    """

    def __init__(self, *layers: Module):
        self._layers: list[tuple[Module, bool]] = []
        for i, layer in enumerate(layers):
            if not isinstance(layer, Module):
                raise DtypeError(f"Sequential: layer {i} must be a Module, got {type(layer).__name__}.")
            setattr(self, str(i), layer)
            self._layers.append((layer, "rng" in inspect.signature(layer.forward).parameters))

    def forward(self, x: Any, rng: Any = None) -> Any:
        for layer, draws in self._layers:
            x = layer(x, rng=rng) if draws else layer(x)
        return x

    def __len__(self) -> int:
        return len(self._layers)

    def __iter__(self) -> Iterator[Module]:
        return (layer for layer, _ in self._layers)

    def __getitem__(self, index: int) -> Module:
        return self._layers[index][0]


class Flatten(Module):
    """(N, …) -> (N, product of the rest)"""

    def forward(self, x: Tensor) -> Tensor:
        features = 1
        for n in x.shape[1:]:
            features *= n
        return ops.reshape(x, (x.shape[0], features))


class Reshape(Module):
    """(N, …) -> (N, *shape), for example ``Reshape(1, 28, 28)``"""

    def __init__(self, *shape: int):
        self.shape = shape

    def forward(self, x: Tensor) -> Tensor:
        try:
            return ops.reshape(x, (x.shape[0], *self.shape))
        except ShapeError as error:
            wanted = ", ".join(map(str, self.shape))
            raise ShapeError(
                f"{self!r}{_at(self)}: an input of shape {tuple(x.shape)} has no shape (N, {wanted})."
            ) from error

    def settings(self) -> str:
        return ", ".join(map(str, self.shape))
