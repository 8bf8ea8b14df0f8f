"""Labelled images in memory."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..errors import DataError


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Labelled images, as stored: pixels are 0 to 255 and scaled only where they are used (``to_signed``, ``to_unit``).

    images   uint8, (N, H, W) or (N, C, H, W)
    labels   int64, (N,), each the index of a class
    name     where the images come from
    classes  what each label means

    Raises DataError for arrays that are not such a set.
    """

    images: np.ndarray
    labels: np.ndarray
    name: str
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        images, labels = self.images, self.labels
        if images.dtype != np.uint8 or images.ndim not in (3, 4):
            raise DataError(
                f"{self.name}: expected images of uint8, (N, H, W) or (N, C, H, W), "
                f"came {images.dtype} of shape {images.shape}; check that this is the file of the images."
            )
        if labels.dtype != np.int64 or labels.ndim != 1:
            raise DataError(
                f"{self.name}: expected labels of int64, (N,), came {labels.dtype} of shape {labels.shape}; "
                "check that this is the file of the labels."
            )
        if len(images) != len(labels):
            raise DataError(
                f"{self.name}: expected one label per image, came {len(images)} images and {len(labels)} labels; "
                "check that both files belong to the same split."
            )
        if labels.size and not (labels.min() >= 0 and labels.max() < len(self.classes)):
            raise DataError(
                f"{self.name}: expected labels from 0 to {len(self.classes) - 1}, "
                f"came {labels.min()} to {labels.max()}; check that the labels belong to this data set."
            )

    def __len__(self) -> int:
        return len(self.labels)

    def subset(self, index: slice | ArrayLike) -> "ImageSet":
        """The images that ``index`` selects on axis 0: a slice, integers, or one boolean per image.

        ``digits.subset(slice(100))`` is the first hundred, ``digits.subset(digits.labels == 3)`` every three.
        """
        index = index if isinstance(index, slice) else np.asarray(index)
        return ImageSet(self.images[index], self.labels[index], self.name, self.classes)
