"""Solutions of lesson 20. The parameters of GPT-2 are those that its authors' weights have."""

import math

import numpy as np

from lessons.kit import expects

COIN = np.log(np.array([[0.5, 0.5], [0.25, 0.75], [0.9, 0.1]]))


@expects("log_p of 0, 1, 1 where p(1) was 0.5 after the first and 0.75 after the second",
         lambda f: f(COIN, np.array([0, 1, 1])), math.log(0.375))  # fmt: skip
@expects("the same after 7 is added to all logits", lambda f: f(COIN + 7, np.array([0, 1, 1])), math.log(0.375))
@expects("log_p of a single symbol", lambda f: f(COIN[:1], np.array([1])), 0.0)
def log_p(logits, ids):
    logits = logits[:-1]
    logs = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    return logs[np.arange(len(logits)), ids[1:]].sum()


ONE, TWO = np.array([1.0, 0.0]), np.array([0.0, 2.0])
NONE = np.zeros((0, 2))


@expects("the first place of all", lambda f: f(ONE, ONE, TWO, NONE, NONE), (TWO, ONE[None], TWO[None]))
@expects(
    "a second place, whose query is at a right angle to both keys",
    lambda f: f(np.array([0.0, 3.0]), 2 * ONE, ONE, ONE[None], TWO[None])[0],
    np.array([0.5, 1.0]),
)
@expects(
    "a second place with d = 4 and scores of log 3 and 0",
    lambda f: f(np.full(4, math.log(3) / 2), np.zeros(4), np.zeros(4), np.ones((1, 4)), np.full((1, 4), 4.0))[0],
    np.full(4, 3.0),
)
def head(q, k, v, keys, values):
    keys, values = np.concatenate([keys, k[None]]), np.concatenate([values, v[None]])
    e = np.exp(keys @ q / math.sqrt(len(q)))
    return e @ values / e.sum(), keys, values


@expects("parameters(50257, 1024, 768, 12)", lambda f: f(50257, 1024, 768, 12), 124_439_808)
@expects("parameters(100, 32, 48, 2)", lambda f: f(100, 32, 48, 2), 62_976)
def parameters(V, T, C, layers):
    attention, mlp, norms = 4 * C * C + 4 * C, 8 * C * C + 5 * C, 4 * C
    return V * C + T * C + layers * (attention + mlp + norms) + 2 * C


@expects("reach(1, 1)", lambda f: f(1, 1), 0)
@expects("reach(1, 4)", lambda f: f(1, 4), 3)
@expects("reach(3, 4)", lambda f: f(3, 4), 9)
def reach(layers, window):
    return layers * (window - 1)
