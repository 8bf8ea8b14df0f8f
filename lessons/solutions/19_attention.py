"""Solutions of lesson 19."""

import math

import numpy as np

from lessons.kit import expects

KEYS = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
VALUES = np.array([[10.0, 1.0], [20.0, 2.0], [30.0, 6.0]])


@expects("a query of zeros: the mean", lambda f: f(np.zeros(2), KEYS, VALUES), np.array([20.0, 3.0]))
@expects("scores 1000, 0 and −1000", lambda f: f(np.array([1000 * math.sqrt(2), 0]), KEYS, VALUES), VALUES[0])
@expects(
    "weights ½, ¼, ¼",
    lambda f: f(np.full(1, math.log(2) / 5), np.array([[5.0], [0.0], [0.0]]), VALUES),
    np.array([17.5, 2.5]),
)
@expects(
    "weights 4/6, 1/6, 1/6, where d is 4",
    lambda f: f(np.full(4, math.log(2)), np.array([[1.0] * 4, [0.0] * 4, [0.0] * 4]), VALUES),
    np.array([15.0, 2.0]),
)
def look_up(q, keys, values):
    s = keys @ q / math.sqrt(len(q))
    α = np.exp(s - s.max())
    return α / α.sum() @ values


def _shaken(s, dα, h=1e-5):
    """∂L/∂s of L = dα · softmax(s), by differences"""
    L = lambda s: dα @ (np.exp(s) / np.exp(s).sum())
    return np.array([(L(s + h * e) - L(s - h * e)) / (2 * h) for e in np.eye(len(s))])


S, DA = np.array([0.3, -1.0, 2.0]), np.array([1.5, -0.5, 0.2])


@expects("weights ½, ½", lambda f: f(np.array([0.5, 0.5]), np.array([1.0, 0.0])), np.array([0.25, -0.25]))
@expects("softmax([0.3, −1, 2])", lambda f: f(np.exp(S) / np.exp(S).sum(), DA), _shaken(S, DA), 1e-8)
@expects("a slope that is the same for all", lambda f: f(np.array([0.2, 0.8]), np.array([3.0, 3.0])), np.zeros(2))
def slope_of_scores(α, dα):
    return α * (dα - α @ dα)


@expects("scale(64, 1, 1)", lambda f: f(64, 1.0, 1.0), 8.0)
@expects("scale(16, 0.5, 3)", lambda f: f(16, 0.5, 3.0), 6.0)
def scale(d, a, b):
    return a * b * math.sqrt(d)


@expects("window(3, 3)", lambda f: f(3, 3), np.array([[1, 0, 0], [1, 1, 0], [1, 1, 1]], bool))
@expects("window(4, 2)", lambda f: f(4, 2), np.array([[1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1]], bool))
def window(T, width):
    behind = np.arange(T)[:, None] - np.arange(T)
    return (behind >= 0) & (behind < width)
