"""Exercises of lesson 03. Check them with: python -m lessons check 3"""

from lessons.kit import your_turn


def mean_rule(g, shape):
    """The gradient rule of y = the mean of all elements of x, from g of shape () and the shape of x."""
    your_turn()


def transpose_rule(g):
    """The gradient rule of y = xᵀ, from g, which has the shape of y."""
    your_turn()


def normalise_rule(g, x):
    """The gradient rule of y = x / s, s the sum of x over its last axis (kept), for x of shape (n, m).

    Every xᵢⱼ reaches the loss on two kinds of paths: through its own place of y, and through s. First find ∂L/∂s.
    """
    your_turn()


def layer_gradients(g, x, w):
    """The gradients of a layer y = x w + b with respect to x, w and b, as a tuple, from g = ∂L/∂y.

    Shapes: x (n, k), w (k, m), b (m).
    """
    your_turn()
