"""The Fréchet distance between two sets of features, each taken for a Gaussian.

This is the formula of the "FID" of Heusel et al. 2017, but not that figure: an FID is computed from the features of an
Inception network trained on ImageNet. Distances in other features, such as those of
:class:`minigen.models.classifier.DigitClassifier`, may be compared with each other only, with the same features and
as many samples; the less samples, the larger the distance comes out (Chong & Forsyth 2020). :func:`real_floor` says how
large it is for samples that are perfect.
"""

from typing import Any, NamedTuple

import numpy as np
from scipy import linalg

from ..errors import DataError, ShapeError
from . import checks
from .estimate import Estimate, estimate


class Gaussian(NamedTuple):
    """The two moments of a set of features: mean (D,) and covariance (D, D)."""

    mean: np.ndarray
    covariance: np.ndarray


def moments(features: Any) -> Gaussian:
    """μ = Σ xᵢ / N,   Σ = Σ (xᵢ − μ)(xᵢ − μ)ᵀ / (N − 1)        (N, D) -> (D,), (D, D)

    N may be smaller than D: the covariance is then of rank N − 1. Needs N >= 2.
    """
    x = checks.features("moments", "features", features)
    mean = x.mean(axis=0)
    centred = x - mean
    return Gaussian(mean, centred.T @ centred / (len(x) - 1))


def gaussian_distance(a: Gaussian, b: Gaussian) -> float:
    """d² = ‖μ₁ − μ₂‖² + tr Σ₁ + tr Σ₂ − 2 tr (Σ₁Σ₂)^½        (D,), (D, D) twice -> number

    Dowson & Landau 1982; this is d², the square of the distance, as Heusel et al. 2017 report it.

    With Σ₁ = A Aᵀ and Σ₂ = B Bᵀ, the eigenvalues of Σ₁Σ₂ that are not zero are those of (AᵀB)(AᵀB)ᵀ, and so

        tr (Σ₁Σ₂)^½ = the sum of the singular values of AᵀB.

    So there is no square root of Σ₁Σ₂ to take, a matrix that is not symmetric and whose root may not exist, and
    covariances without full rank are nothing special. Here A = U √Λ comes from the eigenvectors of Σ₁.
    """
    (mean_a, factor_a), (mean_b, factor_b) = _factored(a), _factored(b)
    if mean_a.shape != mean_b.shape:
        raise ShapeError(f"gaussian_distance: expected two means of one length, got {mean_a.shape} and {mean_b.shape}.")
    return _distance(mean_a, factor_a, mean_b, factor_b)


def frechet_distance(real: Any, generated: Any) -> float:
    """d² between the Gaussians with the moments of two sets of features        (N, D), (M, D) -> number >= 0

    See :func:`gaussian_distance`; here A comes from the features themselves, without computing a covariance.
    Symmetric, and zero for equal moments. Needs two samples in each set, but take many more than D, and the same
    number in all comparisons.
    """
    real, generated = checks.pair("frechet_distance", real, generated)
    return _distance(*_factored_samples(real), *_factored_samples(generated))


def real_floor(features: Any, rng: np.random.Generator, size: int | None = None, repeats: int = 10) -> Estimate:
    """d² between two disjoint random sets of `size` real samples        (N, D) -> mean ± standard error

    What perfect samples would get: a generator that comes near the floor cannot be told from real data by this
    measure and this many samples. `size` is N // 2 unless given.

    The repeats share the N samples. The standard error therefore says how well the mean over all splits of *these*
    samples is known, and not how it would vary with other data. Nor does the floor know of two real sets that differ:
    MNIST's training and test digits lie further apart than halves of either, so that a generator which has learnt the
    first perfectly stays above the floor when it is measured against the second. Report that distance as well.
    """
    x = checks.features("real_floor", "features", features, least=4)
    size = checks.whole("real_floor", "size", len(x) // 2 if size is None else size, 2, len(x) // 2)
    repeats = checks.whole("real_floor", "repeats", repeats, 2)
    checks.generator("real_floor", rng)
    distances = []
    for _ in range(repeats):
        order = rng.permutation(len(x))
        distances.append(frechet_distance(x[order[:size]], x[order[size : 2 * size]]))
    return estimate(distances)


def _distance(mean_a: np.ndarray, factor_a: np.ndarray, mean_b: np.ndarray, factor_b: np.ndarray) -> float:
    """‖μ₁ − μ₂‖² + ‖A‖² + ‖B‖² − 2 Σ singular values of AᵀB, where tr A Aᵀ = ‖A‖², the sum of the squares"""
    d = mean_a - mean_b
    cross = linalg.svdvals(factor_a.T @ factor_b).sum()
    return max(0.0, float(d @ d + np.square(factor_a).sum() + np.square(factor_b).sum() - 2 * cross))


def _factored_samples(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """μ, and A = Rᵀ with QR = (X − μ) / √(N − 1), so that A Aᵀ = RᵀQᵀQR = Σ."""
    mean = x.mean(axis=0)
    return mean, np.linalg.qr((x - mean) / np.sqrt(len(x) - 1), mode="r").T


def _factored(g: Gaussian) -> tuple[np.ndarray, np.ndarray]:
    """μ, and A = U √Λ. Eigenvalues that rounding left below zero are zero."""
    mean = checks.array("gaussian_distance", "the mean", g[0], 1, "(D,)")
    covariance = checks.array("gaussian_distance", "the covariance", g[1], 2, "(D, D)")
    if not len(mean) or covariance.shape != (len(mean), len(mean)):
        raise ShapeError(
            f"gaussian_distance: expected a covariance of shape {(len(mean), len(mean))} for a mean of shape "
            f"{mean.shape}, got {covariance.shape}."
        )
    scale = np.abs(covariance).max()
    if np.abs(covariance - covariance.T).max() > 1e-6 * scale:
        raise DataError("gaussian_distance: expected a symmetric covariance; compute it with moments().")
    values, vectors = linalg.eigh(covariance)
    if values[0] < -1e-5 * scale:
        raise DataError(
            f"gaussian_distance: expected a covariance without negative eigenvalues, got one of {values[0]:.3g}; "
            "compute it with moments()."
        )
    return mean, vectors * np.sqrt(np.maximum(values, 0))
