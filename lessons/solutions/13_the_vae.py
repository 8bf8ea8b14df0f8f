"""Solutions of lesson 13."""

import math

import numpy as np

from lessons.kit import expects


@expects("kl_of_two(1, 2, 1, 2)", lambda f: f(1.0, 2.0, 1.0, 2.0), 0.0)
@expects("kl_of_two(1, 2, 0, 1)", lambda f: f(1.0, 2.0, 0.0, 1.0), 2 - math.log(2))
@expects("kl_of_two(0, 1, 1, 2)", lambda f: f(0.0, 1.0, 1.0, 2.0), math.log(2) - 0.25)
def kl_of_two(mean, deviation, other_mean, other_deviation):
    spread = deviation**2 + (mean - other_mean) ** 2
    return math.log(other_deviation / deviation) + spread / (2 * other_deviation**2) - 0.5


@expects("kl_slopes(0, 0)", lambda f: f(0.0, 0.0), (0.0, 0.0))
@expects("kl_slopes(−1.5, log 3)", lambda f: f(-1.5, math.log(3.0)), (-1.5, 1.0))
def kl_slopes(mean, log_variance):
    return mean, (math.exp(log_variance) - 1) / 2


@expects("linear_story(3, 2, 1)", lambda f: f(3.0, 2.0, 1.0), (1.2, 0.2, -0.9 - math.log(10 * math.pi) / 2))
@expects("linear_story(1, 0, 1): a code that decides nothing", lambda f: f(1.0, 0.0, 1.0),
         (0.0, 1.0, -0.5 - math.log(2 * math.pi) / 2))  # fmt: skip
def linear_story(x, w, s):
    variance = w**2 + s**2
    return w * x / variance, s**2 / variance, -(x**2) / (2 * variance) - math.log(2 * math.pi * variance) / 2


@expects("log_average(log [1, 3])", lambda f: f(np.log([1.0, 3.0])), math.log(2))
@expects("log_average([1000, 1000])", lambda f: f(np.array([1000.0, 1000.0])), 1000.0)
@expects(
    "log_average([−1000, −1000 + log 3])", lambda f: f(np.array([-1000, -1000 + math.log(3)])), -1000 + math.log(2)
)
def log_average(log_weights):
    return np.logaddexp.reduce(log_weights) - math.log(len(log_weights))
