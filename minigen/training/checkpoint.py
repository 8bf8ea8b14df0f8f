"""Checkpoints: the state of a run on disk, always complete.

A checkpoint is two files. ``checkpoint-000120.safetensors`` holds the arrays; ``checkpoint-000120.json``, written after
it, holds all the rest, the length and SHA-256 of the first, and a SHA-256 of itself. The JSON file is what makes the
checkpoint exist: each file is written under a temporary name, brought to the disk and renamed, so a crash at any moment
leaves the earlier checkpoints as they were and at most a file that nobody will read.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import backend
from ..backend import Array
from ..datasets.files import read_file
from ..errors import DataError
from .files import atomic, read_json, write_json

FORMAT = 1
KEPT = 2  # the newest checkpoint and the one before, beside the best

_NAME = re.compile(r"checkpoint-([0-9]+)\.json")


@dataclass(frozen=True)
class Checkpoint:
    """What was saved: the step, named arrays (on the host), and a record of what JSON can hold."""

    step: int
    arrays: dict[str, np.ndarray]
    record: dict[str, Any]
    path: Path


def save(folder: Path, step: int, arrays: dict[str, Array], record: dict[str, Any], *, keep: int = KEPT) -> Path:
    """Write a checkpoint, then delete all but the newest `keep` and the best. Returns the path of its JSON file."""
    from safetensors.numpy import save as encode

    data = encode({name: np.asarray(backend.to_host(a), order="C") for name, a in arrays.items()})
    arrays_path, path = _paths(folder, step)
    with atomic(arrays_path, durable=True) as file:
        file.write(data)
    sealed = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    record = {"format": FORMAT, "step": step, **record, "arrays": sealed}
    write_json(path, record | {"sha256": _digest(record)}, durable=True)
    _prune(folder, keep)
    return path


def steps(folder: Path) -> list[int]:
    """The steps of the checkpoints in a folder, in order."""
    if not Path(folder).is_dir():
        return []
    return sorted(int(match[1]) for file in Path(folder).iterdir() if (match := _NAME.fullmatch(file.name)))


def best(folder: Path) -> tuple[int, float] | None:
    """The step of the checkpoint with the least ``validation``, and that value; None if none has one."""
    found = {}
    for step in steps(folder):
        with suppress(DataError):  # whoever loads it will be told
            value = read_json(_paths(folder, step)[1]).get("validation")
            if isinstance(value, float) and math.isfinite(value):
                found[step] = value
    return min(found.items(), key=lambda item: item[1], default=None)


def load(folder: Path, *, step: int | None = None) -> Checkpoint:
    """The newest checkpoint in a folder, or that of a step.

    Raises DataError if there is none, or it is damaged or from a newer minigen: nothing is repaired by guessing, but
    the sentence says which earlier checkpoint there is and how to go on from it.
    """
    folder = Path(folder)
    found = [n for n in steps(folder) if step is None or n <= step]
    if not found or step not in (None, found[-1]):
        which = 100 if step is None else step
        raise DataError(
            f"{folder}: expected a checkpoint, a file such as {_paths(folder, which)[1].name}, but there is none."
        )
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
    sealed, step = record.pop("arrays", None), record.pop("step", None)
    size = sealed.get("bytes") if isinstance(sealed, dict) else None
    if not isinstance(step, int) or not isinstance(size, int) or min(step, size) < 0:
        raise DataError(f"{path}: expected entries step and arrays; the file is damaged.")
    data = read_file(arrays_path, f"the arrays of {path.name}", size)
    if len(data) != size:
        raise DataError(f"{arrays_path}: expected {size} bytes, came {len(data)}; the file is truncated.")
    if hashlib.sha256(data).hexdigest() != sealed.get("sha256"):
        raise DataError(f"{arrays_path}: its SHA-256 is not the one in {path.name}; the file is damaged.")
    try:
        arrays = decode(data)
    except (SafetensorError, ArithmeticError, LookupError, TypeError, ValueError) as error:  # it trusts its own header
        raise DataError(f"{arrays_path}: cannot be decoded ({error}); the file is damaged.") from error
    for name, a in arrays.items():
        if a.dtype.kind == "f" and np.isnan(a).any():
            raise DataError(f"{arrays_path}: {name} holds NaN, which is never saved; the file is damaged.")
    return Checkpoint(step, arrays, record, path)


def _digest(record: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()


def _paths(folder: Path, step: int) -> tuple[Path, Path]:
    stem = f"checkpoint-{step:06d}"
    return Path(folder) / f"{stem}.safetensors", Path(folder) / f"{stem}.json"


def _prune(folder: Path, keep: int) -> None:
    """Delete older checkpoints but the best, the JSON file first, and what crashes have left behind."""
    kept = set(steps(folder)[-keep:])
    if (good := best(folder)) is not None:
        kept.add(good[0])
    for file in sorted(Path(folder).glob("checkpoint-*.json")) + sorted(Path(folder).glob("checkpoint-*.safetensors")):
        number = file.stem.removeprefix("checkpoint-")
        if number.isdigit() and int(number) not in kept:
            with suppress(OSError):
                file.unlink()
    for file in Path(folder).glob(".checkpoint-*.tmp"):
        with suppress(OSError):
            file.unlink()
