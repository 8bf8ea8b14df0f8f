"""Language models: a training step of `char_lstm`, `lstm2` and `gpt`; and writing, for one symbol.

char_lstm   one LSTM of 128 that learns from the last symbol of windows of 40, batch 128: the preset charlm-b11
lstm2       two of 256, windows of 64, batch 64: the preset charlm, without dropout and with one learning rate
gpt         the preset gpt, four layers of width 128 over windows of 64, batch 12; and batch 64

Writing starts from one symbol and always takes the likeliest, so that both sides write the same.
"""

from __future__ import annotations

import dataclasses
from types import ModuleType
from typing import Any

import numpy as np

from . import SEED, Part, Workload
from .networks import Cost

SYMBOLS, WRITTEN = 65, 63
LSTMS = {  # name: (preset, batch, block, embedding, width, layers)
    "char_lstm": ("charlm-b11", 128, 40, 50, 128, 1),
    "lstm2": ("charlm", 64, 64, 64, 256, 2),
    "sample_lstm": ("charlm-b11", 128, 40, 50, 128, 1),
}
GPTS = {"gpt": 12, "gpt batch 64": 64, "sample_gpt": 12}  # name: batch
LAYERS, HEADS, WIDTH, BLOCK = 4, 4, 128, 64


def _windows(batch: int, block: int) -> np.ndarray:
    return np.random.default_rng(SEED).integers(0, SYMBOLS, (batch, block + 1))


def _model(preset: str) -> Any:
    from minigen import backend
    from minigen.datasets import CharTokenizer
    from minigen.models import PRESETS

    chosen = PRESETS[preset]
    symbols = CharTokenizer("".join(map(chr, range(65, 65 + SYMBOLS))))
    plain = {"schedule": "constant"} if hasattr(chosen.config, "schedule") else {}
    config = dataclasses.replace(chosen.config, vocabulary=symbols.to_dict(), dropout=0.0, **plain)
    return chosen.model(config, rng=backend.generator(SEED))


def _training(model: Any, batch: int, block: int) -> Part:
    from minigen import backend, grad
    from minigen.optim import clip_grad_norm

    (player,), data, rng, done = model.players, (backend.asarray(_windows(batch, block)),), backend.generator(SEED), 0

    def step() -> Any:
        nonlocal done
        if player.schedule is not None:
            player.optimizer.lr = player.schedule(done)
        loss, _ = player.objective(data, rng)
        gradients = grad(loss, player.parameters)
        clip_grad_norm(gradients, player.clip)
        player.optimizer.step(gradients)
        done += 1
        return loss

    return Part(step, lambda loss: loss.item())


def _writing(model: Any) -> Part:
    prompt, rng = np.zeros(1, np.int64), np.random.default_rng(SEED)
    model.eval()
    step = lambda: list(model.generate(prompt, WRITTEN, rng, temperature=0))
    return Part(step, _fingerprint, per=WRITTEN)


def _fingerprint(ids: list[int]) -> float:
    return float(np.dot(ids, np.sqrt(np.arange(2, len(ids) + 2))))


def _ours(name: str) -> tuple[list[np.ndarray], dict[str, Part]]:
    weights, parts = [], {}
    for part in _parts(name):
        preset, batch, block = LSTMS[part][:3] if part in LSTMS else ("gpt", GPTS[part], BLOCK)
        model = _model(preset)
        weights += [np.array(p.numpy()) for p in model.parameters()]
        parts[part] = _writing(model) if part.startswith("sample") else _training(model, batch, block)
    return weights, parts


def _theirs(library: ModuleType, weights: list[np.ndarray], name: str) -> dict[str, Part]:
    arrays, parts = iter(weights), {}
    for part in _parts(name):
        if part in LSTMS:
            _, batch, block, embedding, width, layers = LSTMS[part]
            net = library.lstm(SYMBOLS, embedding, width, layers, arrays)
            last = part == "char_lstm"
            optimizer = ("RMSprop", 0.01, 5.0) if last else ("Adam", 4e-3, 1.0)
        else:
            net, batch, block, last = (
                library.gpt(SYMBOLS, BLOCK, WIDTH, HEADS, LAYERS, arrays),
                GPTS[part],
                BLOCK,
                False,
            )
            optimizer = ("AdamW", 2e-3, 1.0)  # the preset's; another is refused, since the losses differ
        if part.startswith("sample"):
            step = lambda net=net: library.write(net, WRITTEN)
            parts[part] = Part(step, _fingerprint, per=WRITTEN)
        else:
            parts[part] = Part(library.reader(net, _windows(batch, block), last, *optimizer), library.number)
    return parts


def _parts(name: str) -> tuple[str, ...]:
    return ("gpt", "gpt batch 64") if name == "gpt" else (name,)


def _cost(part: str) -> Cost:
    """Products of a forward pass and twice as many backward; θ and the optimizer's averages read and written. Writing
    reads all weights for each symbol."""
    if part in LSTMS:
        _, batch, block, embedding, width, layers = LSTMS[part]
        sizes = [4 * width * (e + width) for e in (embedding, *[width] * (layers - 1))]
        tokens, output = batch * block, batch * (1 if part == "char_lstm" else block)
        flops = 2 * (tokens * sum(sizes) + output * width * SYMBOLS)
        numbers = sum(sizes) + SYMBOLS * (embedding + width)
    else:
        batch, block = GPTS[part], BLOCK
        numbers = LAYERS * 12 * WIDTH**2 + (SYMBOLS + BLOCK) * WIDTH
        each = 2 * (LAYERS * (12 * WIDTH**2 + block * WIDTH) + SYMBOLS * WIDTH)  # half of the pairs are masked
        flops = batch * block * each
    if part.startswith("sample"):
        return Cost(2 * numbers, 4 * numbers)
    return Cost(3 * flops, 24 * numbers)


def _workload(name: str) -> Workload:
    theirs = lambda library, weights: _theirs(library, weights, name)
    peers = ("torch",) if name.startswith("sample") else ("torch", "jax")
    return Workload(lambda: _ours(name), theirs, {part: _cost(part) for part in _parts(name)}, peers)


WORKLOADS = {name: _workload(name) for name in ("char_lstm", "lstm2", "gpt", "sample_lstm", "sample_gpt")}
