"""Losses from logits, and their gradients with respect to the logits."""

from __future__ import annotations

from ...backend import xp

__all__ = ["bce_with_logits", "softmax_cross_entropy", "softmax_cross_entropy_gradient"]


def bce_with_logits(logits, targets):
    """L = softplus(l) − t l,   ∂L/∂l = σ(l) − t        (…), (…) -> (…), (…)

    Both from one e = e^(−|l|), which cannot overflow: softplus(l) = max(l, 0) + ln(1 + e), σ(l) = (1 or e) / (1 + e).
    max(l, 0) − t l comes first: where the target is sure and met it is exactly 0, and the small logarithm survives.
    """
    targets = targets.astype(logits.dtype, copy=False)
    e = xp.exp(-xp.abs(logits))
    loss = xp.maximum(logits, 0) - targets * logits + xp.log1p(e)
    slope = xp.where(logits >= 0, 1, e) / (1 + e) - targets
    return loss, slope


def softmax_cross_entropy(logits, labels):
    """L = ln Σ_j e^(l_j) − l_label over the last axis; also m and s        (…, K), (…) -> (…), (…, 1), (…, 1)

    With the largest logit m taken out, ln Σ_j e^(l_j) = m + s, s = ln Σ_j e^(l_j − m), no exponential exceeds 1. The
    two stay apart, because a small s would lose its digits under a large m: L = s − (l_label − m).
    """
    m = xp.max(logits, axis=-1, keepdims=True)
    s = xp.log(xp.sum(xp.exp(logits - m), axis=-1, keepdims=True))
    return (s - (xp.take_along_axis(logits, labels[..., None], -1) - m))[..., 0], m, s


def softmax_cross_entropy_gradient(logits, labels, m, s, g):
    """∂L/∂l = g (softmax(l) − onehot(label)),   softmax(l) = e^(l − m − s)        g (…) or () -> (…, K)"""
    p = xp.exp(logits - m - s)
    at = labels[..., None]
    xp.put_along_axis(p, at, xp.take_along_axis(p, at, -1) - 1, -1)
    p *= g[..., None]
    return p
