"""What training sounds like for models of music: what they compose as it goes on, to hear and to see."""

from __future__ import annotations

from pathlib import Path

from ..datasets import Score, write_midi, write_wav
from ..datasets.synthesizer import RATE, synthesize
from ..viz import draw_piano_roll
from .files import atomic
from .loop import Callback, Trainer, generators

BARS = 8


def write_music(path: Path, score: Score, given: int = 0) -> None:
    """A score as the MIDI file `path`, and beside it, under the same name, as a WAV file and as a picture.

    What begins before the step `given` is grey in the picture.
    """
    with atomic(path) as file:
        write_midi(file, score)
    with atomic(path.with_suffix(".wav")) as file:
        write_wav(file, synthesize(score), RATE)
    with atomic(path.with_suffix(".png")) as file:
        draw_piano_roll(file, score, given)


class MusicSamples(Callback):
    """samples/step_000500.mid, .wav and .png every so many steps: a function of the parameters and the seed alone."""

    def __init__(self, folder: Path, every: int, seed: int):
        self.folder, self.every, self.seed = Path(folder) / "samples", every, seed
        self._written: int | None = None

    def start(self, trainer: Trainer) -> None:
        self.folder.mkdir(exist_ok=True)

    def step(self, trainer: Trainer) -> None:
        if trainer.step % self.every == 0:
            self._write(trainer)

    def complete(self, trainer: Trainer) -> None:
        if self._written != trainer.step:
            self._write(trainer)

    def _write(self, trainer: Trainer) -> None:
        trainer.model.eval()
        try:
            score = trainer.model.compose(None, BARS, generators(self.seed)["samples"])
        finally:
            trainer.model.train()
        write_music(self.folder / f"step_{trainer.step:06d}.mid", score)
        self._written = trainer.step
