"""What does the engine itself cost? y ← 1.01 y + 0.1 a hundred times on 16×16 numbers, then the gradient of Σ y.

The arithmetic is next to nothing, so the time is that of recording and replaying. It is given for one operation.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from . import SEED, Part, Workload
from .networks import Cost

LENGTH, SIZE = 100, 16


def _start() -> np.ndarray:
    return np.random.default_rng(SEED).standard_normal((SIZE, SIZE)).astype(np.float32)


def _chain(y: Any, a: Any, b: Any) -> Any:
    for _ in range(LENGTH):
        y = y * a + b
    return y


def _part(run: Callable[[], tuple[Any, Any]]) -> dict[str, Part]:
    """`run` gives Σ y and its gradient, which is the same everywhere: its first number is compared as well."""

    def number(result: tuple[Any, Any]) -> float:
        loss, gradient = (a.detach() if hasattr(a, "detach") else a for a in result)
        return float(loss) + float(gradient[0, 0])

    return {"small_ops": Part(run, number, per=2 * LENGTH)}


def _ours() -> tuple[list[np.ndarray], dict[str, Part]]:
    import minigen

    x = minigen.tensor(_start(), requires_grad=True)

    def run() -> tuple[Any, Any]:
        x.grad = None
        loss = _chain(x, 1.01, 0.1).sum()
        loss.backward()
        return loss, x.grad

    return [x.numpy()], _part(run)


def _theirs(library: ModuleType, weights: list[np.ndarray]) -> dict[str, Part]:
    return _part(library.gradient_of_sum(_chain, weights[0], 1.01, 0.1))


WORKLOADS = {
    "small_ops": Workload(_ours, _theirs, {"small_ops": Cost(3 * SIZE**2 / 2, 0)}, ("torch", "autograd", "dezero"))
}
