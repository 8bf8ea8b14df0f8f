"""Samples of known densities in one and two dimensions: where a generative model can be judged exactly.

Each function returns float32 points and int64 labels, the component that each point was drawn from, and draws only
from the generator it is given.
"""

from collections.abc import Sequence

import numpy as np

from ..errors import ConfigError, DtypeError


def ring_of_gaussians(
    n: int, generator: np.random.Generator, modes: int = 8, radius: float = 2.0, std: float = 0.02
) -> tuple[np.ndarray, np.ndarray]:
    """x = r (cos θ, sin θ) + σ ε,   θ = 2πk / K,   k ~ U{0, …, K−1},   ε ~ N(0, I)        -> (n, 2), (n,)

    K is ``modes``, r ``radius``, σ ``std``.
    """
    _check("ring_of_gaussians", n, generator, std=std)
    if modes < 1:
        raise ConfigError(f"ring_of_gaussians: expected at least one mode, came modes = {modes}; choose 1 or more.")
    k = generator.integers(modes, size=n)
    θ = 2 * np.pi * k / modes
    x = radius * np.stack([np.cos(θ), np.sin(θ)], axis=1) + std * generator.standard_normal((n, 2))
    return x.astype(np.float32), k


def two_moons(n: int, generator: np.random.Generator, noise: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    """x = m_k(t) + σ ε,   t ~ U[0, π],   k ~ U{0, 1},   ε ~ N(0, I)        -> (n, 2), (n,)

    m₀(t) = (cos t, sin t),   m₁(t) = (1 − cos t, ½ − sin t): two half circles reaching into each other; σ is ``noise``.
    """
    _check("two_moons", n, generator, noise=noise)
    k = generator.integers(2, size=n)
    t = generator.uniform(0, np.pi, size=n)
    upper, lower = np.stack([np.cos(t), np.sin(t)], axis=1), np.stack([1 - np.cos(t), 0.5 - np.sin(t)], axis=1)
    x = np.where(k[:, None] == 0, upper, lower) + noise * generator.standard_normal((n, 2))
    return x.astype(np.float32), k


def mixture_1d(
    n: int,
    generator: np.random.Generator,
    means: Sequence[float] = (-2.0, 2.0),
    stds: Sequence[float] = (0.5, 0.5),
    weights: Sequence[float] = (0.5, 0.5),
) -> tuple[np.ndarray, np.ndarray]:
    """x = μ_k + σ_k ε,   k ~ Categorical(w),   ε ~ N(0, 1),   so p(x) = Σ_k w_k N(x; μ_k, σ_k²)        -> (n, 1), (n,)

    μ is ``means``, σ ``stds``, w ``weights``.
    """
    μ, σ, w = (np.asarray(values, np.float64) for values in (means, stds, weights))
    if not (μ.ndim == 1 and len(μ) and μ.shape == σ.shape == w.shape):
        raise ConfigError(
            "mixture_1d: expected as many means, stds and weights as there are components, "
            f"came shapes {μ.shape}, {σ.shape} and {w.shape}; give each component one of each."
        )
    _check("mixture_1d", n, generator, stds=σ.min(), weights=w.min())
    if not np.isclose(w.sum(), 1):
        raise ConfigError(f"mixture_1d: expected weights that sum to 1, came a sum of {w.sum():g}; divide them by it.")
    k = generator.choice(len(w), size=n, p=w / w.sum())
    x = μ[k] + σ[k] * generator.standard_normal(n)
    return x[:, None].astype(np.float32), k


def _check(function: str, n: int, generator: np.random.Generator, **scales: float) -> None:
    if not isinstance(generator, np.random.Generator):
        raise DtypeError(
            f"{function}: generator is a {type(generator).__name__}, expected a numpy.random.Generator; "
            "make one with np.random.default_rng(seed)."
        )
    for name, value in {"n": n, **scales}.items():
        if not value >= 0:
            raise ConfigError(f"{function}: expected {name} of at least 0, came {value}; choose another.")
