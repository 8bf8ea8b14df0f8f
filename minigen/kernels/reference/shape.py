"""Numbers that change places in memory."""

from __future__ import annotations

from ...backend import xp

__all__ = ["place", "reshape"]


def reshape(x, shape):
    """The elements of x in row-major order, in another shape        a view where there can be one"""
    return xp.reshape(x, shape)


def place(x, index, shape):
    """y = 0 of `shape`, then y[index] = x"""
    y = xp.zeros(shape, x.dtype, like=x)
    y[index] = x
    return y
