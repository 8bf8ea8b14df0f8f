"""Baselines that any network should beat: a mixture of Gaussians, and a single Gaussian on principal components.

No networks, no gradients: NumPy and SciPy alone, float64 inside. A sample is a row: images are flattened before and
clipped to their range after.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import linalg
from scipy.spatial.distance import cdist
from scipy.special import logsumexp

from ..errors import ConfigError, DataError, ShapeError
from ..metrics import checks

__all__ = ["GaussianMixture", "PCAGaussian", "k_means", "k_means_plus_plus"]

CHUNK = 4096  # rows that are worked on at a time


def k_means_plus_plus(x: Any, k: int, rng: np.random.Generator) -> np.ndarray:
    """k rows of x, far from each other        (N, D) -> (k, D)        Arthur & Vassilvitskii 2007

    The first is any row; each further one is row i with probability D(xᵢ)² / Σⱼ D(xⱼ)², where D(x) is the distance from
    x to the nearest row chosen so far. Raises DataError where x has fewer than k different rows.
    """
    x = checks.features("k_means_plus_plus", "x", x, least=1)
    k = checks.whole("k_means_plus_plus", "k", k, 1, len(x))
    checks.generator("k_means_plus_plus", rng)
    chosen = [int(rng.integers(len(x)))]
    d2 = _square_distances(x, x[chosen])[:, 0]
    for _ in range(1, k):
        total = d2.sum()
        if not total:
            raise DataError(f"k_means_plus_plus: expected {k} different rows, got {len(chosen)}; ask for fewer.")
        chosen.append(int(rng.choice(len(x), p=d2 / total)))
        d2 = np.minimum(d2, _square_distances(x, x[chosen[-1:]])[:, 0])
    return x[chosen]


def k_means(x: Any, k: int, rng: np.random.Generator, iterations: int = 100) -> tuple[np.ndarray, np.ndarray]:
    """Centres μ and the nearest of them for each row        (N, D) -> (k, D), (N,)        Lloyd 1982

    From the start of :func:`k_means_plus_plus`, by turns: zᵢ = argminₖ ‖xᵢ − μₖ‖² and μₖ = mean of the xᵢ with zᵢ = k,
    until no zᵢ changes. Neither step raises Σ ‖xᵢ − μ_zᵢ‖². A centre that loses all its rows stays where it is.
    """
    x = checks.features("k_means", "x", x, least=1)
    centres = k_means_plus_plus(x, k, rng)
    nearest = _square_distances(x, centres).argmin(axis=1)
    for _ in range(checks.whole("k_means", "iterations", iterations, 0)):
        for j in np.unique(nearest):
            centres[j] = x[nearest == j].mean(axis=0)
        before, nearest = nearest, _square_distances(x, centres).argmin(axis=1)
        if (nearest == before).all():
            break
    return centres, nearest


class GaussianMixture:
    """p(x) = Σₖ wₖ N(x; μₖ, Σₖ), fitted by expectation maximisation        Dempster et al. 1977; Bishop 2006, §9.2

    components  K
    covariance  "full", or "diagonal": the dimensions are independent within a component
    floor       no variance, in any direction, falls below it. Without a floor the likelihood has no maximum: a
                component that shrinks onto one row raises it without end. In the units of x, squared.

    After :meth:`fit`: ``weights`` (K,), ``means`` (K, D), ``covariances`` (K, D, D) or (K, D), and ``history``, the
    mean log-likelihood per row before each step, which never falls.
    """

    def __init__(self, components: int, covariance: str = "full", floor: float = 1e-3):
        self.components = checks.whole("GaussianMixture", "components", components, 1)
        if covariance not in ("full", "diagonal"):
            raise ConfigError(f"GaussianMixture: covariance must be 'full' or 'diagonal', got {covariance!r}.")
        if not 0 < floor < np.inf:
            raise ConfigError(f"GaussianMixture: floor must be a positive number, got {floor}.")
        self.covariance, self.floor = covariance, floor
        self.history: list[float] = []

    def fit(self, x: Any, rng: np.random.Generator, iterations: int = 100, tolerance: float = 1e-4) -> GaussianMixture:
        """Fit to the rows of x, (N, D), from the clusters of :func:`k_means`; returns itself.

            γᵢₖ = wₖ N(xᵢ; μₖ, Σₖ) / Σⱼ wⱼ N(xᵢ; μⱼ, Σⱼ)                             expectation
            Nₖ = Σᵢ γᵢₖ,   wₖ = Nₖ/N,   μₖ = Σᵢ γᵢₖ xᵢ / Nₖ,
            Sₖ = Σᵢ γᵢₖ (xᵢ − μₖ)(xᵢ − μₖ)ᵀ / Nₖ,   Σₖ = U max(Λ, floor) Uᵀ           maximisation

        where Sₖ = U Λ Uᵀ. That is the maximum under the floor, so the likelihood rises in every step, as without one.
        Ends after `iterations` steps, or when a step gains less than `tolerance` nats per row.
        """
        x = checks.features("GaussianMixture.fit", "x", x, least=max(2, self.components))
        checks.whole("GaussianMixture.fit", "iterations", iterations, 1)
        self.means, nearest = k_means(x, self.components, rng)
        self._axes = [np.eye(x.shape[1]) if self.covariance == "full" else None] * self.components
        self.variances = np.full(self.means.shape, max(self.floor, x.var()))
        self.weights = np.full(self.components, 1 / self.components)
        self._step(x, np.eye(self.components)[nearest])
        self.history = []
        for _ in range(iterations):
            log_likelihood = self._step(x)
            self.history.append(log_likelihood)
            if len(self.history) > 1 and log_likelihood - self.history[-2] < tolerance:
                break
        return self

    def log_likelihood(self, x: Any) -> np.ndarray:
        """ln p(xᵢ) in nats        (N, D) -> (N,)"""
        x = self._samples("log_likelihood", x)
        return np.concatenate([logsumexp(self._log_joint(rows), axis=1) for rows in _chunks(x)])

    def responsibilities(self, x: Any) -> np.ndarray:
        """γᵢₖ = p(k | xᵢ)        (N, D) -> (N, K), rows sum to 1"""
        x = self._samples("responsibilities", x)
        return np.concatenate([_softmax(self._log_joint(rows)) for rows in _chunks(x)])

    def sample(self, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """k ~ Categorical(w),   x = μₖ + U √Λ ε,   ε ~ N(0, I)        -> (n, D), and the components k, (n,)"""
        self._fitted("sample")
        n = checks.whole("GaussianMixture.sample", "n", n, 0)
        checks.generator("GaussianMixture.sample", rng)
        k = rng.choice(self.components, size=n, p=self.weights)
        x = rng.standard_normal((n, self.means.shape[1]))
        for j in np.unique(k):
            rows = x[k == j] * np.sqrt(self.variances[j])
            x[k == j] = self.means[j] + (rows if self._axes[j] is None else rows @ self._axes[j].T)
        return x, k

    @property
    def covariances(self) -> np.ndarray:
        """Σₖ, (K, D, D), or their diagonals, (K, D)"""
        self._fitted("covariances")
        if self.covariance == "diagonal":
            return self.variances.copy()
        return np.stack([(u * v) @ u.T for u, v in zip(self._axes, self.variances)])

    # Σₖ is kept as its axes U, orthogonal columns (None: those of the space), and the variances Λ along them.

    def _log_joint(self, x: np.ndarray) -> np.ndarray:
        """ln wₖ N(xᵢ; μₖ, Σₖ) = ln wₖ − ½ Σ_d [ ln 2πΛ_d + (Uᵀ(xᵢ − μₖ))_d² / Λ_d ]        (N, D) -> (N, K)"""
        log_joint = np.empty((len(x), self.components))
        with np.errstate(divide="ignore"):  # the logarithm of a weight of zero is −∞
            log_weights = np.log(self.weights)
        for k, (mean, v, axes) in enumerate(zip(self.means, self.variances, self._axes)):
            d = x - mean
            d = d if axes is None else d @ axes
            log_joint[:, k] = log_weights[k] - 0.5 * (np.log(2 * np.pi * v).sum() + np.square(d) @ (1 / v))
        return log_joint

    def _step(self, x: np.ndarray, given: np.ndarray | None = None) -> float:
        """One step; returns the mean log-likelihood before it. `given`: γ to use in place of the expectation's.

        Moments are taken about the old means m, chunk by chunk: δ = μ − m, S = Σ γ (x − m)(x − m)ᵀ / Nₖ − δδᵀ.
        """
        components, dimensions = self.means.shape
        full = self.covariance == "full"
        total = 0.0
        counts, first = np.zeros(components), np.zeros((components, dimensions))
        second = np.zeros((components, dimensions, dimensions) if full else (components, dimensions))
        for start in range(0, len(x), CHUNK):
            rows = x[start : start + CHUNK]
            if given is None:
                log_joint = self._log_joint(rows)
                total += logsumexp(log_joint, axis=1).sum()
                γ = _softmax(log_joint)
            else:
                γ = given[start : start + CHUNK]
            counts += γ.sum(axis=0)
            for k in range(components):
                d = rows - self.means[k]
                weighted = γ[:, k, None] * d
                first[k] += weighted.sum(axis=0)
                second[k] += weighted.T @ d if full else (weighted * d).sum(axis=0)
        self.weights = counts / counts.sum()
        for k in np.flatnonzero(counts > 1e-10):  # an empty component keeps its place, with a weight of zero
            δ = first[k] / counts[k]
            self.means[k] += δ
            if full:
                values, self._axes[k] = linalg.eigh(second[k] / counts[k] - np.outer(δ, δ))
            else:
                values = second[k] / counts[k] - δ * δ
            self.variances[k] = np.maximum(values, self.floor)
        return total / len(x)

    def _samples(self, method: str, x: Any) -> np.ndarray:
        self._fitted(method)
        x = checks.features(f"GaussianMixture.{method}", "x", x, least=1)
        if x.shape[1] != self.means.shape[1]:
            raise ShapeError(
                f"GaussianMixture.{method}: expected x of shape (N, {self.means.shape[1]}), as in fit, got {x.shape}."
            )
        return x

    def _fitted(self, method: str) -> None:
        if not self.history:
            raise ConfigError(f"GaussianMixture.{method}: the mixture is not fitted yet; call fit(x, rng) first.")


class PCAGaussian:
    """x = μ + V √Λ z,   z ~ N(0, I): a Gaussian on the first C principal components        Pearson 1901

    V, (D, C), are the C eigenvectors of the covariance of x with the largest eigenvalues Λ. What varies outside their
    span is left out: with C = D, or fewer where the data have lower rank, this is the one Gaussian with the moments of
    the data.

    After :meth:`fit`: ``mean`` (D,), ``axes`` V, ``variances`` Λ in falling order, ``explained``, the share of the
    variance that they hold.
    """

    def __init__(self, components: int):
        self.components = checks.whole("PCAGaussian", "components", components, 1)
        self.axes: np.ndarray | None = None

    def fit(self, x: Any) -> PCAGaussian:
        """From the rows of x, (N, D) with N > 1 and D >= C; returns itself."""
        x = checks.features("PCAGaussian.fit", "x", x)
        dimensions = x.shape[1]
        if self.components > dimensions:
            raise ConfigError(f"PCAGaussian: x has {dimensions} dimensions, too few for {self.components} components.")
        self.mean = x.mean(axis=0)
        centred = x - self.mean
        covariance = centred.T @ centred / (len(x) - 1)
        values, vectors = linalg.eigh(covariance, subset_by_index=(dimensions - self.components, dimensions - 1))
        self.variances, self.axes = np.maximum(values[::-1], 0), vectors[:, ::-1]
        variance = np.trace(covariance)
        self.explained = float(self.variances.sum() / variance) if variance else 1.0
        return self

    def encode(self, x: Any) -> np.ndarray:
        """c = Vᵀ (x − μ), the coordinates along the components        (N, D) -> (N, C)"""
        x = checks.features("PCAGaussian.encode", "x", x, least=1)
        if x.shape[1] != self._fitted("encode").shape[0]:
            raise ShapeError(f"PCAGaussian.encode: expected x of shape (N, {len(self.mean)}), got {x.shape}.")
        return (x - self.mean) @ self.axes

    def decode(self, c: Any) -> np.ndarray:
        """x = μ + V c, the row that is nearest of those with these coordinates        (N, C) -> (N, D)"""
        c = checks.features("PCAGaussian.decode", "c", c, least=1)
        if c.shape[1] != self._fitted("decode").shape[1]:
            raise ShapeError(f"PCAGaussian.decode: expected c of shape (N, {self.components}), got {c.shape}.")
        return self.mean + c @ self.axes.T

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """x = μ + V √Λ z        -> (n, D)"""
        axes = self._fitted("sample")
        n = checks.whole("PCAGaussian.sample", "n", n, 0)
        z = checks.generator("PCAGaussian.sample", rng).standard_normal((n, self.components))
        return self.mean + (z * np.sqrt(self.variances)) @ axes.T

    def _fitted(self, method: str) -> np.ndarray:
        if self.axes is None:
            raise ConfigError(f"PCAGaussian.{method}: not fitted yet; call fit(x) first.")
        return self.axes


def _square_distances(x: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """‖xᵢ − μₖ‖²        (N, D), (K, D) -> (N, K)"""
    return cdist(x, centres, "sqeuclidean")


def _softmax(log_joint: np.ndarray) -> np.ndarray:
    return np.exp(log_joint - logsumexp(log_joint, axis=1, keepdims=True))


def _chunks(x: np.ndarray) -> list[np.ndarray]:
    return [x[start : start + CHUNK] for start in range(0, len(x), CHUNK)]
