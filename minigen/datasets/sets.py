"""Data of every kind by name or path, for training or held out: images, texts, pairs of texts, points, sounds.

A kind, one of KINDS, is what a model reads; :func:`load_set` is how the commands get it.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import DataError
from . import audio, catalog, dates, music, pairs, text
from .files import no_such
from .folder import Split, check_split
from .images import ImageSet
from .pairs import Pair
from .synthetic import ring_of_gaussians

TRAINING, HELD_OUT = 20_000, 2_000  # how many items are made of a generated set
RING_STD = 0.02


@dataclass(frozen=True, eq=False)
class TextSet:
    """A text, or the part of it that belongs to a split, and where it comes from."""

    text: str
    name: str

    def __len__(self) -> int:
        return len(self.text)


@dataclass(frozen=True, eq=False)
class PairSet:
    """Source and target texts, and where they come from."""

    pairs: tuple[Pair, ...]
    name: str

    def __len__(self) -> int:
        return len(self.pairs)


@dataclass(frozen=True, eq=False)
class PointSet:
    """Points of the plane, float32 (N, 2), σ of the Gaussians that they were drawn from, and where they come from."""

    points: np.ndarray
    std: float
    name: str

    def __len__(self) -> int:
        return len(self.points)


def load_text_set(name_or_path: str = text.DEFAULT, split: Split = "train") -> TextSet:
    """The first nine tenths of a text for training, or the rest, held out. Errors as :func:`load_text`."""
    check_split(split)
    whole = text.load_text(name_or_path)
    cut = int(0.9 * len(whole))
    part = whole[:cut] if split == "train" else whole[cut:]
    if len(part) < 2:
        raise DataError(f"{name_or_path}: expected a text to train on and to hold out, came {len(whole)} characters.")
    return TextSet(part, str(name_or_path))


def available_pairs() -> dict[str, str]:
    """What each name that ``load_pair_set`` knows stands for, in one line."""
    return {
        "dates": "dates as people write them, in English and Chinese, and as 2026-11-21",
        "numbers": "numbers in English words, and in digits",
    }


def load_pair_set(name_or_path: str = "dates", split: Split = "train") -> PairSet:
    """Pairs by a name in ``available_pairs()``, of which none is in both splits, or four fifths of those in a file.

    The rest of a file is held out, by sentence (``split_pairs``). Errors as :func:`load_pairs`.
    """
    check_split(split)
    held_out, name = split == "test", str(name_or_path)
    if name in ("dates", "numbers"):
        made = dates.date_pairs if name == "dates" else dates.number_pairs
        n, seed = (HELD_OUT, 1) if held_out else (TRAINING, 0)
        found = made(n, np.random.default_rng(seed), held_out=held_out)
        return PairSet(tuple(Pair(source, target, "") for source, target in found), name)
    if not os.path.exists(os.path.expanduser(name)):
        raise no_such(name, "a file of pairs", available_pairs())
    parts = pairs.split_pairs(pairs.load_pairs(name), np.random.default_rng(0))
    return PairSet(tuple(parts[held_out]), Path(name).stem)


def available_points() -> dict[str, str]:
    """What each name that ``load_point_set`` knows stands for, in one line."""
    return {"ring": "eight Gaussians on a circle in the plane"}


def load_point_set(name: str = "ring", split: Split = "train") -> PointSet:
    """Points of the plane by a name in ``available_points()``. Raises DataError for another."""
    check_split(split)
    if name not in available_points():
        known = ", ".join(available_points())
        raise DataError(f"{name}: expected a set of points by name, {known}; check the spelling.")
    n, seed = (HELD_OUT, 1) if split == "test" else (TRAINING, 0)
    points, _ = ring_of_gaussians(n, np.random.default_rng(seed), std=RING_STD)
    return PointSet(points, RING_STD, name)


_KINDS: dict[str, tuple[Callable[[], dict[str, str]], Callable]] = {
    "images": (catalog.available, catalog.load),
    "text": (text.available_texts, load_text_set),
    "pairs": (available_pairs, load_pair_set),
    "points": (available_points, load_point_set),
    "audio": (audio.available_audio, audio.load_audio_set),
    "music": (music.available_music, music.load_music_set),
}

KINDS = tuple(_KINDS)
Dataset = ImageSet | TextSet | PairSet | PointSet | audio.AudioSet | music.MusicSet


def available_sets(kind: str) -> dict[str, str]:
    """The names of the sets of a kind, and what each stands for."""
    return _KINDS[kind][0]()


def load_set(kind: str, name_or_path: str, split: Split = "train") -> Dataset:
    """The set of a kind: by a name in ``available_sets(kind)``, or a path. Errors as the kind's own loader."""
    return _KINDS[kind][1](name_or_path, split)
