"""Twins of `reference.recurrent`: for each step a product by cuBLAS and one launch for everything else."""

from __future__ import annotations

from ...backend import xp
from ..reference import recurrent as reference
from ..reference.recurrent import _previous, _rows
from . import by_elements, contiguous, ours

__all__ = ["gru", "gru_gradients", "lstm", "lstm_gradients", "rnn", "rnn_gradients"]


def _empty(like, *shapes):
    return [xp.empty(shape, like.dtype, like=like) for shape in shapes]


def _forward(name, u, h0, mask, steps, before, after):
    """For each t: p = U h_{t−1}, then the kernel `name`, whose state goes from h_{t−1} to h_t."""
    (n, size), ut = h0.shape, u.T
    (p,) = _empty(h0, (n, len(u)))
    state = h0.copy(order="C")
    for t in range(steps):
        xp.matmul(state, ut, out=p)
        by_elements("recurrent", name, n * size, h0.dtype, before[0], p, *before[1:], mask, state, *after, t, steps,
                    size, n * size)  # fmt: skip


def _backward(name, u, h0, mask, steps, before, after):
    """For t from the last: the kernel `name`, which makes z of the gates' gradients, then dh += z U. Returns dh."""
    n, size = h0.shape
    (z,) = _empty(h0, (n, len(u)))
    dh = xp.zeros((n, size), h0.dtype, like=h0)
    for t in reversed(range(steps)):
        by_elements("recurrent", name, n * size, h0.dtype, *before, mask, dh, *after, z, t, steps, size, n * size)
        if mask is None and name != "gru_gradient":  # the kernel has left nothing in dh
            xp.matmul(z, u, out=dh)
        else:
            dh += xp.matmul(z, u)
    return dh


def rnn(a, u, h0, mask):
    if not ours(a, u, h0) or not a.size:
        return reference.rnn(a, u, h0, mask)
    a, u, mask = contiguous(a, u, mask)
    (h,) = _empty(a, a.shape)
    _forward("rnn", u, h0, mask, a.shape[1], [a], [h])
    return h


def rnn_gradients(g, u, h0, mask, h):
    if not ours(g, u, h0, h) or not h.size:
        return reference.rnn_gradients(g, u, h0, mask, h)
    g, u, mask, h = contiguous(g, u, mask, h)
    (da,) = _empty(h, h.shape)
    dh = _backward("rnn_gradient", u, h0, mask, h.shape[1], [g, h], [da])
    return da, _rows(da).T @ _previous(h, h0), dh


def gru(a, u, b, h0, mask):
    if not ours(a, u, b, h0) or not a.size:
        return reference.gru(a, u, b, h0, mask)
    a, u, b, mask = contiguous(a, u, b, mask)
    (n, steps, _), size = a.shape, u.shape[1]
    h, gates, q = _empty(a, (n, steps, size), a.shape, (n, steps, size))
    _forward("gru", u, h0, mask, steps, [a, b], [h, gates, q])
    return h, gates, q


def gru_gradients(g, u, h0, mask, h, gates, q):
    if not ours(g, u, h0, h, gates, q) or not h.size:
        return reference.gru_gradients(g, u, h0, mask, h, gates, q)
    g, u, h0, mask, h = contiguous(g, u, h0, mask, h)
    da, dp = _empty(h, gates.shape, gates.shape)
    dh = _backward("gru_gradient", u, h0, mask, h.shape[1], [g, h, h0, gates, q], [da, dp])
    return da, _rows(dp).T @ _previous(h, h0), dp[..., 2 * h.shape[2] :].sum(axis=(0, 1)), dh


def lstm(a, u, h0, c0, mask):
    if not ours(a, u, h0, c0) or not a.size:
        return reference.lstm(a, u, h0, c0, mask)
    a, u, c0, mask = contiguous(a, u, c0, mask)
    (n, steps, _), size = a.shape, u.shape[1]
    h, c, gates = _empty(a, (n, steps, size), (n, steps, size), a.shape)
    _forward("lstm", u, h0, mask, steps, [a, c0], [h, c, gates])
    return h, c, gates


def lstm_gradients(g, g_c, u, h0, c0, mask, h, c, gates):
    """Writes ∂L/∂a over the gates, which are not needed any more: it is the largest array here."""
    if not ours(g, g_c, u, h0, c0, h, gates) or not h.size:
        return reference.lstm_gradients(g, g_c, u, h0, c0, mask, h, c, gates)
    g, u, c0, mask = contiguous(g, u, c0, mask)
    dc = g_c.copy(order="C")
    dh = _backward("lstm_gradient", u, h0, mask, h.shape[1], [g, c, c0, gates], [dc, gates])
    return gates, _rows(gates).T @ _previous(h, h0), dh, dc
