"""The product of two matrices."""

from __future__ import annotations

from ...backend import xp

__all__ = ["product"]


def product(x, w):
    """y = x w        (n, k), (k, m) -> (n, m)"""
    return xp.matmul(x, w)
