"""Scaled dot-product attention (Vaswani et al. 2017) and its gradients, on any leading axes, each a head of its own.

    S = Q Kᵀ / √d,    P = softmax(S) over the keys that a query may look at, 0 on the others,    Y = P V

With g = ∂L/∂Y:

    ∂L/∂V = Pᵀ g,    ∂L/∂P = g Vᵀ,    ∂L/∂S = P ⊙ (∂L/∂P − Σ_keys P ⊙ ∂L/∂P)
    ∂L/∂Q = ∂L/∂S K / √d,    ∂L/∂K = (∂L/∂S)ᵀ Q / √d
"""

from __future__ import annotations

import math

from ...backend import xp

__all__ = ["attention", "attention_gradients"]


def attention(q, k, v, mask, causal):
    """Y and P        (…, T, d), (…, U, d), (…, U, e) -> (…, T, e), (…, T, U)

    `mask` (…, T, U), of truth values, says which keys a query may look at; None: all. With `causal` query i may look
    at key j only if j ≤ i + U − T: the queries are the last T of U places. A query that may look at none gives 0.
    """
    s = q @ k.swapaxes(-1, -2)
    s *= 1 / math.sqrt(q.shape[-1])
    if causal:
        t, u = s.shape[-2:]
        past = xp.arange(u, like=s) <= xp.arange(t, like=s)[:, None] + (u - t)
        mask = past if mask is None else mask & past
    if mask is not None:
        s = xp.where(mask, s, -xp.inf)
    m = xp.max(s, axis=-1, keepdims=True)
    s -= xp.where(m == -xp.inf, 0, m)
    p = xp.exp(s)
    total = xp.sum(p, axis=-1, keepdims=True)
    p /= xp.where(total == 0, 1, total)
    return p @ v, p


def attention_gradients(g, q, k, v, p, causal, out=None):
    """∂L/∂Q, ∂L/∂K, ∂L/∂V as above, in three new arrays or in those of `out`, whose rows lie in one piece each"""
    ds = g @ v.swapaxes(-1, -2)
    ds -= xp.sum(ds * p, axis=-1, keepdims=True)
    ds *= p
    ds *= 1 / math.sqrt(q.shape[-1])
    return written(out, (ds @ k, ds.swapaxes(-1, -2) @ q, p.swapaxes(-1, -2) @ g))


def written(out, arrays):
    """The arrays, or where there is an `out` their numbers in its arrays"""
    if out is None:
        return arrays
    for to, a in zip(out, arrays):
        to[...] = a
    return out
