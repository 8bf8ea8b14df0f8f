"""Batch and layer normalisation, forward and backward.

In both, x̂ = (x − μ) r with r = 1 / √(σ² + ε), and y = w ⊙ x̂ + b. They differ in the axes over which the mean μ and
the variance σ² = mean (x − μ)² are taken. With g = ∂L/∂y and h = w ⊙ g, means over those same axes:

    ∂L/∂x = r (h − mean h − x̂ ⊙ mean (h ⊙ x̂)),   ∂L/∂w = Σ g ⊙ x̂,   ∂L/∂b = Σ g

The two subtracted means are the paths through μ and through σ².
"""

from __future__ import annotations

from ...backend import xp

__all__ = ["batch_norm", "batch_norm_gradients", "batch_scale", "channel_moments", "layer_norm", "layer_norm_gradients"]


def _all_but_channels(x):
    return (0, *range(2, x.ndim))


def _per_channel(a, x):
    """A vector (C,) in a shape that meets the channels of x (N, C, …)."""
    return a.reshape(1, -1, *(1,) * (x.ndim - 2))


def channel_moments(x):
    """μ_c = mean of x over all axes but c,   σ²_c = mean (x − μ_c)²        (N, C, …) -> (C,), (C,)"""
    axes = _all_but_channels(x)
    mean = xp.mean(x, axis=axes)
    centred = x - _per_channel(mean, x)
    return mean, xp.mean(centred * centred, axis=axes)


def batch_scale(mean, variance, running_mean, running_var, n, momentum, eps):
    """r = 1 / √(σ² + ε); the running moments, where there are any, follow in place        (C,), … -> (C,)

    running ← running + momentum (s − running), s being μ, or σ² n / (n − 1), of the n values of this batch.
    """
    if running_mean is not None:
        running_mean += momentum * (mean - running_mean)
    if running_var is not None:
        running_var += momentum * (variance * (n / (n - 1)) - running_var)
    return 1 / xp.sqrt(variance + eps)


def batch_norm(x, mean, r, weight, bias):
    """y = (x − μ_c) r_c w_c + b_c        (N, C, …), four (C,) -> (N, C, …)"""
    y = x - _per_channel(mean, x)
    y *= _per_channel(r * weight, x)
    y += _per_channel(bias, x)
    return y


def batch_norm_gradients(g, x, mean, r, weight):
    """∂L/∂x, ∂L/∂w, ∂L/∂b as above, μ and r (C,) taken over all axes but the channels (w comes out of the means)"""
    axes, n = _all_but_channels(x), max(1, x.size // x.shape[1])
    normal = (x - _per_channel(mean, x)) * _per_channel(r, x)
    dw, db = xp.sum(g * normal, axis=axes), xp.sum(g, axis=axes)
    dx = normal  # in the memory order of x
    dx *= _per_channel(dw / -n, x)
    dx += g
    dx -= _per_channel(db / n, x)
    dx *= _per_channel(r * weight, x)
    return dx, dw, db


def layer_norm(x, weight, bias, eps):
    """y = w ⊙ (x − μ) r + b; also μ and r        (…, *D), two D -> (…, *D), two (…, 1 for each of D)

    μ and r = 1 / √(σ² + ε) belong to one sample: they are taken over the trailing axes D that w has.
    """
    axes = tuple(range(-weight.ndim, 0))
    mean = xp.mean(x, axis=axes, keepdims=True)
    y = x - mean
    r = 1 / xp.sqrt(xp.mean(y * y, axis=axes, keepdims=True) + eps)
    y *= r
    y *= weight
    y += bias
    return y, mean, r


def layer_norm_gradients(g, x, mean, r, weight):
    """∂L/∂x, ∂L/∂w, ∂L/∂b as above, μ and r taken over the trailing axes that w has"""
    axes, samples = tuple(range(-weight.ndim, 0)), tuple(range(x.ndim - weight.ndim))
    normal = (x - mean) * r
    dw, db = xp.sum(g * normal, axis=samples), xp.sum(g, axis=samples)
    h = g * weight
    slope = xp.mean(h * normal, axis=axes, keepdims=True)
    h -= xp.mean(h, axis=axes, keepdims=True)
    normal *= slope
    h -= normal
    h *= r
    return h, dw, db
