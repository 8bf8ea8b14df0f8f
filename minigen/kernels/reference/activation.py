"""Activations that take several passes over memory in array code: (leaky) ReLU, and the Gaussian error linear unit
y = x Φ(x), Φ(x) = ½ (1 + erf(x/√2)), φ(x) = Φ′(x) = e^(−x²/2) / √(2π), and the gated unit of WaveNet."""

from __future__ import annotations

import math

from ... import backend
from ...backend import xp

__all__ = ["gate", "gated", "gated_gradients", "gelu", "gelu_gradient"]


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


def sigmoid(x):
    """σ(x) = 1 / (1 + e⁻ˣ), without overflow"""
    return xp.exp(xp.minimum(x, 0)) / (1 + xp.exp(-xp.abs(x)))


def _filter_and_gate(a, c):
    """tanh(f) and σ(u), where (f | u) = a_t + c"""
    f, u = xp.split(a + c[:, None], 2, axis=2)
    return xp.tanh(f), sigmoid(u)


def gated(a, c):
    """z = tanh(f) ⊙ σ(u)        (N, T, 2 C), (N, 2 C) -> (N, T, C)"""
    filtered, gate = _filter_and_gate(a, c)
    return filtered * gate


def gated_gradients(g, a, c):
    """∂L/∂a = (g ⊙ σ(u) ⊙ (1 − tanh² f) | g ⊙ tanh f ⊙ σ(u) ⊙ (1 − σ(u))), and its sum over t, ∂L/∂c"""
    filtered, gate = _filter_and_gate(a, c)
    da = xp.concatenate([g * gate * (1 - filtered * filtered), g * filtered * gate * (1 - gate)], axis=2)
    return da, da.sum(axis=1)
