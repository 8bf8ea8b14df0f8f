"""How weights start, by the names of the papers: each function draws one array from an explicit generator.

``f(rng, shape, dtype=None) -> array`` on the current backend; numbers are drawn on the host, in float32 by default.
A weight has the layout (outputs, inputs, *kernel). With K = Π kernel,

    fan_in = inputs · K        fan_out = outputs · K

A transposed convolution keeps its weight as (inputs, outputs, *kernel), so that its two fans change places: what is
kept in balance is then the convolution of which it is the adjoint.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import backend
from ..backend import Array, xp
from ..errors import ShapeError

__all__ = [
    "dcgan", "fans", "glorot_normal", "glorot_uniform", "he_normal", "he_uniform", "lecun_normal", "lecun_uniform",
    "ones", "orthogonal", "torch_default", "zeros",
]  # fmt: skip

Shape = tuple[int, ...]


def fans(shape: Shape) -> tuple[int, int]:
    """(fan_in, fan_out) of a weight (outputs, inputs, *kernel). Raises ShapeError below two axes."""
    if len(shape) < 2:
        raise ShapeError(f"init: expected a weight (outputs, inputs, ...), got shape {shape}; biases start with zeros.")
    kernel = math.prod(shape[2:])
    return shape[1] * kernel, shape[0] * kernel


def _uniform(rng: Any, shape: Shape, variance: float, dtype: Any) -> Array:
    """U(−a, a) with a = √(3 Var), since Var U(−a, a) = a²/3."""
    bound = math.sqrt(3 * variance)
    return bound * (2 * backend.uniform(rng, shape, dtype) - 1)


def _normal(rng: Any, shape: Shape, variance: float, dtype: Any) -> Array:
    return math.sqrt(variance) * backend.normal(rng, shape, dtype)


def glorot_uniform(rng: Any, shape: Shape, dtype: Any = None) -> Array:
    """U(−a, a), a = √(6 / (fan_in + fan_out))        Var w = 2 / (fan_in + fan_out)

    Glorot & Bengio 2010, eq. 16: the mean of what the forward and the backward pass each ask for; for tanh.
    """
    return _uniform(rng, shape, 2 / sum(fans(shape)), dtype)


def glorot_normal(rng: Any, shape: Shape, dtype: Any = None) -> Array:
    """N(0, Var w)        Var w = 2 / (fan_in + fan_out)        Glorot & Bengio 2010, eq. 12"""
    return _normal(rng, shape, 2 / sum(fans(shape)), dtype)


def he_uniform(rng: Any, shape: Shape, dtype: Any = None) -> Array:
    """U(−a, a), a = √(6 / fan_in)        Var w = 2 / fan_in        He et al. 2015, as a uniform distribution"""
    return _uniform(rng, shape, 2 / fans(shape)[0], dtype)


def he_normal(rng: Any, shape: Shape, dtype: Any = None) -> Array:
    """N(0, Var w)        Var w = 2 / fan_in        He et al. 2015, eq. 10: a ReLU passes half of the variance"""
    return _normal(rng, shape, 2 / fans(shape)[0], dtype)


def lecun_normal(rng: Any, shape: Shape, dtype: Any = None) -> Array:
    """N(0, Var w)        Var w = 1 / fan_in        LeCun et al. 1998, §4.6"""
    return _normal(rng, shape, 1 / fans(shape)[0], dtype)


def lecun_uniform(rng: Any, shape: Shape, dtype: Any = None) -> Array:
    """U(−a, a), a = √(3 / fan_in)        Var w = 1 / fan_in        LeCun et al. 1998, as a uniform one"""
    return _uniform(rng, shape, 1 / fans(shape)[0], dtype)


def orthogonal(rng: Any, shape: Shape, dtype: Any = None) -> Array:
    """W Wᵀ = I or Wᵀ W = I, whichever fits the flattened (outputs, inputs · K)        Saxe et al. 2014

    Var w = 1 / max(outputs, fan_in). W is Q of the QR decomposition of a normal matrix, its columns' signs set by the
    diagonal of R, which makes it uniform over all such matrices (Mezzadri 2007). Drawn in float64, then rounded.
    """
    rows, columns = shape[0], fans(shape)[0]
    gaussian = rng.standard_normal((max(rows, columns), min(rows, columns)))
    q, r = np.linalg.qr(gaussian)
    q *= np.where(np.diagonal(r) < 0, -1.0, 1.0)
    w = q if rows >= columns else q.T
    return backend.asarray(np.ascontiguousarray(w).reshape(shape), np.dtype(dtype or backend.default_dtype))


def dcgan(rng: Any, shape: Shape, dtype: Any = None) -> Array:
    """N(0, 0.02²)        Var w = 0.0004, for every shape        Radford et al. 2016, §4"""
    return _normal(rng, shape, 0.02**2, dtype)


def torch_default(rng: Any, shape: Shape, dtype: Any = None) -> Array:
    """U(−a, a), a = 1 / √fan_in        Var w = 1 / (3 fan_in)        what PyTorch's layers start with

    There it is written as He's uniform distribution for a leaky ReLU of slope √5: 2 / ((1 + 5) fan_in).
    """
    return _uniform(rng, shape, 1 / (3 * fans(shape)[0]), dtype)


def zeros(rng: Any, shape: Shape, dtype: Any = None) -> Array:
    """w = 0        Var w = 0; for biases and shifts (nothing is drawn)"""
    return backend.asarray(xp.zeros(shape, dtype or backend.default_dtype))


def ones(rng: Any, shape: Shape, dtype: Any = None) -> Array:
    """w = 1        Var w = 0; for scales (nothing is drawn)"""
    return backend.asarray(xp.ones(shape, dtype or backend.default_dtype))
