"""Twins of `reference.attention`: products of matrices by cuBLAS, and one launch for the softmax between them."""

from __future__ import annotations

import math

from ...backend import xp
from ..reference import attention as reference
from . import by_rows, contiguous, ours

__all__ = ["attention", "attention_gradients"]


def attention(q, k, v, mask, causal):
    if not ours(q, k, v):
        return reference.attention(q, k, v, mask, causal)
    p = q @ k.swapaxes(-1, -2)  # row-major, as every product is
    t, u = p.shape[-2:]
    if mask is not None:
        (mask,) = contiguous(xp.broadcast_to(mask, p.shape))
    rows = math.prod(p.shape[:-1])
    by_rows("attention", "softmax", rows, p.dtype, p, mask, rows, t, u, int(causal), 1 / math.sqrt(q.shape[-1]))
    return p @ v, p


def attention_gradients(g, q, k, v, p, causal, out=None):
    if not ours(g, q, k, v, p):
        return reference.attention_gradients(g, q, k, v, p, causal, out)
    (p,), ds = contiguous(p), g @ v.swapaxes(-1, -2)
    rows = math.prod(p.shape[:-1])
    by_rows("attention", "softmax_gradient", rows, p.dtype, ds, p, rows, p.shape[-1], 1 / math.sqrt(q.shape[-1]))
    return reference.written(out, (ds @ k, ds.swapaxes(-1, -2) @ q, p.swapaxes(-1, -2) @ g))
