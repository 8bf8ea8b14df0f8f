"""metrics.jsonl: one line of JSON for every logged step."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from ..datasets.files import read_file
from .files import atomic, unwritable
from .loop import Callback, Record, Trainer


class MetricsLog(Callback):
    """Appends each record to a file. A run that goes on first drops the lines after its checkpoint."""

    def __init__(self, path: Path):
        self.path = Path(path)

    def start(self, trainer: Trainer) -> None:
        kept = [record for record in read_metrics(self.path) if record["step"] <= trainer.step]
        with atomic(self.path) as file:
            file.writelines(_line(record) for record in kept)

    def log(self, trainer: Trainer, record: Record) -> None:
        try:
            with open(self.path, "ab") as file:
                file.write(_line(record))
        except OSError as error:
            raise unwritable(self.path, error) from error


def read_metrics(path: Path) -> list[Record]:
    """The records of a metrics.jsonl; none if there is no file. What follows a line that is damaged is left out.

    A crash may have cut off the last line.
    """
    records = []
    if Path(path).is_file():
        for line in read_file(path, "a log of metrics").splitlines():
            try:
                record = json.loads(line)
            except (ValueError, RecursionError):
                break
            if not isinstance(record, dict) or type(record.get("step")) is not int:
                break
            if not all(map(_is_logged, record.values())):
                break
            records.append(record)
    return records


def _is_logged(value: Any) -> bool:
    return value is None or isinstance(value, int | float) and abs(value) <= sys.float_info.max


def _line(record: Record) -> bytes:
    return json.dumps(record, ensure_ascii=False, allow_nan=False).encode() + b"\n"
