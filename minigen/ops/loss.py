"""Losses on logits and on values. `reduction` is 'mean', 'sum' or 'none'; the mean of no elements is 0."""

from __future__ import annotations

import math

from .. import backend, kernels
from ..errors import ConfigError, DataError, DtypeError, ShapeError
from ..tensor import Tensor, primitive
from .elementwise import softplus, square
from .indexing import take_along_axis
from .reduction import logsumexp


def _reduced(losses, reduction):
    if reduction == "none":
        return losses
    return losses.sum() / (max(1, losses.size) if reduction == "mean" else 1)


def _spread(g, shape, reduction):
    """The gradient of each loss, or one for all, from the gradient g of the reduced loss."""
    return g / max(1, math.prod(shape)) if reduction == "mean" else g


def _check(op, shape, name, expected, reduction):
    if shape != expected:
        raise ShapeError(f"{op}: {name} must have shape {expected}, got {shape}.")
    if reduction not in ("mean", "sum", "none"):
        raise ConfigError(f"{op}: reduction must be 'mean', 'sum' or 'none', got {reduction!r}.")


def _bce_gradients(g, logits, targets, r, needs, reduction):
    g = _spread(g, logits.shape, reduction)
    return g * r, -g * logits if needs[1] else None


def _composed_bce(logits, targets, *, reduction):
    return _reduced(softplus(logits) - targets * logits, reduction)


@primitive(joint=_bce_gradients, composed=_composed_bce, residual=True)
def _bce_with_logits(logits, targets, *, reduction):
    """L = softplus(l) − t l"""
    losses, slope = kernels.bce_with_logits(logits, targets)
    return _reduced(losses, reduction), slope


def bce_with_logits(logits, targets, reduction="mean"):
    """L = −t ln σ(l) − (1 − t) ln(1 − σ(l)) = softplus(l) − t l        (…), (…) -> () or (…)

    ∂L/∂l = σ(l) − t,   ∂L/∂t = −l. `targets` t in [0, 1] have the shape of the logits l; no logit makes it overflow.
    """
    _check("bce_with_logits", targets.shape, "targets", logits.shape, reduction)
    return _bce_with_logits(logits, targets, reduction=reduction)


def _cross_entropy_gradients(g, logits, labels, r, reduction):
    return kernels.softmax_cross_entropy_gradient(logits, labels, *r, _spread(g, labels.shape, reduction)), None


def _composed_cross_entropy(logits, labels, *, reduction):
    chosen = take_along_axis(logits, labels[..., None], -1)[..., 0]
    return _reduced(logsumexp(logits, -1) - chosen, reduction)


@primitive(joint=_cross_entropy_gradients, composed=_composed_cross_entropy, residual=True)
def _softmax_cross_entropy(logits, labels, *, reduction):
    """L = ln Σ_j e^(l_j) − l_label"""
    losses, *r = kernels.softmax_cross_entropy(logits, labels)
    return _reduced(losses, reduction), r


def softmax_cross_entropy(logits, labels, reduction="mean"):
    """L = −ln softmax(l)_label = ln Σ_j e^(l_j) − l_label        (…, K), (…) integers in 0 … K − 1 -> () or (…)

    ∂L/∂l = softmax(l) − onehot(label). The K classes are the last axis of the logits l. Labels out of range are an
    error on the CPU; on a device, where looking would mean waiting for it, they are not looked for.
    """
    if logits.ndim < 1 or not logits.shape[-1]:
        raise ShapeError(f"softmax_cross_entropy: expected logits (…, K) of at least one class, got {logits.shape}.")
    _check("softmax_cross_entropy", labels.shape, "labels", logits.shape[:-1], reduction)
    if labels.dtype.kind not in "iu":
        raise DtypeError(f"softmax_cross_entropy: labels must be integers, got {labels.dtype}.")
    values, classes = labels.data if isinstance(labels, Tensor) else labels, logits.shape[-1]
    if backend.name_of(values) == "numpy" and values.size and not 0 <= values.min() <= values.max() < classes:
        raise DataError(
            f"softmax_cross_entropy: labels must lie in 0 … {classes - 1} for {classes} classes, "
            f"got {values.min()} … {values.max()}."
        )
    return _softmax_cross_entropy(logits, labels, reduction=reduction)


def mse(x, y, reduction="mean"):
    """L = (x − y)²        (…), (…) -> () or (…)        ∂L/∂x = 2 (x − y) = −∂L/∂y"""
    _check("mse", y.shape, "y", x.shape, reduction)
    return _reduced(square(x - y), reduction)
