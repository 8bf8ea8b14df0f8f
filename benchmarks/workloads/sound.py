"""WaveNet: a training step on 4 windows of 4000 codes, 10 layers of 32 channels (the preset wavenet); and drawing, for
one sample, the likeliest each time, so that both sides draw the same.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

from . import SEED, Part, Workload
from .networks import Cost

LAYERS, CHANNELS, SKIP, CODES, CLASSES = 10, 32, 64, 256, 10
BATCH, INPUTS, DRAWN = 4, 4000, 400
CONTEXT = 2**LAYERS
BLOCK = INPUTS - CONTEXT + 1
LR = 6e-3


def _windows() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(SEED)
    return rng.integers(0, CODES, (BATCH, INPUTS + 1)), rng.integers(0, CLASSES, BATCH)


def _ours(name: str) -> tuple[list[np.ndarray], dict[str, Part]]:
    from minigen import backend, grad, models
    from minigen.optim import clip_grad_norm

    model: Any = models.build("wavenet", {"block": BLOCK, "schedule": "constant"}, rng=backend.generator(SEED))
    weights = [np.array(p.numpy()) for p in model.parameters()]
    (player,), data = model.players, tuple(map(backend.asarray, _windows()))

    def train() -> Any:
        loss, _ = player.objective(data, None)
        gradients = grad(loss, player.parameters)
        clip_grad_norm(gradients, player.clip)
        player.optimizer.step(gradients)
        return loss

    def write() -> np.ndarray:
        rng = np.random.default_rng(SEED)
        return np.concatenate(list(model.generate(np.array([3]), DRAWN, rng, temperature=0)), axis=1)

    return weights, {name: _part(name, train, write, lambda loss: loss.item())}


def _theirs(library: ModuleType, weights: list[np.ndarray], name: str) -> dict[str, Part]:
    net = library.wavenet(LAYERS, CHANNELS, SKIP, CODES, CLASSES, iter(weights))
    train = library.listener(net, *_windows(), CONTEXT, LR, 1.0)
    return {name: _part(name, train, lambda: library.draw(net, 3, DRAWN), library.number)}


def _part(name: str, train: Any, write: Any, number: Any) -> Part:
    if name == "wavenet":
        return Part(train, number)
    return Part(write, lambda codes: float(np.dot(np.ravel(codes), np.sqrt(np.arange(2, DRAWN + 2)))), per=DRAWN)


def _cost(name: str) -> Cost:
    """Products of a forward pass and twice as many backward, at the times that are needed; θ and Adam's averages.
    Drawing reads all weights for each sample."""
    layer, head = 4 * CHANNELS**2 + CHANNELS**2, SKIP * SKIP + SKIP * CODES
    numbers = LAYERS * (layer + CHANNELS * SKIP) + head
    if name == "sample_wavenet":
        return Cost(2 * numbers, 4 * numbers)
    times = [INPUTS + 1 - 2 ** (i + 1) for i in range(LAYERS)]
    flops = 2 * BATCH * (layer * sum(times) + (LAYERS * CHANNELS * SKIP + head) * BLOCK)
    return Cost(3 * flops, 24 * (numbers + CODES * CHANNELS))


def _workload(name: str) -> Workload:
    theirs = lambda library, weights: _theirs(library, weights, name)
    peers = ("torch", "jax") if name == "wavenet" else ("torch",)
    return Workload(lambda: _ours(name), theirs, {name: _cost(name)}, peers)


WORKLOADS = {name: _workload(name) for name in ("wavenet", "sample_wavenet")}
