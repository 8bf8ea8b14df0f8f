"""How much of the generated is realistic, and how much of the real is generated: measured with nearest neighbours.

The set of real samples stands for a region of feature space: the union of the balls B(xᵢ, rᵢ), where rᵢ is the distance
from xᵢ to its k-th nearest neighbour among the other real samples. Generated samples yⱼ likewise, with radii sⱼ.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from scipy.spatial.distance import cdist

from . import checks

CHUNK = 2**22  # distances in memory at a time: 32 MiB


class ManifoldScores(NamedTuple):
    """Four figures that are near 1 for perfect samples; all but the density are at most 1."""

    precision: float
    recall: float
    density: float
    coverage: float


def manifold_scores(real: Any, generated: Any, k: int = 5) -> ManifoldScores:
    """Precision, recall, density and coverage        (N, D), (M, D) -> four numbers

        precision = 1/M  Σⱼ 1[∃i: ‖xᵢ − yⱼ‖ ≤ rᵢ]        generated samples in the real region
        recall    = 1/N  Σᵢ 1[∃j: ‖xᵢ − yⱼ‖ ≤ sⱼ]        real samples in the generated region
        density   = 1/kM Σⱼ Σᵢ 1[‖xᵢ − yⱼ‖ ≤ rᵢ]         in how many real balls a generated sample lies, over k
        coverage  = 1/N  Σᵢ 1[∃j: ‖xᵢ − yⱼ‖ ≤ rᵢ]        real balls with a generated sample inside

    Precision and recall: Kynkäänniemi et al. 2019, there with k = 3. Density and coverage: Naeem et al. 2020, with
    k = 5 as here. One outlier among the real samples makes a huge ball, which raises precision;
    density counts it as one ball of many. Recall trusts the balls of generated samples, coverage does not.

    Compare figures of one N, one M and one k only. For M = N perfect samples the density is 1 and the coverage
    1 − 2⁻ᵏ on average (Naeem et al. 2020). Each set needs more than k samples. The memory does not grow with
    N · M; the time does, about fifteen seconds for 10,000 samples of 64 features on one core.
    """
    function = "manifold_scores"
    k = checks.whole(function, "k", k, 1)
    real, generated = checks.pair(function, real, generated, least=k + 1)
    r, s = radii(real, k), radii(generated, k)
    realistic = np.zeros(len(generated), bool)
    balls = recalled = covered = 0
    for rows, d in _chunks(real, generated):
        inside = d <= r[rows, None]
        realistic |= inside.any(axis=0)
        covered += inside.any(axis=1).sum()
        balls += inside.sum()
        recalled += (d <= s).any(axis=1).sum()
    n, m = len(real), len(generated)
    return ManifoldScores(float(realistic.mean()), float(recalled / n), float(balls / (k * m)), float(covered / n))


def radii(x: np.ndarray, k: int) -> np.ndarray:
    """rᵢ = the k-th smallest ‖xᵢ − xⱼ‖ over j ≠ i        (N, D) -> (N,)"""
    r = np.empty(len(x))
    for rows, d in _chunks(x, x):
        r[rows] = np.partition(d, k, axis=1)[:, k]  # the smallest, at place 0, is xᵢ itself
    return r


def _chunks(x: np.ndarray, y: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Some rows of x at a time, and their distances to all of y.

    Differences first, then squares: ‖x‖² + ‖y‖² − 2xᵀy is faster, but for equal points it gives anything near 0.
    """
    height = max(1, CHUNK // len(y))
    for start in range(0, len(x), height):
        rows = slice(start, min(start + height, len(x)))
        yield rows, cdist(x[rows], y)
