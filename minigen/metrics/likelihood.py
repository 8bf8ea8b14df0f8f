"""Log-likelihoods: averages taken without leaving the logarithm, and the units they are reported in."""

from typing import Any

import numpy as np

from ..errors import ConfigError, DataError, NonFiniteError
from . import checks
from .estimate import Estimate, estimate


def log_mean_exp(x: Any, axis: int = 0) -> np.ndarray:
    """ln (1/S Σₛ e^(xₛ)) = m + ln (1/S Σₛ e^(xₛ − m)),   m = maxₛ xₛ        the axis of length S goes

    Exact where e^x would overflow or vanish. −∞ is allowed, for zero; NaN and +∞ are not.
    """
    x = np.asarray(x, np.float64)
    if not x.ndim or not x.shape[axis]:
        raise DataError(f"log_mean_exp: expected numbers along axis {axis}, got an array of shape {x.shape}.")
    if np.isnan(x).any() or np.isposinf(x).any():
        raise NonFiniteError(f"log_mean_exp: expected finite numbers or −∞, got NaN or +∞ in an array of {x.size}.")
    m = x.max(axis=axis, keepdims=True)
    m = np.where(np.isneginf(m), 0.0, m)
    with np.errstate(divide="ignore"):
        return np.squeeze(m, axis) + np.log(np.exp(x - m).mean(axis=axis))


def importance_weighted_bound(log_weights: Any) -> Estimate:
    """L_S = E[ln 1/S Σₛ wₛ],   ln wₛ = ln p(x|zₛ) + ln p(zₛ) − ln q(zₛ|x),   zₛ ~ q        (S, N) -> mean ± s.e. over N

    Burda et al. 2016, eq. 8. S = 1 is the ELBO; the bound rises with S, to ln p(x). `log_weights` holds S draws of each
    of N >= 2 examples. The error is that of the mean over examples; what the choice of z adds to it is included.
    """
    log_weights = checks.array("importance_weighted_bound", "log_weights", log_weights, 2, "(S, N)")
    checks.enough("importance_weighted_bound", "log_weights", log_weights.shape[1], 2)
    return estimate(log_mean_exp(log_weights, axis=0))


def bits_per_dimension(log_likelihood: float, dimensions: int, levels: int = 1) -> float:
    """− ln p(x) / (D ln 2) + log₂ L        nats per example -> bits per dimension

    For probabilities of discrete x, L = `levels` = 1. For the *density* of x = u/L with u spread evenly over its step
    (dequantisation), each dimension has L steps of size 1/L: pixels scaled to [0, 1] have L = 256, those scaled to
    [−1, 1] half as much, 128. The result bounds the bits of a code for u (Theis et al. 2016, §3.1).
    """
    dimensions = checks.whole("bits_per_dimension", "dimensions", dimensions, 1)
    if not 0 < levels < np.inf:
        raise ConfigError(f"bits_per_dimension: levels must be a positive number, got {levels}.")
    return float(-log_likelihood / (dimensions * np.log(2)) + np.log2(levels))


def nats_from_bits_per_dimension(bits: float, dimensions: int, levels: int = 1) -> float:
    """ln p(x) = − (bits − log₂ L) D ln 2        the inverse of :func:`bits_per_dimension`"""
    dimensions = checks.whole("nats_from_bits_per_dimension", "dimensions", dimensions, 1)
    if not 0 < levels < np.inf:
        raise ConfigError(f"nats_from_bits_per_dimension: levels must be a positive number, got {levels}.")
    return float(-(bits - np.log2(levels)) * dimensions * np.log(2))
