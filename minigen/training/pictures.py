"""What training looks like: samples from fixed noise as it goes on, and the curves of its metrics."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from .. import backend
from ..tensor import Tensor, no_grad
from ..viz import draw_curves, image_grid, save_gif, save_png, scatter
from .files import atomic
from .loop import Callback, Model, Record, Trainer, generators
from .metrics import read_metrics
from .samples import Samples


def draw_samples(model: Model, n: int, rng: np.random.Generator, **options: Any) -> np.ndarray:
    """``model.sample(n, rng, **options)`` in evaluation mode, without a graph, as an array on the host."""
    training = getattr(model, "training", True)
    model.eval()
    try:
        with no_grad():
            drawn = model.sample(n, rng, **options)
    finally:
        if training:
            model.train()
    return backend.to_host(drawn.data if isinstance(drawn, Tensor) else drawn)


class ImageSamples(Samples):
    """Pictures as .png, always from the same noise, before the first step, too; and samples.gif at the end."""

    def __init__(self, folder: Path, every: int, seed: int, n: int = 64):
        super().__init__(folder, every, seed)
        self.gif, self.n = Path(folder) / "samples.gif", n

    def start(self, trainer: Trainer) -> None:
        self.noise = trainer.model.noise(self.n, self._rng("noise"))
        super().start(trainer)
        if trainer.step == 0:
            self._draw(trainer)

    def complete(self, trainer: Trainer) -> None:
        super().complete(trainer)
        with atomic(self.gif) as file:
            save_gif(file, sorted(self.folder.glob("step_*.png")))

    def _rng(self, purpose: str) -> np.random.Generator:
        return dict(zip(("noise", "rest"), generators(self.seed)["samples"].spawn(2), strict=True))[purpose]

    def draw(self, trainer: Trainer, path: Path) -> None:
        samples = draw_samples(trainer.model, self.n, self._rng("rest"), noise=self.noise)
        with atomic(path.with_suffix(".png")) as file:
            save_png(file, self.picture(samples, trainer))

    def picture(self, samples: np.ndarray, trainer: Trainer) -> np.ndarray:
        """Samples as one picture."""
        return image_grid(samples)


class PointSamples(ImageSamples):
    """The same of 1,000 points in the plane, over as many of the data."""

    def __init__(self, folder: Path, every: int, seed: int):
        super().__init__(folder, every, seed, n=1000)

    def picture(self, samples: np.ndarray, trainer: Trainer) -> np.ndarray:
        return scatter(samples, backend.to_host(trainer.data[0][: self.n]))


class Curves(Callback):
    """curves.png, drawn from metrics.jsonl before a checkpoint, at most once in `pause` seconds, and at the end."""

    def __init__(self, folder: Path, pause: float = 60.0):
        self.source, self.picture = Path(folder) / "metrics.jsonl", Path(folder) / "curves.png"
        self.pause, self._next = pause, time.monotonic() + pause
        self._stale = False

    def start(self, trainer: Trainer) -> None:
        self._stale = trainer.step > 0  # the run may have been killed before it was drawn

    def log(self, trainer: Trainer, record: Record) -> None:
        self._stale = True

    def save(self, trainer: Trainer) -> None:
        if time.monotonic() >= self._next:
            self._draw()

    def close(self, trainer: Trainer) -> None:
        self._draw()

    def _draw(self) -> None:
        if self._stale:
            with atomic(self.picture) as file:
                draw_curves(file, read_metrics(self.source))
            self._stale, self._next = False, time.monotonic() + self.pause
