"""eˣ, σ and tanh in float32, written as arithmetic, so that the compiler vectorises the loop around them; rows.

Such a loop must not be compiled with `reassoc`, which would cancel the rounding by ROUND, nor with `nnan`: there NaN
must stay NaN.
"""

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = [
    "EXACT", "F", "add_dots", "add_row", "add_times", "clear_row", "exp", "largest", "set_row", "sigmoid", "tanh",
    "total",
]  # fmt: skip

F = np.float32
EXACT = {"contract", "nsz"}  # the fastmath flags of such a loop: products and sums fused, no more

ROUND = F(1.5 * 2**23)  # adding it to a small number leaves the nearest integer in the low bits of the mantissa
ROUND_BITS = np.int32(0x4B400000)


@njit(cache=True, inline="always")
def exp(x):
    """eˣ for x ≤ 0, relative error 10⁻⁷: x = n ln 2 + r with |r| ≤ ½ ln 2; eʳ is a polynomial, 2ⁿ an exponent field.

    Below −87, where eˣ leaves the normal numbers, it is 0. The coefficients are those of Cephes' expf (Moshier 1989).
    """
    z = F(-87) if x < F(-87) else x
    t = z * F(1.44269504088896341) + ROUND
    n = t - ROUND
    r = z - n * F(0.693145751953125)
    r = r - n * F(1.428606765330187e-06)
    p = F(1.9875691500e-4)
    p = p * r + F(1.3981999507e-3)
    p = p * r + F(8.3334519073e-3)
    p = p * r + F(4.1665795894e-2)
    p = p * r + F(1.6666665459e-1)
    p = p * r + F(5.0000001201e-1)
    p = p * r * r + r + F(1)
    power = np.int32((F(t).view(np.int32) - ROUND_BITS + np.int32(127)) << np.int32(23)).view(F)
    return F(0) if x < F(-87) else p * power


@njit(cache=True, inline="always")
def sigmoid(x):
    """σ(x) = 1 / (1 + e^(−|x|)), or e^(−|x|) times that where x < 0"""
    e = exp(-abs(x))
    return (F(1) if x >= F(0) else e) / (F(1) + e)


@njit(cache=True, inline="always")
def tanh(x):
    """tanh x = sign(x) (1 − e) / (1 + e), e = e^(−2|x|); near 0, where 1 − e would lose digits, the Taylor series"""
    e = exp(F(-2) * abs(x))
    far = (F(1) - e) / (F(1) + e)
    s = x * x
    near = x + x * s * (F(-1 / 3) + s * (F(2 / 15) + s * (F(-17 / 315) + s * F(62 / 2835))))
    return near if abs(x) < F(0.3) else (far if x >= F(0) else -far)


@njit(cache=True, fastmath=EXACT | {"reassoc"}, error_model="numpy")
def total(row):
    """Σ row, in any order"""
    s = F(0)
    for j in range(row.size):
        s += row[j]
    return s


@njit(cache=True, fastmath={"reassoc", "nsz", "nnan"}, error_model="numpy")
def largest(row):
    """max row, or any number if there is NaN in it: what is done next, Σ e^(row − largest), is NaN then anyway"""
    m = row[0]
    for j in range(row.size):
        m = row[j] if row[j] > m else m
    return m


@njit(nogil=True, cache=True)
def set_row(to, row):
    for j in range(to.size):
        to[j] = row[j]


@njit(nogil=True, cache=True)
def add_row(to, row):
    for j in range(to.size):
        to[j] += row[j]


@njit(nogil=True, cache=True)
def clear_row(to):
    for j in range(to.size):
        to[j] = F(0)


@njit(nogil=True, cache=True, fastmath=EXACT, error_model="numpy")
def add_times(x, w, y):
    """y ← y + x W: four rows of W at a time, so that y is read and written less often"""
    whole = x.size // 4 * 4
    for k in range(0, whole, 4):
        a, b, c, d = x[k], x[k + 1], x[k + 2], x[k + 3]
        first, second, third, fourth = w[k], w[k + 1], w[k + 2], w[k + 3]
        for j in range(y.size):
            y[j] += a * first[j] + b * second[j] + c * third[j] + d * fourth[j]
    for k in range(whole, x.size):
        a, row = x[k], w[k]
        for j in range(y.size):
            y[j] += a * row[j]


@njit(nogil=True, cache=True, fastmath=EXACT | {"reassoc"}, error_model="numpy")
def add_dots(x, rows, y):
    """y_j ← y_j + rows_j · x, for the first rows"""
    for j in range(y.size):
        s = F(0)
        for i in range(x.size):
            s += x[i] * rows[j, i]
        y[j] += s
