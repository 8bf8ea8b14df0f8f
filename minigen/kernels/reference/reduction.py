"""Sums along axes."""

from __future__ import annotations

from ...backend import xp

__all__ = ["sums"]


def sums(x, axis=None, keepdims=False):
    """y = Σ x over `axis`: None for all, a number, or a tuple        (…) -> (… without `axis`, or with length 1)"""
    return xp.sum(x, axis=axis, keepdims=keepdims)
