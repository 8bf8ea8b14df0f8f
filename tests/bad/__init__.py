"""Bad input, made by code: what a user may have or be given, and what the commands must refuse.

Each module has CASES. A case puts files into an empty folder, or spoils those of a trained run in it, and names a
command as typed there. What is asked of all of them is in tests/test_bad_input.py.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Case:
    """`kind` is what it is counted under."""

    kind: str
    name: str
    make: Callable[[Path], object]
    command: tuple[str, ...]
    base: str = ""  # the trained run that lies in the folder as `run`: of gan or charlm

    def __str__(self) -> str:
        return f"{self.kind}: {self.name}"


def places(at: str) -> dict[str, Callable[[Path], object]]:
    """What may lie where a file is expected, whatever its format."""
    return {
        "nothing there": lambda folder: None,
        "a folder": lambda folder: (folder / at).mkdir(parents=True),
        "an empty file": lambda folder: written(folder / at, b""),
        "a link to itself": lambda folder: linked(folder / at, at.rsplit("/", 1)[-1]),
        "a link to nothing": lambda folder: linked(folder / at, "nowhere"),
        "two links in a circle": lambda folder: (
            linked(folder / at, "other"),
            linked((folder / at).parent / "other", at.rsplit("/", 1)[-1]),
        ),
        "a pipe": lambda folder: ((folder / at).parent.mkdir(parents=True, exist_ok=True), os.mkfifo(folder / at)),
        "an endless device": lambda folder: linked(folder / at, "/dev/zero"),
        "a terabyte of holes": lambda folder: holes(folder / at, 10**12),
    }


def written(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def linked(path: Path, target: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)


def holes(path: Path, size: int) -> None:
    """A file that claims a size and takes no room on the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as file:
        file.truncate(size)


def cuts(content: bytes, count: int = 8) -> dict[str, bytes]:
    """A file cut off at its beginning, at its end, and between."""
    at = sorted({1, 2, 3, len(content) - 1, *(len(content) * i // count for i in range(1, count))})
    return {f"cut off after {n} bytes": content[:n] for n in at if 0 < n < len(content)}
