"""Twins of `reference.loss`."""

from __future__ import annotations

from ...backend import xp
from ..reference import loss as reference
from . import alike, by_elements, by_rows, contiguous, ours

__all__ = ["bce_with_logits", "softmax_cross_entropy", "softmax_cross_entropy_gradient"]


def bce_with_logits(logits, targets):
    if not ours(logits):
        return reference.bce_with_logits(logits, targets)
    logits, targets = alike(logits, targets)
    loss, slope = xp.empty_like(logits), xp.empty_like(logits)
    by_elements("loss", "bce_with_logits", logits.size, logits.dtype, logits, targets, loss, slope, logits.size)
    return loss, slope


def softmax_cross_entropy(logits, labels):
    if not ours(logits):
        return reference.softmax_cross_entropy(logits, labels)
    (logits, labels), rows = contiguous(logits, labels.astype(xp.int64, copy=False)), labels.size
    loss = xp.empty(labels.shape, logits.dtype, like=logits)
    m, s = (xp.empty((*labels.shape, 1), logits.dtype, like=logits) for _ in range(2))
    by_rows("loss", "softmax_cross_entropy", rows, logits.dtype, logits, labels, loss, m, s, rows,
            logits.shape[-1])  # fmt: skip
    return loss, m, s


def softmax_cross_entropy_gradient(logits, labels, m, s, g):
    if not ours(logits, m, s, g):
        return reference.softmax_cross_entropy_gradient(logits, labels, m, s, g)
    logits, labels, m, s, g = contiguous(logits, labels.astype(xp.int64, copy=False), m, s, g)
    out = xp.empty_like(logits)
    by_elements("loss", "softmax_cross_entropy_gradient", logits.size, logits.dtype, logits, labels, m, s, g,
                int(g.size > 1), out, logits.size, logits.shape[-1])  # fmt: skip
    return out
