"""Solutions of lesson 14."""

import math

import numpy as np

from lessons.kit import expects

x, y = np.array([2.0, 0.0]), np.array([0.0, 2.0])


@expects("turn([2, 0], [0, 2], 0)", lambda f: f(x, y, 0.0), x)
@expects("turn([2, 0], [0, 2], ½)", lambda f: f(x, y, 0.5), np.full(2, math.sqrt(2)))
@expects("turn([2, 0], [0, 2], ⅓)", lambda f: f(x, y, 1 / 3), np.array([math.sqrt(3), 1.0]))
@expects("turn([2, 0], [4, 0], ½)", lambda f: f(x, 2 * x, 0.5), 1.5 * x)
def turn(a, b, t):
    omega = np.arccos(np.clip(a @ b / np.linalg.norm(a) / np.linalg.norm(b), -1, 1))
    if omega < 1e-6:
        return (1 - t) * a + t * b
    return (np.sin((1 - t) * omega) * a + np.sin(t * omega) * b) / np.sin(omega)


@expects("middle_length(100, 1)", lambda f: f(100, 1), 10.0)
@expects("middle_length(100, 2)", lambda f: f(100, 2), math.sqrt(50))
@expects("middle_length(36, 4)", lambda f: f(36, 4), 3.0)
def middle_length(d, n):
    return math.sqrt(d / n)


@expects("stretched([3, 4, 0, 0], 4)", lambda f: f(np.array([3.0, 4, 0, 0]), 4), np.array([1.2, 1.6, 0, 0]))
@expects("stretched([0, −1], 2)", lambda f: f(np.array([0.0, -1.0]), 2), np.array([0.0, -math.sqrt(2)]))
def stretched(mean, d):
    return mean * np.sqrt(d) / np.linalg.norm(mean)


@expects("analogy(1, 10, 5, …) where codes are logarithms", lambda f: f(1.0, 10.0, 5.0, np.log, np.exp), 50.0)
@expects(
    "analogy(2, 3, 10, …) where codes are cubes", lambda f: f(2.0, 3.0, 10.0, lambda x: x**3, np.cbrt), 1019 ** (1 / 3)
)
def analogy(a, b, c, encode, decode):
    return decode(encode(c) + encode(b) - encode(a))
