"""Between text and token ids: characters, bytes, and byte pairs learnt from a text.

All three give any text of their vocabulary back exactly: ``t.decode(t.encode(text)) == text``. Removing stop words
(formula A10) could not do that, and no model trained on its output could write fluent text.

With ``special_tokens=True`` the ids 0, 1 and 2 are ``<pad>``, ``<bos>`` and ``<eos>``: padding, beginning and end of a
sequence. No text is ever encoded as one of them, not even the text "<pad>".
"""

import codecs
import heapq
import json
import os
import re
from abc import ABC, abstractmethod
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..errors import ConfigError, DataError, DtypeError
from .files import read_file

SPECIAL_TOKENS = ("<pad>", "<bos>", "<eos>")
MOST_BYTES = 1 << 23  # of a file, and of all symbols of a tokenizer together


class Tokenizer(ABC):
    """What the tokenizers share: special tokens, batches, saving.

    vocab_size     how many ids there are: 0, …, vocab_size − 1
    pad, bos, eos  the ids of the special tokens, or None
    """

    kind: str  # what a saved tokenizer is called

    def __init__(self, symbols: int, special_tokens: bool) -> None:
        self.special_tokens = bool(special_tokens)
        self.pad, self.bos, self.eos = (0, 1, 2) if special_tokens else (None, None, None)
        self._first = len(SPECIAL_TOKENS) if special_tokens else 0  # the id of the first symbol
        self.vocab_size = self._first + symbols

    @abstractmethod
    def encode(self, text: str) -> np.ndarray:
        """The ids of a text: int64 (n,), without special tokens."""

    def decode(self, ids: ArrayLike) -> str:
        """The text of some ids (n,), of which special tokens are left out."""
        return self._text(self._symbols(ids))

    @abstractmethod
    def stream(self, ids: Iterable[int]) -> Iterator[str]:
        """The text of ids as they come: a piece for each as soon as it ends a character."""

    def encode_batch(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """``<bos>``, the text, ``<eos>``, then ``<pad>`` up to the longest: int64 (B, T), and the lengths (B,).

        Raises ConfigError without special tokens.
        """
        if not self.special_tokens:
            raise ConfigError(
                f"{self._name}.encode_batch: a batch needs <bos>, <eos> and <pad>, which this tokenizer has not; "
                "make it with special_tokens=True."
            )
        rows = [np.concatenate([[self.bos], self.encode(text), [self.eos]]) for text in texts]
        lengths = np.array([len(row) for row in rows], np.int64)
        batch = np.full((len(rows), lengths.max(initial=0)), self.pad, np.int64)
        for i, row in enumerate(rows):
            batch[i, : len(row)] = row
        return batch, lengths

    def to_dict(self) -> dict[str, Any]:
        """All of the tokenizer, as JSON can hold it; ``tokenizer_from_dict`` makes it again."""
        return {"kind": self.kind, "special_tokens": self.special_tokens, **self._learnt()}

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a JSON file that ``load_tokenizer`` reads."""
        try:
            Path(path).write_text(json.dumps(self.to_dict()) + "\n", "utf-8")
        except OSError as error:
            raise DataError(f"{path}: cannot be written ({error.strerror or error}); choose another path.") from error

    @property
    def _name(self) -> str:
        return type(self).__name__

    def _learnt(self) -> dict[str, Any]:
        return {}

    @abstractmethod
    def _text(self, symbols: np.ndarray) -> str:
        """The text of symbols: ids counted from the first that is not special."""

    def _symbols(self, ids: ArrayLike) -> np.ndarray:
        ids = np.asarray(ids)
        if ids.size == 0:
            return np.zeros(0, np.int64)
        if ids.ndim != 1 or ids.dtype.kind not in "iu":
            raise DtypeError(
                f"{self._name}.decode: expected integer ids (n,), came {ids.dtype} of shape {ids.shape}; "
                "decode one sequence at a time."
            )
        if ids.min() < 0 or ids.max() >= self.vocab_size:
            wrong = ids.min() if ids.min() < 0 else ids.max()
            raise DataError(
                f"{self._name}.decode: expected ids from 0 to {self.vocab_size - 1}, came {wrong}; "
                "decode with the tokenizer that encoded them."
            )
        return ids[ids >= self._first].astype(np.int64) - self._first


class CharTokenizer(Tokenizer):
    """One id for each character (Unicode code point) of a given set, in the order of their code points."""

    kind = "characters"

    def __init__(self, characters: Iterable[str], special_tokens: bool = False) -> None:
        self.characters = sorted(set(characters))
        if not self.characters or any(len(character) != 1 for character in self.characters):
            raise ConfigError("CharTokenizer: expected characters, at least one; pass a text that is not empty.")
        super().__init__(len(self.characters), special_tokens)
        self._points = np.array([ord(character) for character in self.characters], np.uint32)

    def encode(self, text: str) -> np.ndarray:
        """The ids of a text, int64 (n,). Raises DataError that names the characters outside the vocabulary."""
        points = _points(_checked(self._name, text))
        found = np.searchsorted(self._points, points)
        known = self._points[np.minimum(found, len(self._points) - 1)] == points
        if not known.all():
            unknown = list(dict.fromkeys(chr(point) for point in points[~known].tolist()))
            named = ", ".join(f"{character!r} (U+{ord(character):04X})" for character in unknown[:8])
            more = f" and {len(unknown) - 8} more" if len(unknown) > 8 else ""
            raise DataError(
                f"{self._name}.encode: the vocabulary of {len(self.characters)} characters has no {named}{more}; "
                "leave them out, or train on a text that has them."
            )
        return found + self._first

    def stream(self, ids: Iterable[int]) -> Iterator[str]:
        return (self.decode([i]) for i in ids)

    def _text(self, symbols: np.ndarray) -> str:
        return self._points[symbols].astype("<u4").tobytes().decode("utf-32-le", "surrogatepass")

    def _learnt(self) -> dict[str, Any]:
        return {"characters": self.characters}


class ByteTokenizer(Tokenizer):
    """One id for each byte of the text in UTF-8: 256 ids for every script, three of them to a Chinese character."""

    kind = "bytes"

    def __init__(self, special_tokens: bool = False) -> None:
        super().__init__(256, special_tokens)

    def encode(self, text: str) -> np.ndarray:
        """The ids of a text, int64 (n,)."""
        return np.frombuffer(_utf8(self._name, text), np.uint8).astype(np.int64) + self._first

    def decode_bytes(self, ids: ArrayLike) -> bytes:
        """The bytes of some ids, which a model may have put together as no text would."""
        return self._bytes(self._symbols(ids))

    def stream(self, ids: Iterable[int]) -> Iterator[str]:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        for i in ids:
            yield decoder.decode(self.decode_bytes([i]))
        yield decoder.decode(b"", final=True)

    def _bytes(self, symbols: np.ndarray) -> bytes:
        return symbols.astype(np.uint8).tobytes()

    def _text(self, symbols: np.ndarray) -> str:
        """Bytes that are not UTF-8 become U+FFFD, the replacement character."""
        return self._bytes(symbols).decode("utf-8", "replace")


class BPETokenizer(ByteTokenizer):
    """Byte-pair encoding (Sennrich, Haddow & Birch 2016), on bytes.

    ``merges`` lists pairs of symbols, of which the first 256 are the bytes; merge number i makes symbol 256 + i. A
    word is encoded by applying the merges in this order, each to all places from left to right. Words are what
    ``_WORD`` finds, a space counted to the word behind it; no symbol goes beyond a word.
    """

    kind = "byte pairs"

    def __init__(self, merges: Sequence[Sequence[int]], special_tokens: bool = False) -> None:
        self.merges = [(int(a), int(b)) for a, b in merges]
        self._pieces, size = [bytes([byte]) for byte in range(256)], 0
        for i, (a, b) in enumerate(self.merges):
            if not (0 <= a < 256 + i and 0 <= b < 256 + i):
                raise ConfigError(
                    f"BPETokenizer: expected merge {i} to join symbols below {256 + i}, came {(a, b)}; "
                    "a merge joins bytes and the results of earlier merges."
                )
            self._pieces.append(self._pieces[a] + self._pieces[b])
            size += len(self._pieces[-1])
            if size > MOST_BYTES:  # each merge may double the one before
                raise ConfigError(
                    f"BPETokenizer: expected symbols of at most {MOST_BYTES:,} bytes together, came more."
                )
        super().__init__(special_tokens)
        self.vocab_size += len(self.merges)

    @classmethod
    def train(cls, text: str, merges: int = 1000, special_tokens: bool = False) -> "BPETokenizer":
        """Merge the pair of neighbours that is most frequent in the text, then again, `merges` times.

        Among equally frequent pairs the one with the smallest symbols is taken, so that a text always gives the same
        merges. There are fewer of them if at last no pair occurs twice.
        """
        if not isinstance(merges, int) or merges < 0:
            raise ConfigError(f"BPETokenizer: expected a number of merges of at least 0, came {merges!r}.")
        words = Counter(_WORD.findall(_checked("BPETokenizer", text)))
        return cls(_learn({_utf8("BPETokenizer", word): n for word, n in words.items()}, merges), special_tokens)

    def encode(self, text: str) -> np.ndarray:
        """The ids of a text, int64 (n,).

        A symbol is written as one character of a Python string, so that a merge is one ``str.replace`` over all the
        different words at once.
        """
        words = _WORD.findall(_checked(self._name, text))
        if not words:
            return np.zeros(0, np.int64)
        different = list(dict.fromkeys(words))
        end = chr(256 + len(self.merges))  # no symbol, so nothing merges over it
        joined = end.join(_utf8(self._name, word).decode("latin-1") for word in different)
        for i, (a, b) in enumerate(self.merges):
            joined = joined.replace(chr(a) + chr(b), chr(256 + i))
        symbols = dict(zip(different, joined.split(end)))
        return _points("".join(symbols[word] for word in words)).astype(np.int64) + self._first

    def pieces(self, text: str) -> list[bytes]:
        """The text cut into the bytes of its tokens, to look at."""
        return [self._pieces[symbol] for symbol in (self.encode(text) - self._first).tolist()]

    def _bytes(self, symbols: np.ndarray) -> bytes:
        return b"".join(self._pieces[symbol] for symbol in symbols.tolist())

    def _learnt(self) -> dict[str, Any]:
        return {"merges": [list(pair) for pair in self.merges]}


# Letters and digits, or other signs, each with a space before them; or other white space. Every text is covered.
_WORD = re.compile(r" ?\w+| ?[^\w\s]+|\s+(?!\S)|\s+")


def _learn(words: dict[bytes, int], merges: int) -> list[tuple[int, int]]:
    """The merges for words and how often each occurs."""
    sequences, times = [list(word) for word in words], list(words.values())
    count: Counter[tuple[int, int]] = Counter()
    where = defaultdict(set)  # the words that have, or had, a pair
    for i, sequence in enumerate(sequences):
        for pair in zip(sequence, sequence[1:]):
            count[pair] += times[i]
            where[pair].add(i)
    queue = [(-n, pair) for pair, n in count.items()]  # an entry counts only while its n is right
    heapq.heapify(queue)
    learnt: list[tuple[int, int]] = []
    while queue and len(learnt) < merges:
        n, best = heapq.heappop(queue)
        if count[best] != -n:
            continue
        if n > -2:
            break
        new, change = 256 + len(learnt), defaultdict(int)
        learnt.append(best)
        for i in where.pop(best):
            old = sequences[i]
            sequences[i] = merged = _merged(old, best, new)
            for pair in zip(old, old[1:]):
                change[pair] -= times[i]
            for pair in zip(merged, merged[1:]):
                change[pair] += times[i]
                if new in pair:
                    where[pair].add(i)
        for pair, difference in change.items():
            if difference:
                count[pair] += difference
                heapq.heappush(queue, (-count[pair], pair))
    return learnt


def _merged(sequence: list[int], pair: tuple[int, int], new: int) -> list[int]:
    out, i, last = [], 0, len(sequence) - 1
    while i <= last:
        if i < last and sequence[i] == pair[0] and sequence[i + 1] == pair[1]:
            out.append(new)
            i += 2
        else:
            out.append(sequence[i])
            i += 1
    return out


def tokenizer_from_dict(saved: dict[str, Any]) -> Tokenizer:
    """The tokenizer that ``to_dict`` described. Raises DataError for anything else."""
    try:
        kind, special_tokens = saved["kind"], saved["special_tokens"]
        if kind == CharTokenizer.kind:
            return CharTokenizer(saved["characters"], special_tokens)
        if kind == ByteTokenizer.kind:
            return ByteTokenizer(special_tokens)
        if kind == BPETokenizer.kind:
            return BPETokenizer(saved["merges"], special_tokens)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"tokenizer: expected what a tokenizer saves, came something else ({error}); save it again."
        ) from error
    kinds = ", ".join((CharTokenizer.kind, ByteTokenizer.kind, BPETokenizer.kind))
    raise DataError(f"tokenizer: expected one of the kinds {kinds}, came {kind!r}; save it again.")


def load_tokenizer(path: str | os.PathLike[str]) -> Tokenizer:
    """The tokenizer in a file that ``save`` wrote. Raises DataError for a file that is missing or something else."""
    content = read_file(path, "a tokenizer in JSON", MOST_BYTES)
    try:
        saved = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: expected a tokenizer in JSON, came something else; save it again.") from error
    try:
        return tokenizer_from_dict(saved)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def _checked(function: str, text: str) -> str:
    if not isinstance(text, str):
        raise DtypeError(f"{function}: expected text, came {type(text).__name__}; decode bytes first.")
    return text


def _points(text: str) -> np.ndarray:
    """The code points of a text."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")


def _utf8(function: str, text: str) -> bytes:
    try:
        return _checked(function, text).encode("utf-8")
    except UnicodeEncodeError as error:
        raise DataError(
            f"{function}: expected Unicode text, came the lone surrogate U+{ord(text[error.start]):04X}; "
            "read the text with its right encoding."
        ) from error
