"""Folders of image sets under MNIST's file names.

``[anything-]{train|t10k|test}-{images|labels}[-COUNT]{-|.}idx{ndim}-ubyte[.gz]``, as in ``train-images-idx3-ubyte.gz``
(LeCun's), ``t10k-labels.idx1-ubyte`` (from inside such an archive) or ``mnist-t10k-images-2000-idx3-ubyte.gz``.
"""

import os
import re
from pathlib import Path
from typing import Literal

import numpy as np

from ..errors import ConfigError, DataError
from .idx import read_idx
from .images import ImageSet

Split = Literal["train", "test"]
SPLITS: tuple[Split, ...] = ("train", "test")

_NAME = re.compile(r"(?:.+-)?(train|t10k|test)-(images|labels)(?:-\d+)?[-.]idx\d-ubyte(?:\.gz)?")
MOST_CLASSES = 1 << 16
_SPLIT_OF = {"train": "train", "t10k": "test", "test": "test"}


def load_folder(
    path: str | os.PathLike[str],
    split: Split = "train",
    *,
    name: str | None = None,
    classes: tuple[str, ...] | None = None,
) -> ImageSet:
    """The images and labels of one split in a folder, named after the folder unless ``name`` is given.

    Without ``classes`` the labels themselves, as text, are the names of the classes.
    A file that is there both raw and as .gz is read raw.

    Raises DataError if the folder, a file or the agreement of the two is missing, ConfigError for an unknown split.
    """
    path = Path(os.path.expanduser(path))
    check_split(split)
    if not os.path.exists(path):
        raise DataError(f"{path}: expected a folder with MNIST-style files, but nothing is there; check the path.")
    if not os.path.isdir(path):
        raise DataError(f"{path}: expected a folder with MNIST-style files, came a file; name the folder it is in.")
    return load_pair(_one(path, split, "images"), _one(path, split, "labels"), name or path.resolve().name, classes)


def load_pair(images: Path, labels: Path, name: str, classes: tuple[str, ...] | None = None) -> ImageSet:
    """The image set in an IDX file of images and an IDX file of labels; its errors name the files."""
    x, y = read_idx(images), read_idx(labels)
    if not len(np.atleast_1d(x)):
        raise DataError(f"{images}: expected at least one image, came none; copy or download the file again.")
    if not np.issubdtype(y.dtype, np.integer):
        raise DataError(
            f"{labels}: expected integer labels, came {y.dtype}; check that this is the file of the labels."
        )
    y = y.astype(np.int64)
    if y.size and y.max() >= MOST_CLASSES:
        raise DataError(
            f"{labels}: expected labels below {MOST_CLASSES}, came {y.max()}; "
            "check that this is the file of the labels."
        )
    if classes is None:
        classes = tuple(str(k) for k in range(int(y.max(initial=0)) + 1))
    try:
        return ImageSet(x, y, name, classes)
    except DataError as error:
        raise DataError(f"{images} with {labels.name}: {error}") from error


def has_split(path: Path, split: Split) -> bool:
    """Whether a folder holds a file of images or labels of the split."""
    return any(_candidates(path, split, kind) for kind in ("images", "labels"))


def check_split(split: str) -> None:
    """Raises ConfigError unless ``split`` is one."""
    if split not in SPLITS:
        raise ConfigError(f"split: expected one of {', '.join(SPLITS)}, came {split!r}; choose one of these.")


def _candidates(path: Path, split: Split, kind: str) -> list[Path]:
    if not os.path.isdir(path):
        return []
    try:
        matches = [(file, _NAME.fullmatch(file.name)) for file in sorted(path.iterdir())]
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}); check its permissions.") from error
    found = [file for file, match in matches if match and (_SPLIT_OF[match[1]], match[2]) == (split, kind)]
    return [file for file in found if file.suffix != ".gz" or file.with_suffix("") not in found]


def _one(path: Path, split: Split, kind: str) -> Path:
    found = _candidates(path, split, kind)
    prefix, ndim = {"train": "train", "test": "t10k"}[split], {"images": 3, "labels": 1}[kind]
    wanted = f"{prefix}-{kind}-idx{ndim}-ubyte.gz"
    if not found:
        raise DataError(f"{path}: expected the {kind} of the {split} split, a file such as {wanted}; put it there.")
    if len(found) > 1:
        names = ", ".join(file.name for file in found)
        raise DataError(f"{path}: expected one file such as {wanted}, came {names}; give each data set its own folder.")
    return found[0]
