"""Measures of what a model generates: NumPy arrays of features, class probabilities or log-likelihoods in, numbers out.

Features and probabilities of digits come from :class:`minigen.models.classifier.DigitClassifier`. Distances in its
features are not Inception FIDs and cannot be compared with published ones.
"""

from .classes import class_counts, class_coverage, class_entropy, fraction_asked_for
from .estimate import Estimate, estimate
from .frechet import Gaussian, frechet_distance, gaussian_distance, moments, real_floor
from .likelihood import bits_per_dimension, importance_weighted_bound, log_mean_exp, nats_from_bits_per_dimension
from .manifold import ManifoldScores, manifold_scores
from .modes import ModeReport, mode_report, ring_centres

__all__ = [
    "Estimate", "Gaussian", "ManifoldScores", "ModeReport", "bits_per_dimension", "class_counts", "class_coverage",
    "class_entropy", "estimate", "fraction_asked_for", "frechet_distance", "gaussian_distance",
    "importance_weighted_bound", "log_mean_exp", "manifold_scores", "mode_report", "moments",
    "nats_from_bits_per_dimension", "real_floor", "ring_centres",
]  # fmt: skip
