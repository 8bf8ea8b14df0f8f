"""Twin of `reference.gpt`: all layers of a symbol without leaving the compiled loop; each thread takes some texts.

What Python needs for each of a hundred small operations is many times what they take. Only float32.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from ..reference import gpt as reference
from .activation import _gelu
from .arithmetic import EXACT, F, add_dots, add_row, add_times, clear_row, set_row
from .attention import _softmax
from .layout import places
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
def _step(first, last, scratch, ids, past, t, eps, scale, tokens, positions, norm1, qkv, qkv_bias, out, out_bias, norm2,
          up, up_bias, down, down_bias, norm, logits):  # fmt: skip
    c, hidden = tokens.shape[1], up.shape[1]
    layers, _, _, heads, _, d = past.shape
    x, h, a, rest = scratch[:c], scratch[c : 2 * c], scratch[2 * c : 5 * c], scratch[5 * c :]
    u, active, p = rest[:hidden], rest[hidden : 2 * hidden], rest[2 * hidden : 2 * hidden + t + 1]
    for n in range(first, last):
        set_row(x, tokens[ids[n]])
        add_row(x, positions[t])
        for l in range(layers):
            _norm(x, norm1[l], eps, h)
            set_row(a, qkv_bias[l])
            add_dots(h, qkv[l], a)
            for head in range(heads):
                place = head * d
                keys, values, y = past[l, 0, n, head], past[l, 1, n, head], h[place : place + d]
                set_row(keys[t], a[c + place : c + place + d])
                set_row(values[t], a[2 * c + place : 2 * c + place + d])
                clear_row(p)
                add_dots(a[place : place + d], keys, p)
                _softmax(p, scale)
                clear_row(y)
                add_times(p, values, y)
            add_row(x, out_bias[l])
            add_dots(h, out[l], x)
            _norm(x, norm2[l], eps, h)
            set_row(u, up_bias[l])
            add_dots(h, up[l], u)
            _gelu(0, hidden, scratch, u, active)
            add_row(x, down_bias[l])
            add_dots(active, down[l], x)
        _norm(x, norm, eps, h)
        clear_row(logits[n])
        add_dots(h, tokens, logits[n])


def gpt_step(ids, past, t, eps, tokens, positions, norm1, qkv, qkv_bias, out, out_bias, norm2, up, up_bias, down,
             down_bias, norm):  # fmt: skip
    weights = (tokens, positions, norm1, qkv, qkv_bias, out, out_bias, norm2, up, up_bias, down, down_bias, norm)
    fits = all(a.dtype == F and a.flags.c_contiguous for a in (past, *weights))
    if not fits or not places(ids, len(tokens)):
        return reference.gpt_step(ids, past, t, eps, *weights)
    logits = np.empty((len(ids), len(tokens)), F)
    scratch = 5 * tokens.shape[1] + 2 * up.shape[1] + past.shape[4]
    share(_step, len(ids), scratch, F, ids, past, t, eps, F(1 / math.sqrt(past.shape[5])), *weights, logits)
    return logits
