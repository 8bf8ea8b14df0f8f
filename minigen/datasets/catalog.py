"""Image sets by name or folder."""

import os
from pathlib import Path

from . import bundled, remote
from .files import data_root, no_such
from .folder import Split, check_split, has_split, load_folder
from .images import ImageSet


def available() -> dict[str, str]:
    """What each name that ``load`` knows stands for, in one line."""
    described = {bundled.NAME: "10,000 and 2,000 digits of MNIST, bundled with minigen"}
    return described | {name: f"{source.title}, downloaded once" for name, source in remote.SOURCES.items()}


def load(name_or_path: str | os.PathLike[str] = bundled.NAME, split: Split = "train") -> ImageSet:
    """The image set of a name in ``available()``, or of a folder with MNIST-style files (``load_folder``).

    A name that is not bundled is first looked up in MINIGEN_DATA, if that is set: in its subfolder of that name, then
    in the folder itself, unless the labels there are those of another known set. Only then is it downloaded.
    A name wins over a folder of the same name; write ``./mnist`` for the folder.

    Raises DataError if there is no such set or it cannot be had, ConfigError for an unknown split.
    """
    check_split(split)
    if name_or_path == bundled.NAME:
        return bundled.load_digits(split)
    if name_or_path in remote.SOURCES:
        source = remote.SOURCES[str(name_or_path)]
        return _local(source, split) or load_folder(
            remote.download(source, split), split, name=source.name, classes=source.classes
        )
    path = Path(os.path.expanduser(name_or_path))
    if os.path.exists(path):
        return load_folder(path, split)
    raise no_such(name_or_path, "a folder", available())


def _local(source: remote.Source, split: Split) -> ImageSet | None:
    """The set in MINIGEN_DATA, or None if it is not there."""
    root = data_root()
    if root is None:
        return None
    if has_split(root / source.name, split):
        return load_folder(root / source.name, split, name=source.name, classes=source.classes)
    if has_split(root, split):
        found = load_folder(root, split)
        others = [other for other in remote.SOURCES.values() if other.name != source.name]
        if not any(_begins(found, other.first_labels[split]) for other in others):
            return load_folder(root, split, name=source.name, classes=source.classes)
    return None


def _begins(images: ImageSet, labels: tuple[int, ...]) -> bool:
    return len(images) >= len(labels) and tuple(images.labels[: len(labels)].tolist()) == labels
