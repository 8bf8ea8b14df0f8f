"""What training sounds like: a sound of each class as it goes on, to hear and to see."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..datasets import mu_law_decode, write_wav
from ..datasets.audio import RATE
from ..viz import draw_spectrograms
from .files import atomic
from .loop import Model, Trainer, generators
from .samples import Samples

SECONDS, CLASSES = 0.5, 5  # of each sound, and how many
PAUSE = 0.2  # seconds between sounds in one file


def draw_sounds(
    model: Model, labels: np.ndarray, n: int, rng: np.random.Generator, *, temperature: float = 1.0,
    told: Callable[[int], object] = lambda m: None,
) -> np.ndarray:  # fmt: skip
    """n samples of a sound of each class, in [−1, 1]        (N,) -> float32 (N, n)

    `told` hears how many samples have been drawn since it was told last.
    """
    training = getattr(model, "training", True)
    model.eval()
    pieces = []
    try:
        for codes in model.generate(labels, n, rng, temperature=temperature):
            pieces.append(codes)
            told(codes.shape[1])
    finally:
        if training:
            model.train()
    return mu_law_decode(np.concatenate(pieces, axis=1))


def write_sounds(path: Path, sounds: np.ndarray, labels: np.ndarray) -> None:
    """Sounds after each other as a WAV file, with short pauses; their spectrograms as a PNG of the same name."""
    pause = np.zeros(int(PAUSE * RATE), np.float32)
    joined = [part for sound in sounds for part in (pause, sound)][1:]
    with atomic(path) as file:
        write_wav(file, np.concatenate(joined))
    several = len(set(labels)) < len(labels)
    titles = [f"class {label}" + (f", {i + 1}" if several else "") for i, label in enumerate(labels)]
    with atomic(path.with_suffix(".png")) as file:
        draw_spectrograms(file, dict(zip(titles, sounds, strict=True)))


class SoundSamples(Samples):
    """A sound of each class, up to CLASSES of them, as .wav, and their spectrograms as .png."""

    def draw(self, trainer: Trainer, path: Path) -> None:
        labels = np.arange(min(CLASSES, trainer.model.conditions))
        sounds = draw_sounds(trainer.model, labels, int(SECONDS * RATE), generators(self.seed)["samples"])
        write_sounds(path.with_suffix(".wav"), sounds, labels)
