"""Recurrent cells over a whole sequence: each thread takes some examples and computes all their steps.

A step is a matrix product for the thread's examples, between buffers that stay in its cache, and one pass over their
gates. Nothing is shared between threads, so that they never wait for each other inside a sequence.

Only float32, which is what trains; float64, which is what gradients are checked in, takes the reference.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from ..reference import recurrent as reference
from .arithmetic import EXACT, F, add_dots, add_row, clear_row, set_row, sigmoid, tanh
from .blas import FACTORS, NO, NONE, ONE, SIZE, address, gemm
from .layout import places
from .product import product
from .threads import share
from .tile import LANES, multiply, pack, to_line, usable

__all__ = ["lstm", "lstm_gradients", "lstm_symbol"]

_PAD = 16  # rows of a buffer do not all start at the same place of the cache
_ONE = FACTORS[np.dtype(F)]
_TILES = usable()
FEW = 8  # examples whose single step is done number by number; BLAS is faster with more


def _ours(*arrays):
    """Are these arrays for the compiled loops?"""
    return all(a.dtype == np.float32 for a in arrays) and arrays[0].size > 0


def _in_tiles(u):
    return _TILES and u.shape[1] % LANES == 0


def _flags(mask, shape):
    """The mask as uint8 (N, T), or (0, 0) for none."""
    return np.zeros((0, 0), np.uint8) if mask is None else np.ascontiguousarray(mask).view(np.uint8)


@njit(nogil=True, cache=True, fastmath=EXACT, error_model="numpy")
def _add_sigmoid(x, a):
    for j in range(x.size):
        x[j] = sigmoid(x[j] + a[j])


@njit(nogil=True, cache=True, fastmath=EXACT, error_model="numpy")
def _add_tanh(x, a):
    for j in range(x.size):
        x[j] = tanh(x[j] + a[j])


@njit(nogil=True, cache=True, fastmath=EXACT, error_model="numpy")
def _lstm_row(i, f, g, o, before, c, h):
    for j in range(h.size):
        new = f[j] * before[j] + i[j] * g[j]
        c[j] = new
        h[j] = o[j] * tanh(new)


@njit(nogil=True, cache=True)
def _lstm_gates(row, a, before, c, h):
    """The gates i, f, g and o from U h and a; then c and h"""
    size = h.size
    _add_sigmoid(row[: 2 * size], a[: 2 * size])
    _add_tanh(row[2 * size : 3 * size], a[2 * size : 3 * size])
    _add_sigmoid(row[3 * size :], a[3 * size :])
    _lstm_row(row[:size], row[size : 2 * size], row[2 * size : 3 * size], row[3 * size :], before, c, h)


@njit(nogil=True, cache=True)
def _packed(scratch, matrix, tiles):
    """The matrix as `multiply` reads it, or nothing without `tiles`, in scratch memory; and what is left of that"""
    start = to_line(scratch)
    stop = start + matrix.size if tiles else start
    if tiles:
        pack(matrix, NO, NONE, matrix.shape[0], NONE, matrix.shape[1], scratch[start:stop])
    return scratch[start:stop], scratch[stop:]


@njit(nogil=True, cache=True)
def _times(rows, matrix, packed, a, a_row, c, c_row, beta, one):
    """C = A M + beta C, in tiles where M was packed; the rows of A and C have a_row and c_row numbers"""
    k, n = matrix.shape
    if packed.size:
        multiply(rows, n, k, a, 4 * a_row, SIZE, address(packed), c, 4 * c_row, c * beta, 4 * c_row * beta)
    else:
        gemm(False, False, rows, n, k, a, a_row, address(matrix), n, beta, c, c_row, one)


@njit(nogil=True, cache=True)
def _lstm(first, last, scratch, a, ut, tiles, h0, c0, mask, h, c, gates, one):
    """h, c and gates of the examples first … last"""
    size, wide, rows = h0.shape[1], 4 * h0.shape[1], last - first
    packed, scratch = _packed(scratch, ut, tiles)
    p = scratch[: rows * (wide + _PAD)].reshape(rows, wide + _PAD)  # U h_{t−1}
    state = scratch[p.size : p.size + rows * size].reshape(rows, size)
    for k in range(rows):
        set_row(state[k], h0[first + k])
    for t in range(h.shape[1]):
        _times(rows, ut, packed, address(state), size, address(p), wide + _PAD, NONE, one)
        for k in range(rows):
            n = first + k
            before, row = c0[n] if t == 0 else c[n, t - 1], p[k, :wide]
            if mask.size and not mask[n, t]:
                clear_row(row)
                set_row(c[n, t], before)
            else:
                _lstm_gates(row, a[n, t], before, c[n, t], state[k])
            set_row(gates[n, t], row)
            set_row(h[n, t], state[k])


@njit(nogil=True, cache=True)
def _lstm_step(first, last, scratch, a, u, h0, c0, h, c, gates):
    """One step of the examples first … last"""
    for n in range(first, last):
        row = gates[n, 0]
        clear_row(row)
        add_dots(h0[n], u, row)
        _lstm_gates(row, a[n, 0], c0[n], c[n, 0], h[n, 0])


def lstm(a, u, h0, c0, mask):
    n, steps, wide = a.shape
    one = steps == 1  # then it does not pay to turn u round
    if not _ours(a, u, h0, c0) or (one and (n > FEW or mask is not None or not u.flags.c_contiguous)):
        return reference.lstm(a, u, h0, c0, mask)
    size = wide // 4
    a, h0, c0 = map(np.ascontiguousarray, (a, h0, c0))
    h, c, gates = np.empty((n, steps, size), F), np.empty((n, steps, size), F), np.empty_like(a)
    if one:
        share(_lstm_step, n, 0, F, a, u, h0, c0, h, c, gates, least=FEW)
        return h, c, gates
    share(_lstm, n, LANES + u.size + n * (wide + _PAD + size), F, a, np.ascontiguousarray(u.T), _in_tiles(u), h0, c0,
          _flags(mask, a.shape), h, c, gates, _ONE)  # fmt: skip
    return h, c, gates


@njit(nogil=True, cache=True, fastmath=EXACT, error_model="numpy")
def _lstm_row_gradients(gates, g, before, c, dh, dc, dz, size):
    for j in range(size):
        i, f, new, o = gates[j], gates[size + j], gates[2 * size + j], gates[3 * size + j]
        delta, squashed = dh[j] + g[j], tanh(c[j])
        gamma = dc[j] + delta * o * (F(1) - squashed * squashed)
        dz[j] = gamma * new * i * (F(1) - i)
        dz[size + j] = gamma * before[j] * f * (F(1) - f)
        dz[2 * size + j] = gamma * i * (F(1) - new * new)
        dz[3 * size + j] = delta * squashed * o * (F(1) - o)
        dc[j] = gamma * f


@njit(nogil=True, cache=True)
def _lstm_backward(first, last, scratch, g, u, tiles, c0, mask, c, gates, dh0, dc0, one):
    """da in place of the gates, dh0, and dc0 in place of ∂L/∂c_T, of the examples first … last"""
    size, wide, rows = c0.shape[1], 4 * c0.shape[1], last - first
    packed, scratch = _packed(scratch, u, tiles)
    dz = scratch[: rows * (wide + _PAD)].reshape(rows, wide + _PAD)
    dh = dh0[first:last]
    for t in range(c.shape[1] - 1, -1, -1):
        for k in range(rows):
            n = first + k
            if mask.size and not mask[n, t]:
                clear_row(dz[k])
            else:
                before = c0[n] if t == 0 else c[n, t - 1]
                _lstm_row_gradients(gates[n, t], g[n, t], before, c[n, t], dh[k], dc0[n], dz[k], size)
            set_row(gates[n, t], dz[k])
        if not mask.size:
            _times(rows, u, packed, address(dz), wide + _PAD, address(dh), size, NONE, one)
        else:
            for k in range(rows):
                n = first + k
                if mask[n, t]:
                    clear_row(dh[k])
                else:
                    add_row(dh[k], g[n, t])
            _times(rows, u, packed, address(dz), wide + _PAD, address(dh), size, ONE, one)


def lstm_gradients(g, g_c, u, h0, c0, mask, h, c, gates):
    """Writes ∂L/∂a over the gates, which are not needed any more: it is the largest array here."""
    if not _ours(g, g_c, u, h0, c0):
        return reference.lstm_gradients(g, g_c, u, h0, c0, mask, h, c, gates)
    n, wide = len(g), gates.shape[2]
    g, u, c0 = map(np.ascontiguousarray, (g, u, c0))
    dh0, dc0 = np.zeros(c0.shape, F), g_c.copy()
    share(_lstm_backward, n, LANES + u.size + n * (wide + _PAD), F, g, u, _in_tiles(u), c0, _flags(mask, g.shape), c,
          gates, dh0, dc0, _ONE)  # fmt: skip
    return gates, product(reference._rows(gates).T, reference._previous(h, h0)), dh0, dc0


@njit(nogil=True, cache=True)
def _lstm_symbol(first, last, scratch, ids, h, c, tokens, weights, recurrent, biases, output, output_bias, logits):
    row = scratch[: biases.shape[1]]
    for n in range(first, last):
        x = tokens[ids[n]]
        for l in range(len(h)):
            clear_row(row)
            add_dots(x, weights[l], row)
            add_dots(h[l, n], recurrent[l], row)
            _lstm_gates(row, biases[l], c[l, n], c[l, n], h[l, n])
            x = h[l, n]
        set_row(logits[n], output_bias)
        add_dots(x, output, logits[n])


def lstm_symbol(ids, h, c, tokens, weights, recurrent, biases, output, output_bias):
    arrays = (h, c, tokens, *weights, recurrent, biases, output, output_bias)
    if not _ours(*arrays) or not places(ids, len(tokens)) or not all(a.flags.c_contiguous for a in arrays):
        return reference.lstm_symbol(ids, h, c, tokens, weights, recurrent, biases, output, output_bias)
    logits = np.empty((len(ids), len(output)), F)
    share(_lstm_symbol, len(ids), biases.shape[1], F, ids, h, c, tokens, tuple(weights), recurrent, biases, output,
          output_bias, logits, least=FEW)  # fmt: skip
    return logits
