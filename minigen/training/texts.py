"""What training looks like for models of text: what they write as it goes on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..datasets import Pair
from ..tensor import no_grad
from .files import atomic
from .loop import Callback, Model, Trainer, generators


class WrittenSamples(Callback):
    """samples/step_000500.txt every so many steps: a function of the parameters and the seed alone."""

    def __init__(self, folder: Path, every: int, seed: int):
        self.folder, self.every, self.seed = Path(folder) / "samples", every, seed

    def start(self, trainer: Trainer) -> None:
        self.folder.mkdir(exist_ok=True)
        if trainer.step == 0:
            self._write(trainer)

    def step(self, trainer: Trainer) -> None:
        if trainer.step % self.every == 0:
            self._write(trainer)

    def complete(self, trainer: Trainer) -> None:
        self._write(trainer)

    def _write(self, trainer: Trainer) -> None:
        trainer.model.eval()
        try:
            with no_grad():
                sample = self.sample(trainer.model)
        finally:
            trainer.model.train()
        with atomic(self.folder / f"step_{trainer.step:06d}.txt") as file:
            file.write(sample.encode())

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
