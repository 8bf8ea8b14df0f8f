"""Files that others have made: read whole, but only if they are files and no larger than was expected."""

import os
import stat

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
