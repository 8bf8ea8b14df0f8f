"""Solutions of lesson 11."""

from itertools import combinations

import numpy as np

from lessons.kit import expects


@expects("total_variation([½, ½], [½, ½])", lambda f: f(np.array([0.5, 0.5]), np.array([0.5, 0.5])), 0.0)
@expects("total_variation([1, 0], [0, 1])", lambda f: f(np.array([1.0, 0.0]), np.array([0.0, 1.0])), 1.0)
@expects("total_variation([.5, .3, .2], [.1, .3, .6])",
         lambda f: f(np.array([0.5, 0.3, 0.2]), np.array([0.1, 0.3, 0.6])), 0.4)  # fmt: skip
def total_variation(p, q):
    return np.maximum(p - q, 0).sum()


@expects("wasserstein([0, 1, 5], [5, 0, 1])", lambda f: f(np.array([0.0, 1, 5]), np.array([5.0, 0, 1])), 0.0)
@expects("wasserstein([0, 1], [4, 2])", lambda f: f(np.array([0.0, 1.0]), np.array([4.0, 2.0])), 2.5)
@expects("wasserstein([3, −1], [0, 0])", lambda f: f(np.array([3.0, -1.0]), np.zeros(2)), 2.0)
def wasserstein(x, y):
    return np.abs(np.sort(x) - np.sort(y)).mean()


@expects("steepest([[[3, 0], [0, 2]], [[0, 4]]])", lambda f: f([np.diag([3.0, 2.0]), np.array([[0.0, 4.0]])]), 12.0)
@expects("steepest of one layer of 0.3, 10 × 10", lambda f: f([np.full((10, 10), 0.3)]), 3.0)
def steepest(weights):
    return np.prod([np.linalg.svd(w, compute_uv=False)[0] for w in weights])


@expects("chance([1, 2], [7, 8])", lambda f: f([1, 2], [7, 8]), 1 / 6)
@expects("chance([1, 2, 1], [7, 8, 8])", lambda f: f([1, 2, 1], [7, 8, 8]), 1 / 20)
@expects("chance([3, 3], [3, 3])", lambda f: f([3, 3], [3, 3]), 1.0)
@expects("chance([1], [0, 2])", lambda f: f([1], [0, 2]), 2 / 3)
def chance(a, b):
    pooled = np.array([*a, *b], float)
    came = np.mean(b) - np.mean(a)
    deals = [np.isin(np.arange(len(pooled)), hand) for hand in combinations(range(len(pooled)), len(a))]
    return np.mean([pooled[~hand].mean() - pooled[hand].mean() >= came - 1e-12 for hand in deals])
