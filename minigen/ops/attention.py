"""Attention: what a query takes from values, weighted by how well their keys answer it.

Letters: Q (…, T, d) queries, K (…, U, d) keys, V (…, U, e) values; T and U are places in sequences. The leading axes
are the examples and the heads, each of which looks for itself. A mask (…, T, U) of truth values says which keys a
query may look at; it broadcasts.
"""

from __future__ import annotations

import math
from typing import Any

from .. import backend, kernels
from ..backend import xp
from ..errors import DtypeError, ShapeError
from ..tensor import Tensor, primitive
from .elementwise import tanh, where
from .linalg import matmul
from .reduction import softmax
from .shape import expand_dims


def _weights(scores, mask):
    """softmax over the last axis where the mask is true, 0 elsewhere, also where it is nowhere true"""
    if mask is None:
        return softmax(scores, -1)
    return softmax(where(mask, scores, float(xp.finfo(scores.dtype).min)), -1) * mask


def _with_past(mask, causal, t, u, like):
    """The mask and, where `causal`, j ≤ i + U − T."""
    if not causal:
        return mask
    past = xp.arange(u, like=like) <= xp.arange(t, like=like)[:, None] + (u - t)
    return past if mask is None else mask & past


def attention_weights(q, k, mask=None, causal=False):
    """P = softmax(Q Kᵀ / √d) over the keys        (…, T, d), (…, U, d) -> (…, T, U)

    The options are those of :func:`scaled_dot_product_attention`, of which this is the part to look at.
    """
    _check("attention_weights", q, k, None, mask)
    mask = _with_past(mask, causal, q.shape[-2], k.shape[-2], _array(q))
    return _weights(matmul(q, k.swapaxes(-1, -2)) / math.sqrt(q.shape[-1]), mask)


def _composed_attention(q, k, v, *, mask, causal):
    return matmul(attention_weights(q, k, mask, causal), v)


@primitive(
    joint=lambda g, q, k, v, r, mask, causal: kernels.attention_gradients(g, q, k, v, r, causal),
    composed=_composed_attention,
    residual=True,
)
def _attention(q, k, v, *, mask, causal):
    """Y = P V, P = softmax(S), S = Q Kᵀ / √d

    ∂L/∂Q = ∂L/∂S K / √d,   ∂L/∂K = (∂L/∂S)ᵀ Q / √d,   ∂L/∂V = Pᵀ g
    """
    return kernels.attention(q, k, v, mask, causal)


def scaled_dot_product_attention(q, k, v, mask=None, causal=False):
    """Y = softmax(Q Kᵀ / √d) V        (…, T, d), (…, U, d), (…, U, e) -> (…, T, e)        (Vaswani et al. 2017, eq. 1)

    The softmax is over the keys that the query may look at: where `mask` is true and, with `causal`, at place j ≤
    i + U − T for query i, that is not behind it where the queries are the last T of U places. A query that may look
    at none gives 0. The gradients stand in `minigen.kernels.reference.attention`.
    """
    _check("scaled_dot_product_attention", q, k, v, mask)
    return _attention(q, k, v, mask=mask, causal=causal)


def _cut(x, heads, parts=1):
    """(N, T, parts · heads · d) -> `parts` times (N, heads, T, d), where x lies"""
    n, t, width = x.shape
    return list(x.reshape(n, t, parts, heads, width // (parts * heads)).transpose(2, 0, 3, 1, 4))


def _joined(y):
    """(N, heads, T, d) -> (N, T, heads · d)"""
    n, heads, t, d = y.shape
    return y.transpose(0, 2, 1, 3).reshape(n, t, heads * d)


def _self_attention_gradient(g, qkv, r, heads, mask, causal):
    """All three in one array, as Q, K and V are"""
    d = xp.empty(qkv.shape, qkv.dtype, like=qkv)
    kernels.attention_gradients(*_cut(g, heads), *_cut(qkv, heads, 3), r, causal, out=_cut(d, heads, 3))
    return (d,)


def _composed_self_attention(qkv, *, heads, mask, causal):
    q, k, v = _cut(qkv, heads, 3)
    return _joined(matmul(attention_weights(q, k, mask, causal), v))


@primitive(joint=_self_attention_gradient, composed=_composed_self_attention, residual=True)
def _self_attention(qkv, *, heads, mask, causal):
    """(Y₁ | … | Y_h) with the gradients of each head as in `_attention`"""
    y, p = kernels.attention(*_cut(qkv, heads, 3), mask, causal)
    return _joined(y), p


def self_attention(qkv, heads, mask=None, causal=False):
    """Y = (Y₁ | … | Y_h),   Y_i = softmax(Q_i K_iᵀ / √d) V_i        (N, T, 3 h d) -> (N, T, h d)

    Scaled dot-product attention of every head of one sequence to itself, where x lies as one product left it:
    qkv = (Q₁ | … | Q_h | K₁ | … | K_h | V₁ | … | V_h). Nothing is moved, and the gradient is one array as well. `mask`
    (N or 1, h or 1, T or 1, T) and `causal` as in :func:`scaled_dot_product_attention`.
    """
    if qkv.ndim != 3 or qkv.shape[2] % (3 * heads):
        raise ShapeError(
            f"self_attention: expected queries, keys and values (N, T, 3 · {heads} heads · d), got {tuple(qkv.shape)}."
        )
    _check("self_attention", *_cut(_array(qkv), heads, 3), mask)
    return _self_attention(qkv, heads=heads, mask=mask, causal=causal)


def additive_attention(q, k, values, v, mask=None):
    """Y = softmax(S) values,   S_ij = v · tanh(Q_i + K_j)        (Bahdanau, Cho & Bengio 2015)

    Shapes (…, T, d), (…, U, d), (…, U, e), (d) -> Y (…, T, e) and the weights (…, T, U). Q = W_q s and K = W_k h are
    the queries and keys after their matrices, so that those of the keys are multiplied only once for all queries.
    """
    _check("additive_attention", q, k, values, mask)
    if v.shape != q.shape[-1:]:
        raise ShapeError(f"additive_attention: expected v of shape ({q.shape[-1]},), like a query, got {v.shape}.")
    p = _weights(matmul(tanh(expand_dims(q, -2) + expand_dims(k, -3)), v), mask)
    return matmul(p, values), p


def _array(x: Any) -> Any:
    return x.data if isinstance(x, Tensor) else x


def _check(op: str, q: Any, k: Any, v: Any, mask: Any) -> None:
    """Do the shapes fit, is there a key, and is the mask of truth values?"""
    shapes = [tuple(a.shape) for a in (q, k, v) if a is not None]
    fits = min(map(len, shapes)) >= 2 and len({shape[:-2] for shape in shapes}) == 1 and q.shape[-1] == k.shape[-1]
    if not fits or any(shape[-2] != k.shape[-2] for shape in shapes[1:]):
        raise ShapeError(
            f"{op}: expected queries (…, T, d), keys (…, U, d) and values (…, U, e) with one … , d and U, got "
            f"{', '.join(map(str, shapes))}."
        )
    if not k.shape[-2] or not k.shape[-1]:
        raise ShapeError(f"{op}: expected at least one key of at least one number, got {shapes[1]}.")
    if mask is None:
        return
    if backend.name_of(_array(mask)) != backend.name_of(_array(q)) or mask.dtype != bool:
        raise DtypeError(
            f"{op}: expected a mask of truth values beside the queries, true where a query may look, got "
            f"{mask.dtype}; compare, as in ids != pad."
        )
    scores = (*q.shape[:-1], k.shape[-2])
    padded = (1,) * (len(scores) - mask.ndim) + tuple(mask.shape)
    if len(padded) != len(scores) or any(m not in (1, n) for m, n in zip(padded, scores)):
        raise ShapeError(f"{op}: expected a mask that broadcasts to {scores}, (…, T, U), got {tuple(mask.shape)}.")
