"""Activations in one pass, in float32; other dtypes take the reference."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from ..reference import activation as reference
from .arithmetic import EXACT, F, exp, sigmoid, tanh
from .layout import alike, flat
from .reduction import sum_of_parts
from .threads import share

__all__ = ["gate", "gated", "gated_gradients", "gelu", "gelu_gradient"]

LEAST = 1 << 15  # numbers that are worth a thread; of GELU, which computes more for each, a quarter
STEPS = 256  # of a sequence, to a block of gated units


@njit(cache=True, nogil=True, error_model="numpy")
def _gate(first, last, scratch, x, g, a, y):
    x, g, y = x[first:last], g[first:last], y[first:last]  # counting from 0, the loop becomes one over vectors
    for i in range(y.size):
        y[i] = g[i] if x[i] > F(0) else a * g[i]


def gate(x, g, a):
    if x.shape != g.shape or g.dtype != F or (arrays := flat(x, alike(g, x))) is None:
        return reference.gate(x, g, a)
    y = np.empty_like(x)
    share(_gate, y.size, 0, F, *arrays, F(a), *flat(y), least=LEAST)
    return y


@njit(cache=True, inline="always")
def _cdf(x, e):
    """Φ(x), given e = e^(−x²/2), absolute error 10⁻⁷: for x < 0 it is ½ e (a₁ t + … + a₅ t⁵), t = 1 / (1 + p |x|/√2).

    Formula 7.1.26 of Abramowitz & Stegun 1964, for the error function, has the same exponential as φ.
    """
    t = F(1) / (F(1) + F(0.3275911 / math.sqrt(2)) * abs(x))
    p = F(1.061405429)
    p = p * t + F(-1.453152027)
    p = p * t + F(1.421413741)
    p = p * t + F(-0.284496736)
    p = p * t + F(0.254829592)
    tail = F(0.5) * e * p * t
    return F(1) - tail if x > F(0) else tail


@njit(cache=True, nogil=True, fastmath=EXACT, error_model="numpy")
def _gelu(first, last, scratch, x, y):
    x, y = x[first:last], y[first:last]
    for i in range(y.size):
        y[i] = x[i] * _cdf(x[i], exp(F(-0.5) * x[i] * x[i]))


@njit(cache=True, nogil=True, fastmath=EXACT, error_model="numpy")
def _gelu_gradient(first, last, scratch, g, x, dx):
    g, x, dx = g[first:last], x[first:last], dx[first:last]
    for i in range(dx.size):
        e = exp(F(-0.5) * x[i] * x[i])
        dx[i] = g[i] * (_cdf(x[i], e) + x[i] * e * F(1 / math.sqrt(2 * math.pi)))


def _fits(*arrays):
    return all(a.dtype == np.float32 and a.flags.c_contiguous for a in arrays)


def gelu(x):
    if (arrays := flat(x)) is None:
        return reference.gelu(x)
    y = np.empty_like(x)
    share(_gelu, x.size, 0, F, *arrays, *flat(y), least=LEAST // 4)
    return y


def gelu_gradient(g, x):
    if (arrays := flat(g, x)) is None:
        return reference.gelu_gradient(g, x)
    dx = np.empty_like(x)
    share(_gelu_gradient, x.size, 0, F, *arrays, *flat(dx), least=LEAST // 4)
    return dx


# -- gated units: a tile is a block of steps of one sequence ----------------------------------------------------------


@njit(cache=True, nogil=True, fastmath=EXACT, error_model="numpy")
def _unit(a, c, z):
    for j in range(z.size):
        z[j] = tanh(a[j] + c[j]) * sigmoid(a[z.size + j] + c[z.size + j])


@njit(cache=True, nogil=True, fastmath=EXACT, error_model="numpy")
def _unit_gradient(g, a, c, da, dc):
    n = g.size
    for j in range(n):
        filtered, gate = tanh(a[j] + c[j]), sigmoid(a[n + j] + c[n + j])
        da[j] = g[j] * gate * (F(1) - filtered * filtered)
        da[n + j] = g[j] * filtered * gate * (F(1) - gate)
        dc[j] += da[j]
        dc[n + j] += da[n + j]


@njit(cache=True, nogil=True)
def _gated(first, last, scratch, blocks, a, c, z):
    for tile in range(first, last):
        n, start = tile // blocks, tile % blocks * STEPS
        for t in range(start, min(start + STEPS, a.shape[1])):
            _unit(a[n, t], c[n], z[n, t])


@njit(cache=True, nogil=True)
def _gated_gradients(first, last, scratch, blocks, g, a, c, da, parts):
    for tile in range(first, last):
        n, start = tile // blocks, tile % blocks * STEPS
        parts[n, tile % blocks] = F(0)
        for t in range(start, min(start + STEPS, a.shape[1])):
            _unit_gradient(g[n, t], a[n, t], c[n], da[n, t], parts[n, tile % blocks])


def _blocks(a):
    """How many blocks a sequence has, and tiles for a thread"""
    return -(-a.shape[1] // STEPS), max(1, LEAST // 4 // (STEPS * a.shape[2]))


def gated(a, c):
    if not _fits(a, c) or not a.size:
        return reference.gated(a, c)
    z, (blocks, least) = np.empty((*a.shape[:2], a.shape[2] // 2), F), _blocks(a)
    share(_gated, len(a) * blocks, 0, F, blocks, a, c, z, least=least)
    return z


def gated_gradients(g, a, c):
    if not _fits(g, a, c) or not a.size:
        return reference.gated_gradients(g, a, c)
    da, dc, (blocks, least) = np.empty_like(a), np.empty_like(c), _blocks(a)
    parts = np.empty((len(a), blocks, a.shape[2]), F)
    share(_gated_gradients, len(a) * blocks, 0, F, blocks, g, a, c, da, parts, least=least)
    for part, y in zip(parts, dc):
        sum_of_parts(part, y)
    return da, dc
