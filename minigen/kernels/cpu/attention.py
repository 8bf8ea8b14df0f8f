"""Attention head by head: what one head needs stays in the cache, and blocks that no query may look at are skipped.

A tile is one head of one example; the threads share the tiles. The queries of a tile are taken BLOCK at a time, and
with `causal` a block is multiplied only by the keys up to its last query. Only float32; others take the reference.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from ..reference import attention as reference
from .arithmetic import EXACT, F, exp, largest, total
from .blas import FACTORS, gemm
from .threads import share
from .tile import LANES

__all__ = ["attention", "attention_gradients"]

BLOCK = 64
ONE = FACTORS[np.dtype(F)]


@njit(cache=True, fastmath=EXACT, error_model="numpy")
def _exps(row, top, scale):
    for j in range(row.size):
        row[j] = exp((row[j] - top) * scale)


@njit(cache=True, fastmath=EXACT, error_model="numpy")
def _times(row, c):
    for j in range(row.size):
        row[j] *= c


@njit(cache=True, error_model="numpy")
def _softmax(row, scale):
    """row = softmax(scale · row), 0 if all of it is −∞"""
    top = largest(row)
    _exps(row, F(0) if top == F(-np.inf) else top, scale)
    s = total(row)
    if s != F(0):
        _times(row, F(1) / s)


@njit(cache=True, fastmath=EXACT | {"reassoc"}, error_model="numpy")
def _softmax_gradient(p, ds, scale):
    """∂L/∂S = P ⊙ (∂L/∂P − Σ P ⊙ ∂L/∂P), times the scale, in the place of ∂L/∂P"""
    s = F(0)
    for j in range(p.size):
        s += p[j] * ds[j]
    for j in range(p.size):
        ds[j] = p[j] * (ds[j] - s) * scale


@njit(cache=True, inline="always")
def _row(a, n, h, i):
    """The address of row i of head h of example n of an array that is given as `_address` says."""
    return a[0] + 4 * (n * a[1] + h * a[2] + i * a[3])


@njit(cache=True, nogil=True, error_model="numpy")
def _forward(first, last, scratch, shape, q, k, v, y, p, mask, masked, causal, scale, one):
    """The heads first … last"""
    heads, T, U, d, e = shape
    for tile in range(first, last):
        n, h = tile // heads, tile % heads
        for i in range(0, T, BLOCK):
            m = min(BLOCK, T - i)
            seen = max(U - T + i + m, 0) if causal else U  # keys that the last query of the block may look at
            p_block = p[n, h, i:].ctypes.data
            gemm(False, True, m, seen, d, _row(q, n, h, i), q[3], _row(k, n, h, 0), k[3], 0, p_block, U, one)
            for r in range(i, i + m):
                row, limit = p[n, h, r], max(U - T + r + 1, 0) if causal else U
                if masked:
                    for j in range(limit):
                        if not mask[n, h, r, j]:
                            row[j] = F(-np.inf)
                whole = min(U, (limit + LANES - 1) // LANES * LANES)  # what is left over would be done one by one
                row[limit:whole] = F(-np.inf)
                if limit > 0:
                    _softmax(row[:whole], scale)
                row[whole:] = F(0)
            gemm(False, False, m, e, seen, p_block, U, _row(v, n, h, 0), v[3], 0, _row(y, n, h, i), y[3], one)


@njit(cache=True, nogil=True, error_model="numpy")
def _backward(first, last, scratch, shape, g, q, k, v, p, dq, dk, dv, causal, scale, one):
    """The heads first … last. The last block of queries comes first: it sees every key, and so begins dK and dV."""
    heads, T, U, d, e = shape
    ds = scratch.ctypes.data
    for tile in range(first, last):
        n, h = tile // heads, tile % heads
        beta = 0
        for i in range((T - 1) // BLOCK * BLOCK, -1, -BLOCK):
            m = min(BLOCK, T - i)
            seen = max(U - T + i + m, 0) if causal else U
            gemm(False, True, m, seen, e, _row(g, n, h, i), g[3], _row(v, n, h, 0), v[3], 0, ds, U, one)
            for r in range(m):
                _softmax_gradient(p[n, h, i + r, :seen], scratch[r * U : r * U + seen], scale)
            gemm(False, False, m, d, seen, ds, U, _row(k, n, h, 0), k[3], 0, _row(dq, n, h, i), dq[3], one)
            gemm(True, False, seen, d, m, ds, U, _row(q, n, h, i), q[3], beta, _row(dk, n, h, 0), dk[3], one)
            gemm(True, False, seen, e, m, p[n, h, i:].ctypes.data, U, _row(g, n, h, i), g[3], beta, _row(dv, n, h, 0),
                 dv[3], one)  # fmt: skip
            beta = 1


# -- arrays for the loops ---------------------------------------------------------------------------------------------


def _heads(a):
    """(…, T, d) as (N, heads, T, d) whose rows BLAS can read: each in one piece, one after the other."""
    heads = a.shape[-3] if a.ndim > 2 else 1
    a = a.reshape(math.prod(a.shape[:-3]), heads, *a.shape[-2:])
    in_pieces = a.shape[3] > 1 and a.strides[3] != 4
    return a.copy() if in_pieces or (a.shape[2] > 1 and a.strides[2] < 4 * a.shape[3]) else a


def _address(a):
    """Where (N, heads, T, d) lies, and the steps from one example, head and row to the next, in numbers."""
    n, h, row, _ = (s // 4 for s in a.strides)
    return a.ctypes.data, n, h, max(row, a.shape[3])  # the step of a single row is never taken, but looked at


def _empty(like, e):
    """(N, heads, T, e) in the memory order (N, T, heads, e), in which joining the heads moves nothing."""
    n, heads, t, _ = like.shape
    return np.empty((n, t, heads, e), F).transpose(0, 2, 1, 3)


def _fits(q, *others):
    return q.size and all(type(a) is np.ndarray and a.dtype == F and a.shape[:-2] == q.shape[:-2] for a in (q, *others))


def attention(q, k, v, mask, causal):
    if not _fits(q, k, v) or not v.size:
        return reference.attention(q, k, v, mask, causal)
    lead, (t, d), (u, e) = q.shape[:-2], q.shape[-2:], v.shape[-2:]
    masked = mask is not None
    mask = _heads(np.broadcast_to(mask, (*lead, t, u)).astype(bool)) if masked else np.ones((1, 1, 1, 1), bool)
    q, k, v = _heads(q), _heads(k), _heads(v)
    y, p = _empty(q, e), np.empty((*q.shape[:3], u), F)
    n, heads = q.shape[:2]
    share(_forward, n * heads, 0, F, (heads, t, u, d, e), *map(_address, (q, k, v, y)), p, mask, masked, causal,
          F(1 / math.sqrt(d)), ONE)  # fmt: skip
    return y.reshape(*lead, t, e), p.reshape(*lead, t, u)


def attention_gradients(g, q, k, v, p, causal, out=None):
    if not _fits(q, k, v, g, p) or not v.size or not p.flags.c_contiguous:
        return reference.attention_gradients(g, q, k, v, p, causal, out)
    shapes, (t, d), (u, e) = (q.shape, k.shape, v.shape), q.shape[-2:], v.shape[-2:]
    g, q, k, v, p = map(_heads, (g, q, k, v, p))
    dq, dk, dv = map(_heads, out) if out else (_empty(q, d), _empty(k, d), _empty(v, e))
    n, heads = q.shape[:2]
    share(_backward, n * heads, BLOCK * u, F, (heads, t, u, d, e), *map(_address, (g, q, k, v)), p,
          *map(_address, (dq, dk, dv)), causal, F(1 / math.sqrt(d)), ONE)  # fmt: skip
    return tuple(a.reshape(shape) for a, shape in zip((dq, dk, dv), shapes))
