"""What a training has to show for itself as it goes on: one file or more every so many steps."""

from __future__ import annotations

from pathlib import Path

from ..tensor import no_grad
from .loop import Callback, Trainer


class Samples(Callback):
    """samples/step_000500.* every so many steps, and at the end.

    What is drawn depends on the parameters and the seed alone: it takes nothing from the generators of training.
    """

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
        trainer.model.eval()
        try:
            with no_grad():
                self.draw(trainer, self.folder / f"step_{trainer.step:06d}")
        finally:
            trainer.model.train()
        self._drawn = trainer.step

    def draw(self, trainer: Trainer, path: Path) -> None:
        """Write what there is to show at `path`, with a suffix; the model is in evaluation mode."""
        raise NotImplementedError
