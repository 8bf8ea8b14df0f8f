"""The product of two matrices, and the gradients of a linear layer."""

from __future__ import annotations

from ...backend import xp
from .reduction import sums

__all__ = ["linear_gradients", "product"]


def product(x, w, bias=None):
    """y = x w, or x w + b        (n, k), (k, m), (m) -> (n, m)"""
    y = xp.matmul(x, w)
    if bias is not None:
        y += bias
    return y


def linear_gradients(g, x, w, needs, product=product, sums=sums):
    """∂L/∂x = g W, ∂L/∂W = gᵀ x, ∂L/∂b = Σ g of y = x Wᵀ + b        (n, m), (n, k), (m, k) -> (n, k), (m, k), (m)

    None for those of the three that nobody needs. `product` and `sums` may be faster ones.
    """
    return (
        product(g, w) if needs[0] else None,
        product(g.T, x) if needs[1] else None,
        sums(g, (0,)) if needs[2] else None,
    )
