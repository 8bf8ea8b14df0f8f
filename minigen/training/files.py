"""Files that are either complete or not there."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from ..datasets.files import read_file
from ..errors import DataError

MOST_JSON = 1 << 23  # bytes; in memory it takes twenty times as much


@contextmanager
def atomic(path: Path, *, durable: bool = False) -> Iterator[BinaryIO]:
    """A file to write in; it gets its name when the block ends well, and is gone when it does not.

    Whoever reads `path` sees the old content or the new, never a part. With `durable` both the content and the name
    have reached the disk when the block ends. Raises DataError if the file cannot be written.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with open(temporary, "wb") as file:
            yield file
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.replace(temporary, path)
        if durable:
            _sync_folder(path.parent)
    except OSError as error:
        _remove(temporary)
        raise unwritable(path, error) from error
    except BaseException:
        _remove(temporary)
        raise


def unwritable(path: str | os.PathLike[str], error: OSError) -> DataError:
    """The sentence for a file or folder that cannot be written."""
    reason = error.strerror or type(error).__name__
    if not os.path.isdir(folder := os.path.dirname(path) or "."):
        return DataError(
            f"{path}: cannot be written ({reason}: there is no folder {folder}); make it, or name another."
        )
    return DataError(f"{path}: cannot be written ({reason}); choose another folder with --out, or free this one.")


def write_json(path: Path, value: Any, *, durable: bool = False) -> None:
    """`value` as JSON that a person can read; numbers come back bit for bit."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    with atomic(path, durable=durable) as file:
        file.write(text.encode())


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file. Raises DataError if there is none."""
    content = read_file(path, "a JSON file", MOST_JSON)
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: expected JSON, but the file is damaged ({error}).") from error
    if not isinstance(value, dict):
        raise DataError(f"{path}: expected a JSON object, came a {type(value).__name__}; the file is damaged.")
    return value


def _sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk, where the system can (Windows cannot open a folder)."""
    with suppress(PermissionError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink()
