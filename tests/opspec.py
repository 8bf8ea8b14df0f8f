"""One record per operation; `tests/test_ops.py` runs the same questions over all of them.

A spec file `tests/ops/<family>.py` holds a list SPECS for the operations of `minigen/ops/<family>.py`. To add an
operation to the suite, add one record.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass
class Sample:
    """One call: positional arguments (float64 arrays for differentiable inputs) and keyword arguments."""

    args: tuple
    kwargs: dict = field(default_factory=dict)


@dataclass
class Bad:
    """A call that must fail with one clear sentence."""

    args: tuple
    kwargs: dict
    error: type[Exception]
    match: str  # a regular expression for the message: names the operation, what was expected, what came
    host_only: bool = False  # True where only the values show it: nobody waits for a device to look at them


@dataclass
class OpSpec:
    """What is needed to test one operation.

    reference: an independent computation on float64 NumPy arrays, called with the sample's arguments: NumPy or SciPy
        where they have the function under test, loops otherwise; never minigen's code.
    samples: from a generator, calls that cover broadcasting, size 1, empty, non-contiguous and negative strides (use
        `tests.opspec.layouts`), and every option.
    differentiable: positions of the arguments that have a gradient; a sample keeps them away from kinks.
    second_order: False only where mathematics gives nothing (piecewise linear operations still pass: zeros).
    complex_step: the operation is analytic and its array code accepts complex numbers.
    torch: the same call in PyTorch on tensors, used as one more oracle for value and gradients where installed.
    """

    name: str
    op: Callable
    reference: Callable
    samples: Callable[[np.random.Generator], list[Sample]]
    differentiable: tuple[int, ...] = (0,)
    second_order: bool = True
    complex_step: bool = False
    torch: Callable | None = None
    bad: list[Bad] = field(default_factory=list)

    def __str__(self) -> str:
        return self.name


def layouts(a: np.ndarray) -> list[np.ndarray]:
    """`a` as it is, in Fortran order, as every second column of a wider array, and with a negative stride."""
    out = [a, np.asfortranarray(a)]
    if a.ndim:
        wide = np.repeat(a, 2, axis=-1)
        out += [wide[..., ::2], np.ascontiguousarray(a[..., ::-1])[..., ::-1]]
    return out


def normal(rng: np.random.Generator, *shape: int, **_: Any) -> np.ndarray:
    return rng.standard_normal(shape)
