"""What training looks like for models of text: what they write as it goes on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..datasets import Pair
from .files import atomic
from .loop import Model, Trainer, generators
from .samples import Samples


class WrittenSamples(Samples):
    """What the model writes, as .txt, before the first step, too."""

    def start(self, trainer: Trainer) -> None:
        super().start(trainer)
        if trainer.step == 0:
            self._draw(trainer)

    def draw(self, trainer: Trainer, path: Path) -> None:
        with atomic(path.with_suffix(".txt")) as file:
            file.write(self.sample(trainer.model).encode())

    def sample(self, model: Model) -> str:
        """What is written at one step."""
        raise NotImplementedError


class TextSamples(WrittenSamples):
    """300 symbols, drawn as the model says."""

    def sample(self, model: Model) -> str:
        return "".join(model.write("", 300, generators(self.seed)["samples"])) + "\n"


class PairSamples(WrittenSamples):
    """Held-out sources, what the model makes of each, and the target where that is another."""

    def __init__(self, folder: Path, every: int, seed: int, pairs: Sequence[Pair]):
        super().__init__(folder, every, seed)
        self.pairs = pairs

    def sample(self, model: Model) -> str:
        lines = []
        for pair, made in zip(self.pairs, model.translate([pair.source for pair in self.pairs]), strict=True):
            lines += [pair.source, f"    {made}", *([f"    expected {pair.target}"] if made != pair.target else [])]
        return "\n".join(lines) + "\n"
