"""Losses from logits, and their gradients with respect to the logits."""

from __future__ import annotations

from ...backend import xp

__all__ = ["bce_with_logits", "softmax_cross_entropy", "softmax_cross_entropy_gradient"]


def bce_with_logits(logits, targets):
    """L = softplus(l) − t l,   ∂L/∂l = σ(l) − t        (…), (…) -> (…), (…)

    Both from one e = e^(−|l|), which cannot overflow: softplus(l) = max(l, 0) + ln(1 + e), σ(l) = (1 or e) / (1 + e).
    """
    targets = targets.astype(logits.dtype, copy=False)
    e = xp.exp(-xp.abs(logits))
    loss = xp.maximum(logits, 0) + xp.log1p(e) - targets * logits
    slope = xp.where(logits >= 0, 1, e) / (1 + e) - targets
    return loss, slope


def softmax_cross_entropy(logits, labels):
    """L = ln Σ_j e^(l_j) − l_label over the last axis; also the first term        (…, K), (…) -> (…), (…, 1)

    The largest logit is taken out of the sum, so that its exponentials lie between 0 and 1.
    """
    top = xp.max(logits, axis=-1, keepdims=True)
    lse = top + xp.log(xp.sum(xp.exp(logits - top), axis=-1, keepdims=True))
    return (lse - xp.take_along_axis(logits, labels[..., None], -1))[..., 0], lse


def softmax_cross_entropy_gradient(logits, labels, lse, g):
    """∂L/∂l = g (softmax(l) − onehot(label)),   softmax(l) = e^(l − lse)        (…, K), (…), (…, 1), (…) -> (…, K)"""
    p = xp.exp(logits - lse)
    at = labels[..., None]
    xp.put_along_axis(p, at, xp.take_along_axis(p, at, -1) - 1, -1)
    p *= g[..., None]
    return p
