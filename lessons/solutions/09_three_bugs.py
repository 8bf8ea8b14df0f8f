"""Solutions of lesson 09."""

import math

import numpy as np

from lessons.kit import expects


@expects("score_after(−0.5, 1, 1, 0.1): one step", lambda f: f(-0.5, 1, 1, 0.1), -0.7)
@expects("score_after(0.5, 0, 2, 0.1): a forgery", lambda f: f(0.5, 0, 2, 0.1), 0.3 - 0.1 / 0.7)
@expects("score_after(2, 0, 1, 0.1): a forgery that D takes for real", lambda f: f(2.0, 0, 1, 0.1), 2.1)
def score_after(s, t, steps, rate):
    for _ in range(steps):
        slope = -t / s + (1 - t) / (1 - s)
        s = s - rate * slope
    return s


def _cubes(x):
    return float((x**3).sum())


def _logs(x):
    with np.errstate(invalid="ignore"):
        return float(np.log(x).sum())


def _unharmed(f):
    x = np.array([1.0, 2.0])
    f(_cubes, lambda x: 3 * x**2, x)
    return x


POINT = np.array([0.3, -1.2, 0.8])


@expects("a right gradient, largest error above 1e-6?", lambda f: f(_cubes, lambda x: 3 * x**2, POINT) > 1e-6, False)
@expects("2x² in place of 3x²", lambda f: f(_cubes, lambda x: 2 * x**2, POINT), 1.44, 1e-6)
@expects("Σ log x where one x is negative", lambda f: f(_logs, lambda x: 1 / x, POINT), math.inf)
@expects("x after the check", _unharmed, np.array([1.0, 2.0]))
def gradient_check(f, gradient, x, h=1e-5):
    worst, slopes = 0.0, gradient(x)
    for i in range(len(x)):
        step = np.zeros(len(x))
        step[i] = h
        error = abs(slopes[i] - (f(x + step) - f(x - step)) / (2 * h))
        worst = max(worst, math.inf if math.isnan(error) else error)
    return worst


A = np.array([0.5, -2.0, 0.1])


@expects("slopes that agree", lambda f: f(A, A + 1e-9), "right")
@expects("zeros, rightly", lambda f: f(0 * A, 0 * A), "right")
@expects("zeros against slopes", lambda f: f(0 * A, A), "not recorded")
@expects("the negative", lambda f: f(-A, A), "wrong sign")
@expects("one of three wrong", lambda f: f(A * [1, 1, 2], A), "wrong")
@expects("slopes against NaN", lambda f: f(A, A * np.nan), "not finite")
def diagnose(analytic, numeric):
    if not np.isfinite(numeric).all():
        return "not finite"
    if np.allclose(analytic, numeric, rtol=0, atol=1e-6):
        return "right"
    if not np.any(analytic):
        return "not recorded"
    if np.allclose(-analytic, numeric, rtol=0, atol=1e-6):
        return "wrong sign"
    return "wrong"
