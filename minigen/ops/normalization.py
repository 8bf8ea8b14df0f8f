"""Normalisation and dropout. With μ and σ² the mean and variance of x, both normalisations are

    y = w ⊙ (x − μ) / √(σ² + ε) + b

and differ in what they average over: batch norm over the samples and positions of one channel, layer norm over the
features of one sample. `minigen.kernels.reference.normalization` has the gradients.

Where several processes share a batch (:mod:`minigen.distributed`), batch norm averages over all of it.
"""

from __future__ import annotations

import math

from .. import backend, distributed, kernels
from ..errors import ConfigError, DtypeError, ShapeError
from ..tensor import primitive
from .elementwise import sqrt
from .reduction import mean, var
from .shape import reshape


def _per_channel(a, x):
    """A vector (C,) in a shape that meets the channels of x (N, C, …)."""
    return reshape(a, (1, -1, *(1,) * (x.ndim - 2)))


@primitive(lambda g: _over_processes(g))
def _over_processes(x):
    """y = Σⱼ wⱼ xⱼ, the mean over the processes        ∂L/∂x = Σⱼ wⱼ gⱼ

    A process differentiates its own Lᵢ, and L = Σᵢ wᵢ Lᵢ: what it calls g is ∂L/∂y / wᵢ. With ∂y/∂xᵢ = wᵢ the sum of
    ∂L/∂y over all j, times wᵢ and over wᵢ, is the mean again.
    """
    return distributed.mean(x.copy())[0]


def _moments(x):
    """μ, σ² per channel of the batch, of which x may be a shard: σ² = Σⱼ wⱼ (σ²ⱼ + (μⱼ − μ)²)    (Chan et al. 1983)"""
    center, variance = kernels.channel_moments(x)
    if distributed.alone():
        return center, variance
    (common,) = distributed.mean(center)
    (variance,) = distributed.mean(variance + (center - common) ** 2)
    return common, variance


def _batch_norm_gradients(g, x, weight, bias, r, eps):
    """Those of a whole batch; for a shard the means of g and g ⊙ x̂ in ∂L/∂x are then replaced by those of the batch"""
    dx, dw, db = kernels.batch_norm_gradients(g, x, *r, weight)
    if not distributed.alone():
        center, scale = r
        more_w, more_b = (own - common for own, common in zip((dw, db), distributed.mean(dw, db)))
        k = scale * weight / (x.size // x.shape[1])
        dx += kernels.batch_norm(x, center, scale, k * more_w, k * more_b)
    return dx, dw, db


def _composed_batch_norm(x, weight, bias, *, eps):
    axes = (0, *range(2, x.ndim))
    common = (lambda a: a) if distributed.alone() else _over_processes
    centred = x - common(mean(x, axes, keepdims=True))
    variance = common(mean(centred * centred, axes, keepdims=True))
    return centred / sqrt(variance + eps) * _per_channel(weight, x) + _per_channel(bias, x)


@primitive(joint=_batch_norm_gradients, composed=_composed_batch_norm, residual=True)
def _batch_norm(x, weight, bias, *, running_mean, running_var, momentum, eps):
    """y = w ⊙ (x − μ) / √(σ² + ε) + b with the mean and variance of this batch; moves the running ones"""
    center, variance = _moments(x)
    n = distributed.whole(x.size // x.shape[1])
    r = kernels.batch_scale(center, variance, running_mean, running_var, n, momentum, eps)
    return kernels.batch_norm(x, center, r, weight, bias), (center, r)


def batch_norm(x, weight, bias, running_mean, running_var, training, momentum=0.1, eps=1e-5):
    """y = w_c (x − μ_c) / √(σ²_c + ε) + b_c per channel c        (N, C, …) -> (N, C, …)        (Ioffe & Szegedy 2015)

    In training, μ and σ² are those of this batch, over all axes but the channels (σ² with 1/n), and the running
    statistics follow them in place: r ← (1 − momentum) r + momentum · s, where the variance s has 1/(n − 1). Otherwise
    the running statistics take the place of μ and σ². They are buffers, not inputs: no gradient flows to them; None in
    training means that nobody keeps them.
    """
    if x.ndim < 2:
        raise ShapeError(f"batch_norm: expected x of shape (N, C, …), got {x.shape}.")
    for name, a in {"weight": weight, "bias": bias, "running_mean": running_mean, "running_var": running_var}.items():
        if a is None and training and name.startswith("running"):
            continue
        if a is None or a.shape != (x.shape[1],):
            raise ShapeError(
                f"batch_norm: {name} must have shape ({x.shape[1]},), one number for each channel of x {x.shape}, "
                f"got {None if a is None else a.shape}."
            )
    if not training:
        r = 1 / sqrt(_per_channel(running_var, x) + eps)
        return (x - _per_channel(running_mean, x)) * (r * _per_channel(weight, x)) + _per_channel(bias, x)
    if distributed.whole(x.shape[0] * math.prod(x.shape[2:])) < 2:
        raise ShapeError(
            f"batch_norm: in training each channel needs more than one value to have a variance, got x of shape "
            f"{x.shape}; use a larger batch, or training=False."
        )
    return _batch_norm(x, weight, bias, running_mean=running_mean, running_var=running_var, momentum=momentum, eps=eps)


def _composed_layer_norm(x, weight, bias, *, eps):
    axes = tuple(range(-weight.ndim, 0))
    return (x - mean(x, axes, keepdims=True)) / sqrt(var(x, axes, keepdims=True) + eps) * weight + bias


@primitive(
    joint=lambda g, x, weight, bias, r, eps: kernels.layer_norm_gradients(g, x, *r, weight),
    composed=_composed_layer_norm,
    residual=True,
)
def _layer_norm(x, weight, bias, *, eps):
    """y = w ⊙ (x − μ) / √(σ² + ε) + b with the mean and variance of each sample"""
    y, *r = kernels.layer_norm(x, weight, bias, eps)
    return y, r


def layer_norm(x, normalized_shape, weight, bias, eps=1e-5):
    """y = w ⊙ (x − μ) / √(σ² + ε) + b for each sample        (…, *D), D, D -> (…, *D)        (Ba et al. 2016)

    μ and σ² (with 1/n) are taken over the trailing axes D = `normalized_shape`, a number for one axis; w and b have
    that shape.
    """
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    if not shape or x.shape[-len(shape) :] != shape:
        raise ShapeError(f"layer_norm: x must end in the axes normalized_shape {shape}, got {x.shape}.")
    for name, a in {"weight": weight, "bias": bias}.items():
        if a.shape != shape:
            raise ShapeError(f"layer_norm: {name} must have the shape normalized_shape {shape}, got {a.shape}.")
    return _layer_norm(x, weight, bias, eps=eps)


@primitive(lambda g, r: g * r, residual=True)
def _dropout(x, *, p, rng):
    """y = x ⊙ m, m = 0 with probability p, else 1 / (1 − p)"""
    mask = (backend.uniform(rng, x.shape) >= p).astype(x.dtype)
    mask *= 1 / (1 - p)
    return x * mask, mask


def dropout(x, p, rng, training):
    """y = x ⊙ m with m = 0 with probability p, else 1 / (1 − p); y = x unless training        (Srivastava et al. 2014)

    E[m] = 1, so nothing needs to be scaled when sampling ("inverted" dropout).        ∂L/∂x = g ⊙ m
    `rng` draws the mask, one number for each element of x in row-major order.
    """
    if not 0 <= p < 1:
        raise ConfigError(f"dropout: the probability p must lie in [0, 1), got {p}.")
    if not training or p == 0:
        return x
    if x.dtype.kind != "f":
        raise DtypeError(f"dropout: expected floating-point x, got {x.dtype}.")
    return _dropout(x, p=p, rng=rng)
