"""Texts by name or path, their split into training and validation, and windows of token ids."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import ConfigError, DataError, DtypeError
from . import remote
from .files import no_such, read_file

DEFAULT = "python-docs"
SHAKESPEARE = "tiny-shakespeare"
_SHAKESPEARE_FILE = "tinyshakespeare.txt"
_SHAKESPEARE_URL = "https://raw.githubusercontent.com/karpathy/char-rnn/6f9487a/data/tinyshakespeare/input.txt"
_SHAKESPEARE_SHA256 = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"

# How files begin that are no text, and how other encodings do.
_OTHERS = {
    b"\xff\xfe": "text in UTF-16",
    b"\xfe\xff": "text in UTF-16",
    b"\x1f\x8b": "a gzip file",
    b"PK\x03\x04": "a zip file",
    b"%PDF": "a PDF file",
    b"\x89PNG": "a PNG image",
}


def available_texts() -> dict[str, str]:
    """What each name that ``load_text`` knows stands for, in one line."""
    return {
        DEFAULT: "the topics of Python's own documentation, in every Python; how long depends on its version",
        SHAKESPEARE: "1,115,394 characters of Shakespeare's plays, downloaded once",
    }


def load_text(name_or_path: str | os.PathLike[str] = DEFAULT) -> str:
    """A text by its name in ``available_texts()``, or of a file in UTF-8; of a ``.json`` file, its poems.

    ``python-docs`` is what ``help("topics")`` shows (``pydoc_data.topics``, about 0.5 million characters), so figures
    on it hold for one version of Python. ``tiny-shakespeare`` is looked for in the folder MINIGEN_DATA, if that is
    set, as ``text/tinyshakespeare.txt`` or ``tinyshakespeare.txt``, and only then downloaded.

    Line ends become "\\n". A name wins over a file of the same name; write ``./tiny-shakespeare`` for the file.
    Raises DataError for a file that is missing, empty, binary or in another encoding.
    """
    if name_or_path == DEFAULT:
        from pydoc_data.topics import topics

        return "\n".join(topics[name] for name in sorted(topics))
    if name_or_path == SHAKESPEARE:
        return read_text(remote.find("text", _SHAKESPEARE_FILE) or _downloaded())
    path = Path(os.path.expanduser(name_or_path))
    if not os.path.exists(path):
        raise no_such(name_or_path, "a text file", available_texts())
    if path.suffix == ".json":
        return "\n\n".join("\n".join(poem.lines) for poem in load_poems(path)) + "\n"
    return read_text(path)


def read_text(path: str | os.PathLike[str]) -> str:
    """The text of a file in UTF-8, with "\\n" for every line end and without a byte-order mark."""
    return decoded(read_file(path, "a text file"), str(path))


def decoded(content: bytes, name: str) -> str:
    """UTF-8 content as text; its errors begin with `name`."""
    for start, what in _OTHERS.items():
        if content.startswith(start):
            raise DataError(f"{name}: expected text in UTF-8, came {what}; save it as text in UTF-8.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{name}: expected text in UTF-8, came byte 0x{content[error.start]:02x} at position {error.start}, which "
            "is none; save the text in UTF-8."
        ) from error
    if "\0" in text:
        raise DataError(f"{name}: expected text in UTF-8, came binary data with zero bytes; name a text file.")
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not text.strip():
        raise DataError(f"{name}: expected text, but the file is empty; choose another.")
    return text


@dataclass(frozen=True)
class Poem:
    title: str
    author: str
    lines: tuple[str, ...]


def load_poems(path: str | os.PathLike[str]) -> list[Poem]:
    """The poems of a JSON file: a list of objects with ``paragraphs``, the lines, and perhaps ``title``, ``author``.

    This is the format of the collection chinese-poetry. Poems without lines are left out.
    """
    content = read_text(path)
    try:
        items = json.loads(content)
        str(items).encode()  # JSON may spell halves of characters, which are no text
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: expected poems in JSON, came a syntax error ({error}); check the file.") from error
    if not isinstance(items, list):
        raise DataError(f"{path}: expected a list of poems, came {type(items).__name__}; check the file.")
    poems = []
    for i, item in enumerate(items):
        lines = item.get("paragraphs") if isinstance(item, dict) else None
        if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
            raise DataError(f"{path}: expected poem {i} to have paragraphs, a list of texts; check the file.")
        if lines:
            poems.append(Poem(str(item.get("title", "")), str(item.get("author", "")), tuple(lines)))
    if not poems:
        raise DataError(f"{path}: expected at least one poem, came none; check the file.")
    return poems


# -- windows ----------------------------------------------------------------------------------------------------------


def train_validation_split(ids: np.ndarray, validation: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    """The beginning for training, the end for validation: ⌊(1 − validation) n⌋ ids, and the rest. No copies."""
    if not 0 < validation < 1:
        raise ConfigError(f"train_validation_split: expected validation between 0 and 1, came {validation}.")
    cut = int((1 - validation) * len(ids))
    if not 0 < cut < len(ids):
        raise DataError(
            f"train_validation_split: {len(ids)} ids leave one part empty at validation = {validation}; "
            "use a longer text."
        )
    return ids[:cut], ids[cut:]


def random_windows(
    ids: np.ndarray, length: int, batch_size: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """x = ids[s : s + T],   y = ids[s + 1 : s + T + 1],   s ~ U{0, …, n − T − 1}        (n,) -> (B, T), (B, T)

    T is ``length``, B ``batch_size``: each target is the id after its input.
    """
    if not isinstance(generator, np.random.Generator):
        raise DtypeError(
            f"random_windows: generator is a {type(generator).__name__}, expected a numpy.random.Generator; "
            "make one with np.random.default_rng(seed)."
        )
    ids = _window_check("random_windows", ids, length)
    if batch_size < 1:
        raise ConfigError(f"random_windows: expected a batch_size of at least 1, came {batch_size}.")
    if len(ids) <= length:
        raise DataError(
            f"random_windows: a window of {length} and its targets need {length + 1} ids, came {len(ids)}; "
            "use a shorter window or a longer text."
        )
    s = generator.integers(len(ids) - length, size=batch_size)
    windows = ids[s[:, None] + np.arange(length + 1)]
    return windows[:, :-1], windows[:, 1:]


def strided_windows(
    ids: np.ndarray, length: int, stride: int | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Windows in order that cover a whole split: x (K, T), y (K, T) and counted (K, T), bool.

    Of the n − 1 ids that follow another, each is a target with ``counted`` True exactly once, so that the mean of a
    loss over ``y[counted]`` is the mean over the split. Windows begin ``stride`` (by default T) apart; a shorter
    stride gives the targets more context, for more work. The last window ends with the text and counts what was
    left; a text shorter than T makes one shorter window.
    """
    ids = _window_check("strided_windows", ids, length)
    stride = length if stride is None else stride
    if not 1 <= stride <= length:
        raise ConfigError(
            f"strided_windows: expected a stride from 1 to the length {length}, came {stride}; "
            "a longer stride would leave ids out."
        )
    targets = len(ids) - 1
    if targets < 1:
        raise DataError(f"strided_windows: expected at least 2 ids, came {len(ids)}; use a longer text.")
    length = min(length, targets)
    starts = np.append(np.arange(0, targets - length, stride), targets - length)
    reached = np.append(0, starts[:-1] + length)  # the targets that earlier windows have counted
    positions = starts[:, None] + np.arange(length)
    return ids[positions], ids[positions + 1], positions >= reached[:, None]


def _window_check(function: str, ids: np.ndarray, length: int) -> np.ndarray:
    ids = np.asarray(ids)
    if ids.ndim != 1 or ids.dtype.kind not in "iu":
        raise DtypeError(f"{function}: expected integer ids (n,), came {ids.dtype} of shape {ids.shape}; encode first.")
    if length < 1:
        raise ConfigError(f"{function}: expected a length of at least 1, came {length}.")
    return ids


# -- where tiny Shakespeare lies --------------------------------------------------------------------------------------


def _downloaded() -> Path:
    """The file in the cache, downloaded unless it is there, intact."""
    otherwise = f"name another text file, or use {DEFAULT}, which needs no download"
    return remote.download_file(SHAKESPEARE, _SHAKESPEARE_URL, _SHAKESPEARE_FILE, _SHAKESPEARE_SHA256, otherwise)
