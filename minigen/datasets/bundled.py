"""The digits that come with minigen: MNIST's first 10,000 training and 2,000 test images, in the folder ``data``."""

import importlib.util
from pathlib import Path

from ..errors import DataError
from .folder import Split, check_split, load_pair
from .images import ImageSet

NAME = "digits"
CLASSES = tuple("0123456789")
_STEMS = {"train": ("train", 10_000), "test": ("t10k", 2_000)}


def load_digits(split: Split = "train") -> ImageSet:
    """The bundled digits: images uint8 (10,000, 28, 28) or (2,000, 28, 28), labels 0 to 9."""
    check_split(split)
    stem, count = _STEMS[split]
    images, labels = (
        f"mnist-{stem}-{kind}-{count}-idx{ndim}-ubyte.gz" for kind, ndim in (("images", 3), ("labels", 1))
    )
    return load_pair(data_folder() / images, data_folder() / labels, NAME, CLASSES)


def data_folder() -> Path:
    """The folder ``data``: installed as the package minigen_data, or beside minigen in a clone not installed."""
    spec = importlib.util.find_spec("minigen_data")
    if spec is not None and spec.origin is not None:
        return Path(spec.origin).parent
    clone = Path(__file__).resolve().parents[2]
    if (clone / "data").is_dir() and (clone / "setup.py").is_file():
        return clone / "data"
    raise DataError("the bundled digits are not installed beside minigen; install it again with pip install.")
