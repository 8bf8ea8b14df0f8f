"""Solutions of lesson 07."""

import math
from collections import Counter

import numpy as np

from lessons.kit import expects


@expects("nats('abab', 'ab'): p(b | a) = 3/4", lambda f: f("abab", "ab"), math.log(4 / 3))
@expects("nats('abab', 'aa'): p(a | a) = 1/4", lambda f: f("abab", "aa"), math.log(4))
@expects("nats('aabc', 'aba')", lambda f: f("aabc", "aba"), (math.log(5 / 2) + math.log(4)) / 2)
def nats(text, new):
    V, pairs, contexts = len(set(text)), Counter(zip(text, text[1:])), Counter(text[:-1])
    p = [(pairs[c, x] + 1) / (contexts[c] + V) for c, x in zip(new, new[1:])]
    return -sum(map(math.log, p)) / len(p)


@expects("past 1, 2 with φ = (0.5, 1), three steps", lambda f: f([1.0, 2.0], [0.5, 1.0], 3), [2.0, 3.0, 3.5])
@expects("past 8 with φ = ½, four steps", lambda f: f([3.0, 8.0], [0.5], 4), [4.0, 2.0, 1.0, 0.5])
def forecast(past, phi, steps):
    x = list(past)
    for _ in range(steps):
        x.append(sum(weight * x[-i] for i, weight in enumerate(phi, 1)))
    return x[len(past) :]


@expects("φ = 0, σ = 3", lambda f: f(0.0, 3.0), 3.0)
@expects("φ = 0.6, σ = 0.8", lambda f: f(0.6, 0.8), 1.0)
@expects("φ = −0.8, σ = 0.6", lambda f: f(-0.8, 0.6), 1.0)
def spread(phi, sigma):
    return sigma / math.sqrt(1 - phi**2)


@expects("in the middle of two equal ones", lambda f: list(f(0.0, [0.5, 0.5], [-1.0, 1.0], [1.0, 1.0])), [0.5, 0.5])
@expects("unequal weights", lambda f: list(f(0.0, [0.8, 0.2], [-1.0, 1.0], [1.0, 1.0])), [0.8, 0.2])
@expects("unequal widths, same mean", lambda f: list(f(3.0, [0.5, 0.5], [3.0, 3.0], [1.0, 3.0])), [0.75, 0.25])
@expects("x = 1000", lambda f: list(f(1000.0, [0.5, 0.5], [-1.0, 1.0], [1.0, 1.0])), [0.0, 1.0])
def responsibilities(x, w, means, stds):
    means, stds = np.array(means), np.array(stds)
    joint = np.log(w) - np.log(stds) - ((x - means) / stds) ** 2 / 2
    joint = np.exp(joint - joint.max())
    return list(joint / joint.sum())
