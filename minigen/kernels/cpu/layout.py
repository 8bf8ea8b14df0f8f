"""How arrays lie in memory: as vectors, where what is done to each number alike asks only that they lie alike; and
large ones that are to lie otherwise, by threads.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array

from .blas import copy
from .threads import share
from .tile import LANES, turn

__all__ = ["alike", "contiguous", "flat", "listed", "move", "places", "vector", "widened"]

LEAST = 1 << 14  # numbers that are worth a thread


def flat(x, *others, dtypes=(np.float32,)):
    """x and others of its dtype as vectors over the memory that they have, or None: where they have gaps, or where one
    has another shape or memory order."""
    dtype, shape = x.dtype, x.shape
    if dtype not in dtypes:
        return None
    for a in others:
        if a.dtype != dtype or a.shape != shape or not _same_order(a, x):
            return None
    vectors = [a.ravel("K") for a in (x, *others)]
    return None if vectors[0].base is None else vectors  # ravel has copied


def _same_order(a, x):
    """Have a and x, of one shape, the same strides, but for axes of length 1?"""
    return a.strides == x.strides or all(n == 1 or s == t for n, s, t in zip(x.shape, a.strides, x.strides))


def alike(a, x):
    """a with the dtype and the memory order of x, both of one shape: copied where it has others"""
    if a.dtype == x.dtype and _same_order(a, x):
        return a
    laid_out = np.empty_like(x)
    move(laid_out, a)
    return laid_out


def places(ids, count):
    """Are these ids places 0 … count − 1? Compiled loops do not look."""
    return ids.dtype == np.int64 and bool(ids.view(np.uint64).max(initial=0) < count)  # −1 is the largest of all


# -- many vectors at once, for one loop over all of them: their addresses in a table ---------------------------------


@njit(cache=True)
def _note(table, i, k, vector):
    table[i, 0] = vector.size
    table[i, k] = vector.ctypes.data


def listed(rows):
    """A table with a line for each tuple of vectors of one length: this length, and their addresses. Whoever reads it
    keeps the vectors alive."""
    table = np.empty((len(rows), 1 + len(rows[0])), np.int64)
    for i, vectors in enumerate(rows):
        for k, one in enumerate(vectors, 1):
            _note(table, i, k, one)
    return table


@intrinsic
def vector(typing, address, first, last):
    """The float32 numbers first … last after an address, as an array without an owner"""
    kind = types.Array(types.float32, 1, "C")

    def build(context, builder, signature, arguments):
        address, first, last = arguments
        four = ir.Constant(ir.IntType(64), 4)
        start = builder.inttoptr(builder.add(address, builder.mul(first, four)), ir.FloatType().as_pointer())
        array = context.make_array(kind)(context, builder)
        shape = cgutils.pack_array(builder, [builder.sub(last, first)])
        populate_array(array, start, shape, cgutils.pack_array(builder, [four]), four, None)
        return array._getvalue()

    return kind(types.intp, types.intp, types.intp), build


# -- numbers that change places ---------------------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def _copy_rows(first, last, scratch, x, x_step, y, y_step, size):
    """Rows of `size` bytes, so many bytes apart"""
    for i in range(first, last):
        copy(y + i * y_step, x + i * x_step, size)


@njit(cache=True, nogil=True)
def _transpose(first, last, scratch, x, x_step, x_row, y, rows, columns):
    """y (…, rows, columns) = the matrices x (…, columns, rows), each transposed; a tile has LANES rows of y"""
    blocks, y_row = (rows + LANES - 1) // LANES, 4 * columns
    for tile in range(first, last):
        n, i = tile // blocks, tile % blocks * LANES
        a, b, height = x + n * x_step + 4 * i, y + (n * rows + i) * y_row, min(LANES, rows - i)
        whole = columns // LANES * LANES if height == LANES else 0
        for j in range(0, whole, LANES):
            turn(a + j * x_row, x_row, b + 4 * j, y_row)
        for j in range(whole, columns):
            for r in range(height):
                vector(b + r * y_row, j, j + 1)[0] = vector(a + j * x_row, r, r + 1)[0]


def _joined(x):
    """[(length, step in bytes)] of x's axes, neighbours joined to one where they lie like one"""
    axes = []
    for n, step in zip(x.shape, x.strides):
        if n == 1:
            continue
        if axes and axes[-1][1] == n * step:
            axes[-1] = (axes[-1][0] * n, step)
        else:
            axes.append((n, step))
    return axes


def move(y, x):
    """y[...] = x, where y overlaps nothing and has no gaps"""
    if x.size >= 2 * LEAST and x.dtype == y.dtype == np.float32 and x.shape == y.shape:
        order = sorted(range(y.ndim), key=y.strides.__getitem__, reverse=True)
        ordered, axes = y.transpose(order), _joined(x.transpose(order))
        if ordered.flags.c_contiguous and axes:
            if len(axes) <= 2 and axes[-1][1] == 4:
                (rows, step), size = axes[0] if len(axes) == 2 else (1, 0), 4 * axes[-1][0]
                least = -(-LEAST * rows // x.size)
                share(_copy_rows, rows, 0, y.dtype, x.ctypes.data, step, y.ctypes.data, size, size, least=least)
                return
            if 2 <= len(axes) <= 3 and axes[-2][1] == 4:
                (matrices, step), (rows, _), (columns, row) = ([(1, 0)] + axes)[-3:]
                blocks = -(-rows // LANES)
                least = max(1, LEAST // (LANES * columns))
                share(_transpose, matrices * blocks, 0, y.dtype, x.ctypes.data, step, row, y.ctypes.data, rows, columns,
                      least=least)  # fmt: skip
                return
    y[...] = x


def contiguous(x):
    """x in row-major order: itself, if it lies like that"""
    if x.flags.c_contiguous:
        return x
    y = np.empty(x.shape, x.dtype)
    move(y, x)
    return y


def widened(w, columns):
    """w with so many columns, 0 but for its own, in its memory order"""
    wide = np.zeros((w.shape[0], columns), w.dtype, order="C" if w.flags.c_contiguous else "F")
    wide[:, : w.shape[1]] = w
    return wide
