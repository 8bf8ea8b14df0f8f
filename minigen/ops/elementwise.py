"""Operations on each element, with broadcasting: arithmetic, powers, exponentials, activations, choices.

Shapes: (…), (…) -> (…) broadcast as in NumPy. Here ⊙ is the product of elements, g = ∂L/∂y, and a rule names what it
needs (see `minigen.tensor`). Where a function has a kink, the rule gives the value named in its docstring.
"""

from __future__ import annotations

import math

from .. import backend, kernels
from ..backend import xp
from ..errors import ShapeError
from ..tensor import primitive
from .shape import expand_dims, split

# -- arithmetic -------------------------------------------------------------------------------------------------------


@primitive(lambda g: g, lambda g: g)
def add(x, w):
    """y = x + w        ∂L/∂x = ∂L/∂w = g"""
    return kernels.add(x, w) if backend.is_array(x) else x + w


@primitive(lambda g: g, lambda g: -g)
def subtract(x, w):
    """y = x − w        ∂L/∂x = g, ∂L/∂w = −g"""
    return x - w


@primitive(lambda g, w: g * w, lambda g, x: g * x)
def multiply(x, w):
    """y = x ⊙ w        ∂L/∂x = g ⊙ w, ∂L/∂w = g ⊙ x"""
    return x * w


@primitive(lambda g, w: g / w, lambda g, y, w: -g * y / w)
def divide(x, w):
    """y = x / w        ∂L/∂x = g / w, ∂L/∂w = −g ⊙ y / w"""
    return x / w


@primitive(lambda g: -g)
def negative(x):
    """y = −x        ∂L/∂x = −g"""
    return -x


def _less_one(p):
    """p − 1, the exponent of the derivative p xᵖ⁻¹; 1 where p = 0, so that 0 xᵖ⁻¹ is 0 at x = 0 too."""
    if isinstance(p, int | float):
        return p - 1 if p else 1
    return where(p == 0, 1.0, p - 1)


@primitive(
    lambda g, x, p: g * p * x ** _less_one(p),
    lambda g, y, x: g * y * log(where(x > 0, x, 1.0)),
)
def power(x, p):
    """y = xᵖ        ∂L/∂x = g ⊙ p xᵖ⁻¹ (0 where p = 0), ∂L/∂p = g ⊙ y ln x (0 where x ≤ 0)"""
    return x**p


@primitive(lambda g, x: 2 * g * x)
def square(x):
    """y = x²        ∂L/∂x = 2 g ⊙ x"""
    return x * x


@primitive(lambda g, y: g / (2 * y))
def sqrt(x):
    """y = √x        ∂L/∂x = g / (2y), infinite at 0"""
    return xp.sqrt(x)


@primitive(lambda g, x: g * sign(x))
def abs(x):
    """y = |x|        ∂L/∂x = g ⊙ sign x (0 at 0)"""
    return xp.abs(x)


@primitive(None)
def sign(x):
    """y = −1, 0 or 1; constant almost everywhere, so no gradient flows"""
    return xp.sign(x)


# -- exponentials and waves -------------------------------------------------------------------------------------------


@primitive(lambda g, y: g * y)
def exp(x):
    """y = eˣ        ∂L/∂x = g ⊙ y"""
    return xp.exp(x)


@primitive(lambda g, x: g * exp(x))
def expm1(x):
    """y = eˣ − 1, exact near 0        ∂L/∂x = g ⊙ eˣ"""
    return xp.expm1(x)


@primitive(lambda g, x: g / x)
def log(x):
    """y = ln x        ∂L/∂x = g / x"""
    return xp.log(x)


@primitive(lambda g, x: g / (1 + x))
def log1p(x):
    """y = ln(1 + x), exact near 0        ∂L/∂x = g / (1 + x)"""
    return xp.log1p(x)


@primitive(lambda g, x: g * cos(x))
def sin(x):
    """y = sin x        ∂L/∂x = g ⊙ cos x"""
    return xp.sin(x)


@primitive(lambda g, x: -g * sin(x))
def cos(x):
    """y = cos x        ∂L/∂x = −g ⊙ sin x"""
    return xp.cos(x)


@primitive(lambda g, y: g * (1 - y * y))
def tanh(x):
    """y = tanh x        ∂L/∂x = g ⊙ (1 − y²)"""
    return xp.tanh(x)


@primitive(lambda g, x: g * (2 / math.sqrt(math.pi)) * exp(-x * x))
def erf(x):
    """y = erf x = 2/√π ∫₀ˣ e^(−t²) dt        ∂L/∂x = g ⊙ 2/√π e^(−x²)"""
    return backend.erf(x)


# -- activations ------------------------------------------------------------------------------------------------------


@primitive(lambda g, y: g * y * (1 - y))
def sigmoid(x):
    """y = σ(x) = 1 / (1 + e⁻ˣ), without overflow        ∂L/∂x = g ⊙ y ⊙ (1 − y)"""
    return xp.exp(xp.minimum(x, 0)) / (1 + xp.exp(-xp.abs(x)))


@primitive(lambda g, x: g * sigmoid(x))
def softplus(x):
    """y = ln(1 + eˣ) = max(x, 0) + ln(1 + e^(−|x|))        ∂L/∂x = g ⊙ σ(x)"""
    return xp.maximum(x, 0) + xp.log1p(xp.exp(-xp.abs(x)))


@primitive(None, lambda g, x, a: _gate(x, g, a=a))
def _gate(x, u, *, a):
    """y = u where x > 0, else a u        ∂L/∂u = g where x > 0, else a g; constant in x almost everywhere"""
    return kernels.gate(x, u, a)


@primitive(lambda g, y: _gate(y, g, a=0.0))
def relu(x):
    """y = max(x, 0)        ∂L/∂x = g where x > 0, else 0        (Nair & Hinton 2010)"""
    return kernels.relu(x) if backend.is_array(x) else xp.maximum(x, 0)


@primitive(lambda g, x, negative_slope: _gate(x, g, a=negative_slope))
def leaky_relu(x, negative_slope=0.01):
    """y = x where x > 0, else a x        ∂L/∂x = g where x > 0, else a g        (Maas et al. 2013)"""
    return kernels.gate(x, x, negative_slope)


@primitive(lambda g, x, alpha: where(x > 0, g, g * alpha * exp(minimum(x, 0.0))))
def elu(x, alpha=1.0):
    """y = x where x > 0, else α (eˣ − 1)        ∂L/∂x = g where x > 0, else g α eˣ        (Clevert et al. 2016)"""
    return xp.where(x > 0, x, alpha * xp.expm1(xp.minimum(x, 0)))


def _composed_gelu(x):
    return 0.5 * x * (1 + erf(x / math.sqrt(2)))


@primitive(joint=lambda g, x: (kernels.gelu_gradient(g, x),), composed=_composed_gelu)
def gelu(x):
    """y = x Φ(x), Φ(x) = ½ (1 + erf(x/√2))        ∂L/∂x = g ⊙ (Φ(x) + x φ(x))        (Hendrycks & Gimpel 2016)

    φ(x) = e^(−x²/2) / √(2π) is the density of the standard normal distribution and Φ its integral.
    """
    return kernels.gelu(x)


def _composed_gated(a, c):
    f, u = split(a + expand_dims(c, 1), 2, axis=2)
    return tanh(f) * sigmoid(u)


@primitive(joint=lambda g, a, c: kernels.gated_gradients(g, a, c), composed=_composed_gated)
def gated(a, c):
    """z_t = tanh(f_t) ⊙ σ(u_t), where (f_t | u_t) = a_t + c        (N, T, 2 C), (N, 2 C) -> (N, T, C)

    The gated unit of WaveNet under a condition c that is the same at all times (van den Oord et al. 2016, eq. 3).
    ∂L/∂f = g ⊙ σ(u) ⊙ (1 − tanh² f),   ∂L/∂u = g ⊙ tanh f ⊙ σ(u) ⊙ (1 − σ(u)),   ∂L/∂c is their sum over t
    """
    if a.ndim != 3 or a.shape[2] % 2 or c.shape != (a.shape[0], a.shape[2]):
        raise ShapeError(f"gated: expected a (N, T, 2 C) and c (N, 2 C), got {tuple(a.shape)} and {tuple(c.shape)}.")
    return kernels.gated(a, c)


@primitive(lambda g, x: g * sigmoid(x) * (1 + x * sigmoid(-x)))
def silu(x):
    """y = x σ(x)        ∂L/∂x = g ⊙ σ(x) (1 + x σ(−x))        (Elfwing et al. 2018)"""
    return x * sigmoid(x)


# -- choices ----------------------------------------------------------------------------------------------------------


@primitive(
    None,
    lambda g, condition: where(condition, g, 0.0),
    lambda g, condition: where(condition, 0.0, g),
)
def where(condition, x, w):
    """y = x where the condition holds, else w        the gradient follows the choice"""
    return xp.where(condition, x, w)


@primitive(
    lambda g, x, w: where(x == w, 0.5 * g, where(x > w, g, 0.0)),
    lambda g, x, w: where(x == w, 0.5 * g, where(x < w, g, 0.0)),
)
def maximum(x, w):
    """y = max(x, w)        the gradient goes to the larger one, half to each where they are equal"""
    return xp.maximum(x, w)


@primitive(
    lambda g, x, w: where(x == w, 0.5 * g, where(x < w, g, 0.0)),
    lambda g, x, w: where(x == w, 0.5 * g, where(x > w, g, 0.0)),
)
def minimum(x, w):
    """y = min(x, w)        the gradient goes to the smaller one, half to each where they are equal"""
    return xp.minimum(x, w)


@primitive(lambda g, x, low, high: g * ((x >= low) & (x <= high)))
def clip(x, *, low, high):
    """y = min(max(x, low), high)        ∂L/∂x = g inside [low, high], 0 outside"""
    return xp.minimum(xp.maximum(x, low), high)


# -- comparisons: Tensors of truth values, through which no gradient flows ---------------------------------------------


@primitive(None, None)
def equal(x, w):
    """y = (x = w)"""
    return x == w


@primitive(None, None)
def not_equal(x, w):
    """y = (x ≠ w)"""
    return x != w


@primitive(None, None)
def less(x, w):
    """y = (x < w)"""
    return x < w


@primitive(None, None)
def less_equal(x, w):
    """y = (x ≤ w)"""
    return x <= w


@primitive(None, None)
def greater(x, w):
    """y = (x > w)"""
    return x > w


@primitive(None, None)
def greater_equal(x, w):
    """y = (x ≥ w)"""
    return x >= w


@primitive(None, None)
def logical_and(x, w):
    """y = x and w"""
    return xp.logical_and(x, w)


@primitive(None, None)
def logical_or(x, w):
    """y = x or w"""
    return xp.logical_or(x, w)


@primitive(None)
def logical_not(x):
    """y = not x"""
    return xp.logical_not(x)
