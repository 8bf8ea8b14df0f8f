"""Solutions of lesson 01, and what is asked of them."""

import math

import numpy as np

from lessons.kit import expects


@expects("the bend of x³ at 2", lambda f: f(lambda x: x**3, 2.0), 12.0, 1e-5)
@expects("the bend of sin at 0.5", lambda f: f(math.sin, 0.5), -0.479425538604203, 1e-6)
def second_derivative(f, x, h=1e-4):
    return (f(x + h) - 2 * f(x) + f(x - h)) / h**2


class _Counted:
    """x₀² + 3 x₁, which counts how often it is asked."""

    def __init__(self):
        self.runs = 0

    def __call__(self, x):
        self.runs += 1
        return float(x[0] ** 2 + 3 * x[1])


def _runs(f):
    counted = _Counted()
    f(counted, np.ones(2), np.ones(2))
    return counted.runs


@expects(
    "x₀² + 3x₁ at (2, 5) along (1, −1)",
    lambda f: f(_Counted(), np.array([2.0, 5.0]), np.array([1.0, -1.0])),
    1.0,
    1e-6,
)
@expects("twice as far along (2, −2)", lambda f: f(_Counted(), np.array([2.0, 5.0]), np.array([2.0, -2.0])), 2.0, 1e-6)
@expects("how often it runs the function", _runs, 2)
def directional_derivative(f, x, v, h=1e-5):
    return (f(x + h * v) - f(x - h * v)) / (2 * h)


@expects("one step on x² from 1, rate 0.25", lambda f: f(lambda x: x * x, 1.0, 0.25, 1), 0.5, 1e-6)
@expects("ten steps on x² from 1, rate 0.25", lambda f: f(lambda x: x * x, 1.0, 0.25, 10), 0.5**10, 1e-6)
@expects("no step at all", lambda f: f(lambda x: x * x, 1.0, 0.25, 0), 1.0)
def descend(f, x, rate, steps):
    for _ in range(steps):
        x = x - rate * (f(x + 1e-5) - f(x - 1e-5)) / 2e-5
    return x


def _gain(f):
    """How many times smaller the error of e^x at 0 is with half the step"""
    wrong = [abs(f(math.exp, 0.0, h) - 1.0) for h in (0.1, 0.05)]
    return wrong[0] / wrong[1]


@expects("the slope of x⁴ at 1 with h = 0.5, where it is exact", lambda f: f(lambda x: x**4, 1.0, 0.5), 4.0)
@expects("the error of eˣ with half the step is 16 times smaller", _gain, 16.0, 0.01)
def fourth_order(f, x, h):
    def central(h):
        return (f(x + h) - f(x - h)) / (2 * h)

    return (4 * central(h) - central(2 * h)) / 3
