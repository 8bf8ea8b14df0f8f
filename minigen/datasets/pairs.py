"""Sentence pairs for translation, from tab-separated text: source, target and, where given, attribution.

The format of the pairs from Tatoeba at manythings.org/anki: one pair a line in UTF-8, in a ``.txt`` or, as ``cmn.txt``,
in a zip file. Their licence asks that the attribution stays with the sentences.
"""

import lzma
import os
import stat
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from ..errors import ConfigError, DataError
from .text import decoded, read_text

MOST_BYTES = 1 << 28  # of a text in a zip file
MOST_RATIO = 100  # of its bytes to those in the zip file; no text is so much the same


class Pair(NamedTuple):
    source: str
    target: str
    attribution: str


def load_pairs(path: str | os.PathLike[str]) -> list[Pair]:
    """The pairs of a ``.txt`` file or of the one in a zip file, in the order of the file.

    Empty lines are passed over. Raises DataError that names the first line that is no pair and counts the others, and
    for a zip file that is damaged, has no text or several (names that begin with "_" do not count), or has members
    whose paths climb out of it.
    """
    path = Path(os.path.expanduser(path))
    if not os.path.exists(path):
        raise DataError(f"{path}: expected a text or zip file of sentence pairs, but nothing is there; check the path.")
    if os.path.isfile(path) and zipfile.is_zipfile(path):
        name, text = _unzipped(path)
    else:
        name, text = str(path), read_text(path)
    pairs, bad = [], []
    for number, line in enumerate(text.split("\n"), 1):
        if not line:
            continue
        columns = [column.strip() for column in line.split("\t")]
        if len(columns) in (2, 3) and columns[0] and columns[1]:
            pairs.append(Pair(columns[0], columns[1], columns[2] if len(columns) == 3 else ""))
        else:
            bad.append((number, line))
    if bad:
        number, line = bad[0]
        others = f", as do {len(bad) - 1} more lines" if len(bad) > 1 else ""
        raise DataError(
            f"{name}: line {number} is no pair{others}: expected source, tab, target and perhaps another tab and the "
            f"attribution, came {line[:60]!r}; correct the file."
        )
    return pairs


def split_pairs(
    pairs: Sequence[Pair], generator: np.random.Generator, validation: float = 0.2
) -> tuple[list[Pair], list[Pair]]:
    """Training and validation pairs, in the order of the file. No source sentence is in both.

    A sentence with several translations goes to one side with all of them; the sides are drawn by sentence.
    """
    if not 0 < validation < 1:
        raise ConfigError(f"split_pairs: expected validation between 0 and 1, came {validation}.")
    sources = list(dict.fromkeys(pair.source for pair in pairs))
    count = round(validation * len(sources))
    if not 0 < count < len(sources):
        raise DataError(
            f"split_pairs: {len(sources)} sentences leave one part empty at validation = {validation}; use more."
        )
    held_out = {sources[i] for i in generator.permutation(len(sources))[:count].tolist()}
    return [pair for pair in pairs if pair.source not in held_out], [pair for pair in pairs if pair.source in held_out]


def _unzipped(path: Path) -> tuple[str, str]:
    """The name and the text of the one .txt file in a zip file. Nothing is written anywhere."""
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                _check_member(path, member)
            texts = [
                member
                for member in archive.infolist()
                if member.filename.endswith(".txt") and not PurePosixPath(member.filename).name.startswith("_")
            ]
            if len(texts) != 1:
                came = ", ".join(member.filename for member in texts) or "none"
                raise DataError(f"{path}: expected one .txt file of pairs inside, came {came}; zip just that file.")
            (member,) = texts
            if member.file_size > (most := min(MOST_BYTES, MOST_RATIO * (member.compress_size + 10_000))):
                raise DataError(
                    f"{path}: expected {member.filename} to have at most {most} bytes, came {member.file_size}; "
                    "use a smaller file."
                )
            with archive.open(member) as file:
                content = file.read(MOST_BYTES + 1)
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError, NotImplementedError) as error:
        raise DataError(
            f"{path}: expected an intact zip file without a password, came another ({error}); get the file again."
        ) from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}); check its permissions.") from error
    name = f"{path}/{member.filename}"
    return name, decoded(content, name)


def _check_member(path: Path, member: zipfile.ZipInfo) -> None:
    name = member.orig_filename.replace("\\", "/")
    climbs = name.startswith("/") or ".." in name.split("/") or name[1:2] == ":"
    if climbs or stat.S_ISLNK(member.external_attr >> 16):
        raise DataError(
            f"{path}: refused, because its member {member.orig_filename!r} points out of it; get the file elsewhere."
        )
