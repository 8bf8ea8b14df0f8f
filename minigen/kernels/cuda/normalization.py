"""Twins of `reference.normalization`. Batch norm reads channels-last memory; other memory takes the reference."""

from __future__ import annotations

import math

from ...backend import xp
from ..reference import normalization as reference
from . import alike, by_columns, by_elements, by_rows, contiguous, ours

__all__ = ["batch_norm", "batch_norm_gradients", "batch_scale", "channel_moments", "layer_norm", "layer_norm_gradients"]

_ROWS = 32  # of a block, at least: 4 for each thread
_BLOCKS = 1024  # of a launch, about


def _channels_last(x):
    """Are the channels of x (N, C, …) the innermost axis of its memory?"""
    return x.transpose(0, *range(2, x.ndim), 1).flags.c_contiguous


def _shared_out(rows, columns):
    """How many rows a block sums, and how many blocks that makes."""
    block = -(-rows // max(1, min(rows // _ROWS, _BLOCKS // -(-columns // 32))))
    return block, -(-rows // block)


def _new(x, *shape):
    return xp.empty(shape, x.dtype, like=x)


def channel_moments(x):
    if not ours(x) or not x.size or not _channels_last(x):
        return reference.channel_moments(x)
    columns, rows = x.shape[1], x.size // x.shape[1]
    block, blocks = _shared_out(rows, columns)
    means, m2s, mean, variance = _new(x, blocks, columns), _new(x, blocks, columns), _new(x, columns), _new(x, columns)
    by_columns("normalization", "moments", columns, blocks, x.dtype, x, means, m2s, rows, columns, block)
    by_columns("normalization", "moments_joined", columns, 1, x.dtype, means, m2s, mean, variance, rows, columns, block)
    return mean, variance


def batch_scale(mean, variance, running_mean, running_var, n, momentum, eps):
    if not ours(*(a for a in (mean, variance, running_mean, running_var) if a is not None)):
        return reference.batch_scale(mean, variance, running_mean, running_var, n, momentum, eps)
    r = xp.empty_like(mean)
    by_elements("normalization", "batch_scale", r.size, r.dtype, mean, variance, running_mean, running_var,
                float(momentum), n / (n - 1), float(eps), r, r.size)  # fmt: skip
    return r


def batch_norm(x, mean, r, weight, bias):
    if not ours(x, mean, r, weight, bias) or not _channels_last(x):
        return reference.batch_norm(x, mean, r, weight, bias)
    y = xp.empty_like(x)
    by_elements("normalization", "batch_norm", x.size, x.dtype, x, mean, r, weight, bias, y, x.size, x.shape[1])
    return y


def batch_norm_gradients(g, x, mean, r, weight):
    if not ours(x, g, mean, r, weight) or not x.size or not _channels_last(x):
        return reference.batch_norm_gradients(g, x, mean, r, weight)
    x, g = alike(x, g)
    columns, rows = x.shape[1], x.size // x.shape[1]
    dw, db = _sums(g, x, mean, r, False, rows, columns)
    dx = xp.empty_like(x)
    by_elements("normalization", "batch_norm_gradient", x.size, x.dtype, g, x, mean, r, weight, dw, db, dx, x.size,
                columns, rows)  # fmt: skip
    return dx, dw, db


def _sums(g, x, mean, r, by_row, rows, columns):
    """∂L/∂w = Σ g ⊙ x̂ and ∂L/∂b = Σ g over the rows"""
    block, blocks = _shared_out(rows, columns)
    products, totals, dw, db = (_new(x, *shape) for shape in 2 * [(blocks, columns)] + 2 * [(columns,)])
    by_columns("normalization", "sums", columns, blocks, x.dtype, g, x, mean, r, int(by_row), products, totals, rows,
               columns, block)  # fmt: skip
    by_columns("normalization", "sums_joined", columns, 1, x.dtype, products, totals, dw, db, blocks, columns)
    return dw, db


def layer_norm(x, weight, bias, eps):
    if not ours(x, weight, bias) or not x.size:
        return reference.layer_norm(x, weight, bias, eps)
    x, weight, bias = contiguous(x, weight, bias)
    lead, columns = x.shape[: x.ndim - weight.ndim], weight.size
    y = xp.empty_like(x)
    mean, r = (_new(x, *lead, *(1,) * weight.ndim) for _ in range(2))
    by_rows("normalization", "layer_norm", mean.size, x.dtype, x, weight, bias, float(eps), y, mean, r, mean.size,
            columns)  # fmt: skip
    return y, mean, r


def layer_norm_gradients(g, x, mean, r, weight):
    if not ours(x, g, mean, r, weight) or not x.size:
        return reference.layer_norm_gradients(g, x, mean, r, weight)
    g, x, mean, r, weight = contiguous(g, x, mean, r, weight)
    rows, columns = math.prod(x.shape[: x.ndim - weight.ndim]), weight.size
    dx = xp.empty_like(x)
    by_rows("normalization", "layer_norm_gradient", rows, x.dtype, g, x, mean, r, weight, dx, rows, columns)
    dw, db = _sums(g, x, mean, r, True, rows, columns)
    return dx, dw.reshape(weight.shape), db.reshape(weight.shape)
