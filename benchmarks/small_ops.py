"""What does the engine itself cost? A chain of small operations, forward and backward, per operation.

    python -m benchmarks.small_ops [--size 16] [--length 100] [--rounds 60]

The work is y ← 1.01 y + 0.1, repeated, then the gradient of Σ y: on 16×16 numbers the arithmetic is next to nothing, so
the time is that of recording and replaying. The three contestants run in turn, round by round, in one process; the
minimum over the rounds is reported, since noise only ever adds. PyTorch takes part where it is installed; *by hand* is
NumPy with the backward loop written out, the floor that any engine over NumPy stands on.
"""

from __future__ import annotations

import argparse
import importlib.util
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import minigen


def engine_chain(x: Any, length: int) -> Callable[[], None]:
    """The chain as one writes it with minigen, and with PyTorch: the same lines."""

    def run() -> None:
        y = x
        for _ in range(length):
            y = y * 1.01 + 0.1
        x.grad = None
        y.sum().backward()

    return run


def hand_written_chain(start: np.ndarray, length: int) -> Callable[[], None]:
    def run() -> None:
        y = start
        for _ in range(length):
            y = y * 1.01 + 0.1
        g = np.ones_like(y)
        for _ in range(length):
            g = g * 1.01

    return run


def measure(size: int, length: int, rounds: int) -> dict[str, float]:
    """Microseconds per operation (two per step of the chain), the minimum over `rounds` interleaved rounds."""
    start = np.random.default_rng(0).standard_normal((size, size)).astype(np.float32)
    chains = {
        "minigen": engine_chain(minigen.tensor(start, requires_grad=True), length),
        "by hand": hand_written_chain(start, length),
    }
    if importlib.util.find_spec("torch") is not None:
        import torch

        chains["PyTorch"] = engine_chain(torch.tensor(start, requires_grad=True), length)
    best = dict.fromkeys(chains, float("inf"))
    for _ in range(rounds):
        for name, run in chains.items():
            begin = time.perf_counter()
            run()
            best[name] = min(best[name], time.perf_counter() - begin)
    return {name: seconds / (2 * length) * 1e6 for name, seconds in best.items()}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.small_ops", description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=16, help="side of the square arrays (default: %(default)s)")
    parser.add_argument("--length", type=int, default=100, help="steps of the chain (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=60, help="rounds to take the minimum of (default: %(default)s)")
    options = parser.parse_args()
    result = measure(options.size, options.length, options.rounds)
    print(f"{options.size}×{options.size} float32, forward + backward, µs per operation")
    for name, microseconds in sorted(result.items(), key=lambda item: item[1]):
        print(f"  {name:8s} {microseconds:6.2f}   {microseconds / result['minigen']:5.2f} × minigen")
    if "PyTorch" not in result:
        print("  PyTorch is not installed here: pip install -e '.[bench]'")


if __name__ == "__main__":
    main()
