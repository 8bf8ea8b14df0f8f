"""Exercises of lesson 05. Replace each your_turn(), then: python -m lessons check 5"""

from lessons.kit import your_turn


def softmax(l):
    """Probabilities from logits l (N, K), row by row: a NumPy array (N, K) whose rows sum to 1.

    A logit may be 1000 or −1000.
    """
    your_turn()


def slope(l, labels):
    """∂L/∂l for the mean cross-entropy of logits l (N, K) and labels (N,): (N, K). Its rows sum to 0; why?"""
    your_turn()


def back_through_a_layer(x, W, g):
    """(∂L/∂x, ∂L/∂W, ∂L/∂b) of y = max(0, x W + b) with b = 0, where g = ∂L/∂y; x (N, n), W (n, m), g (N, m)."""
    your_turn()


def confusion(labels, read, classes):
    """How often was each class read as each other: integers (classes, classes)?

    A row for what it was, a column for what was read. The same pair may come many times.
    """
    your_turn()
