"""The folder of a run: where it is, what is in it, and how it was made.

``config.json`` holds everything that the run depends on: the model's name and its complete configuration, the settings
of the training, the seed, the backend and the versions. Beside it lie metrics.jsonl, curves.png, samples/, samples.gif
and the checkpoints.
"""

from __future__ import annotations

import errno
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path
from typing import Any

from ..errors import ConfigError, DataError
from . import checkpoint
from .files import read_json, unwritable, write_json

CONFIG, METRICS = "config.json", "metrics.jsonl"
FORMAT = 1


def choose(out: str | None, name: str) -> Path:
    """The folder of a new run, not yet made: `out`, or the next free runs/NAME-1, runs/NAME-2 …

    Raises ConfigError if something is in `out` already, DataError if it could not be written.
    """
    if out is None:
        number = 1
        while (folder := Path("runs") / f"{name}-{number}").exists():
            number += 1
    else:
        folder = Path(os.path.expanduser(out))
        if os.path.lexists(folder) and not folder.is_dir():
            raise ConfigError(f"--out {folder}: expected a folder, came a file; choose another name.")
        if folder.is_dir() and any(file.name != f".{CONFIG}.tmp" for file in folder.iterdir()):
            raise ConfigError(f"--out {folder}: the folder is not empty; choose another, or go on with --resume.")
    above = folder if folder.is_dir() else folder.parent
    while not os.path.lexists(above):
        above = above.parent
    if not above.is_dir():
        raise DataError(f"{folder}: cannot be written ({above} is no folder); choose another folder with --out.")
    if not os.access(above, os.W_OK | os.X_OK):
        raise DataError(f"{folder}: cannot be written ({above} is read-only); choose another folder with --out.")
    return folder


@contextmanager
def created(out: str | None, name: str, config: dict[str, Any]) -> Iterator[Path]:
    """Make the folder that :func:`choose` finds, lock it and write its config.json.

    On failure no empty folder stays behind.
    """
    while True:
        folder = choose(out, name)
        try:
            folder.mkdir(parents=True, exist_ok=out is not None)
            break
        except FileExistsError:  # another run has just taken the number
            continue
        except OSError as error:
            raise unwritable(folder, error) from error
    with locked(folder):
        choose(str(folder), name)  # another run may have had it, and be done
        try:
            write(folder, config)
        except DataError:
            with suppress(OSError):
                folder.rmdir()
            raise
        yield folder


@contextmanager
def locked(folder: Path) -> Iterator[Path]:
    """No two processes train in one folder: the second is told so by a ConfigError.

    The lock is on the folder itself and held by the process, so one that is killed leaves none behind. Where a system
    has no such locks (Windows, some network disks), two runs must be kept apart by their users.
    """
    try:
        from fcntl import LOCK_EX, LOCK_NB, flock
    except ImportError:
        yield folder
        return
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise DataError(f"{folder}: cannot be read ({error.strerror or error}); check the path.") from error
    try:
        try:
            flock(handle, LOCK_EX | LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                raise ConfigError(
                    f"{folder}: another process is training in this folder; wait for its end, or choose another."
                ) from error
        yield folder
    finally:
        os.close(handle)


def begun(folder: Path) -> bool:
    """Whether a run has got as far as its first checkpoint, which is written before the first line of its log."""
    return bool(checkpoint.steps(folder)) or (Path(folder) / METRICS).exists()


def write(folder: Path, config: dict[str, Any]) -> None:
    """Write config.json, also again when a run goes on with more steps."""
    write_json(Path(folder) / CONFIG, {"format": FORMAT, **config, "versions": versions()}, durable=True)


def read(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """The configuration of a run. Raises DataError if the folder is none, or its config.json damaged or too new."""
    folder = Path(os.path.expanduser(folder))
    path = folder / CONFIG
    if not folder.is_dir():
        raise DataError(f"{folder}: expected the folder of a run, but there is none; check the path.")
    if not path.is_file():
        raise DataError(f"{folder}: expected the folder of a run, but it has no {CONFIG}; check the path.")
    config = read_json(path)
    version = config.get("format")
    if not isinstance(version, int):
        raise DataError(f"{path}: expected an entry format, but there is none; the file is damaged.")
    if version > FORMAT:
        raise DataError(f"{path}: the run has format {version}, this minigen reads up to {FORMAT}; update minigen.")
    for name, kind in {"model": str, "config": dict, "training": dict}.items():
        if not isinstance(config.get(name), kind):
            raise DataError(f"{path}: expected an entry {name}, a {kind.__name__}; the file is damaged.")
    return config


def versions() -> dict[str, str]:
    """What computed the run: versions of Python, minigen and what its numbers depend on, as far as installed."""
    from .. import __version__

    found = {"minigen": __version__, "python": platform.python_version()}
    for package in ("numpy", "numba", "scipy", "cupy-cuda12x", "cupy-cuda13x"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
