"""Arrays as vectors: what is done to each number alike asks only that they lie alike in memory."""

from __future__ import annotations

import numpy as np

__all__ = ["alike", "flat", "places"]


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
