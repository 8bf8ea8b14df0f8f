"""Twin of `reference.gpt`: all layers of a symbol without leaving the compiled loop; each thread takes some texts.

What Python needs for each of a hundred small operations is many times what they take. Only float32.
"""

from __future__ import annotations

import math

import numpy as np
from numba import config, njit

from ..reference import gpt as reference
from .activation import _gelu
from .arithmetic import EXACT, F, add_row, add_times, clear_row, dots, set_row
from .attention import _softmax
from .threads import share

__all__ = ["gpt_step"]


@njit(nogil=True, cache=True, fastmath=EXACT | {"reassoc"}, error_model="numpy")
def _norm(x, w, eps, y):
    total, squares = F(0), F(0)
    for j in range(x.size):
        total += x[j]
    mean = F(total / x.size)
    for j in range(x.size):
        squares += (x[j] - mean) * (x[j] - mean)
    r = F(1 / np.sqrt(squares / x.size + eps))
    for j in range(x.size):
        y[j] = (x[j] - mean) * r * w[0, j] + w[1, j]


@njit(nogil=True, cache=True, error_model="numpy")
def _step(first, last, scratch, x, past, t, eps, scale, norm1, qkv, qkv_bias, out, out_bias, norm2, up, up_bias, down,
          down_bias, norm, symbols, logits):  # fmt: skip
    c, hidden = x.shape[1], up.shape[2]
    layers, _, _, heads, room, d = past.shape
    h, a, rest = scratch[:c], scratch[c : 4 * c], scratch[4 * c :]
    u, active, p = rest[:hidden], rest[hidden : 2 * hidden], rest[2 * hidden : 2 * hidden + t + 1]
    for n in range(first, last):
        for l in range(layers):
            _norm(x[n], norm1[l], eps, h)
            set_row(a, qkv_bias[l])
            add_times(h, qkv[l], a)
            for head in range(heads):
                place = head * d
                keys, values, y = past[l, 0, n, head], past[l, 1, n, head], h[place : place + d]
                set_row(keys[t], a[c + place : c + place + d])
                set_row(values[t], a[2 * c + place : 2 * c + place + d])
                dots(a[place : place + d], keys, p)
                _softmax(p, scale)
                clear_row(y)
                add_times(p, values, y)
            add_row(x[n], out_bias[l])
            add_times(h, out[l], x[n])
            _norm(x[n], norm2[l], eps, h)
            set_row(u, up_bias[l])
            add_times(h, up[l], u)
            _gelu(0, hidden, scratch, u, active)
            add_row(x[n], down_bias[l])
            add_times(active, down[l], x[n])
        _norm(x[n], norm, eps, h)
        clear_row(logits[n])
        add_times(h, symbols, logits[n])


def gpt_step(x, past, t, eps, norm1, qkv, qkv_bias, out, out_bias, norm2, up, up_bias, down, down_bias, norm, symbols):
    weights = (norm1, qkv, qkv_bias, out, out_bias, norm2, up, up_bias, down, down_bias, norm, symbols)
    if config.DISABLE_JIT or any(a.dtype != F or not a.flags.c_contiguous for a in (x, past, *weights)):
        return reference.gpt_step(x, past, t, eps, *weights)
    logits = np.empty((len(x), symbols.shape[1]), F)
    scratch = 4 * x.shape[1] + 2 * up.shape[2] + past.shape[4]
    share(_step, len(x), scratch, F, x.copy(), past, t, eps, F(1 / math.sqrt(past.shape[5])), *weights, logits)
    return logits
