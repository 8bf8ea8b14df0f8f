"""What a classifier sees in generated samples: which classes, how evenly, and whether those that were asked for.

All figures are about the *predicted* class, argmax p. A classifier puts noise into some class too: read them beside a
distance to real data.
"""

from typing import Any

import numpy as np

from ..errors import DataError, ShapeError
from . import checks


def class_counts(probabilities: Any) -> np.ndarray:
    """How many samples are predicted to be of each class        (N, K) -> integers (K,)"""
    p = checks.probabilities("class_counts", probabilities)
    return np.bincount(p.argmax(axis=1), minlength=p.shape[1])


def class_coverage(probabilities: Any, share: float = 0.1) -> int:
    """How many classes are drawn        (N, K) -> 0, …, K

    A class is drawn when at least `share` of its even share N/K of the samples are predicted to be of it, and at least
    one is: with 10 classes one in a hundred. A lower bar would count the classifier's mistakes as variety.
    """
    checks.share("class_coverage", share)
    counts = class_counts(probabilities)
    return int((counts >= max(1, share * counts.sum() / len(counts))).sum())


def class_entropy(probabilities: Any) -> float:
    """H = − Σₖ qₖ ln qₖ,   qₖ the share of samples predicted to be of class k        (N, K) -> nats in [0, ln K]

    ln K, 2.303 for ten classes, where all are drawn equally often; 0 where one class is all that is drawn.
    """
    counts = class_counts(probabilities)
    q = counts[counts > 0] / counts.sum()
    return float(abs(-(q * np.log(q)).sum()))


def fraction_asked_for(probabilities: Any, labels: Any) -> float:
    """1/N Σᵢ 1[argmax pᵢ = labelᵢ]        (N, K), (N,) -> number in [0, 1]

    The share of samples of a conditional model that are of the class asked for. The classifier's own accuracy on real
    data is the most that can be expected. With s the result, its standard error is √(s(1 − s)/N).
    """
    p = checks.probabilities("fraction_asked_for", probabilities)
    labels = np.asarray(labels)
    if labels.shape != (len(p),):
        raise ShapeError(f"fraction_asked_for: expected one label for each of {len(p)} samples, got {labels.shape}.")
    if labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() >= p.shape[1]:
        raise DataError(f"fraction_asked_for: expected whole numbers from 0 to {p.shape[1] - 1} as labels.")
    return float((p.argmax(axis=1) == labels).mean())
