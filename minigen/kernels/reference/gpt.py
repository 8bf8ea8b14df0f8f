"""One symbol more in a Transformer that keeps the keys and values of those before it.

Letters: N texts, L layers, C the width, h heads of width d = C / h, H the width inside the MLP, V symbols, U places
that there is room for. The matrices stand as they are multiplied from the right, those of all layers in one array.
"""

from __future__ import annotations

import math

from ...backend import xp
from .activation import gelu

__all__ = ["gpt_step"]


def _norm(x, w, eps):
    """Layer norm with the scales w[0] and the biases w[1]"""
    x = x - x.mean(axis=1, keepdims=True)
    return x / xp.sqrt((x * x).mean(axis=1, keepdims=True) + eps) * w[0] + w[1]


def gpt_step(ids, past, t, eps, tokens, positions, norm1, qkv, qkv_bias, out, out_bias, norm2, up, up_bias, down,
             down_bias, norm):  # fmt: skip
    """The logits after the symbols at place t        (N,) -> (N, V)

        q, k, v = W LN₁(x) + b,   x ← x + W_o softmax(q Kᵀ / √d) V + b_o,   x ← x + W₂ GELU(W₁ LN₂(x) + b₁) + b₂

    in each layer, from x = E[id] + P_t on; then E LN(x). K and V of `past` (L, 2, N, h, U, d) hold the keys and values
    of the places 0 … t − 1, and get those of place t.

    norm1, norm2   (L, 2, C)            qkv    (L, 3C, C) with qkv_bias (L, 3C)
    norm           (2, C)               out    (L, C, C) with out_bias (L, C)
    tokens         (V, C): E            up     (L, H, C) with up_bias (L, H), down (L, C, H) with down_bias (L, C)
    positions      (U, C): P
    """
    layers, _, n, heads, _, d = past.shape
    x = tokens[ids] + positions[t]
    for l in range(layers):
        q, k, v = xp.split((_norm(x, norm1[l], eps) @ qkv[l].T + qkv_bias[l]).reshape(n, 3 * heads, d), 3, axis=1)
        past[l, 0, :, :, t], past[l, 1, :, :, t] = k, v
        keys, values = past[l, :, :, :, : t + 1]
        s = (keys @ q[..., None])[..., 0] / math.sqrt(d)
        e = xp.exp(s - s.max(axis=2, keepdims=True))
        p = e / e.sum(axis=2, keepdims=True)
        x = x + (p[:, :, None] @ values).reshape(x.shape) @ out[l].T + out_bias[l]
        x = x + gelu(_norm(x, norm2[l], eps) @ up[l].T + up_bias[l]) @ down[l].T + down_bias[l]
    return _norm(x, norm, eps) @ tokens.T
