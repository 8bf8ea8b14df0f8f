"""The product of two large matrices, rows of the result (or columns) dealt out to Python's threads.

Each thread multiplies in tiles (see `tile`) where that pays: with float32 numbers, so many rows that packing w is
little beside them, and the registers for it. Else it multiplies by NumPy's OpenBLAS, which has one thread of its own:
OpenBLAS's threads wait for each other in a busy loop, which on a machine with other work costs more than they gain. A
BLAS with more threads is left alone.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from ..reference import product as reference
from .blas import OpenBlas, share
from .tile import LANES, WIDE, multiply, pack, usable

__all__ = ["product"]

WORK = 1e7  # operations that are worth a thread in tiles: some 0.1 ms
SHARE = 1e9  # operations that are worth a thread of BLAS: with a tenth of that `gan` was slower on two than on one
LEAST = 384  # rows for tiles
ALONG, ACROSS = 512, 128  # how much of a sum is done at a time, of an x that lies in rows, or in columns
BLAS = OpenBlas(np.linalg._umath_linalg.__file__)  # NumPy's
TILES = usable()


def _rows(first, last, scratch, x, w, y):
    np.matmul(x[first:last], w, out=y[first:last])


@njit(cache=True, nogil=True, error_model="numpy")
def _tiles(first, last, scratch, x, row, step, w, transposed, y, steps, depth):
    """The rows first … last of y = x w, `depth` of the sum's steps at a time; x is an address, w is (k, m), or
    `transposed`"""
    m = y.shape[1]
    packed = scratch[-(scratch.ctypes.data // 4) % LANES :]  # vectors that do not lie across two lines of the cache
    for top in range(0, steps, depth):
        bottom = min(steps, top + depth)
        pack(w, transposed, top, bottom, packed)
        multiply(last - first, m, bottom - top, x + first * row + top * step, row, step, packed.ctypes.data,
                 y.ctypes.data + 4 * m * first, 4 * m, min(top, 1))  # fmt: skip


def _one_piece(a):
    return a.flags.c_contiguous or a.flags.f_contiguous


def _in_tiles(x, w):
    """Is this a product for `_tiles`?"""
    fits = x.shape[0] >= LEAST and w.shape[1] >= WIDE and w.shape[1] % LANES == 0
    return TILES and fits and x.dtype == np.float32 and _one_piece(x) and _one_piece(w)


def product(x, w):
    n, m, work = x.shape[0], w.shape[1], 2 * x.size * w.shape[1]
    fits = x.dtype == w.dtype and x.dtype.kind == "f" and x.shape[1] == w.shape[0]
    if work < 2 * WORK or not fits or BLAS.threads != 1:
        return reference.product(x, w)
    if n < LEAST <= x.shape[1] and 4 in (x.strides[0], w.strides[0]) and _in_tiles(w.T, x.T):
        return np.ascontiguousarray(product(w.T, x.T).T)  # yᵀ = wᵀ xᵀ has more rows
    y = np.empty((n, m), x.dtype)
    if _in_tiles(x, w):
        depth, transposed = ACROSS if x.strides[0] == 4 else ALONG, not w.flags.c_contiguous
        share(_tiles, n, depth * m + LANES, x.dtype, x.ctypes.data, *x.strides, w.T if transposed else w, transposed, y,
              x.shape[1], depth, least=int(-(-n * WORK // work)))  # fmt: skip
        return y
    arrays = (x, w, y) if n >= m else (w.T, x.T, y.T)
    share(_rows, max(n, m), 0, x.dtype, *arrays, least=int(-(-max(n, m) * SHARE // work)))
    return y
