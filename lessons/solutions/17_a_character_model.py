"""Solutions of lesson 17."""

import math

import numpy as np

from lessons.kit import expects

P = np.array([0.5, 0.25, 0.25])


@expects("with_temperature([½, ¼, ¼], 1)", lambda f: f(P, 1.0), P)
@expects("with_temperature([½, ¼, ¼], ½)", lambda f: f(P, 0.5), np.array([2 / 3, 1 / 6, 1 / 6]))
@expects("with_temperature([0.9, 0.1, 0], 2)", lambda f: f(np.array([0.9, 0.1, 0]), 2.0), np.array([0.75, 0.25, 0]))
@expects("with_temperature([0.4, 0.35, 0.25], 0.001)", lambda f: f(np.array([0.4, 0.35, 0.25]), 1e-3), np.eye(3)[0])
def with_temperature(p, τ):
    weights = (p / p.max()) ** (1 / τ)
    return weights / weights.sum()


@expects("nucleus([0.1, 0.6, 0.3], 0.5)", lambda f: f(np.array([0.1, 0.6, 0.3]), 0.5), 1)
@expects("nucleus([0.1, 0.6, 0.3], 0.7)", lambda f: f(np.array([0.1, 0.6, 0.3]), 0.7), 2)
@expects("nucleus([0.1, 0.6, 0.3], 0.95)", lambda f: f(np.array([0.1, 0.6, 0.3]), 0.95), 3)
@expects("nucleus of 64 equal ones, 0.3", lambda f: f(np.full(64, 1 / 64), 0.3), 20)
def nucleus(p, top_p):
    return int((np.cumsum(np.sort(p)[::-1]) < top_p).sum()) + 1


@expects("loop([1, 2, 0], 0)", lambda f: f([1, 2, 0], 0), (0, 3))
@expects("loop([1, 2, 3, 2, 2], 4)", lambda f: f([1, 2, 3, 2, 2], 4), (1, 2))
@expects("loop([1, 2, 3, 3], 0)", lambda f: f([1, 2, 3, 3], 0), (3, 1))
def loop(likeliest, start):
    seen = {}
    while start not in seen:
        seen[start] = len(seen)
        start = likeliest[start]
    return seen[start], len(seen) - seen[start]


@expects("surprises([¼, ¼, ¼, ¼])", lambda f: f(np.full(4, 0.25)), (math.log(4), math.log(4)))
@expects("surprises([½, ¼, ¼])", lambda f: f(P), (math.log(2), 1.5 * math.log(2)))
def surprises(p):
    return -math.log(p.max()), -(p * np.log(p)).sum()
