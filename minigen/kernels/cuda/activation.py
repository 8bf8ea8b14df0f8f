"""Twins of `reference.activation`."""

from __future__ import annotations

from ...backend import xp
from ..reference import activation as reference
from . import alike, by_elements, contiguous, ours

__all__ = ["gate", "gated", "gated_gradients", "gelu", "gelu_gradient"]


def gate(x, g, a):
    if not ours(x, g) or x.shape != g.shape:
        return reference.gate(x, g, a)
    g, x = alike(g, x)
    y = xp.empty_like(g)
    by_elements("activation", "gate", x.size, x.dtype, x, g, float(a), y, x.size)
    return y


def gated(a, c):
    if not ours(a, c):
        return reference.gated(a, c)
    a, c = contiguous(a, c)
    n, t, both = a.shape
    z = xp.empty((n, t, both // 2), a.dtype, like=a)
    by_elements("activation", "gated", z.size, a.dtype, a, c, z, z.size, t, both // 2)
    return z


def gated_gradients(g, a, c):
    if not ours(g, a, c):
        return reference.gated_gradients(g, a, c)
    g, a, c = contiguous(g, a, c)
    da = xp.empty_like(a)
    by_elements("activation", "gated_gradient", g.size, a.dtype, g, a, c, da, g.size, *g.shape[1:])
    return da, da.sum(axis=1)


def gelu(x):
    if not ours(x):
        return reference.gelu(x)
    (x,) = alike(x)
    y = xp.empty_like(x)
    by_elements("activation", "gelu", x.size, x.dtype, x, y, x.size)
    return y


def gelu_gradient(g, x):
    if not ours(g, x) or g.shape != x.shape:
        return reference.gelu_gradient(g, x)
    x, g = alike(x, g)
    dx = xp.empty_like(x)
    by_elements("activation", "gelu_gradient", x.size, x.dtype, g, x, dx, x.size)
    return dx
