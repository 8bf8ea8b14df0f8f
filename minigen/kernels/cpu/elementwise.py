"""Large float32 arrays of one shape and memory order dealt out to the threads; NumPy has the rest."""

from __future__ import annotations

import numpy as np
from numba import njit

from ..reference import elementwise as reference
from .arithmetic import F
from .layout import flat
from .threads import available, share

__all__ = ["add", "add_to", "relu"]

LEAST = 1 << 15  # numbers that are worth a thread: half of them lie in its cache as it is


@njit(cache=True, nogil=True)
def _add(first, last, scratch, x, w, y):
    x, w, y = x[first:last], w[first:last], y[first:last]  # counting from 0, the loop becomes one over vectors
    for i in range(y.size):
        y[i] = x[i] + w[i]


@njit(cache=True, nogil=True)
def _add_to(first, last, scratch, y, x):
    y, x = y[first:last], x[first:last]
    for i in range(y.size):
        y[i] += x[i]


@njit(cache=True, nogil=True)
def _add_rows(first, last, scratch, y, b):
    for i in range(first, last):
        for c in range(b.size):
            y[i, c] += b[c]


@njit(cache=True, nogil=True)
def _relu(first, last, scratch, x, y):
    x, y = x[first:last], y[first:last]
    for i in range(y.size):
        y[i] = F(0) if x[i] < F(0) else x[i]  # NaN stays NaN


def _large(x):
    return type(x) is np.ndarray and x.size >= 2 * LEAST and available() > 1


def add(x, w):
    if not _large(x) or type(w) is not np.ndarray or (arrays := flat(x, w)) is None:
        return reference.add(x, w)
    y = np.empty_like(x)
    share(_add, x.size, 0, F, *arrays, *flat(y), least=LEAST)
    return y


def add_to(y, x):
    if not _large(y):
        return reference.add_to(y, x)
    if y.shape == x.shape:
        if (arrays := flat(y, x)) is not None:
            share(_add_to, y.size, 0, F, *arrays, least=LEAST)
            return y
    elif y.ndim > 1 and y.dtype == x.dtype == F and x.shape == (y.shape[1],) + (1,) * (y.ndim - 2):
        rows = y.transpose(0, *range(2, y.ndim), 1)  # one number for each channel
        if rows.flags.c_contiguous:
            share(_add_rows, y.size // x.size, 0, F, rows.reshape(-1, x.size), x.reshape(-1), least=LEAST // x.size + 1)
            return y
    return reference.add_to(y, x)


def relu(x):
    if not _large(x) or (arrays := flat(x)) is None:
        return reference.relu(x)
    y = np.empty_like(x)
    share(_relu, x.size, 0, F, *arrays, *flat(y), least=LEAST)
    return y
