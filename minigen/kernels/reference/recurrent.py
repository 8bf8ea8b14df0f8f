"""Recurrent cells over a whole sequence, forward and backward through time.

Letters: a (N, T, ·) what the inputs contribute, W x_t + b; u the recurrent weights; h (N, T, H) the hidden states, of
which h_{−1} = h0; g = ∂L/∂h (N, T, H). Where mask (N, T) is False, a step changes nothing: h_t = h_{t−1}.

Backward through time: what reaches h_t is g_t and what step t + 1 hands back,

    δ_t = g_t + (∂h_{t+1}/∂h_t)ᵀ δ_{t+1}

and a cell turns δ_t into the gradients of its gates before their nonlinearities. The weights are the same in all steps,
so that their gradient is a sum over t: one matrix product at the end.
"""

from __future__ import annotations

from ...backend import xp
from .activation import sigmoid

__all__ = ["gru", "gru_gradients", "lstm", "lstm_gradients", "lstm_symbol", "rnn", "rnn_gradients"]


def _columns(mask, steps):
    """(t, the mask of step t as a column (N, 1), or None)"""
    return [(t, None if mask is None else mask[:, t, None]) for t in range(steps)]


def _where(m, new, old):
    return new if m is None else xp.where(m, new, old)


def _previous(h, h0):
    """h_{t−1} for every t, as rows        (N, T, H), (N, H) -> (N T, H)"""
    return xp.concatenate([h0[:, None], h[:, :-1]], axis=1).reshape(-1, h.shape[2])


def _rows(a):
    return a.reshape(-1, a.shape[2])


# -- the plain recurrent network --------------------------------------------------------------------------------------


def rnn(a, u, h0, mask):
    """h_t = tanh(a_t + U h_{t−1})        (N, T, H), (H, H), (N, H) -> (N, T, H)"""
    n, steps, size = a.shape
    h = xp.empty((n, steps, size), a.dtype, like=a)
    before = h0
    for t, m in _columns(mask, steps):
        h[:, t] = before = _where(m, xp.tanh(a[:, t] + before @ u.T), before)
    return h


def rnn_gradients(g, u, h0, mask, h):
    """∂L/∂a_t = δ_t ⊙ (1 − h_t²),   ∂L/∂h_{t−1} = Uᵀ ∂L/∂a_t,   ∂L/∂U = Σ_t ∂L/∂a_t h_{t−1}ᵀ        -> a, u, h0"""
    da = xp.empty(h.shape, h.dtype, like=h)
    dh = xp.zeros_like(h0)
    for t, m in reversed(_columns(mask, h.shape[1])):
        dh = dh + g[:, t]
        da[:, t] = _where(m, dh * (1 - h[:, t] * h[:, t]), 0)
        dh = da[:, t] @ u + (0 if m is None else xp.where(m, 0, dh))
    return da, _rows(da).T @ _previous(h, h0), dh


# -- the gated recurrent unit -----------------------------------------------------------------------------------------


def gru(a, u, b, h0, mask):
    """h_t = (1 − z) ⊙ n + z ⊙ h_{t−1}; also r | z | n and q        (N, T, 3H), (3H, H), (H,), (N, H)

    r = σ(a_r + U_r h_{t−1}),   z = σ(a_z + U_z h_{t−1}),   q = U_n h_{t−1} + b,   n = tanh(a_n + r ⊙ q)
    """
    k, steps, size = a.shape[0], a.shape[1], u.shape[1]
    h, q = (xp.empty((k, steps, size), a.dtype, like=a) for _ in range(2))
    gates = xp.empty(a.shape, a.dtype, like=a)
    before = h0
    for t, m in _columns(mask, steps):
        p = before @ u.T
        q[:, t] = p[:, 2 * size :] + b
        r, z = xp.split(sigmoid(a[:, t, : 2 * size] + p[:, : 2 * size]), 2, axis=1)
        n = xp.tanh(a[:, t, 2 * size :] + r * q[:, t])
        gates[:, t] = xp.concatenate([r, z, n], axis=1)
        h[:, t] = before = _where(m, n + z * (before - n), before)
    return h, gates, q


def gru_gradients(g, u, h0, mask, h, gates, q):
    """∂L/∂n = δ ⊙ (1 − z), ∂L/∂z = δ ⊙ (h_{t−1} − n), through tanh and σ; r and q share n's        -> a, u, b, h0

    ∂L/∂a_n = ∂L/∂n ⊙ (1 − n²),   ∂L/∂a_r = ∂L/∂a_n ⊙ q ⊙ r (1 − r),   ∂L/∂a_z = ∂L/∂z ⊙ z (1 − z),
    ∂L/∂q = ∂L/∂a_n ⊙ r,   ∂L/∂h_{t−1} = δ ⊙ z + Uᵀ (∂L/∂a_r | ∂L/∂a_z | ∂L/∂q)
    """
    size = h.shape[2]
    da, dp = (xp.empty(gates.shape, h.dtype, like=h) for _ in range(2))  # of a, and of p = U h_{t−1} + b
    dh = xp.zeros_like(h0)
    for t, m in reversed(_columns(mask, h.shape[1])):
        r, z, n = xp.split(gates[:, t], 3, axis=1)
        dh = dh + g[:, t]
        delta = _where(m, dh, 0)
        dn = delta * (1 - z) * (1 - n * n)
        dz = delta * ((h[:, t - 1] if t else h0) - n) * z * (1 - z)
        dr = dn * q[:, t] * r * (1 - r)
        da[:, t] = xp.concatenate([dr, dz, dn], axis=1)
        dp[:, t] = xp.concatenate([dr, dz, dn * r], axis=1)
        dh = dp[:, t] @ u + _where(m, dh * z, dh)
    return da, _rows(dp).T @ _previous(h, h0), dp[..., 2 * size :].sum(axis=(0, 1)), dh


# -- the long short-term memory ---------------------------------------------------------------------------------------


def lstm(a, u, h0, c0, mask):
    """c_t = f ⊙ c_{t−1} + i ⊙ g,   h_t = o ⊙ tanh(c_t); returns h, c and i | f | g | o

    i, f, o = σ(a + U h_{t−1}),   g = tanh(a + U h_{t−1}), each with its own rows of a and U

    (N, T, 4H), (4H, H), (N, H), (N, H) -> (N, T, H), (N, T, H), (N, T, 4H)
    """
    n, steps, size = a.shape[0], a.shape[1], u.shape[1]
    h, c = (xp.empty((n, steps, size), a.dtype, like=a) for _ in range(2))
    gates = xp.empty(a.shape, a.dtype, like=a)
    h_before, c_before = h0, c0
    for t, m in _columns(mask, steps):
        gates[:, t] = z = a[:, t] + h_before @ u.T
        gates[:, t, : 2 * size] = sigmoid(z[:, : 2 * size])
        gates[:, t, 2 * size : 3 * size] = xp.tanh(z[:, 2 * size : 3 * size])
        gates[:, t, 3 * size :] = sigmoid(z[:, 3 * size :])
        i, f, g, o = xp.split(gates[:, t], 4, axis=1)
        c[:, t] = c_before = _where(m, f * c_before + i * g, c_before)
        h[:, t] = h_before = _where(m, o * xp.tanh(c_before), h_before)
    return h, c, gates


def lstm_gradients(g, g_c, u, h0, c0, mask, h, c, gates):
    """With γ_t = ∂L/∂c_t = δ_t ⊙ o ⊙ (1 − tanh² c_t) + f_{t+1} ⊙ γ_{t+1}, and g_c = ∂L/∂c_T        -> a, u, h0, c0

    ∂L/∂a_i = γ ⊙ g ⊙ i (1 − i),   ∂L/∂a_f = γ ⊙ c_{t−1} ⊙ f (1 − f),   ∂L/∂a_g = γ ⊙ i ⊙ (1 − g²),
    ∂L/∂a_o = δ ⊙ tanh(c_t) ⊙ o (1 − o),   ∂L/∂h_{t−1} = Uᵀ ∂L/∂a_t

    The gates are given away: a twin may write over them.
    """
    da = xp.empty(gates.shape, h.dtype, like=h)
    dh, dc = xp.zeros_like(h0), g_c
    for t, m in reversed(_columns(mask, h.shape[1])):
        i, f, new, o = xp.split(gates[:, t], 4, axis=1)
        squashed = xp.tanh(c[:, t])
        dh = dh + g[:, t]
        delta = _where(m, dh, 0)
        gamma = _where(m, dc, 0) + delta * o * (1 - squashed * squashed)
        da[:, t] = xp.concatenate([
            gamma * new * i * (1 - i),
            gamma * (c[:, t - 1] if t else c0) * f * (1 - f),
            gamma * i * (1 - new * new),
            delta * squashed * o * (1 - o),
        ], axis=1)  # fmt: skip
        dh = da[:, t] @ u + (0 if m is None else xp.where(m, 0, dh))
        dc = _where(m, gamma * f, dc)
    return da, _rows(da).T @ _previous(h, h0), dh, dc


def lstm_symbol(ids, h, c, tokens, weights, recurrent, biases, output, output_bias):
    """The logits after one symbol more in LSTMs over each other        (n,) -> (n, V)

        i, f, o = σ(W x + U h + b),   g = tanh(W x + U h + b),   c ← f ⊙ c + i ⊙ g,   h ← o ⊙ tanh(c)

    in each of L layers, x being E[id] in the first and the h below in the others; then P h + p.

    h, c      (L, n, H), which become those after the symbol
    tokens    (V, k): E                    weights     W of each layer, (4H, k), above the first (4H, H)
    output    (V, H): P                    recurrent   (L, 4H, H): U
    output_bias   (V): p                   biases      (L, 4H): b
    """
    x = tokens[ids]
    for l, w in enumerate(weights):
        i, f, g, o = xp.split(x @ w.T + h[l] @ recurrent[l].T + biases[l], 4, axis=1)
        c[l] = sigmoid(f) * c[l] + sigmoid(i) * xp.tanh(g)
        h[l] = x = sigmoid(o) * xp.tanh(c[l])
    return x @ output.T + output_bias
