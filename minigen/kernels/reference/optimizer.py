"""Update steps of the optimizers, and clipping. Each changes p and its running averages in place; g is the gradient
∂L/∂p."""

from __future__ import annotations

import math

from ...backend import xp

__all__ = ["adam_step", "adam_steps", "clip_norm", "rmsprop_step", "sgd_step"]


def sgd_step(p, g, m, lr, momentum, nesterov, weight_decay):
    """g ← g + λ p,   m ← μ m + g,   p ← p − η m    (Nesterov: p ← p − η (g + μ m))

    η = lr, μ = momentum, λ = weight_decay. Without momentum (m is None): p ← p − η g.
    """
    if weight_decay:
        g = g + weight_decay * p
    if m is not None:
        m *= momentum
        m += g
        g = g + momentum * m if nesterov else m
    p -= lr * g


def rmsprop_step(p, g, v, lr, alpha, eps):
    """v ← α v + (1 − α) g²,   p ← p − η g / (√v + ε)"""
    v *= alpha
    v += (1 - alpha) * (g * g)
    p -= lr * g / (xp.sqrt(v) + eps)


def adam_step(p, g, m, v, t, lr, beta1, beta2, eps, weight_decay):
    """m ← β₁ m + (1 − β₁) g,   v ← β₂ v + (1 − β₂) g²,   p ← (1 − η λ) p − η m̂ / (√v̂ + ε)

    m̂ = m / (1 − β₁ᵗ) and v̂ = v / (1 − β₂ᵗ) are unbiased, t = 1, 2, … counts the steps, λ = weight_decay (0: Adam).
    """
    m *= beta1
    m += (1 - beta1) * g
    v *= beta2
    v += (1 - beta2) * (g * g)
    if weight_decay:
        p *= 1 - lr * weight_decay
    root = xp.sqrt(v)
    root *= 1 / math.sqrt(1 - beta2**t)
    root += eps
    p -= lr / (1 - beta1**t) * m / root


def adam_steps(ps, gs, ms, vs, ts, lr, beta1, beta2, eps, decays):
    """`adam_step` of each of many parameters, which have their own t and weight decay"""
    for p, g, m, v, t, decay in zip(ps, gs, ms, vs, ts, decays):
        adam_step(p, g, m, v, t, lr, beta1, beta2, eps, decay)


def scale(norm, max_norm):
    """min(1, max_norm / (norm + 10⁻⁶))"""
    return xp.minimum(max_norm / (norm + 1e-6), 1.0)


def clip_norm(gs, max_norm):
    """g ← g · min(1, max_norm / (‖g‖ + 10⁻⁶)) in place -> ‖g‖ = √(Σ g²) over all gradients, which share no memory"""
    norm = xp.sqrt(sum(xp.vdot(g, g) for g in gs))
    factor = scale(norm, max_norm)
    for g in gs:
        g *= factor
    return norm
