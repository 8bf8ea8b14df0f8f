"""Solutions of lesson 16. The numbers of `lstm_step` and `gru_step` are PyTorch's."""

import math

import numpy as np

from lessons.kit import expects

A = np.array([0.5, -1.0, 2.0, 0.0, 1.0, -0.5, 0.3, 0.8])
U = np.array([
    [0.1, -0.2], [0.3, 0.4], [-0.5, 0.6], [0.7, -0.8], [0.2, 0.1], [-0.3, 0.5], [0.9, -0.4], [0.0, 0.6],
])  # fmt: skip
BEFORE = np.array([0.2, -0.6]), np.array([1.5, -0.3])
AFTER = (
    np.array([0.63147784595583689, -0.20929478294074805]),
    np.array([1.7282695951092935, -0.35872245968348249]),
)


@expects("h_t and c_t of two units", lambda f: f(A, U, *BEFORE), AFTER)
def lstm_step(a, U, h, c):
    i, f, g, o = np.split(a + U @ h, 4)
    i, f, o = (1 / (1 + np.exp(-gate)) for gate in (i, f, o))
    c = f * c + i * np.tanh(g)
    return o * np.tanh(c), c


@expects("half_life(0)", lambda f: f(0.0), 1.0)
@expects("half_life(5)", lambda f: f(5.0), 103.21834, 1e-6)
def half_life(forget_bias):
    return math.log(0.5) / math.log(1 / (1 + math.exp(-forget_bias)))


def _count(w, b, sequence):
    """c of the unit with these weights after a sequence"""
    c = 0.0
    for x in sequence:
        i, f, g, _ = (w * x + b for w, b in zip(w, b))
        c = c / (1 + math.exp(-f)) + math.tanh(g) / (1 + math.exp(-i))
    return c


@expects("the cell after 1, 0, 1, 1, 0, 1", lambda f: _count(*f(), [1, 0, 1, 1, 0, 1]), 4.0, 2e-3)
@expects("the cell after a hundred zeros", lambda f: _count(*f(), [0] * 100), 0.0, 1e-2)
@expects("the cell after fifty times 1, 0", lambda f: _count(*f(), [1, 0] * 50), 50.0, 2e-4)
def counter():
    return [0.0, 0.0, 20.0, 0.0], [20.0, 20.0, 0.0, 0.0]


@expects("a step of one unit", lambda f: f([0.2, 1.0, -0.4], [0.3, -0.7, 1.1], 0.25, 0.6), 0.43471467546508213)
@expects("the same with a_z = 40", lambda f: f([0.2, 40.0, -0.4], [0.3, -0.7, 1.1], 0.25, 0.6), 0.6)
def gru_step(a, u, b, h):
    r = 1 / (1 + math.exp(-(a[0] + u[0] * h)))
    z = 1 / (1 + math.exp(-(a[1] + u[1] * h)))
    n = math.tanh(a[2] + r * (u[2] * h + b))
    return (1 - z) * n + z * h
