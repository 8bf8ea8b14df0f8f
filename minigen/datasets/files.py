"""Files that others have made: where they are looked for, and how they are read: whole, but only if they are files and
no larger than was expected."""

import difflib
import os
import stat
from collections.abc import Iterable
from pathlib import Path

from ..errors import DataError

MOST_BYTES = 1 << 30


def read_file(path: str | os.PathLike[str], expected: str, most: int = MOST_BYTES) -> bytes:
    """The content of a file that should be `expected`, in words, and has at most `most` bytes.

    Looks before it opens: a pipe may never begin and a device never end, and a file full of holes may claim more than
    any memory holds. Raises DataError for these, for a folder, and for what cannot be read.
    """
    try:
        found = os.stat(path)
        if stat.S_ISDIR(found.st_mode):
            raise DataError(f"{path}: expected {expected}, came a folder; name a file in it.")
        if not stat.S_ISREG(found.st_mode):
            raise DataError(f"{path}: expected {expected}, came a device or a pipe; copy it into a file first.")
        if found.st_size <= most:
            with open(path, "rb") as file:
                content = file.read(most + 1)
            if len(content) <= most:
                return content
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}); check the path.") from error
    raise DataError(f"{path}: expected {expected} of at most {most:,} bytes, came more; use a smaller file.")


def data_root() -> Path | None:
    """The folder that MINIGEN_DATA names, or None without it. Raises DataError if there is no such folder."""
    setting = os.environ.get("MINIGEN_DATA")
    if not setting:
        return None
    root = Path(os.path.expanduser(setting))
    if not os.path.isdir(root):
        raise DataError(f"MINIGEN_DATA: expected a folder, but {root} is none; correct or unset it.")
    return root


def no_such(name: str | os.PathLike[str], expected: str, known: Iterable[str]) -> DataError:
    """The error for data that are neither `expected`, in words, nor known by name; it gives the nearest name."""
    names = list(known)
    close = difflib.get_close_matches(str(name), names, n=1)
    guess = f"did you mean {close[0]}?" if close else "check the spelling."
    return DataError(f"{name}: expected {expected} or one of {', '.join(names)}, but there is no such; {guess}")
