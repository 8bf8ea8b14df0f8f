"""Counting the modes of a mixture of Gaussians that a generator has found, such as those of the ring."""

from typing import Any, NamedTuple

import numpy as np

from ..errors import ConfigError, ShapeError
from . import checks


class ModeReport(NamedTuple):
    """covered: the number of modes found. high_quality: the share of good samples. counts: those of each mode, (K,)."""

    covered: int
    high_quality: float
    counts: np.ndarray


def ring_centres(modes: int = 8, radius: float = 2.0) -> np.ndarray:
    """μₖ = r (cos 2πk/K, sin 2πk/K)        -> (K, 2), the centres of :func:`minigen.datasets.ring_of_gaussians`"""
    θ = 2 * np.pi * np.arange(checks.whole("ring_centres", "modes", modes, 1)) / modes
    return radius * np.stack([np.cos(θ), np.sin(θ)], axis=1)


def mode_report(samples: Any, centres: Any, std: float, share: float = 0.1) -> ModeReport:
    """How many of K modes N(μₖ, σ²I) are covered, and by how good samples        (N, D), (K, D) -> ModeReport

    A sample is of high quality when it lies within 3σ of the nearest centre, to whose mode it counts: in the plane
    1 − e^(−9/2) = 98.9 % of perfect samples are (Srivastava et al. 2017, VEEGAN; Lin et al. 2018, PacGAN).
    There a mode is covered by a single such sample. Here it takes at least one *and* `share` of the mode's even part of
    all samples, N/K: stray points on the way between two modes do not cover a third. share=0 is their definition.
    """
    samples = checks.features("mode_report", "samples", samples, least=1)
    centres = checks.features("mode_report", "centres", centres, least=1)
    if samples.shape[1] != centres.shape[1]:
        raise ShapeError(
            f"mode_report: expected samples and centres in one space, got {samples.shape[1]} and {centres.shape[1]} "
            "dimensions."
        )
    if not 0 < std < np.inf:
        raise ConfigError(f"mode_report: std must be a positive number, got {std}.")
    checks.share("mode_report", share)
    d = np.stack([np.linalg.norm(samples - centre, axis=1) for centre in centres], axis=1)
    good = d.min(axis=1) <= 3 * std
    counts = np.bincount(d.argmin(axis=1)[good], minlength=len(centres))
    covered = counts >= max(1, share * len(samples) / len(centres))
    return ModeReport(int(covered.sum()), float(good.mean()), counts)
