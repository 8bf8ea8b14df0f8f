"""Measures of melodies: do they keep to a scale, how long are their notes, how far do they leap."""

from typing import Any

import numpy as np

from . import checks

MAJOR = (0, 2, 4, 5, 7, 9, 11)  # semitones above the tonic; the notes of a natural minor are those of some major


def in_scale_rate(pitches: Any) -> float:
    """max over the twelve tonics of the share of notes that lie in its major scale        (n,) -> one number

    A melody of random keys has 7/12 for a given scale, and rather more for the best of twelve if it is short.
    """
    pitches = checks.array("in_scale_rate", "pitches", pitches, 1, "(n,)")
    checks.enough("in_scale_rate", "pitches", len(pitches), 1)
    classes = np.bincount(pitches.astype(np.int64) % 12, minlength=12)
    return float(max(classes[[(tonic + step) % 12 for step in MAJOR]].sum() for tonic in range(12)) / len(pitches))


def shares(values: Any, low: int, high: int) -> np.ndarray:
    """How often each whole number from `low` to `high` occurs; what lies beyond as the nearest        (n,) -> (K,)

    K = high − low + 1; the shares sum to 1, or are 0 where there are no values.
    """
    values = np.clip(np.asarray(values, np.int64), low, high) - low
    return np.bincount(values, minlength=high - low + 1) / max(1, len(values))
