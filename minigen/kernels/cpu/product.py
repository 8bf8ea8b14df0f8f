"""The product of two large matrices, rows of the result (or columns) dealt out to Python's threads.

Each thread multiplies by NumPy's OpenBLAS, which has one thread of its own: OpenBLAS's threads wait for each other in a
busy loop, which on a machine with other work costs more than they gain. A BLAS with more threads is left alone.
"""

from __future__ import annotations

import numpy as np

from ..reference import product as reference
from .blas import OpenBlas, share

__all__ = ["product"]

WORK = 2e7  # operations that are worth a thread: some 0.2 ms
BLAS = OpenBlas(np.linalg._umath_linalg.__file__)  # NumPy's


def _rows(first, last, scratch, x, w, y):
    np.matmul(x[first:last], w, out=y[first:last])


def product(x, w):
    n, m, work = x.shape[0], w.shape[1], 2 * x.size * w.shape[1]
    fits = x.dtype == w.dtype and x.dtype.kind == "f" and x.shape[1] == w.shape[0]
    if work < 2 * WORK or not fits or BLAS.threads != 1:
        return reference.product(x, w)
    y = np.empty((n, m), x.dtype)
    arrays = (x, w, y) if n >= m else (w.T, x.T, y.T)
    share(_rows, max(n, m), 0, x.dtype, *arrays, least=int(-(-max(n, m) * WORK // work)))
    return y
