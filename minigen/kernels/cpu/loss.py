"""Losses from logits in one pass.

Only float32, which is what trains; float64, which is what gradients are checked in, takes the reference.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from ..reference import loss as reference
from .arithmetic import EXACT, F, exp, largest, total
from .layout import alike, flat
from .threads import share

__all__ = ["bce_with_logits", "softmax_cross_entropy", "softmax_cross_entropy_gradient"]

LEAST = 1 << 13  # numbers that are worth a thread


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


# -- binary cross-entropy ---------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True, fastmath=EXACT, error_model="numpy")
def _bce(first, last, scratch, logits, targets, loss, slope):
    logits, targets, loss, slope = logits[first:last], targets[first:last], loss[first:last], slope[first:last]
    for i in range(logits.size):
        x, t = logits[i], targets[i]
        e = exp(-abs(x))
        loss[i] = max(x, F(0)) - t * x + _log1p(e)
        slope[i] = (F(1) if x >= F(0) else e) / (F(1) + e) - t


def bce_with_logits(logits, targets):
    if (arrays := flat(logits, alike(targets, logits))) is None:
        return reference.bce_with_logits(logits, targets)
    loss, slope = np.empty_like(logits), np.empty_like(logits)
    share(_bce, logits.size, 0, F, *arrays, *flat(loss, slope), least=LEAST)
    return loss, slope


# -- softmax cross-entropy --------------------------------------------------------------------------------------------


@njit(cache=True, fastmath=EXACT, error_model="numpy")
def _exps(row, top, out):
    for j in range(row.size):
        out[j] = exp(row[j] - top)


@njit(cache=True, nogil=True, error_model="numpy")
def _cross_entropy(first, last, e, logits, labels, loss, m, s):
    e = e[: logits.shape[1]]
    for i in range(first, last):
        row = logits[i]
        m[i] = largest(row)
        _exps(row, m[i], e)
        s[i] = np.log(total(e))
        loss[i] = s[i] - (row[labels[i]] - m[i])


def _fits(logits):
    return logits.dtype == np.float32 and logits.flags.c_contiguous and logits.size


def _least(rows):
    """How many rows are worth a thread"""
    return -(-LEAST // rows.shape[1])


def _indices(labels):
    return np.ascontiguousarray(labels, np.int64).reshape(-1)


def softmax_cross_entropy(logits, labels):
    if not _fits(logits):
        return reference.softmax_cross_entropy(logits, labels)
    rows = logits.reshape(-1, logits.shape[-1])
    loss, m, s = np.empty(labels.shape, F), np.empty((*labels.shape, 1), F), np.empty((*labels.shape, 1), F)
    arrays = rows, _indices(labels), loss.reshape(-1), m.reshape(-1), s.reshape(-1)
    share(_cross_entropy, len(rows), rows.shape[1], F, *arrays, least=_least(rows))
    return loss, m, s


@njit(cache=True, fastmath=EXACT, error_model="numpy")
def _softmax_times(row, m, s, g, out):
    for j in range(row.size):
        out[j] = g * exp(row[j] - m - s)


@njit(cache=True, nogil=True, error_model="numpy")
def _cross_entropy_gradient(first, last, scratch, logits, labels, m, s, g, out):
    for i in range(first, last):
        _softmax_times(logits[i], m[i], s[i], g[i], out[i])
        out[i, labels[i]] -= g[i]


def softmax_cross_entropy_gradient(logits, labels, m, s, g):
    if not _fits(logits) or g.dtype != np.float32:
        return reference.softmax_cross_entropy_gradient(logits, labels, m, s, g)
    out, classes = np.empty_like(logits), logits.shape[-1]
    g = np.ascontiguousarray(np.broadcast_to(g, labels.shape)).reshape(-1)
    rows = logits.reshape(-1, classes)
    arrays = rows, _indices(labels), m.reshape(-1), s.reshape(-1), g, out.reshape(-1, classes)
    share(_cross_entropy_gradient, len(rows), 0, F, *arrays, least=_least(rows))
    return out
