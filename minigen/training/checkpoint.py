"""Checkpoints: the state of a run on disk, always complete.

A checkpoint is two files. ``checkpoint-000120.safetensors`` holds the arrays; ``checkpoint-000120.json``, written after
it, holds all the rest, the length and SHA-256 of the first, and a SHA-256 of itself. The JSON file is what makes the
checkpoint exist: each file is written under a temporary name, brought to the disk and renamed, so a crash at any moment
leaves the earlier checkpoints as they were and at most a file that nobody will read.
"""

from __future__ import annotations

import hashlib
import json
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import backend
from ..backend import Array
from ..errors import DataError
from .files import atomic, read_json, write_json

FORMAT = 1
KEPT = 2  # the newest checkpoint and the one before

_NAME = re.compile(r"checkpoint-(\d+)\.json")


@dataclass(frozen=True)
class Checkpoint:
    """What was saved: the step, named arrays (on the host), and a record of what JSON can hold."""

    step: int
    arrays: dict[str, np.ndarray]
    record: dict[str, Any]
    path: Path


def save(folder: Path, step: int, arrays: dict[str, Array], record: dict[str, Any]) -> Path:
    """Write a checkpoint, then delete all but the newest two. Returns the path of its JSON file."""
    from safetensors.numpy import save as encode

    data = encode({name: np.asarray(backend.to_host(a), order="C") for name, a in arrays.items()})
    arrays_path, path = _paths(folder, step)
    with atomic(arrays_path, durable=True) as file:
        file.write(data)
    sealed = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    record = {"format": FORMAT, "step": step, **record, "arrays": sealed}
    write_json(path, record | {"sha256": _digest(record)}, durable=True)
    _prune(folder)
    return path


def steps(folder: Path) -> list[int]:
    """The steps of the checkpoints in a folder, in order."""
    if not Path(folder).is_dir():
        return []
    return sorted(int(match[1]) for file in Path(folder).iterdir() if (match := _NAME.fullmatch(file.name)))


def load(folder: Path) -> Checkpoint:
    """The newest checkpoint in a folder.

    Raises DataError if there is none, or it is damaged or from a newer minigen: nothing is repaired by guessing, but
    the sentence says which earlier checkpoint there is and how to go on from it.
    """
    folder = Path(folder)
    found = steps(folder)
    if not found:
        raise DataError(f"{folder}: expected a checkpoint, a file such as checkpoint-000100.json, but there is none.")
    arrays_path, path = _paths(folder, found[-1])
    try:
        return _read(path, arrays_path)
    except DataError as error:
        earlier = ""
        if len(found) > 1:
            earlier = f" To go on from the checkpoint of step {found[-2]}, delete {path}."
        raise DataError(f"{error}{earlier}") from error


def _read(path: Path, arrays_path: Path) -> Checkpoint:
    from safetensors import SafetensorError
    from safetensors.numpy import load as decode

    record = read_json(path)
    version = record.get("format")
    if not isinstance(version, int):
        raise DataError(f"{path}: expected a checkpoint of minigen, but it has no format number; the file is damaged.")
    if version > FORMAT:
        raise DataError(
            f"{path}: this checkpoint has format {version}, this minigen reads up to format {FORMAT}; update minigen."
        )
    if record.pop("sha256", None) != _digest(record):
        raise DataError(f"{path}: its content does not have the SHA-256 that it names; the file is damaged.")
    sealed, step = record.pop("arrays"), record.pop("step")
    try:
        data = arrays_path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{arrays_path}: expected the arrays of {path.name}, but the file cannot be read "
            f"({error.strerror or error})."
        ) from error
    if len(data) != sealed["bytes"]:
        raise DataError(f"{arrays_path}: expected {sealed['bytes']} bytes, came {len(data)}; the file is truncated.")
    if hashlib.sha256(data).hexdigest() != sealed["sha256"]:
        raise DataError(f"{arrays_path}: its SHA-256 is not the one in {path.name}; the file is damaged.")
    try:
        arrays = decode(data)
    except SafetensorError as error:
        raise DataError(f"{arrays_path}: cannot be decoded ({error}); the file is damaged.") from error
    return Checkpoint(step, arrays, record, path)


def _digest(record: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()


def _paths(folder: Path, step: int) -> tuple[Path, Path]:
    stem = f"checkpoint-{step:06d}"
    return Path(folder) / f"{stem}.safetensors", Path(folder) / f"{stem}.json"


def _prune(folder: Path) -> None:
    """Delete older checkpoints, the JSON file first, and what crashes have left behind."""
    kept = set(steps(folder)[-KEPT:])
    for file in sorted(Path(folder).glob("checkpoint-*.json")) + sorted(Path(folder).glob("checkpoint-*.safetensors")):
        number = file.stem.removeprefix("checkpoint-")
        if number.isdigit() and int(number) not in kept:
            with suppress(OSError):
                file.unlink()
    for file in Path(folder).glob(".checkpoint-*.tmp"):
        with suppress(OSError):
            file.unlink()
