"""Adding to places that are named by position, where a place that is named twice gets both."""

from __future__ import annotations

from ... import backend
from ...backend import xp

__all__ = ["add_at", "scatter_rows"]


def add_at(y, index, x):
    """y[index] += x in place, for any index"""
    backend.add_at(y, index, x)


def scatter_rows(x, ids, shape):
    """y = 0, then y[id] += x for each id and its row        (…, *D), (…) -> shape (V, *D)"""
    y = xp.zeros(shape, x.dtype, like=x)
    backend.add_at(y, ids, x)
    return y
