"""What models that are told the label share: the labels of the data, and those that are asked for."""

from __future__ import annotations

from typing import Any

from .. import backend
from ..backend import Array, xp
from ..datasets import ImageSet
from ..errors import DataError, ShapeError

__all__ = ["CLASSES", "asked_for", "labels_of"]

CLASSES = 10


def labels_of(dataset: ImageSet) -> Array:
    """The labels (N,). Raises DataError unless there are ten classes."""
    if len(dataset.classes) != CLASSES:
        raise DataError(f"{dataset.name}: expected {CLASSES} classes, came {len(dataset.classes)}; choose other data.")
    return dataset.labels


def asked_for(n: int, labels: Any) -> Array:
    """n labels as the networks read them; 0, 1, … 9, 0, … where `labels` is None. Raises ShapeError for another n."""
    labels = xp.arange(n) % CLASSES if labels is None else xp.asarray(labels)
    if labels.shape != (n,):
        raise ShapeError(f"sample: expected {n} labels, got shape {labels.shape}.")
    return backend.asarray(labels)
