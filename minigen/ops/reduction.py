"""Operations along axes: sums, means, extremes, products, softmax.

`axis` is None (all axes), a number or a tuple, as in NumPy; n is the number of elements that one result takes in.
With `keepdims` the collapsed axes stay, with length 1. Shapes: (…) -> (… without `axis`) where nothing else is said.
"""

from __future__ import annotations

import math

from numpy.lib.array_utils import normalize_axis_tuple

from .. import kernels
from ..backend import xp
from ..tensor import primitive
from .elementwise import exp
from .shape import flip, moveaxis, pad, reshape, stack


def _kept_shape(shape: tuple[int, ...], axis: int | tuple[int, ...] | None) -> tuple[int, ...]:
    """`shape` with the reduced axes kept at length 1."""
    if axis is None:
        return (1,) * len(shape)
    axes = {a % (len(shape) or 1) for a in (axis if isinstance(axis, tuple) else (axis,))}
    return tuple(1 if i in axes else n for i, n in enumerate(shape))


def _kept(g, shape, axis):
    """The result of a reduction as it would be with `keepdims`, so that it broadcasts against the operand."""
    shape = _kept_shape(shape, axis)
    return g if g.shape == shape else reshape(g, shape)


def _count(shape, axis):
    """n: how many elements one result takes in (1 instead of 0, where there is no gradient to divide)."""
    return _numbers(shape, axis) or 1


def _numbers(shape, axis):
    """n, also where it is 0"""
    return math.prod(n for n, k in zip(shape, _kept_shape(shape, axis)) if k == 1)


# -- sums and means ---------------------------------------------------------------------------------------------------


@primitive(lambda g, x_shape, axis: _spread(g, x_shape, axis))
def sum(x, axis=None, keepdims=False):
    """y = Σ x over `axis`        ∂L/∂x = g, repeated along `axis`"""
    return kernels.sums(x, axis, keepdims)


@primitive(lambda g, x_shape, axis: reshape(sum(g, axis), x_shape))
def _spread(x, shape, axis):
    """y of `shape` repeats x along `axis`, with or without `keepdims`: the adjoint of sum        ∂L/∂x = Σ g"""
    return xp.broadcast_to(x if axis is None else xp.reshape(x, _kept_shape(shape, axis)), shape)


@primitive(lambda g, x_shape, axis: _spread(g / _count(x_shape, axis), x_shape, axis))
def mean(x, axis=None, keepdims=False):
    """y = x̄ = 1/n Σ x over `axis`        ∂L/∂x = g / n, repeated along `axis`"""
    if not x.size and not _numbers(x.shape, axis):
        raise ValueError("there is no mean of no numbers")
    return xp.mean(x, axis=axis, keepdims=keepdims)


@primitive(
    lambda g, x, axis, ddof: _kept(2 * g / (_count(x.shape, axis) - ddof), x.shape, axis) * (x - mean(x, axis, True))
)
def var(x, axis=None, ddof=0, keepdims=False):
    """y = 1/(n − ddof) Σ (x − x̄)² over `axis`        ∂L/∂x = 2 g ⊙ (x − x̄) / (n − ddof)

    ddof = 0 is the variance of the numbers themselves (batch norm), ddof = 1 the unbiased estimate from a sample.
    """
    if _numbers(x.shape, axis) <= ddof:
        raise ValueError(f"there is no variance of {_numbers(x.shape, axis)} numbers with ddof = {ddof}")
    return xp.var(x, axis=axis, ddof=ddof, keepdims=keepdims)


@primitive(lambda g, x_shape, axis: reshape(_sum_from(g, -1 if axis is None else axis), x_shape))
def cumsum(x, axis=None):
    """yᵢ = Σ_{j≤i} xⱼ along `axis` (None: of x flattened)        ∂L/∂xᵢ = Σ_{j≥i} gⱼ        (…) -> (…)"""
    return xp.cumsum(x, axis=axis)


def _sum_from(g, axis):
    """Σ_{j≥i} gⱼ"""
    return flip(cumsum(flip(g, axis), axis), axis)


# -- products ---------------------------------------------------------------------------------------------------------


@primitive(lambda g, x, axis: _spread(g, x.shape, axis) * _others(x, axis))
def prod(x, axis=None, keepdims=False):
    """y = Π x over `axis`        ∂L/∂xᵢ = g Π_{j≠i} xⱼ (and not g y / xᵢ, which is 0/0 where xᵢ = 0)"""
    return xp.prod(x, axis=axis, keepdims=keepdims)


def _others(x, axis):
    """Π_{j≠i} xⱼ over `axis`, for every i"""
    axes = tuple(range(x.ndim)) if axis is None else normalize_axis_tuple(axis, x.ndim)
    last = tuple(range(x.ndim - len(axes), x.ndim))
    moved = moveaxis(x, axes, last)
    row = reshape(moved, (*moved.shape[: x.ndim - len(axes)], math.prod(moved.shape[a] for a in last)))
    return moveaxis(reshape(_others_in_row(row), moved.shape), last, axes)


def _others_in_row(x):
    """Π_{j≠i} xⱼ along the last axis: one's partner in a pair, times all the other pairs, found in the same way."""
    n = x.shape[-1]
    if n < 2:
        return _ones(x)  # the empty product
    if n % 2:
        x = pad(x, [(0, 0)] * (x.ndim - 1) + [(0, 1)], 1.0)
    a, b = x[..., 0::2], x[..., 1::2]
    pairs = _others_in_row(a * b)
    return reshape(stack([pairs * b, pairs * a], -1), x.shape)[..., :n]


@primitive(None)
def _ones(x):
    return xp.ones_like(x)


# -- extremes ---------------------------------------------------------------------------------------------------------


@primitive(lambda g, y, x, axis: _kept(g, x.shape, axis) * _shares(x, _kept(y, x.shape, axis), axis))
def max(x, axis=None, keepdims=False):
    """y = max x over `axis`        ∂L/∂x = g at the largest element, in equal shares where several are"""
    return xp.max(x, axis=axis, keepdims=keepdims)


@primitive(lambda g, y, x, axis: _kept(g, x.shape, axis) * _shares(x, _kept(y, x.shape, axis), axis))
def min(x, axis=None, keepdims=False):
    """y = min x over `axis`        ∂L/∂x = g at the smallest element, in equal shares where several are"""
    return xp.min(x, axis=axis, keepdims=keepdims)


@primitive(None, None)
def _shares(x, y, axis):
    """1/k at the k elements of x that equal y, 0 elsewhere"""
    hit = (x == y).astype(x.dtype)
    return hit / xp.sum(hit, axis=axis, keepdims=True)


# -- exponentials -----------------------------------------------------------------------------------------------------


@primitive(lambda g, x, axis: _kept(g, x.shape, axis) * softmax(x, axis))
def logsumexp(x, axis=None, keepdims=False):
    """y = ln Σ eˣ = m + ln Σ e^(x−m) over `axis`, m = max x        ∂L/∂x = g ⊙ softmax(x)

    e^(x−y) would be the same, but under a large m the logarithm has lost its digits in y.
    """
    m = xp.max(x, axis=axis, keepdims=True)
    m = xp.where(xp.isfinite(m), m, 0)  # so that ln Σ of nothing but e^(−∞) is −∞
    y = m + xp.log(xp.sum(xp.exp(x - m), axis=axis, keepdims=True))
    return y if keepdims else xp.squeeze(y, axis=axis) if axis is not None else xp.reshape(y, ())


@primitive(lambda g, y, axis: y * (g - sum(g * y, axis, True)))
def softmax(x, axis=-1):
    """yᵢ = e^(xᵢ) / Σⱼ e^(xⱼ) along `axis`        ∂L/∂x = y ⊙ (g − Σ g ⊙ y)        (…) -> (…)"""
    y = xp.exp(x - xp.max(x, axis=axis, keepdims=True))
    y /= xp.sum(y, axis=axis, keepdims=True)
    return y


@primitive(lambda g, y, axis: g - exp(y) * sum(g, axis, True))
def log_softmax(x, axis=-1):
    """yᵢ = xᵢ − ln Σⱼ e^(xⱼ) along `axis`        ∂L/∂x = g − e^y Σ g        (…) -> (…)"""
    y = x - xp.max(x, axis=axis, keepdims=True)
    y -= xp.log(xp.sum(xp.exp(y), axis=axis, keepdims=True))
    return y
