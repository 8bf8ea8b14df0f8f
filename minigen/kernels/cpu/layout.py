"""Arrays as vectors: what is done to each number alike asks only that they lie alike in memory."""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array

__all__ = ["alike", "flat", "listed", "places", "vector"]


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
    laid_out[...] = a
    return laid_out


def places(ids, count):
    """Are these ids places 0 … count − 1? Compiled loops do not look."""
    return ids.dtype == np.int64 and bool(ids.view(np.uint64).max(initial=0) < count)  # −1 is the largest of all


# -- many vectors at once, for one loop over all of them: their addresses in a table ---------------------------------


@njit(cache=True)
def _note(table, i, *vectors):
    table[i, 0] = vectors[0].size
    for k in range(len(vectors)):
        table[i, k + 1] = vectors[k].ctypes.data


def listed(rows):
    """A table with a line for each tuple of vectors of one length: this length, and their addresses. Whoever reads it
    keeps the vectors alive."""
    table = np.empty((len(rows), 1 + len(rows[0])), np.int64)
    for i, vectors in enumerate(rows):
        _note(table, i, *vectors)
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
