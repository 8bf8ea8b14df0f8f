"""Large float32 arrays whose numbers change places, by threads."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from ..reference import shape as reference
from .blas import clear, copy
from .layout import LEAST, contiguous
from .threads import share

__all__ = ["place", "reshape"]


def reshape(x, shape):
    if x.size >= 2 * LEAST and not x.flags.c_contiguous:
        try:
            return np.reshape(x, shape, copy=False)
        except ValueError:
            x = contiguous(x)
    return reference.reshape(x, shape)


@njit(cache=True, nogil=True)
def _place(first, last, scratch, x, y, before, size, after):
    row = before + size + after
    for i in range(first, last):
        clear(y + i * row, before)
        copy(y + i * row + before, x + i * size, size)
        clear(y + i * row + before + size, after)


def _range(index, shape):
    """(axis, first, last) of an index that takes a range of one axis and all of the others, else None"""
    index = index if type(index) is tuple else (index,)
    if len(index) > len(shape) or not all(type(i) is slice for i in index):
        return None
    ranges = [(axis, *i.indices(n)) for axis, (i, n) in enumerate(zip(index, shape)) if i != slice(None)]
    return ranges[0][:3] if len(ranges) == 1 and ranges[0][3] == 1 else None


def place(x, index, shape):
    taken = _range(index, shape) if x.size >= 2 * LEAST and x.dtype == np.float32 else None
    if taken is None or not x.flags.c_contiguous:
        return reference.place(x, index, shape)
    axis, first, last = taken
    outer, inner = math.prod(shape[:axis]), 4 * math.prod(shape[axis + 1 :])
    if x.shape != (*shape[:axis], last - first, *shape[axis + 1 :]):
        return reference.place(x, index, shape)
    y = np.empty(shape, x.dtype)
    sizes = first * inner, (last - first) * inner, (shape[axis] - last) * inner
    share(_place, outer, 0, y.dtype, x.ctypes.data, y.ctypes.data, *sizes, least=-(-LEAST * outer // y.size))
    return y
