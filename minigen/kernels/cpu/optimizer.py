"""The update steps in one pass over memory: each element of p, g and the averages is read once and written once.

The loops wait for memory more than for arithmetic; a second thread gained nothing where it was tried.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from ..reference import optimizer as reference
from .layout import alike, flat

__all__ = ["adam_step", "adam_steps", "rmsprop_step"]


def _vectors(p, g, *averages):
    """All arrays as vectors over the same memory order, or None where they do not fit the compiled loops."""
    return flat(p, alike(g, p), *averages, dtypes=(np.float32, np.float64)) if p.flags.writeable else None


@njit(cache=True, error_model="numpy", fastmath={"contract"})
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


def adam_step(p, g, m, v, t, lr, beta1, beta2, eps, weight_decay):
    arrays = _vectors(p, g, m, v)
    if arrays is None:
        return reference.adam_step(p, g, m, v, t, lr, beta1, beta2, eps, weight_decay)
    constants = (lr / (1 - beta1**t), beta1, beta2, eps, 1 / math.sqrt(1 - beta2**t), 1.0 - lr * weight_decay)
    _adam(*arrays, *constants)


def adam_steps(ps, gs, ms, vs, ts, lr, beta1, beta2, eps, decays):
    for p, g, m, v, t, decay in zip(ps, gs, ms, vs, ts, decays):
        adam_step(p, g, m, v, t, lr, beta1, beta2, eps, decay)


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
    arrays = _vectors(p, g, v)
    if arrays is None:
        return reference.rmsprop_step(p, g, v, lr, alpha, eps)
    _rmsprop(*arrays, lr, alpha, eps)
