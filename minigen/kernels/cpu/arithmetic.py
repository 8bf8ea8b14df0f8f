"""The exponential in float32, written as arithmetic, so that the compiler vectorises the loop around it; rows.

Such a loop must not be compiled with `reassoc`, which would cancel the rounding by ROUND, nor with `nnan`: there NaN
must stay NaN.
"""

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["EXACT", "F", "exp", "largest", "total"]

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
