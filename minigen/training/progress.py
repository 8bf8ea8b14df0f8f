"""How far the training is: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Any, TextIO

from .loop import Callback, Record, Trainer


class Bar(Callback):
    """A tqdm bar with the latest values."""

    def __init__(self, stream: TextIO):
        self.stream = stream
        self.bar: Any = None

    def start(self, trainer: Trainer) -> None:
        from tqdm import tqdm

        self.bar = tqdm(total=trainer.end, initial=trainer.step, unit="step", file=self.stream, dynamic_ncols=True)

    def step(self, trainer: Trainer) -> None:
        self.bar.update()

    def log(self, trainer: Trainer, record: Record) -> None:
        self.bar.set_postfix_str(values(record), refresh=False)

    def close(self, trainer: Trainer) -> None:
        if self.bar is not None:
            self.bar.close()


class Lines(Callback):
    """A line for a logged step, at most one in `pause` seconds, and one for the last."""

    def __init__(self, stream: TextIO, pause: float = 2.0):
        self.stream, self.pause = stream, pause
        self._next = 0.0
        self._held: str | None = None

    def log(self, trainer: Trainer, record: Record) -> None:
        self._held = f"step {record['step']}/{trainer.end}  {record['seconds']:.1f} s  {values(record)}"
        if time.monotonic() >= self._next:
            self._print()

    def close(self, trainer: Trainer) -> None:
        self._print()

    def _print(self) -> None:
        if self._held is not None:
            print(self._held, file=self.stream, flush=True)
        self._held, self._next = None, time.monotonic() + self.pause


def progress(stream: TextIO | None = None) -> Callback:
    """The bar where the stream (standard error) is a terminal, else lines on it."""
    stream = stream or sys.stderr
    return Bar(stream) if stream.isatty() else Lines(stream)


def values(record: Record) -> str:
    """The metrics of a record, short: ``loss 0.693  accuracy 0.5``."""
    shown = {name: value for name, value in record.items() if name not in ("step", "epoch", "seconds")}
    return "  ".join(f"{name} {'nan' if value is None else format(value, '.4g')}" for name, value in shown.items())
