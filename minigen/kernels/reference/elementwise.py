"""Sums of arrays, and the ReLU: one pass over memory that large arrays keep waiting for."""

from __future__ import annotations

from ...backend import xp

__all__ = ["add", "add_to", "relu"]


def add(x, w):
    """y = x + w        (…), (…) -> (…) broadcast"""
    return x + w


def add_to(y, x):
    """y ← y + x in the memory of y, where y is an array        (…), (…) broadcast -> (…)"""
    y += x
    return y


def relu(x):
    """y = max(x, 0)        (…) -> (…)"""
    return xp.maximum(x, 0)
