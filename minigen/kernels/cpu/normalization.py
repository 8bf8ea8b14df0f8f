"""Batch norm over channels-last memory and layer norm over rows, each pass reading memory once.

Sums are taken in blocks of rows: inside a block in the dtype of x, over the blocks in float64. The blocks depend on the
shape alone, so that the result does not depend on the number of threads.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from ..reference import normalization as reference
from .reduction import sum_of_parts
from .threads import share

__all__ = ["batch_norm", "batch_norm_gradients", "channel_moments", "layer_norm", "layer_norm_gradients"]

THREAD = 1 << 15  # elements that are worth a thread
BLOCK = 1 << 14  # elements of a block: 64 KiB of float32 stay in the cache between two looks

# Sums over a row may be taken in any order (reassoc), products and sums fused (contract). NaN must stay NaN: no nnan.
FAST = {"reassoc", "contract", "nsz"}


def _share(function, count, size, dtype, *arguments):
    """function(first, last, …) for `count` tiles of `size` elements each, dealt out to the threads they are worth."""
    share(function, count, 0, dtype, *arguments, least=-(-THREAD // size))


def _rows(x):
    """x (N, C, …) as rows (M, C) over the same memory where that is channels-last, else None."""
    last = x.transpose(0, *range(2, x.ndim), 1)
    return last.reshape(-1, x.shape[1]) if last.flags.c_contiguous else None


def _fits(x, *others):
    if x.dtype not in (np.float32, np.float64) or not x.size:
        return False
    return all(type(a) is np.ndarray and a.dtype == x.dtype for a in others)


def _laid_out_as(x, g):
    """g in the dtype and memory order of x."""
    out = np.empty_like(x)
    out[...] = g
    return out


# -- batch norm -------------------------------------------------------------------------------------------------------


@njit(cache=True, fastmath={"contract", "nsz"}, error_model="numpy")
def _block_moments(x, lo, hi, mean, m2):
    """Mean and Σ (x − mean)² of the rows lo … hi, for each column."""
    n, columns = hi - lo, x.shape[1]
    for c in range(columns):
        mean[c] = 0
        m2[c] = 0
    for i in range(lo, hi):
        for c in range(columns):
            mean[c] += x[i, c]
    for c in range(columns):
        mean[c] /= n
    for i in range(lo, hi):
        for c in range(columns):
            d = x[i, c] - mean[c]
            m2[c] += d * d


@njit(cache=True, nogil=True)
def _moments(first, last, _, x, block, means, m2s):
    for b in range(first, last):
        _block_moments(x, b * block, min(x.shape[0], (b + 1) * block), means[b], m2s[b])


@njit(cache=True, error_model="numpy")
def _joined(means, m2s, block, rows, mean, variance):
    """The moments of all rows from those of the blocks (Chan, Golub & LeVeque 1983)."""
    for c in range(mean.size):
        total, m2 = 0.0, 0.0
        for b in range(means.shape[0]):
            total += means[b, c] * np.float64(min(block, rows - b * block))
        centre = total / rows
        for b in range(means.shape[0]):
            d = means[b, c] - centre
            m2 += m2s[b, c] + d * d * min(block, rows - b * block)
        mean[c] = centre
        variance[c] = m2 / rows


def channel_moments(x):
    rows = _rows(x)
    if rows is None or not _fits(x):
        return reference.channel_moments(x)
    m, c = rows.shape
    block = max(16, BLOCK // c)
    means = np.empty((-(-m // block), c), x.dtype)
    m2s = np.empty_like(means)
    mean, variance = np.empty(c, x.dtype), np.empty(c, x.dtype)
    _share(_moments, len(means), block * c, x.dtype, rows, block, means, m2s)
    _joined(means, m2s, block, m, mean, variance)
    return mean, variance


@njit(cache=True, nogil=True, fastmath={"contract", "nsz"}, error_model="numpy")
def _affine(first, last, _, x, mean, scale, bias, y):
    for i in range(first, last):
        for c in range(x.shape[1]):
            y[i, c] = (x[i, c] - mean[c]) * scale[c] + bias[c]


def batch_norm(x, mean, r, weight, bias):
    rows = _rows(x)
    if rows is None or not _fits(x, mean, r, weight, bias):
        return reference.batch_norm(x, mean, r, weight, bias)
    y = np.empty_like(x)
    _share(_affine, *rows.shape, x.dtype, rows, mean, r * weight, bias, _rows(y))
    return y


@njit(cache=True, fastmath={"contract", "nsz"}, error_model="numpy")
def _block_sums(g, x, mean, lo, hi, sums, products):
    """Σ g and Σ g (x − mean) of the rows lo … hi, for each column."""
    for c in range(x.shape[1]):
        sums[c] = 0
        products[c] = 0
    for i in range(lo, hi):
        for c in range(x.shape[1]):
            sums[c] += g[i, c]
            products[c] += g[i, c] * (x[i, c] - mean[c])


@njit(cache=True, nogil=True)
def _sums(first, last, _, g, x, mean, block, sums, products):
    for b in range(first, last):
        _block_sums(g, x, mean, b * block, min(x.shape[0], (b + 1) * block), sums[b], products[b])


@njit(cache=True, error_model="numpy")
def _slopes(sums, products, r, weight, rows, dw, db, a, b, k):
    """∂w, ∂b, and with them ∂L/∂x = a g + b (x − μ) + k: a = r w, b = −a r ∂w / n, k = −a ∂b / n."""
    for c in range(dw.size):
        total, product = 0.0, 0.0
        for i in range(sums.shape[0]):
            total += sums[i, c]
            product += products[i, c]
        dw[c] = product * r[c]
        db[c] = total
        a[c] = r[c] * weight[c]
        b[c] = -a[c] * r[c] * r[c] * product / rows
        k[c] = -a[c] * total / rows


@njit(cache=True, nogil=True, fastmath={"contract", "nsz"}, error_model="numpy")
def _batch_norm_dx(first, last, _, g, x, mean, a, b, k, dx):
    for i in range(first, last):
        for c in range(x.shape[1]):
            dx[i, c] = a[c] * g[i, c] + b[c] * (x[i, c] - mean[c]) + k[c]


def batch_norm_gradients(g, x, mean, r, weight):
    rows = _rows(x)
    if rows is None or not _fits(x, mean, r, weight):
        return reference.batch_norm_gradients(g, x, mean, r, weight)
    gs = _rows(g) if g.dtype == x.dtype else None
    if gs is None:
        gs = _rows(_laid_out_as(x, g))
    m, c = rows.shape
    block = max(16, BLOCK // c)
    sums = np.empty((-(-m // block), c), x.dtype)
    products = np.empty_like(sums)
    _share(_sums, len(sums), block * c, x.dtype, gs, rows, mean, block, sums, products)
    dx, dw, db, a, b, k = np.empty_like(x), *(np.empty(c, x.dtype) for _ in range(5))
    _slopes(sums, products, r, weight, m, dw, db, a, b, k)
    _share(_batch_norm_dx, m, c, x.dtype, gs, rows, mean, a, b, k, _rows(dx))
    return dx, dw, db


# -- layer norm -------------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def _layer_norm(first, last, _, x, weight, bias, eps, y, means, rs):
    n = x.shape[1]
    T = x.dtype.type
    for i in range(first, last):
        total = T(0)
        for c in range(n):
            total += x[i, c]
        mean = T(total / n)
        squares = T(0)
        for c in range(n):
            d = x[i, c] - mean
            squares += d * d
        r = T(1 / np.sqrt(squares / n + eps))
        means[i] = mean
        rs[i] = r
        for c in range(n):
            y[i, c] = (x[i, c] - mean) * r * weight[c] + bias[c]


def layer_norm(x, weight, bias, eps):
    if not x.flags.c_contiguous or not _fits(x, weight, bias):
        return reference.layer_norm(x, weight, bias, eps)
    y, lead = np.empty_like(x), x.shape[: x.ndim - weight.ndim]
    means = np.empty((*lead, *(1,) * weight.ndim), x.dtype)
    rs, n = np.empty_like(means), weight.size
    _share(_layer_norm, means.size, n, x.dtype, x.reshape(-1, n), np.ravel(weight), np.ravel(bias), eps,
           y.reshape(-1, n), means.reshape(-1), rs.reshape(-1))  # fmt: skip
    return y, means, rs


@njit(cache=True, fastmath=FAST, error_model="numpy")
def _layer_norm_block(g, x, means, rs, weight, dx, dw, db, lo, hi):
    n = x.shape[1]
    T = x.dtype.type
    for c in range(n):
        dw[c] = 0
        db[c] = 0
    for i in range(lo, hi):
        mean, r = means[i], rs[i]
        total, slope = T(0), T(0)
        for c in range(n):
            h = g[i, c] * weight[c]
            total += h
            slope += h * (x[i, c] - mean)
        a, b = T(total / n), T(slope * r / n)
        for c in range(n):
            normal = (x[i, c] - mean) * r
            dw[c] += g[i, c] * normal
            db[c] += g[i, c]
            dx[i, c] = (g[i, c] * weight[c] - a - normal * b) * r


@njit(cache=True, nogil=True)
def _layer_norm_blocks(first, last, _, g, x, means, rs, weight, dx, dws, dbs, block):
    for b in range(first, last):
        lo, hi = b * block, min(x.shape[0], (b + 1) * block)
        _layer_norm_block(g, x, means, rs, weight, dx, dws[b], dbs[b], lo, hi)


def layer_norm_gradients(g, x, mean, r, weight):
    if not x.flags.c_contiguous or not _fits(x, weight, mean, r):
        return reference.layer_norm_gradients(g, x, mean, r, weight)
    if g.dtype != x.dtype or not g.flags.c_contiguous:
        g = _laid_out_as(x, g)
    n, m, block = weight.size, mean.size, 64
    dx = np.empty_like(x)
    dws = np.empty((-(-m // block), n), x.dtype)
    dbs = np.empty_like(dws)
    _share(_layer_norm_blocks, len(dws), block * n, x.dtype, g.reshape(-1, n), x.reshape(-1, n), mean.reshape(-1),
           r.reshape(-1), np.ravel(weight), dx.reshape(-1, n), dws, dbs, block)  # fmt: skip
    dw, db = np.empty_like(weight), np.empty_like(weight)
    sum_of_parts(dws, dw.reshape(-1))
    sum_of_parts(dbs, db.reshape(-1))
    return dx, dw, db
