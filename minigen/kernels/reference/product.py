"""The product of two matrices."""

from __future__ import annotations

from ...backend import xp

__all__ = ["product"]


def product(x, w, bias=None):
    """y = x w, or x w + b        (n, k), (k, m), (m) -> (n, m)"""
    y = xp.matmul(x, w)
    if bias is not None:
        y += bias
    return y
