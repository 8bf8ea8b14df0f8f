"""metrics.jsonl: one line of JSON for every logged step."""

from __future__ import annotations

import json
from pathlib import Path

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
    """The records of a metrics.jsonl; none if there is no file. A last line that a crash cut off is left out."""
    records = []
    if Path(path).is_file():
        for line in Path(path).read_bytes().splitlines():
            try:
                record = json.loads(line)
            except ValueError:
                break
            if not isinstance(record, dict) or not isinstance(record.get("step"), int):
                break
            records.append(record)
    return records


def _line(record: Record) -> bytes:
    return json.dumps(record, ensure_ascii=False, allow_nan=False).encode() + b"\n"
