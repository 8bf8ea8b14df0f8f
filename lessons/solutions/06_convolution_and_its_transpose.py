"""Solutions of lesson 06."""

import numpy as np

from lessons.kit import expects


@expects("7 through two layers k = 5, s = 2, “same”", lambda f: f(7, [(5, 2, 1, 2, 0)] * 2), 28)
@expects("4 through three layers k = 4, s = 2, p = 1", lambda f: f(4, [(4, 2, 1, 1, 0)] * 3), 32)
@expects("7 through k = 5, s = 2, p = 2, output padding 1", lambda f: f(7, [(5, 2, 2, 2, 1)]), 14)
@expects("5 through k = 3, s = 3, p = 0", lambda f: f(5, [(3, 3, 0, 0, 0)]), 15)
def size_after(n, layers):
    for k, s, before, after, extra in layers:
        n = (n - 1) * s + k - before - after + extra
    return n


@expects("hits(5, 2)", lambda f: list(f(5, 2)), [2, 3])
@expects("hits(4, 2)", lambda f: list(f(4, 2)), [2, 2])
@expects("hits(7, 3)", lambda f: list(f(7, 3)), [2, 2, 3])
@expects("hits(2, 3)", lambda f: list(f(2, 3)), [0, 1, 1])
def hits(k, s):
    return sorted(len(range(phase, k, s)) for phase in range(s))


X, G = np.array([1.0, 0.0, 2.0, 5.0, 1.0]), np.array([10.0, 1.0])


@expects("x, g of the lesson, k = 3, s = 2", lambda f: f(X, G, 3, 2), np.array([12.0, 5.0, 21.0]))
@expects("one number of g, k = 2, s = 1", lambda f: f(X[:4], np.array([0.0, 1.0, 0.0]), 2, 1), np.array([0.0, 2.0]))
@expects("a kernel of one number", lambda f: f(X, np.ones(5), 1, 1), np.array([9.0]))
def weight_gradient(x, g, k, s):
    return np.array([x[t : t + s * len(g) : s][: len(g)] @ g for t in range(k)])
