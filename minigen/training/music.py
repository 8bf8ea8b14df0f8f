"""What training sounds like for models of music: what they compose as it goes on, to hear and to see."""

from __future__ import annotations

from pathlib import Path

from ..datasets import Score, write_midi, write_wav
from ..datasets.synthesizer import RATE, synthesize
from ..viz import draw_piano_roll
from .files import atomic
from .loop import Trainer, generators
from .samples import Samples

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


class MusicSamples(Samples):
    """BARS bars that the model composes, as .mid, .wav and .png."""

    def draw(self, trainer: Trainer, path: Path) -> None:
        score = trainer.model.compose(None, BARS, generators(self.seed)["samples"])
        write_music(path.with_suffix(".mid"), score)
