"""Each compiled kernel beside its reference, on one backend: does the twin pay?

    python -m benchmarks.kernels [--backend numba,cupy] [--kernel conv2d,lstm] [--json FILE]

Sizes are those of the models. The two take turns; what counts is the least time of each. On a device the time of a
kernel includes what Python needs to launch it, which is most of it for small arrays.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from minigen import backend
from minigen.errors import MinigenError
from minigen.kernels import KERNELS, twin
from minigen.training.files import write_json

from . import machine
from .options import check_device, check_folders, check_known, listed

TURN = 0.02  # seconds
ROUNDS = 7


class Draw:
    """float32 arrays of the current backend, always the same."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(1)

    def __call__(self, *shape: int) -> Any:
        return backend.normal(self.rng, shape)

    def image(self, n: int, c: int, h: int, w: int) -> Any:
        return self(n, h, w, c).transpose(0, 3, 1, 2)

    def several(self, count: int, *shape: int) -> list[Any]:
        return [self(*shape) for _ in range(count)]

    def labels(self, shape: tuple[int, ...], classes: int) -> Any:
        return backend.asarray(self.rng.integers(0, classes, shape))


DOWN = ((2, 2), ((2, 2), (2, 2)), (1, 1), 1)  # stride, padding, dilation, groups of the 5 × 5 kernels of dcgan
GPT = [(65, 128), (64, 128)] + 4 * [(384, 128), (384,), (128, 128), (128,), (512, 128), (512,), (128, 512)]
GPT += 4 * [(128,)] * 5 + [(65, 128)]


def _batch_norm(d: Draw) -> Iterator[tuple]:
    x, g, w = d.image(128, 128, 14, 14), d.image(128, 128, 14, 14), d.several(4, 128)
    yield "channel_moments", "dcgan", [x]
    yield "batch_norm", "dcgan", [x, *w]
    yield "batch_norm_gradients", "dcgan", [g, x, *w[:3]]
    yield "batch_scale", "dcgan", [w[0], w[1] * w[1], w[2], w[3] * w[3], 25088, 0.1, 1e-5]


def _layer_norm(d: Draw) -> Iterator[tuple]:
    for batch in (12, 64):
        x, g, w, b = d(batch, 64, 128), d(batch, 64, 128), d(128), d(128)
        mean, r = d(batch, 64, 1), d(batch, 64, 1)
        yield "layer_norm", f"gpt, batch {batch}", [x, w, b, 1e-5]
        yield "layer_norm_gradients", f"gpt, batch {batch}", [g, x, mean, r, w]


def _attention(d: Draw) -> Iterator[tuple]:
    for batch in (12, 64):
        q, k, v, g = d.several(4, batch, 4, 64, 32)
        p = np.exp(d(batch, 4, 64, 64))
        yield "attention", f"gpt, batch {batch}", [q, k, v, None, True]
        yield "attention_gradients", f"gpt, batch {batch}", [g, q, k, v, p / p.sum(-1, keepdims=True), True]


def _activation(d: Draw) -> Iterator[tuple]:
    for case, x, g in (("mlp_gan", d(128, 512), d(128, 512)), ("dcgan", *(d.image(128, 64, 14, 14) for _ in "xg"))):
        yield "gate", case, [x, g, 0.2]
    for batch in (12, 64):
        x, g = d.several(2, batch, 64, 512)
        yield "gelu", f"gpt, batch {batch}", [x]
        yield "gelu_gradient", f"gpt, batch {batch}", [g, x]


def _loss(d: Draw) -> Iterator[tuple]:
    yield "bce_with_logits", "mlp_vae", [d(128, 784), np.abs(d(128, 784))]
    for case, rows in (("gpt, batch 12", 768), ("char_lstm", 5120)):
        logits, labels = d(rows, 65), d.labels((rows,), 65)
        yield "softmax_cross_entropy", case, [logits, labels]
        arguments = [logits, labels, d(rows, 1), np.abs(d(rows, 1)) + 5, d(rows)]
        yield "softmax_cross_entropy_gradient", case, arguments


def _convolution(d: Draw) -> Iterator[tuple]:
    x, y, w = d.image(128, 64, 14, 14), d.image(128, 128, 7, 7), d(128, 64, 5, 5)
    yield "conv2d", "dcgan, 64 -> 128", [x, w, *DOWN]
    yield "conv_transpose2d", "dcgan, 128 -> 64", [y, w, (14, 14), *DOWN]
    yield "conv2d_weight_grad", "dcgan, 64 -> 128", [x, y, (5, 5), *DOWN]


def _recurrent(d: Draw) -> Iterator[tuple]:
    for case, n, steps, size in (("char_lstm", 128, 40, 128), ("lstm2", 64, 64, 256)):
        h0, c0 = d.several(2, n, size)
        g = d(n, steps, size)
        for name, gates in (("rnn", 1), ("gru", 3), ("lstm", 4)):
            a, u = d(n, steps, gates * size), d(gates * size, size) / size**0.5
            start = [h0, c0] if name == "lstm" else [h0]
            bias = [d(size)] if name == "gru" else []
            yield name, case, [a, u, *bias, *start, None]
            out = KERNELS[name](a, u, *bias, *start, None)
            kept = out if isinstance(out, tuple) else (out,)
            yield f"{name}_gradients", case, [g, *([h0] if name == "lstm" else []), u, *start, None, *kept]


def _writing(d: Draw) -> Iterator[tuple]:
    layers, c, h, v, block = 4, 128, 512, 65, 64
    norm = lambda *lead: np.abs(d(*lead, 2, c))
    linear = lambda k, m: [d(layers, m, k) / k**0.5, d(layers, m)]
    weights = [norm(layers), *linear(c, 3 * c), *linear(c, c), norm(layers), *linear(c, h), *linear(h, c)]
    past = d(layers, 2, 1, 4, block, c // 4)
    ids = d.labels((1,), v)
    yield "gpt_step", "gpt, place 32", [ids, past, block // 2, 1e-5, d(v, c), d(block, c), *weights, norm()]
    arguments = [ids, d(1, 1, 128), d(1, 1, 128), d(v, 50), [d(512, 50) / 7], d(1, 512, 128) / 11, d(1, 512)]
    yield "lstm_symbol", "charlm-b11", [*arguments, d(v, 128), d(v)]


def _elementwise(d: Draw) -> Iterator[tuple]:
    for case, x, w in (("wavenet", *d.several(2, 4, 3500, 32)), ("dcgan", *(d.image(128, 64, 14, 14) for _ in "xw"))):
        yield "add", case, [x, w]
        yield "add_to", case, [x, w]
        yield "relu", case, [x]
    yield "add_to", "dcgan, channels", [x, d(64, 1, 1)]


def _layout(d: Draw) -> Iterator[tuple]:
    yield "reshape", "conv_vae, flattened", [d.image(128, 64, 7, 7), (128, -1)]
    yield "reshape", "wavenet, skips", [d(4, 3500, 32)[:, 500:], (-1, 32)]
    yield "place", "wavenet, skips", [d(4, 3000, 32), (slice(None), slice(500, None)), (4, 3500, 32)]


def _rest(d: Draw) -> Iterator[tuple]:
    ps, gs, ms = ([d(*shape) for shape in GPT] for _ in range(3))
    steps = [1000] * len(ps)
    yield "adam_steps", "gpt", [ps, gs, ms, [m * m for m in ms], steps, 1e-3, 0.9, 0.99, 1e-8, [0.0] * len(ps)]
    yield "clip_norm", "gpt", [gs, 1.0]
    p, g, m = d.several(3, 784, 512)
    yield "adam_step", "mlp_gan", [p, g, m, m * m, 1000, 1e-3, 0.9, 0.99, 1e-8, 0.0]
    yield "rmsprop_step", "wgan", [p, g, m * m, 1e-3, 0.9, 1e-8]
    yield "scatter_rows", "char_lstm", [d(5120, 50), d.labels((5120,), 65), (65, 50)]
    yield "add_at", "gpt", [d(768, 65), (backend.asarray(np.arange(768)), d.labels((768,), 65)), d(768)]
    yield "product", "mlp_gan", [d(128, 512), d(512, 784)]
    yield "linear_gradients", "mlp_gan", [d(128, 784), d(128, 512), d(784, 512), (True, True, True)]
    yield "sums", "wavenet", [d(4, 3500, 64), (0, 1)]


def _wavenet(d: Draw) -> Iterator[tuple]:
    layers, c, s, v = 10, 32, 64, 256
    u = np.abs(d(1, 100)) % 1
    weights = [d(*shape) / shape[0] ** 0.5 for shape in ((layers, 2 * c, 2 * c), (1, layers, 2 * c), (layers - 1, c, c),
               (layers - 1, c), (layers, c, s), (s,))]  # fmt: skip
    head = d(s, s) / 8, d(s), d(s, v) / 8, d(v)
    rest = [d.labels((1,), v), d(1, 2**layers - 1, c), 0, 1.0, [2**i for i in range(layers)], d(v, c)]
    yield "wavenet_draw", "wavenet, 100 codes", [u, *rest, *weights, head]
    a, b, g = d(4, 4000, 2 * c), d(4, 2 * c), d(4, 4000, c)
    yield "gated", "wavenet", [a, b]
    yield "gated_gradients", "wavenet", [g, a, b]


CASES = (
    _activation, _loss, _batch_norm, _layer_norm, _attention, _convolution, _recurrent, _wavenet, _writing,
    _elementwise, _layout, _rest,
)  # fmt: skip


def cases() -> Iterator[tuple[str, str, list]]:
    """(kernel, case, arguments)"""
    for family in CASES:
        yield from family(Draw())


def compare(reference: Callable, other: Callable, arguments: list) -> tuple[float, float]:
    """The least microseconds that each takes."""

    def several(kernel: Callable, times: int) -> Callable:
        return lambda: [kernel(*_fresh(kernel, arguments)) for _ in range(times)]

    both, least = (reference, other), [float("inf")] * 2
    times = []
    for kernel in both:
        backend.timed(several(kernel, 1))  # compiles
        times.append(max(1, int(TURN / max(backend.timed(several(kernel, 1))[1], 1e-6))))
    for _ in range(ROUNDS):
        for i, kernel in enumerate(both):
            least[i] = min(least[i], 1e6 * backend.timed(several(kernel, times[i]))[1] / times[i])
    return least[0], least[1]


def _fresh(kernel: Callable, arguments: list) -> list:
    """The gates of an LSTM are given away: a twin may write over them, and would differentiate what it has written."""
    return [*arguments[:-1], arguments[-1].copy()] if kernel.__name__ == "lstm_gradients" else arguments


def rows(name: str, wanted: list[str]) -> Iterator[dict[str, Any]]:
    with backend.use(name):
        for kernel, case, arguments in cases():
            other = twin(kernel, name)
            if other is KERNELS[kernel] or (wanted and kernel not in wanted):
                continue
            plain, fast = compare(KERNELS[kernel], other, arguments)
            yield {"kernel": kernel, "case": case, "backend": name, "reference_us": round(plain, 1),
                   "twin_us": round(fast, 1), "ratio": round(fast / plain, 3)}  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kernels", description=__doc__.splitlines()[0])
    parser.add_argument("--backend", type=listed, default=["numba"], help="numba, cupy (default: numba)")
    parser.add_argument("--kernel", type=listed, default=[], help="some of these alone: " + ", ".join(KERNELS))
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows and a description of the machine")
    chosen = parser.parse_args(arguments)
    try:
        check_known("backend", chosen.backend, ["numba", "cupy"])
        check_known("kernel", chosen.kernel, KERNELS)
        check_device(chosen.backend)
        check_folders(chosen.json)
    except MinigenError as error:
        print(error, file=sys.stderr)
        return 2
    found = []
    print(f"{'kernel':31s} {'case':18s} {'backend':8s} {'reference µs':>12s} {'twin µs':>10s} {'ratio':>6s}")
    for name in chosen.backend:
        for row in rows(name, chosen.kernel):
            found.append(row)
            print(
                f"{row['kernel']:31s} {row['case']:18s} {name:8s} {row['reference_us']:12.1f} {row['twin_us']:10.1f} "
                f"{row['ratio']:6.2f}",
                flush=True,
            )
    if chosen.json:
        about = machine.describe() | ({"device": backend.device_name()} if "cupy" in chosen.backend else {})
        write_json(chosen.json, {"machine": about, "rows": found})
    return 0


if __name__ == "__main__":
    sys.exit(main())
