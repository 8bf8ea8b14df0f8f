"""Twin of `reference.wavenet`: all layers of a sample without leaving the compiled loop; each thread takes some sounds.

Only float32, as everywhere in the compiled loops.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from ..reference import wavenet as reference
from .arithmetic import EXACT, F, add_times, exp, largest, set_row, sigmoid, tanh
from .threads import share

__all__ = ["wavenet_draw"]


@njit(nogil=True, cache=True, fastmath=EXACT, error_model="numpy")
def _gate(a, z):
    for j in range(z.size):
        z[j] = tanh(a[j]) * sigmoid(a[z.size + j])


@njit(nogil=True, cache=True, fastmath=EXACT, error_model="numpy")
def _relu(x):
    for j in range(x.size):
        x[j] = x[j] if x[j] > F(0) else F(0)


@njit(nogil=True, cache=True, fastmath=EXACT, error_model="numpy")
def _exps(l, m, factor, p):
    for j in range(l.size):
        p[j] = exp((l[j] - m) * factor)


@njit(nogil=True, cache=True, error_model="numpy")
def _next(u, l, temperature, p):
    """The code that u decides, and −ln softmax(l) of it"""
    m, total, code = largest(l), F(0), l.size - 1
    if temperature > F(0):
        _exps(l, m, F(1) / temperature, p)
        for j in range(1, p.size):
            p[j] += p[j - 1]
        for j in range(p.size):
            if u * p[p.size - 1] < p[j]:
                code = j
                break
    else:
        for j in range(l.size):
            if l[j] == m:
                code = j
                break
    _exps(l, m, F(1), p)
    for j in range(p.size):
        total += p[j]
    return code, np.log(total) + m - l[code]


@njit(nogil=True, cache=True, error_model="numpy")
def _sounds(first, last, scratch, u, codes, queues, t, temperature, dilations, embedding, filters, conditions,
            residuals, residual_bias, skips, skip_bias, w1, b1, w2, b2, drawn, nll):  # fmt: skip
    c, s, v = embedding.shape[1], w1.shape[0], w2.shape[1]
    h, z, a, rest = scratch[:c], scratch[c : 2 * c], scratch[2 * c : 4 * c], scratch[4 * c :]
    skip, hidden, l, p = rest[:s], rest[s : 2 * s], rest[2 * s : 2 * s + v], rest[2 * s + v : 2 * s + 2 * v]
    for n in range(first, last):
        code = codes[n]
        for i in range(u.shape[1]):
            start = 0
            set_row(h, embedding[code])
            set_row(skip, skip_bias)
            for layer in range(dilations.size):
                queue = queues[n, start + (t + i) % dilations[layer]]
                set_row(a, conditions[n, layer])
                add_times(queue, filters[layer, :c], a)
                add_times(h, filters[layer, c:], a)
                set_row(queue, h)
                _gate(a, z)
                add_times(z, skips[layer], skip)
                if layer < len(residuals):
                    for j in range(c):
                        h[j] += residual_bias[layer, j]
                    add_times(z, residuals[layer], h)
                start += dilations[layer]
            _relu(skip)
            set_row(hidden, b1)
            add_times(skip, w1, hidden)
            _relu(hidden)
            set_row(l, b2)
            add_times(hidden, w2, l)
            code, nll[n, i] = _next(u[n, i], l, temperature, p)
            drawn[n, i] = code


def wavenet_draw(u, codes, queues, t, temperature, dilations, embedding, filters, conditions, residuals,
                 residual_bias, skips, skip_bias, head):  # fmt: skip
    weights = (embedding, filters, conditions, residuals, residual_bias, skips, skip_bias, *head)
    if any(x.dtype != F or not x.flags.c_contiguous for x in (u, queues, *weights)):
        return reference.wavenet_draw(u, codes, queues, t, temperature, dilations, embedding, filters, conditions,
                                      residuals, residual_bias, skips, skip_bias, head)  # fmt: skip
    drawn, nll = np.empty(u.shape, np.uint8), np.empty(u.shape, F)
    scratch = 4 * embedding.shape[1] + 2 * sum(head[2].shape)
    share(_sounds, len(u), scratch, F, u, codes.astype(np.int64), queues, t, F(temperature), np.array(dilations),
          *weights, drawn, nll)  # fmt: skip
    return drawn, nll
