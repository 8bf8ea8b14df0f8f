"""Solutions of lesson 12."""

import math

import numpy as np

from lessons.kit import expects

P, Q = np.array([0.5, 0.3, 0.2, 0.0]), np.array([0.0, 0.3, 0.3, 0.4])


@expects("p = (.5, .3, .2, 0), q = (0, .3, .3, .4)", lambda f: f(P, Q), 0.5)
@expects("p = q", lambda f: f(P, P), 0.0)
@expects("no place in common, near", lambda f: f(np.array([1.0, 0, 0]), np.array([0, 1.0, 0])), 1.0)
@expects("no place in common, far", lambda f: f(np.array([1.0, 0, 0]), np.array([0, 0, 1.0])), 1.0)
def total_variation(p, q):
    return np.maximum(p - q, 0).sum()


@expects("p = (.5, .3, .2, 0), q = (0, .3, .3, .4)", lambda f: f(P, Q), 1.4)
@expects("no place in common, near", lambda f: f(np.array([1.0, 0, 0]), np.array([0, 1.0, 0])), 1.0)
@expects("no place in common, far", lambda f: f(np.array([1.0, 0, 0]), np.array([0, 0, 1.0])), 2.0)
@expects("the middle, and both ends", lambda f: f(np.array([0, 1.0, 0]), np.array([0.5, 0, 0.5])), 1.0)
def wasserstein(p, q):
    return np.abs(np.cumsum(p - q)).sum()


X = np.array([0.3, -2.0])


@expects("W = (3, 4), whose norm is 5", lambda f: f(np.array([3.0, 4.0]), X), np.array([4.8, 6.4]))
@expects("W = (0.6, 0.8)", lambda f: f(np.array([0.6, 0.8]), X), np.array([0.0, 0.0]))
@expects("W = 0", lambda f: f(np.zeros(2), X), np.zeros(2))
def penalty_slope(W, x):
    norm = np.sqrt((W * W).sum())
    return 2 * (norm - 1) * W / norm if norm else np.zeros_like(W)


def _shaken(w, v, b, x, h=1e-6):
    """The same by differences of f′"""
    slope = lambda w: v * w * (1 - math.tanh(w * x + b) ** 2)
    return (slope(w + h) - slope(w - h)) / (2 * h)


@expects("w = ½, v = 2, b = 0, x = 0", lambda f: f(0.5, 2.0, 0.0, 0.0), 2.0)
@expects("w = 0.7, v = −1.2, b = 0.4, x = 1.5", lambda f: f(0.7, -1.2, 0.4, 1.5), _shaken(0.7, -1.2, 0.4, 1.5), 1e-8)
def slope_of_slope(w, v, b, x):
    h = math.tanh(w * x + b)
    return v * (1 - h * h) * (1 - 2 * w * x * h)
