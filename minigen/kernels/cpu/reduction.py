"""Sums of large arrays over the axes that lead in memory, by blocks of rows: within a block in float32, over them in
float64.

The blocks depend on the shape alone, so that the result does not depend on the number of threads.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from ..reference import reduction as reference
from .threads import share

__all__ = ["sum_of_parts", "sums"]

THREAD = 1 << 15  # elements that are worth a thread
BLOCK = 1 << 14  # elements of a block
ROWS = 256  # with fewer, NumPy is faster


@njit(cache=True, nogil=True)
def _sums(first, last, _, x, block, parts):
    for b in range(first, last):
        part = parts[b]
        for c in range(part.size):
            part[c] = 0
        for i in range(b * block, min(x.shape[0], (b + 1) * block)):
            row = x[i]
            for c in range(part.size):
                part[c] += row[c]


@njit(cache=True)
def sum_of_parts(parts, y):
    """y = Σ over the rows of `parts`, in float64"""
    total = np.zeros(y.size)
    for b in range(parts.shape[0]):
        for c in range(y.size):
            total[c] += parts[b, c]
    for c in range(y.size):
        y[c] = total[c]


def sums(x, axis=None, keepdims=False):
    if x.dtype != np.float32 or x.size < 2 * THREAD or type(axis) is not tuple or not 0 < len(axis) < x.ndim:
        return reference.sums(x, axis, keepdims)
    order = [*axis, *(a for a in range(x.ndim) if a not in axis)]
    if keepdims or sorted(order) != list(range(x.ndim)):
        return reference.sums(x, axis, keepdims)
    ordered = x.transpose(order)  # rows, where the axes come first in memory
    if not ordered.flags.c_contiguous:
        return reference.sums(x, axis, keepdims)
    kept = ordered.shape[len(axis) :]
    rows = ordered.reshape(-1, math.prod(kept))
    n, m = rows.shape
    if n < ROWS:
        return reference.sums(x, axis, keepdims)
    block = max(1, BLOCK // m)
    parts = np.empty((-(-n // block), m), np.float32)
    share(_sums, len(parts), 0, np.float32, rows, block, parts, least=-(-THREAD // (block * m)))
    y = np.empty(kept, np.float32)
    sum_of_parts(parts, y.reshape(-1))
    return y
