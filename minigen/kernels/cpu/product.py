"""The product of two large matrices, rows of the result (or columns) dealt out to Python's threads.

Each thread multiplies in tiles (see `tile`) where that pays: with float32 numbers, so many rows that packing w is
little beside them, and the registers for it. Else it calls BLAS. Where NumPy's OpenBLAS has been given threads of its
own, the product is left to them.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from ..reference import product as reference
from .blas import FACTORS, NO, NONE, SIZE, YES, address, gemm, threads_of
from .layout import contiguous, widened
from .reduction import sum_of_parts, sums
from .threads import available, share
from .tile import LANES, multiply, pack, to_line, usable

__all__ = ["linear_gradients", "product"]

WORK = 3e6  # operations that are worth a thread in tiles: some 30 µs
SHARE = 5e6  # operations that are worth a thread of BLAS: with a tenth of that `gan` was slower on two than on one
LEAST = 64  # rows for tiles
ALONG, ACROSS = 512, 128  # how much of a sum is done at a time, of an x that lies in rows, or in columns
OURS = threads_of(np.linalg._umath_linalg.__file__) == 1  # NumPy's library has no threads of its own
TILES = usable()
PIECES = 48  # of a linear layer's backward pass: each has some rows of every gradient
NARROW = 1 << 13  # numbers of a weight whose gradient is added up from one of each piece
BLOCK = 128  # rows that are added up in float32


@njit(cache=True, nogil=True)
def _rows(first, last, scratch, m, k, x, ldx, tx, w, ldw, tw, beta, y, size, one):
    """The rows first … last of y = x w + beta y; the matrices are addresses"""
    gemm(tx, tw, last - first, m, k, x + size * first * (1 if tx else ldx), ldx, w, ldw, beta, y + size * first * m, m,
         one)  # fmt: skip


@njit(cache=True, nogil=True)
def _columns(first, last, scratch, n, k, x, ldx, tx, w, ldw, tw, beta, y, ldy, size, one):
    """The columns first … last of y = x w + beta y"""
    gemm(tx, tw, n, last - first, k, x, ldx, w + size * first * (ldw if tw else 1), ldw, beta, y + size * first, ldy,
         one)  # fmt: skip


@njit(cache=True, nogil=True, error_model="numpy")
def _tiles(first, last, scratch, by_rows, x, row, step, w, transposed, bias, y, steps, depth):
    """The rows first … last of y = x w + b, or its columns LANES first … LANES last, `depth` of the sum's steps at a
    time; x and b, which may be 0 for none, are addresses, w is (k, m), or `transposed`"""
    n, m = y.shape
    top, bottom, left, right = (first, last, 0, m) if by_rows else (0, n, LANES * first, LANES * last)
    x, to = x + top * row, address(y) + 4 * (top * m + left)
    packed = scratch[to_line(scratch) :]
    for k in range(0, steps, depth):
        end = min(steps, k + depth)
        pack(w, transposed, k, end, left, right, packed)
        old, old_row = (to, 4 * m) if k else (bias + 4 * left if bias else 0, 0)
        multiply(bottom - top, right - left, end - k, x + k * step, row, step, address(packed), to, 4 * m, old,
                 old_row)  # fmt: skip


def _one_piece(a):
    return a.flags.c_contiguous or a.flags.f_contiguous


def _stored(a):
    """Address, length of the stored rows, and whether these are the columns of a"""
    transposed = not a.flags.c_contiguous
    return a.ctypes.data, a.shape[0 if transposed else 1], transposed


def _in_tiles(x, w):
    """Is this a product for `_tiles`? Columns that are widened are to be at most a third more than there are."""
    fits = x.shape[0] >= LEAST and 3 * -(-w.shape[1] // LANES) * LANES <= 4 * w.shape[1]
    return TILES and fits and x.dtype == np.float32 and _one_piece(x) and _one_piece(w)


def product(x, w, bias=None):
    n, m, work = x.shape[0], w.shape[1], 2 * x.size * w.shape[1]
    fits = x.dtype == w.dtype and x.dtype in FACTORS and x.shape[1] == w.shape[0]
    if fits and x.shape[1] == 1 and bias is None:
        return x * w  # BLAS takes ten times as long
    if work < 2 * WORK or not fits or not OURS:
        return reference.product(x, w, bias)
    if bias is not None:
        bias = np.ascontiguousarray(bias, x.dtype)
    tiled = _in_tiles(x, w)
    if tiled and m % LANES:
        columns = -(-m // LANES) * LANES
        wide = product(x, widened(w, columns), None if bias is None else widened(bias[None], columns)[0])
        return contiguous(wide[:, :m])
    y, least = np.empty((n, m), x.dtype), WORK / work  # least: of all rows, or columns
    if tiled:
        depth, transposed = ACROSS if x.strides[0] == 4 else ALONG, not w.flags.c_contiguous
        by_rows, tiles = n >= m, n if n >= m else m // LANES
        share(_tiles, tiles, depth * m + LANES, x.dtype, by_rows, x.ctypes.data, *x.strides,
              w.T if transposed else w, transposed, 0 if bias is None else bias.ctypes.data, y, x.shape[1], depth,
              least=math.ceil(tiles * least))  # fmt: skip
        return y
    if available() == 1:
        return reference.product(x, w, bias)
    if bias is not None:
        y[...] = bias
    x, w = (a if _one_piece(a) else np.ascontiguousarray(a) for a in (x, w))
    operands = x.shape[1], *_stored(x), *_stored(w), int(bias is not None), y.ctypes.data
    if n >= m:
        share(_rows, n, 0, x.dtype, m, *operands, y.itemsize, FACTORS[y.dtype], least=math.ceil(n * least))
    else:
        share(_columns, m, 0, x.dtype, n, *operands, m, y.itemsize, FACTORS[y.dtype], least=math.ceil(m * least))
    return y


# -- the backward pass of a linear layer: three loops as one, so that threads wait for each other once ----------------


@njit(cache=True, nogil=True)
def _column_sums(g, left, right, y):
    """y = Σ over the rows of g, for the columns left … right: in a block in float32, over the blocks in float64"""
    total, part = np.zeros(right - left), np.empty(right - left, g.dtype)
    for top in range(0, g.shape[0], BLOCK):
        part[:] = 0
        for i in range(top, min(g.shape[0], top + BLOCK)):
            row = g[i, left:right]
            for c in range(part.size):
                part[c] += row[c]
        for c in range(part.size):
            total[c] += part[c]
    for c in range(part.size):
        y[left + c] = total[c]


@njit(cache=True, nogil=True)
def _linear(first, last, scratch, g, x, w, dx, dw, db, along, across):
    (n, m), k, row = g.shape, x.shape[1], 4 * g.shape[1]
    by_rows = m >= k
    rows = m if by_rows else k // LANES
    _tiles(first * n // PIECES, last * n // PIECES, scratch, YES, address(g), row, SIZE, w, NO, NONE, dx, m, along)
    _tiles(first * rows // PIECES, last * rows // PIECES, scratch, by_rows, address(g), SIZE, row, x, NO, NONE, dw, n,
           across)  # fmt: skip
    if db.size:
        _column_sums(g, first * m // PIECES, last * m // PIECES, db)


@njit(cache=True, nogil=True)
def _linear_narrow(first, last, scratch, g, x, w, dx, dws, dbs, along):
    """The same, where a piece's part of ∂L/∂W and of ∂L/∂b is small: while its rows of g and x are in the cache"""
    n, m = g.shape
    for piece in range(first, last):
        top, bottom = piece * n // PIECES, (piece + 1) * n // PIECES
        rows, at = g[top:bottom], address(g) + 4 * m * top
        _tiles(NONE, bottom - top, scratch, YES, at, 4 * m, SIZE, w, NO, NONE, dx[top:bottom], m, along)
        _tiles(NONE, m, scratch, YES, at, SIZE, 4 * m, x[top:bottom], NO, NONE, dws[piece], bottom - top, along)
        if dbs.size:
            _column_sums(rows, 0, m, dbs[piece])


def linear_gradients(g, x, w, needs):
    work = 4 * g.size * x.shape[1]
    narrow = g.shape[1] < LEAST and w.size <= NARROW
    tiled = TILES and all(a.dtype == np.float32 for a in (g, x, w)) and x.flags.c_contiguous and w.flags.c_contiguous
    tiled = tiled and x.shape[1] % LANES == 0 and (len(g) >= PIECES * LANES if narrow else min(g.shape) >= LEAST)
    if not (tiled and needs[0] and needs[1]) or work < 2 * WORK or not OURS:
        return reference.linear_gradients(g, x, w, needs, product, sums)
    g, m = contiguous(g), g.shape[1]
    dx, dw, db = np.empty_like(x), np.empty_like(w), np.empty(m if needs[2] else 0, x.dtype)
    scratch = max(ALONG, ACROSS) * x.shape[1] + LANES
    least = math.ceil(PIECES * WORK / work)
    if narrow:
        dws, dbs = np.empty((PIECES, *w.shape), x.dtype), np.empty((PIECES, db.size), x.dtype)
        share(_linear_narrow, PIECES, scratch, x.dtype, g, x, w, dx, dws, dbs, ALONG, least=least)
        sum_of_parts(dws.reshape(PIECES, -1), dw.reshape(-1))
        sum_of_parts(dbs, db)
    else:
        share(_linear, PIECES, scratch, x.dtype, g, x, w, dx, dw, db, ALONG, ACROSS, least=least)
    return dx, dw, db if needs[2] else None
