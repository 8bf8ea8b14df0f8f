"""Twins of `reference.indexing` without atomics: the order of a sum is fixed, at the price of a search or a sort."""

from __future__ import annotations

from ...backend import xp
from ..reference import indexing as reference
from . import contiguous, launch, ours

__all__ = ["add_at", "scatter_rows"]

SEARCH = 1 << 25  # comparisons, up to which looking for each place among all ids beats sorting them


def scatter_rows(x, ids, shape):
    y = xp.zeros(shape, x.dtype, like=x)
    if not ours(x, y):
        return reference.scatter_rows(x, ids, shape)
    _add_rows(y, ids.reshape(-1).astype(xp.int64) % max(1, len(y)), x)
    return y


def add_at(y, index, x):
    if not ours(y, x) or not y.flags.c_contiguous:
        return reference.add_at(y, index, x)
    ids = xp.arange(y.size, like=y).reshape(y.shape)[index]
    _add_rows(y, ids.reshape(-1), xp.broadcast_to(x, ids.shape))
    return None


def _add_rows(y, ids, x):
    """y, as rows, += x, as rows, at the ids"""
    if not x.size:
        return
    n, width = ids.size, x.size // ids.size
    across = min(32, 1 << (width - 1).bit_length())
    block, columns, rows = (across, 256 // across), -(-width // across), y.size // width
    (x,) = contiguous(x)
    if n * rows <= SEARCH and rows < 1 << 16:
        launch("indexing", "find_rows", y.dtype, (columns, rows), block, ids, x, y, n, width)
    else:
        order = xp.argsort(ids, kind="stable")
        launch("indexing", "add_rows", y.dtype, (n, columns), block, ids[order], order, x, y, n, width)
