"""The metrics for TensorBoard, through tensorboardX."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from .loop import Callback, Record, Trainer


def check_installed() -> None:
    """ConfigError without tensorboardX."""
    if importlib.util.find_spec("tensorboardX") is None:
        raise ConfigError("--tensorboard needs tensorboardX: pip install 'minigen[tensorboard]'.")


class TensorBoard(Callback):
    """Event files in a folder: ``tensorboard --logdir FOLDER`` shows them."""

    def __init__(self, folder: Path):
        self.folder = Path(folder)
        self.writer: Any = None

    def start(self, trainer: Trainer) -> None:
        from tensorboardX import SummaryWriter

        self.writer = SummaryWriter(str(self.folder), purge_step=trainer.step + 1)

    def log(self, trainer: Trainer, record: Record) -> None:
        for name, value in record.items():
            if name != "step" and value is not None:
                self.writer.add_scalar(name, value, record["step"])

    def close(self, trainer: Trainer) -> None:
        if self.writer is not None:
            self.writer.close()
