"""The gate of (leaky) ReLU, GELU and its gradient in one pass, in float32; other dtypes take the reference."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from ..reference import activation as reference
from .arithmetic import EXACT, F, exp
from .threads import share

__all__ = ["gate", "gelu", "gelu_gradient"]

LEAST = 1 << 18  # numbers that are worth a thread; of GELU, which computes more for each, a quarter


@njit(cache=True, nogil=True, error_model="numpy")
def _gate(first, last, scratch, x, g, a, y):
    x, g, y = x[first:last], g[first:last], y[first:last]  # counting from 0, the loop becomes one over vectors
    for i in range(y.size):
        y[i] = g[i] if x[i] > F(0) else a * g[i]


def gate(x, g, a):
    order = sorted(range(g.ndim), key=lambda axis: -g.strides[axis])
    arrays = [b.transpose(order) for b in (x, g)]
    if any(b.dtype != np.float32 or not b.flags.c_contiguous for b in arrays) or x.shape != g.shape:
        return reference.gate(x, g, a)
    y = np.empty_like(arrays[0])
    share(_gate, y.size, 0, y.dtype, *(b.reshape(-1) for b in arrays), F(a), y.reshape(-1), least=LEAST)
    return y.transpose(np.argsort(order))


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
    if not _fits(x):
        return reference.gelu(x)
    y = np.empty_like(x)
    share(_gelu, x.size, 0, F, x.reshape(-1), y.reshape(-1), least=LEAST // 4)
    return y


def gelu_gradient(g, x):
    if not _fits(g, x) or g.shape != x.shape:
        return reference.gelu_gradient(g, x)
    dx = np.empty_like(x)
    share(_gelu_gradient, x.size, 0, F, g.reshape(-1), x.reshape(-1), dx.reshape(-1), least=LEAST // 4)
    return dx
