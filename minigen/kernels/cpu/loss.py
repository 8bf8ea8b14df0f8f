"""Losses from logits in one pass, with the exponential written as arithmetic so that the compiler vectorises the loop.

Only float32, which is what trains; float64, which is what gradients are checked in, takes the reference.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from ..reference import loss as reference

__all__ = ["bce_with_logits", "softmax_cross_entropy", "softmax_cross_entropy_gradient"]

F = np.float32

# No nnan, so that NaN stays NaN; no reassoc in what calls _exp, because it would cancel the rounding by ROUND.
EXACT = {"contract", "nsz"}

LANES = 16
ROUND = F(1.5 * 2**23)  # adding it to a small number leaves the nearest integer in the low bits of the mantissa
ROUND_BITS = np.int32(0x4B400000)


@njit(cache=True, inline="always")
def _exp(x):
    """eˣ for x ≤ 0, relative error 10⁻⁷: x = n ln 2 + r with |r| ≤ ½ ln 2; eʳ is a polynomial, 2ⁿ an exponent field.

    Below −87, where eˣ leaves the normal numbers, it is 0. The coefficients are those of Cephes' expf (Moshier 1989).
    """
    z = F(-87) if x < F(-87) else x
    t = z * F(1.44269504088896341) + ROUND
    n = t - ROUND
    r = z - n * F(0.693145751953125)
    r = r - n * F(1.428606765330187e-06)
    p = F(1.9875691500e-4)
    p = p * r + F(1.3981999507e-3)
    p = p * r + F(8.3334519073e-3)
    p = p * r + F(4.1665795894e-2)
    p = p * r + F(1.6666665459e-1)
    p = p * r + F(5.0000001201e-1)
    p = p * r * r + r + F(1)
    power = np.int32((F(t).view(np.int32) - ROUND_BITS + np.int32(127)) << np.int32(23)).view(F)
    return F(0) if x < F(-87) else p * power


@njit(cache=True, inline="always")
def _log1p(e):
    """ln(1 + e) for 0 ≤ e ≤ 1 as 2 artanh z = 2 (z + z³/3 + z⁵/5 + …), z = e / (2 + e) ≤ 1/3."""
    z = e / (F(2) + e)
    u = z * z
    p = F(1 / 13)
    p = p * u + F(1 / 11)
    p = p * u + F(1 / 9)
    p = p * u + F(1 / 7)
    p = p * u + F(1 / 5)
    p = p * u + F(1 / 3)
    return F(2) * (z + z * u * p)


def _flat(a):
    return a.reshape(-1) if a.flags.c_contiguous else a.T.reshape(-1)


# -- binary cross-entropy ---------------------------------------------------------------------------------------------


@njit(cache=True, fastmath=EXACT, error_model="numpy")
def _bce(logits, targets, loss, slope):
    for i in range(logits.size):
        x, t = logits[i], targets[i]
        e = _exp(-abs(x))
        loss[i] = max(x, F(0)) - t * x + _log1p(e)
        slope[i] = (F(1) if x >= F(0) else e) / (F(1) + e) - t


def bce_with_logits(logits, targets):
    if logits.dtype != np.float32 or not (logits.flags.c_contiguous or logits.flags.f_contiguous):
        return reference.bce_with_logits(logits, targets)
    if targets.dtype != np.float32 or targets.strides != logits.strides:
        laid_out = np.empty_like(logits)
        laid_out[...] = targets
        targets = laid_out
    loss, slope = np.empty_like(logits), np.empty_like(logits)
    _bce(_flat(logits), _flat(targets), _flat(loss), _flat(slope))
    return loss, slope


# -- softmax cross-entropy --------------------------------------------------------------------------------------------


@njit(cache=True, fastmath=EXACT, error_model="numpy")
def _exps(row, top, out):
    for j in range(row.size):
        out[j] = _exp(row[j] - top)


@njit(cache=True, fastmath=EXACT | {"reassoc"}, error_model="numpy")
def _sum(row):
    total = F(0)
    for j in range(row.size):
        total += row[j]
    return total


@njit(cache=True, error_model="numpy")
def _max(row, lanes):
    """The largest element that is not NaN, in lanes side by side so that the compiler compares them together."""
    for k in range(LANES):
        lanes[k] = row[k % row.size]
    for j in range(LANES, row.size - LANES + 1, LANES):
        for k in range(LANES):
            lanes[k] = row[j + k] if row[j + k] > lanes[k] else lanes[k]
    top = lanes[0]
    for k in range(LANES):
        top = lanes[k] if lanes[k] > top else top
    for j in range(max(0, row.size - LANES), row.size):
        top = row[j] if row[j] > top else top
    return top


@njit(cache=True, error_model="numpy")
def _cross_entropy(logits, labels, loss, m, s):
    e, lanes = np.empty(logits.shape[1], F), np.empty(LANES, F)
    for i in range(labels.size):
        row = logits[i]
        m[i] = _max(row, lanes)
        _exps(row, m[i], e)
        s[i] = np.log(_sum(e))
        loss[i] = s[i] - (row[labels[i]] - m[i])


def _fits(logits):
    return logits.dtype == np.float32 and logits.flags.c_contiguous and logits.size


def _indices(labels):
    return np.ascontiguousarray(labels, np.int64).reshape(-1)


def softmax_cross_entropy(logits, labels):
    if not _fits(logits):
        return reference.softmax_cross_entropy(logits, labels)
    rows = logits.reshape(-1, logits.shape[-1])
    loss, m, s = np.empty(labels.shape, F), np.empty((*labels.shape, 1), F), np.empty((*labels.shape, 1), F)
    _cross_entropy(rows, _indices(labels), loss.reshape(-1), m.reshape(-1), s.reshape(-1))
    return loss, m, s


@njit(cache=True, fastmath=EXACT, error_model="numpy")
def _softmax_times(row, m, s, g, out):
    for j in range(row.size):
        out[j] = g * _exp(row[j] - m - s)


@njit(cache=True, error_model="numpy")
def _cross_entropy_gradient(logits, labels, m, s, g, out):
    for i in range(labels.size):
        _softmax_times(logits[i], m[i], s[i], g[i], out[i])
        out[i, labels[i]] -= g[i]


def softmax_cross_entropy_gradient(logits, labels, m, s, g):
    if not _fits(logits) or g.dtype != np.float32:
        return reference.softmax_cross_entropy_gradient(logits, labels, m, s, g)
    out, classes = np.empty_like(logits), logits.shape[-1]
    g = np.ascontiguousarray(np.broadcast_to(g, labels.shape)).reshape(-1)
    rows = logits.reshape(-1, classes)
    _cross_entropy_gradient(rows, _indices(labels), m.reshape(-1), s.reshape(-1), g, out.reshape(-1, classes))
    return out
