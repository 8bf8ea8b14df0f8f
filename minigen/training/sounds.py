"""What training sounds like: a sound of each class as it goes on, to hear and to see."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..datasets import mu_law_decode, write_wav
from ..datasets.audio import RATE
from ..viz import draw_spectrograms
from .files import atomic
from .loop import Callback, Model, Trainer, generators

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


class SoundSamples(Callback):
    """samples/step_000500.wav and .png every so many steps: a function of the parameters and the seed alone."""

    def __init__(self, folder: Path, every: int, seed: int):
        self.folder, self.every, self.seed = Path(folder) / "samples", every, seed
        self._drawn: int | None = None

    def start(self, trainer: Trainer) -> None:
        self.folder.mkdir(exist_ok=True)

    def step(self, trainer: Trainer) -> None:
        if trainer.step % self.every == 0:
            self._draw(trainer)

    def complete(self, trainer: Trainer) -> None:
        if self._drawn != trainer.step:
            self._draw(trainer)

    def _draw(self, trainer: Trainer) -> None:
        labels = np.arange(min(CLASSES, trainer.model.conditions))
        sounds = draw_sounds(trainer.model, labels, int(SECONDS * RATE), generators(self.seed)["samples"])
        write_sounds(self.folder / f"step_{trainer.step:06d}.wav", sounds, labels)
        self._drawn = trainer.step
