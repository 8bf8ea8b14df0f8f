"""The classifier that looks at generated digits: :mod:`minigen.metrics` measures its features and probabilities.

Trained once on all of MNIST by ``python -m benchmarks.train_classifier``; its weights come with minigen. Distances in
its features are not Inception FIDs: they can be compared with each other, and with no published figure.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np

from .. import backend, nn
from ..datasets.bundled import data_folder
from ..errors import DataError, DtypeError, NonFiniteError, ShapeError
from ..tensor import Tensor, no_grad

__all__ = ["FILE", "SHA256", "DigitClassifier", "load_classifier"]

FILE = "mnist_classifier.safetensors"
SHA256 = "cac3dae42ee10de82dec8681a059f01fa320331e60ab3f1eda4ebe9dbe169746"
BATCH = 256


class DigitClassifier(nn.Module):
    """p(k | x) = softmax(W h + b)ₖ,   h = the features        images (N, 1, 28, 28) in [0, 1] -> logits (N, 10)

    ========================  ==================
    3×3 convolution           (N, 16, 28, 28)
    3×3 with stride 2         (N, 32, 14, 14)
    3×3 with stride 2         (N, 48, 7, 7)
    3×3 with stride 2         (N, 48, 4, 4)
    linear                    (N, 64)              the features h
    linear                    (N, 10)              the logits
    ========================  ==================

    with ReLU after all but the last. No batch normalisation: the features of an image do not depend on others.
    """

    def __init__(self, *, rng: Any):
        he = nn.init.he_normal
        self.body = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1, init=he, rng=rng),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, stride=2, padding=1, init=he, rng=rng),
            nn.ReLU(),
            nn.Conv2d(32, 48, 3, stride=2, padding=1, init=he, rng=rng),
            nn.ReLU(),
            nn.Conv2d(48, 48, 3, stride=2, padding=1, init=he, rng=rng),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(48 * 4 * 4, 64, init=he, rng=rng),
            nn.ReLU(),
        )
        self.head = nn.Linear(64, 10, rng=rng)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x))

    def features(self, images: Any, batch: int = BATCH) -> np.ndarray:
        """h, the penultimate activations        (N, 1, 28, 28) or (N, 28, 28) in [0, 1] -> (N, 64) on the host

        Images of uint8 are divided by 255; a generator's images in [−1, 1] need (x + 1) / 2 first.
        """
        return self._in_batches("features", images, batch)[0]

    def probabilities(self, images: Any, batch: int = BATCH) -> np.ndarray:
        """p(k | x)        (N, 1, 28, 28) or (N, 28, 28) in [0, 1], or uint8 -> (N, 10) on the host, rows sum to 1"""
        return self._in_batches("probabilities", images, batch)[1]

    def features_and_probabilities(self, images: Any, batch: int = BATCH) -> tuple[np.ndarray, np.ndarray]:
        """Both in one pass."""
        return self._in_batches("features_and_probabilities", images, batch)

    def _in_batches(self, method: str, images: Any, batch: int) -> tuple[np.ndarray, np.ndarray]:
        images = _checked(f"DigitClassifier.{method}", images)
        features = np.empty((len(images), self.head.in_features), np.float32)
        probabilities = np.empty((len(images), self.head.out_features), np.float32)
        where = backend.backend_of(self.head.weight.data)
        with no_grad():
            for start in range(0, len(images), batch):
                rows = slice(start, start + batch)
                x = images[rows]
                x = x.astype(np.float32) / 255 if x.dtype == np.uint8 else x.astype(np.float32)
                h = self.body(Tensor(backend.to(x, where)))
                features[rows] = h.numpy()
                logits = self.head(h).numpy()
                e = np.exp(logits - logits.max(axis=1, keepdims=True))
                probabilities[rows] = e / e.sum(axis=1, keepdims=True)
        return features, probabilities


def load_classifier(path: str | os.PathLike[str] | None = None) -> DigitClassifier:
    """The trained classifier: the one that comes with minigen, checked by its SHA-256, or that of another file.

    Raises DataError if the file is missing, damaged, or not the weights of a DigitClassifier.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load as decode

    file = data_folder() / FILE if path is None else Path(path)
    try:
        data = file.read_bytes()
    except OSError as error:
        raise DataError(
            f"{file}: the classifier's weights cannot be read ({error.strerror or error}); install minigen again, or "
            "train one with python -m benchmarks.train_classifier."
        ) from error
    if path is None and hashlib.sha256(data).hexdigest() != SHA256:
        raise DataError(f"{file}: its SHA-256 is not that of the classifier of this minigen; install minigen again.")
    try:
        state = decode(data)
    except SafetensorError as error:
        raise DataError(f"{file}: cannot be decoded ({error}); the file is damaged.") from error
    classifier = DigitClassifier(rng=backend.generator(0))
    try:
        classifier.load_state_dict(state)
    except (ShapeError, DtypeError) as error:
        raise DataError(f"{file}: these are not the weights of a DigitClassifier ({error})") from error
    return classifier


def _checked(method: str, images: Any) -> np.ndarray:
    """The images as (N, 1, 28, 28) on the host, uint8 or floating point in [0, 1]."""
    x = images.numpy() if isinstance(images, Tensor) else images
    x = np.asarray(backend.to_host(x) if backend.is_array(x) else x)
    x = x[:, None] if x.ndim == 3 else x
    if x.shape[1:] != (1, 28, 28):
        raise ShapeError(f"{method}: expected images of shape (N, 1, 28, 28) or (N, 28, 28), got {np.shape(images)}.")
    if x.dtype == np.uint8:
        return x
    if x.dtype.kind != "f":
        raise DtypeError(f"{method}: expected images of uint8, or floating point in [0, 1], got {x.dtype}.")
    if not np.isfinite(x).all():
        raise NonFiniteError(f"{method}: NaN or infinity in the images; look at what the generator gives.")
    if x.size and not (x.min() >= -1e-3 and x.max() <= 1 + 1e-3):
        raise DataError(
            f"{method}: expected images in [0, 1], got {x.min():.4g} to {x.max():.4g}; "
            "take (x + 1) / 2 of images in [−1, 1], and clip those without bounds."
        )
    return x
