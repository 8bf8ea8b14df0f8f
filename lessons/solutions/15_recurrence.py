"""Solutions of lesson 15."""

import math

import numpy as np

from lessons.kit import expects


def _shaken(x, w, u, b, step=1e-5):
    """∂h_T/∂u by differences"""
    ends = []
    for moved in u + step, u - step:
        h = 0.0
        for x_t in x:
            h = math.tanh(w * x_t + moved * h + b)
        ends.append(h)
    return (ends[0] - ends[1]) / (2 * step)


INPUTS = [0.5, -1.0, 0.3, 0.0, 0.8]


@expects("one input: h₁ does not depend on u", lambda f: f([0.7], 1.0, 0.5, 0.0), 0.0)
@expects("two inputs, 0.7 and 0", lambda f: f([0.7, 0.0], 1.0, 0.0, 0.0), math.tanh(0.7))
@expects("five inputs", lambda f: f(INPUTS, 1.2, 0.9, -0.1), _shaken(INPUTS, 1.2, 0.9, -0.1), 1e-8)
def slope_of_u(x, w, u, b):
    h = [0.0]
    for x_t in x:
        h.append(math.tanh(w * x_t + u * h[-1] + b))
    delta, slope = 1.0, 0.0
    for t in reversed(range(1, len(h))):
        slope += delta * (1 - h[t] ** 2) * h[t - 1]
        delta *= u * (1 - h[t] ** 2)
    return slope


@expects("the weight", lambda f: f(), 2.4721359549995796)
@expects("w² / 16 + w / 4", lambda f: f() ** 2 / 16 + f() / 4, 1.0)
def weight_that_keeps():
    return 2 * (math.sqrt(5) - 1)


PAIR = [np.array([3.0]), np.array([[0.0, 4.0]])]


@expects("clip([[3], [[0, 4]]], 1)", lambda f: f(PAIR, 1.0), [np.array([0.6]), np.array([[0.0, 0.8]])])
@expects("clip([[3], [[0, 4]]], 10)", lambda f: f(PAIR, 10.0), PAIR)
def clip(gradients, most):
    length = math.sqrt(sum((g**2).sum() for g in gradients))
    return [g * min(1, most / length) for g in gradients]
