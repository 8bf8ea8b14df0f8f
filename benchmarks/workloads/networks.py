"""Networks as lists of layers, which every peer can build, and what they cost at least.

A layer is a tuple: ("linear", inputs, outputs), ("conv", inputs, outputs, kernel, stride), ("conv_transpose", the
same), ("batch_norm", channels), ("leaky_relu", slope), ("relu",), ("tanh",), ("reshape", c, h, w) or ("flatten", c,
h, w). Convolutions are padded "same": ⌈n/s⌉ outputs from n inputs, or n s outputs, the transposed ones.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

Layer = tuple


class Cost(NamedTuple):
    """Floating-point operations, and bytes read and written, that cannot be avoided."""

    flops: float = 0
    bytes: float = 0

    def __add__(self, other: Cost) -> Cost:  # type: ignore[override]
        return Cost(self.flops + other.flops, self.bytes + other.bytes)

    def __rmul__(self, times: float) -> Cost:  # type: ignore[override]
        return Cost(times * self.flops, times * self.bytes)


def shapes(layer: Layer) -> list[tuple[int, ...]]:
    """The shapes of a layer's parameters, in order."""
    match layer:
        case ("linear", i, o):
            return [(o, i), (o,)]
        case ("conv", i, o, k, _):
            return [(o, i, k, k), (o,)]
        case ("conv_transpose", i, o, k, _):
            return [(i, o, k, k), (o,)]
        case ("batch_norm", c):
            return [(c,), (c,)]
    return []


def deal(layers: list[Layer], arrays: Iterator[np.ndarray]) -> list[tuple[Layer, list[np.ndarray]]]:
    """Each layer with its parameters, taken from `arrays` in order. Raises where a shape is another."""
    dealt = []
    for layer in layers:
        own = [next(arrays) for _ in shapes(layer)]
        if [a.shape for a in own] != shapes(layer):
            raise ValueError(f"{layer}: the weights to copy have the shapes {[a.shape for a in own]}")
        dealt.append((layer, own))
    return dealt


def mirrored(layers: list[Layer], arrays: Iterator[np.ndarray]) -> list[np.ndarray]:
    """The weights of the network that does to flipped images what `layers` does to images.

    Where a padding is odd, Keras and minigen put the larger half last, PyTorch and DeZero first. Mirrored, the network
    needs no padding of its own there, which would cost them a copy.
    """
    out = []
    dealt = deal(layers, arrays)
    for i, (layer, own) in enumerate(dealt):
        if layer[0].startswith("conv"):
            own = [own[0][:, :, ::-1, ::-1], own[1]]
        if layer[0] == "linear":
            before, after = dealt[i - 1][0] if i else ("",), dealt[i + 1][0] if i + 1 < len(dealt) else ("",)
            if after[0] == "reshape":
                own = [a[_flipped(after)] for a in own]
            if before[0] == "flatten":
                own = [own[0][:, _flipped(before)], own[1]]
        out += [np.ascontiguousarray(a) for a in own]
    return out


def _flipped(layer: Layer) -> np.ndarray:
    return np.arange(math.prod(layer[1:])).reshape(layer[1:])[:, ::-1, ::-1].ravel()


def forward(layers: list[Layer], n: int, image: tuple[int, ...] = ()) -> Cost:
    """One forward pass over n examples: its products, and each result of a layer with parameters written once."""
    total, size = Cost(), image[-1] if image else 0
    for layer in layers:
        match layer:
            case ("linear", i, o):
                total += Cost(2 * n * i * o, 4 * n * o)
            case ("conv", i, o, k, s):
                size = -(-size // s)
                total += Cost(2 * n * size**2 * k**2 * i * o, 4 * n * size**2 * o)
            case ("conv_transpose", i, o, k, s):
                total += Cost(2 * n * size**2 * k**2 * i * o, 4 * n * (size * s) ** 2 * o)
                size *= s
            case ("reshape" | "flatten", _, size, _):
                pass
    return total


def backward(layers: list[Layer], n: int, image: tuple[int, ...] = (), *, weights: bool = True, inputs: bool = False
) -> Cost:  # fmt: skip
    """The gradients of the weights, and those of the inputs: of the first layer's only if they are wanted."""
    whole = forward(layers, n, image)
    first = next(i for i, layer in enumerate(layers) if shapes(layer))
    spared = Cost() if inputs else forward(layers[: first + 1], n, image)
    return (weights + 1) * whole + -1 * spared


def adam(*networks: list[Layer]) -> Cost:
    """θ, m and v are read and written."""
    return Cost(0, 6 * 4 * sum(math.prod(s) for layers in networks for layer in layers for s in shapes(layer)))
