"""Solutions of lesson 03, and what is asked of them."""

import numpy as np

from lessons.kit import expects

_rng = np.random.default_rng(3)
G, X, W = _rng.standard_normal((4, 2)), _rng.standard_normal((4, 3)), _rng.standard_normal((3, 2))
POSITIVE = np.array([[1.0, 3.0], [2.0, 2.0]])


def _shaken(f, x):
    """∂f/∂x by central differences"""
    out = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[i] = 1e-6
        out[i] = (f(x + step) - f(x - step)) / 2e-6
    return out


@expects("mean_rule(6.0, (2, 3))", lambda f: f(np.array(6.0), (2, 3)), np.ones((2, 3)))
def mean_rule(g, shape):
    return np.full(shape, g / np.prod(shape))


@expects("a table of two rows", lambda f: f(np.array([[1.0, 2, 3], [4, 5, 6]])), np.array([[1.0, 4], [2, 5], [3, 6]]))
def transpose_rule(g):
    return g.T


@expects(
    "the first row of x is (1, 3), g is (1, 0): what x₀₀ gets",
    lambda f: f(np.array([[1.0, 0.0], [0.0, 0.0]]), POSITIVE)[0, 0],
    3 / 16,
)
@expects(
    "all of it, with a random g",
    lambda f: f(G[:2], POSITIVE),
    _shaken(lambda x: np.sum(G[:2] * x / x.sum(axis=-1, keepdims=True)), POSITIVE),
    1e-7,
)
def normalise_rule(g, x):
    s = x.sum(axis=-1, keepdims=True)
    return g / s - np.sum(g * x, axis=-1, keepdims=True) / s**2


@expects("∂L/∂x", lambda f: f(G, X, W)[0], _shaken(lambda x: np.sum(G * (x @ W)), X), 1e-7)
@expects("∂L/∂w", lambda f: f(G, X, W)[1], _shaken(lambda w: np.sum(G * (X @ w)), W), 1e-7)
@expects("∂L/∂b", lambda f: f(G, X, W)[2], _shaken(lambda b: np.sum(G * (X @ W + b)), np.zeros(2)), 1e-7)
def layer_gradients(g, x, w):
    return g @ w.T, x.T @ g, g.sum(axis=0)
