"""Twins of `reference.indexing`: sorted by where they go, rows are added without atomics."""

from __future__ import annotations

from ...backend import xp
from ..reference import indexing as reference
from . import contiguous, launch, ours

__all__ = ["add_at", "scatter_rows"]


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
    order = xp.argsort(ids, kind="stable")
    across = min(32, 1 << (width - 1).bit_length())
    launch("indexing", "add_rows", y.dtype, (n, -(-width // across)), (across, 256 // across), ids[order], order,
           *contiguous(x), y, n, width)  # fmt: skip
