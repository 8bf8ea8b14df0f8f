"""The update steps in one pass over memory: each element of p, g and the averages is read once and written once.

The loops wait for memory more than for arithmetic. All parameters are updated in one loop over the numbers that they
have together, dealt out to the threads: for a parameter of its own few are large enough.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from ..reference import optimizer as reference
from .arithmetic import F
from .layout import LEAST, alike, flat, listed, vector
from .threads import share

__all__ = ["adam_step", "adam_steps", "clip_norm", "rmsprop_step"]

BLOCK = 1 << 12  # numbers whose squares are added up in float32


def _vectors(p, g, *averages, dtypes=(np.float32,)):
    """All arrays as vectors over the same memory order, or None where they do not fit the compiled loops."""
    return flat(p, alike(g, p), *averages, dtypes=dtypes) if p.flags.writeable else None


@njit(cache=True, nogil=True, inline="always")
def _range(size, begin, first, last):
    """Which of a vector's numbers, that lie at begin … begin + size in the row of all, lie in first … last?"""
    return max(first - begin, 0), min(last - begin, size)


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _adam(p, g, m, v, lr, beta1, beta2, eps, root, decay):
    """lr is η / (1 − β₁ᵗ), root is 1 / √(1 − β₂ᵗ), decay is 1 − η λ."""
    T = p.dtype.type
    lr, eps, root, decay = T(lr), T(eps), T(root), T(decay)
    b1, c1, b2, c2 = T(beta1), T(1 - beta1), T(beta2), T(1 - beta2)
    for i in range(p.size):
        gi = g[i]
        mi = b1 * m[i] + c1 * gi
        vi = b2 * v[i] + c2 * (gi * gi)
        m[i] = mi
        v[i] = vi
        p[i] = decay * p[i] - lr * mi / (np.sqrt(vi) * root + eps)


@njit(cache=True, nogil=True)
def _adam_of(first, last, scratch, table, rates, beta1, beta2, eps):
    begin = 0
    for k in range(len(table)):
        i, j = _range(table[k, 0], begin, first, last)
        if i < j:
            p, g, m, v = table[k, 1], table[k, 2], table[k, 3], table[k, 4]
            _adam(vector(p, i, j), vector(g, i, j), vector(m, i, j), vector(v, i, j), rates[k, 0], beta1, beta2, eps,
                  rates[k, 1], rates[k, 2])  # fmt: skip
        begin += table[k, 0]


def _rates(t, lr, beta1, beta2, weight_decay):
    return lr / (1 - beta1**t), 1 / math.sqrt(1 - beta2**t), 1.0 - lr * weight_decay


def adam_step(p, g, m, v, t, lr, beta1, beta2, eps, weight_decay):
    arrays = _vectors(p, g, m, v, dtypes=(np.float32, np.float64))
    if arrays is None:
        return reference.adam_step(p, g, m, v, t, lr, beta1, beta2, eps, weight_decay)
    rate, root, decay = _rates(t, lr, beta1, beta2, weight_decay)
    _adam(*arrays, rate, beta1, beta2, eps, root, decay)


def adam_steps(ps, gs, ms, vs, ts, lr, beta1, beta2, eps, decays):
    rows, rates = [], []
    for p, g, m, v, t, decay in zip(ps, gs, ms, vs, ts, decays):
        if (arrays := _vectors(p, g, m, v)) is None:
            adam_step(p, g, m, v, t, lr, beta1, beta2, eps, decay)
        else:
            rows.append(arrays)
            rates.append(_rates(t, lr, beta1, beta2, decay))
    if rows:
        count = sum(row[0].size for row in rows)
        share(_adam_of, count, 0, F, listed(rows), np.array(rates), beta1, beta2, eps, least=LEAST)


@njit(cache=True, error_model="numpy", fastmath={"contract"})
def _rmsprop(p, g, v, lr, alpha, eps):
    T = p.dtype.type
    lr, eps, a, c = T(lr), T(eps), T(alpha), T(1 - alpha)
    for i in range(p.size):
        gi = g[i]
        vi = a * v[i] + c * (gi * gi)
        v[i] = vi
        p[i] -= lr * gi / (np.sqrt(vi) + eps)


def rmsprop_step(p, g, v, lr, alpha, eps):
    arrays = _vectors(p, g, v, dtypes=(np.float32, np.float64))
    if arrays is None:
        return reference.rmsprop_step(p, g, v, lr, alpha, eps)
    _rmsprop(*arrays, lr, alpha, eps)


@njit(cache=True, nogil=True, fastmath={"contract", "reassoc", "nsz"})
def _square(g):
    """Σ g²"""
    s = F(0)
    for i in range(g.size):
        s += g[i] * g[i]
    return s


@njit(cache=True, nogil=True)
def _squares(first, last, scratch, table, parts):
    """The parts first … last: each Σ g² over a block of a vector, or what is left of it"""
    part = 0
    for k in range(len(table)):
        for i in range(0, table[k, 0], BLOCK):
            if first <= part < last:
                g = vector(table[k, 1], i, min(i + BLOCK, table[k, 0]))
                parts[part] = _square(g)
            part += 1


@njit(cache=True, nogil=True)
def _scale(first, last, scratch, table, scale):
    begin = 0
    for k in range(len(table)):
        i, j = _range(table[k, 0], begin, first, last)
        if i < j:
            g = vector(table[k, 1], i, j)
            for c in range(g.size):
                g[c] *= scale
        begin += table[k, 0]


def clip_norm(gs, max_norm):
    rows = [flat(g) if g.flags.writeable else None for g in gs]
    if None in rows:
        return reference.clip_norm(gs, max_norm)
    table = listed(rows)
    count = int(table[:, 0].sum())
    parts = np.empty(int((-(-table[:, 0] // BLOCK)).sum()), F)
    share(_squares, parts.size, 0, F, table, parts, least=LEAST // BLOCK)
    norm = np.sqrt(F(parts.sum(dtype=np.float64)))
    scale = reference.scale(norm, max_norm)
    if scale != 1:  # NaN is handed on
        share(_scale, count, 0, F, table, F(scale), least=LEAST)
    return norm
