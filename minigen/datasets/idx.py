"""The IDX file format of MNIST, raw or gzip-compressed.

A file is a magic number, the shape, then the items in C order, all big-endian::

    0x00 0x00 dtype ndim | shape[0] ... shape[ndim-1] as uint32 | items
"""

import gzip
import math
import os
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ..errors import DataError, DtypeError

DTYPES = {
    0x08: np.dtype(">u1"),
    0x09: np.dtype(">i1"),
    0x0B: np.dtype(">i2"),
    0x0C: np.dtype(">i4"),
    0x0D: np.dtype(">f4"),
    0x0E: np.dtype(">f8"),
}

GZIP_MAGIC = b"\x1f\x8b"
DEFLATE_LIMIT = 1032  # the highest ratio deflate can reach: 258 bytes from 2 bits
MAX_AXES = 64  # of a NumPy array
CHUNK = 1 << 20

_AGAIN = "copy or download the file again"
_MISTAKEN_FOR = {b"<": "a web page", b"\x89PNG": "a PNG image", b"PK": "a zip archive", b"\x93NUM": "a .npy file"}


def read_idx(path: str | os.PathLike[str]) -> np.ndarray:
    """The array in an IDX file, of the file's shape and dtype, in native byte order and writable.

    Whether the file is compressed is seen from its first bytes, not from its name. Memory is used for what the file
    holds, never for what its header merely claims, and nothing is decompressed beyond that claim.

    Raises DataError if the file is missing, unreadable, damaged, or no IDX file.
    """
    path = Path(path)
    if os.path.isdir(path):
        raise DataError(f"{path}: expected an IDX file, came a folder; name a file in it.")
    if not os.path.exists(path):
        raise DataError(f"{path}: expected an IDX file, but nothing is there; check the path.")
    if not os.path.isfile(path):
        raise DataError(f"{path}: expected a regular file, came a device or a pipe; copy it into a file first.")
    try:
        with path.open("rb") as file:
            stored = os.fstat(file.fileno()).st_size
            compressed = file.read(2) == GZIP_MAGIC
            file.seek(0)
            if compressed:
                with gzip.GzipFile(fileobj=file) as stream:
                    return _read(path, stream, stored * DEFLATE_LIMIT)
            return _read(path, file, stored)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path}: expected an intact gzip stream, came a damaged one ({error}); {_AGAIN}.") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}); check its permissions.") from error


def write_idx(path: str | os.PathLike[str], array: np.ndarray) -> None:
    """Write ``array`` as IDX: compressed if the name ends in .gz. The same array always gives the same bytes.

    Raises DtypeError for a dtype that IDX does not have, DataError if the file cannot be written.
    """
    path, array = Path(path), np.asarray(array)
    code = next((code for code, dtype in DTYPES.items() if dtype == array.dtype.newbyteorder(">")), None)
    if code is None:
        known = ", ".join(dtype.newbyteorder("=").name for dtype in DTYPES.values())
        raise DtypeError(f"write_idx: array has dtype {array.dtype}, expected one of {known}; convert it with astype.")
    header = np.array(array.shape, ">u4")
    content = bytes([0, 0, code, array.ndim]) + header.tobytes() + array.astype(DTYPES[code]).tobytes()
    try:
        path.write_bytes(gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror or error}); choose another path.") from error


def _read(path: Path, stream: BinaryIO | gzip.GzipFile, most: int) -> np.ndarray:
    """Parse a stream that can hold ``most`` bytes at the very most."""
    magic = stream.read(4)
    if not magic:
        raise DataError(f"{path}: expected an IDX header, but the file is empty; {_AGAIN}.")
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in DTYPES:
        kind = next((f" (as in {kind})" for start, kind in _MISTAKEN_FOR.items() if magic.startswith(start)), "")
        raise DataError(
            f"{path}: expected the IDX magic number 00 00 <dtype 08, 09 or 0b to 0e> <number of axes>, "
            f"came {magic.hex(' ')}{kind}; check that this is an IDX file."
        )
    dtype, ndim = DTYPES[magic[2]], magic[3]
    if ndim > MAX_AXES:
        raise DataError(f"{path}: expected at most {MAX_AXES} axes, came {ndim} in the header; {_AGAIN}.")
    header = stream.read(4 * ndim)
    if len(header) < 4 * ndim:
        raise DataError(
            f"{path}: expected a header of {4 + 4 * ndim} bytes for {ndim} axes, "
            f"came {4 + len(header)} bytes; the file is truncated, {_AGAIN}."
        )
    shape = tuple(np.frombuffer(header, ">u4").tolist())
    start, size = 4 + 4 * ndim, math.prod(shape) * dtype.itemsize
    expected = f"{path}: expected {size} bytes after the header, for {dtype.newbyteorder('=').name} of shape {shape}"
    if start + size > most:
        raise DataError(f"{expected}, came at most {max(most - start, 0)}; the file is truncated, {_AGAIN}.")
    body = bytearray()
    while len(body) <= size and (chunk := stream.read(min(CHUNK, size + 1 - len(body)))):
        body += chunk
    if len(body) < size:
        raise DataError(f"{expected}, came {len(body)}; the file is truncated, {_AGAIN}.")
    if len(body) > size:
        raise DataError(f"{expected}, came more; the header or the file is wrong, {_AGAIN}.")
    try:
        array = np.ndarray(shape, dtype, buffer=body)
    except ValueError as error:  # zero items, but axes too long for any array
        raise DataError(f"{path}: expected a possible shape, came {shape} in the header; {_AGAIN}.") from error
    return array.astype(dtype.newbyteorder("="), copy=False)
