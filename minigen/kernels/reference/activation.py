"""Activations that take several passes over memory in array code: (leaky) ReLU, and the Gaussian error linear unit
y = x Φ(x), Φ(x) = ½ (1 + erf(x/√2)), φ(x) = Φ′(x) = e^(−x²/2) / √(2π)."""

from __future__ import annotations

import math

from ... import backend
from ...backend import xp

__all__ = ["gate", "gelu", "gelu_gradient"]


def gate(x, g, a):
    """y = g where x > 0, else a g        (…), (…) -> (…)

    With g = x it is the leaky ReLU, with g = ∂L/∂y its gradient; with a = 0 they are those of the ReLU.
    """
    return xp.where(x > 0, g, a * g)


def _cdf(x):
    """Φ(x)"""
    return 0.5 * (1 + backend.erf(x / math.sqrt(2)))


def gelu(x):
    """y = x Φ(x)        (…) -> (…)"""
    return x * _cdf(x)


def gelu_gradient(g, x):
    """∂L/∂x = g ⊙ (Φ(x) + x φ(x))        (…), (…) -> (…)"""
    return g * (_cdf(x) + x * xp.exp(-0.5 * x * x) / math.sqrt(2 * math.pi))
