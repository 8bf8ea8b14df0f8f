"""The five convolutions of `dcgan` alone, batch 128: forward, and forward and backward."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

from . import SEED, Part, Workload
from .networks import Layer, backward, forward, mirrored, shapes

BATCH = 128
LAYERS: dict[str, tuple[Layer, int]] = {  # and the side of the images that go in
    "conv_transpose 128→128 7²→14²": (("conv_transpose", 128, 128, 5, 2), 7),
    "conv_transpose 128→64 14²→28²": (("conv_transpose", 128, 64, 5, 2), 14),
    "conv 64→1 28²": (("conv", 64, 1, 5, 1), 28),
    "conv 1→64 28²→14²": (("conv", 1, 64, 5, 2), 28),
    "conv 64→128 14²→7²": (("conv", 64, 128, 5, 2), 14),
}


def _arrays() -> dict[str, list[np.ndarray]]:
    """For each layer its input, ∂L/∂y, weight and bias."""
    rng, arrays = np.random.default_rng(SEED), {}
    for name, (layer, side) in LAYERS.items():
        kind, i, o, _, s = layer
        out = side * s if kind == "conv_transpose" else side // s
        sizes = [(BATCH, i, side, side), (BATCH, o, out, out), *shapes(layer)]
        arrays[name] = [rng.standard_normal(size, dtype=np.float32) for size in sizes]
        arrays[name][2] *= np.float32(0.05)
    return arrays


def _ours() -> tuple[list[np.ndarray], dict[str, Part]]:
    from minigen import grad, no_grad, ops, tensor

    parts, weights = {}, []
    for name, (x, g, w, b) in _arrays().items():
        layer = LAYERS[name][0]
        weights += mirrored([layer], iter([w, b]))
        leaves = [tensor(a, requires_grad=True) for a in (_channels_last(x), w, b)]
        parts |= _parts(name, leaves, tensor(_channels_last(g)), layer, ops, grad, no_grad)
    return weights, parts


def _channels_last(a: np.ndarray) -> np.ndarray:
    """In the memory order in which one convolution gets what another has computed."""
    return np.ascontiguousarray(a.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)


def _parts(name: str, leaves: list, g: Any, layer: Layer, ops: Any, grad: Any, no_grad: Any) -> dict[str, Part]:
    convolve = ops.conv_transpose2d if layer[0] == "conv_transpose" else ops.conv2d

    def forward() -> Any:
        with no_grad():
            return convolve(*leaves, stride=layer[4], padding="same")

    def both() -> Any:
        y = convolve(*leaves, stride=layer[4], padding="same")
        return y, grad(y, leaves, g)

    number = lambda y: float((y.data * g.data).sum())
    return {
        f"{name} forward": Part(forward, number),
        f"{name} forward + backward": Part(both, lambda r: number(r[0]) + sum(float((a * a).sum()) for a in r[1])),
    }


def _theirs(library: ModuleType, weights: list[np.ndarray]) -> dict[str, Part]:
    arrays, parts = iter(weights), {}
    for name, (x, g, _, _) in _arrays().items():
        network = library.network([LAYERS[name][0]], arrays)
        x, g = (library.images(a[:, :, ::-1, ::-1].copy()) for a in (x, g))
        forward, both = library.layer(network, x, g)
        number = lambda y, g=g: library.dot(y, g)
        parts[f"{name} forward"] = Part(forward, number)
        parts[f"{name} forward + backward"] = Part(
            both, lambda r, number=number: number(r[0]) + sum(library.dot(a, a) for a in r[1])
        )
    return parts


def _costs() -> dict:
    costs = {}
    for name, (layer, side) in LAYERS.items():
        image = (layer[1], side, side)
        once = forward([layer], BATCH, image)
        costs[f"{name} forward"] = once
        costs[f"{name} forward + backward"] = once + backward([layer], BATCH, image, inputs=True)
    return costs


WORKLOADS = {"conv_layers": Workload(_ours, _theirs, _costs(), ("torch", "torch-channels-last", "dezero", "jax"))}
