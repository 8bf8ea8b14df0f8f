"""Music: scores of notes, and the three forms in which they are read and written.

A :class:`Score` has its notes, (start, length, pitch), on a grid of sixteenth notes, GRID steps to a quarter; a pitch
is its MIDI number, 60 for middle C. It becomes, and comes from,

a MIDI file      :func:`read_midi`, :func:`write_midi`, through mido
melody tokens    one for each step: the pitch of a note that begins, HOLD while it sounds, REST [A9, A10, B10]
a piano roll     one row of 88 keys for some steps, True where a key is down [A9]
"""

import io
import json
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ..errors import DataError, DtypeError, ShapeError
from . import remote
from .bundled import data_folder
from .files import no_such, read_file
from .folder import Split, check_split
from .text import read_text

GRID = 4  # steps in a quarter note
PITCHES, LOWEST, KEYS = 128, 21, 88  # of MIDI; of a piano, from A0 to C8
BARS = (8, 12, 16)  # steps in a bar of 2/4, of 3/4 and 6/8, of 4/4
HOLD, REST, BEGIN = PITCHES, PITCHES + 1, PITCHES + 2
VOCABULARY = BEGIN + len(BARS) + 1  # a melody begins with BEGIN + i, i for BARS[i], the last for another bar

MOST_STEPS = 1 << 15  # of a score: more than an hour at 120 quarters a minute
MOST_BYTES = 1 << 20  # of a MIDI file; of a JSON file 16 times as many
HELD_OUT = 5  # one in so many pieces is held out
TICKS = 480  # of a quarter note in the MIDI files that are written
TEMPO = 120  # quarters a minute in these

DEFAULT, JSB = "folk", "jsb"
_JSB_FILE = "jsb-chorales-quarter.json"
_JSB_URL = "https://raw.githubusercontent.com/czhuang/JSB-Chorales-dataset/9a7f733/jsb-chorales-quarter.json"
_JSB_SHA256 = "2db9329f1881a1d3f49703ec556bf1d6f84b4f6c1d702c156536e93cf31e1c91"


class Note(NamedTuple):
    """Begins at the step `start`, sounds for `length` steps."""

    start: int
    length: int
    pitch: int


@dataclass(frozen=True)
class Score:
    """Notes in the order of their start and pitch, within `steps` steps that begin with a bar.

    metre   (3, 4) for 3/4
    """

    notes: tuple[Note, ...]
    steps: int
    metre: tuple[int, int] = (4, 4)
    title: str = ""

    @property
    def bar(self) -> int:
        """Steps in a bar."""
        return bar_of(self.metre)

    def transposed(self, semitones: int) -> "Score":
        """The same, so many semitones higher. Raises DataError where a pitch would leave 0 … 127."""
        notes = tuple(note._replace(pitch=note.pitch + semitones) for note in self.notes)
        if any(not 0 <= note.pitch < PITCHES for note in notes):
            raise DataError(f"{self.title or 'transposed'}: {semitones} semitones lead out of the pitches 0 … 127.")
        return replace(self, notes=notes)


@dataclass(frozen=True, eq=False)
class MusicSet:
    """Scores, and where they come from."""

    scores: tuple[Score, ...]
    name: str

    def __len__(self) -> int:
        return len(self.scores)


def bar_of(metre: tuple[int, int]) -> int:
    """Steps in a bar of a metre: 4 GRID n / d."""
    return 4 * GRID * metre[0] // metre[1]


def transpositions(scores: Sequence[Score], keys: int) -> list[Score]:
    """Each score moved by −⌊(keys − 1) / 2⌋, …, ⌊keys / 2⌋ semitones, as long as it stays on the 88 keys.

    A tune is the same tune in all twelve keys, so this is twelve times the data [A10].
    """
    moves = range(-((keys - 1) // 2), keys // 2 + 1)
    fits = lambda pitch: LOWEST <= pitch < LOWEST + KEYS
    return [
        score.transposed(move)
        for move in moves
        for score in scores
        if move == 0 or all(fits(note.pitch + move) for note in score.notes)
    ]


def _sorted(notes: Iterable[Note]) -> tuple[Note, ...]:
    return tuple(sorted(notes, key=lambda note: (note.start, note.pitch)))


# -- melody tokens ----------------------------------------------------------------------------------------------------


def encode_melody(score: Score) -> np.ndarray:
    """BEGIN + i for the bar, then a token for each step: int64 (steps + 1,)

    Where several notes sound, the melody is the highest.
    """
    top = np.full(score.steps + 1, -1, np.int64)  # which note is the highest; one step more, so that the last ends
    for i in sorted(range(len(score.notes)), key=lambda i: score.notes[i].pitch):
        note = score.notes[i]
        top[note.start : note.start + note.length] = i
    top[score.steps] = -1
    pitches = np.array([note.pitch for note in score.notes] + [REST], np.int64)  # no note, −1, is a rest
    begins = np.append(True, top[1:] != top[:-1])
    tokens = np.where(begins | (top < 0), pitches[top], HOLD)
    tokens[1:] = tokens[:-1]
    tokens[0] = BEGIN + (BARS.index(score.bar) if score.bar in BARS else len(BARS))
    return tokens


def decode_melody(ids: ArrayLike, metre: tuple[int, int] = (4, 4), title: str = "") -> Score:
    """The score of some tokens, of which BEGIN is passed over; HOLD after a rest holds the rest."""
    ids = np.asarray(ids)
    if ids.ndim != 1 or (ids.size and ids.dtype.kind not in "iu"):
        raise DtypeError(f"decode_melody: expected integer ids (n,), got {ids.dtype} of shape {ids.shape}.")
    if ids.size and not 0 <= ids.min() <= ids.max() < VOCABULARY:
        raise DataError(f"decode_melody: expected ids from 0 to {VOCABULARY - 1}, got {ids.min()} to {ids.max()}.")
    ids = ids[ids < BEGIN]
    starts = np.flatnonzero(ids != HOLD)
    ends = np.append(starts[1:], len(ids))
    notes = tuple(
        Note(start, end - start, int(ids[start]))
        for start, end in zip(starts.tolist(), ends.tolist())
        if ids[start] != REST
    )
    return Score(notes, len(ids), metre, title)


# -- piano rolls ------------------------------------------------------------------------------------------------------


def encode_roll(score: Score, step: int = GRID) -> np.ndarray:
    """Which of the 88 keys are down at the steps 0, step, 2 step, …: bool (⌈steps / step⌉, 88)

    Notes beyond the keys are left out, and those that begin and end between two of these steps.
    """
    roll = np.zeros((-(-score.steps // step), KEYS), bool)
    for note in score.notes:
        if LOWEST <= note.pitch < LOWEST + KEYS:
            first, end = -(-note.start // step), -(-(note.start + note.length) // step)
            roll[first:end, note.pitch - LOWEST] = True
    return roll


def decode_roll(roll: ArrayLike, step: int = GRID, metre: tuple[int, int] = (4, 4), title: str = "") -> Score:
    """The score of a roll (T, 88): a key that stays down is one long note."""
    roll = np.asarray(roll)
    if roll.ndim != 2 or roll.shape[1] != KEYS:
        raise ShapeError(f"decode_roll: expected a roll (T, {KEYS}), got shape {roll.shape}.")
    edges = np.diff(roll.astype(np.int8), axis=0, prepend=0, append=0)
    keys, starts = np.nonzero(edges.T == 1)  # for each key in order of time, so that starts and ends agree
    _, ends = np.nonzero(edges.T == -1)
    notes = zip((starts * step).tolist(), ((ends - starts) * step).tolist(), (keys + LOWEST).tolist())
    return Score(_sorted(Note(*note) for note in notes), len(roll) * step, metre, title)


# -- MIDI files -------------------------------------------------------------------------------------------------------


def read_midi(path: str | os.PathLike[str]) -> Score:
    """The notes of a MIDI file of format 0 or 1, all tracks together but for drums, moved to the grid.

    The metre is the first that is written, or 4/4. Raises DataError for a file that is missing, damaged, longer than an
    hour, without notes, or timed in frames of film.
    """
    import mido

    path = Path(os.path.expanduser(path))
    content = read_file(path, "a MIDI file", MOST_BYTES)
    try:
        if re.search(rb"[\x80-\xff]{1000}", content):  # mido would take it for one number, and long to read it
            raise ValueError("a thousand bytes that are no message")
        file = mido.MidiFile(file=io.BytesIO(content))
        messages = list(file.merged_track)
    except Exception as error:  # mido has no error of its own: a damaged file may raise almost any
        reason = str(error) or type(error).__name__
        raise DataError(
            f"{path}: expected a MIDI file, came a damaged or another one ({reason}); save it again."
        ) from error
    if file.ticks_per_beat <= 0:
        raise DataError(f"{path}: expected times in parts of a quarter note, came frames of film; save it in ticks.")
    time, sounding, spans, metre = 0, {}, [], None
    at = lambda ticks: (2 * GRID * ticks + file.ticks_per_beat) // (2 * file.ticks_per_beat)  # the nearest step
    for message in messages:
        time += message.time
        if at(time) > MOST_STEPS:
            raise DataError(f"{path}: expected at most {MOST_STEPS} sixteenth notes, came more; cut it into pieces.")
        if message.type == "time_signature" and metre is None:
            metre = (message.numerator, message.denominator)
        if message.type in ("note_on", "note_off") and message.channel != 9:
            key = (message.channel, message.note)
            if key in sounding:
                spans.append((sounding.pop(key), time, message.note))
            if message.type == "note_on" and message.velocity:
                sounding[key] = time
    spans += [(start, time, note) for (_, note), start in sounding.items()]
    if not spans:
        raise DataError(f"{path}: expected a MIDI file with notes, came none; choose another.")
    notes = {(at(start), pitch): max(1, at(end) - at(start)) for start, end, pitch in sorted(spans)}
    if metre is None or not metre[0] or (4 * GRID * metre[0]) % metre[1] or metre[0] > 4 * metre[1]:
        metre = (4, 4)
    last = max(at(time), *(start + length for (start, _), length in notes.items()))
    steps = -(-last // bar_of(metre)) * bar_of(metre)
    return Score(_sorted(Note(start, n, pitch) for (start, pitch), n in notes.items()), steps, metre, path.stem)


def write_midi(file: str | os.PathLike[str] | Any, score: Score) -> None:
    """A MIDI file of format 0 with the score in one track, at 120 quarters a minute; it ends where the score ends."""
    import mido

    tick = TICKS // GRID
    events = [(0, 0, mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(TEMPO)))]
    events.append((0, 0, mido.MetaMessage("time_signature", numerator=score.metre[0], denominator=score.metre[1])))
    if score.title:
        events.append((0, 0, mido.MetaMessage("track_name", name=score.title)))
    for start, length, pitch in score.notes:
        events.append((start, 2, mido.Message("note_on", note=pitch, velocity=80)))
        events.append((start + length, 1, mido.Message("note_off", note=pitch, velocity=0)))  # before it begins again
    events.append((score.steps, 3, mido.MetaMessage("end_of_track")))
    events.sort(key=lambda event: event[:2])
    track, now = mido.MidiTrack(), 0
    for step, _, message in events:
        track.append(message.copy(time=(step - now) * tick))
        now = step
    midi = mido.MidiFile(type=0, ticks_per_beat=TICKS, tracks=[track], charset="utf-8")
    midi.save(**({"file": file} if hasattr(file, "write") else {"filename": file}))


# -- melodies as text -------------------------------------------------------------------------------------------------

_STEP = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_NOTE = re.compile(r"(?:r|([A-G])([#b]?)(\d))(?::(\d{1,3})(?:/(\d{1,2}))?)?")


def read_tunes(path: str | os.PathLike[str]) -> list[Score]:
    """The melodies of a text in the notation that ``folk_melodies.txt`` explains and uses.

    A pickup stands behind rests, so that each score begins with a bar. Raises DataError for what is no note, for a bar
    that is not full, and for lengths off the grid.
    """
    tunes = []
    for block in re.split(r"\n\s*\n", re.sub(r"^#.*$", "", read_text(path), flags=re.M).strip()):
        head = dict(re.findall(r"^(\w+): *(.+?) *$", block, re.M))
        title = head.get("title", "?")
        metre = re.fullmatch(r"(\d{1,2})/(\d{1,2})", head.get("metre", ""))
        if metre is None or not int(metre[2]) or not bar_of((int(metre[1]), int(metre[2]))):
            raise DataError(f"{path}: {title}: expected a line such as 'metre: 3/4', came {head.get('metre', 'none')}.")
        music = " ".join(line for line in block.splitlines() if not re.match(r"\w+: ", line))
        bars = [bar.split() for bar in music.split("|") if bar.strip()]
        tunes.append(_tune(f"{path}: {title}", bars, head, (int(metre[1]), int(metre[2])), title))
    return tunes


def _tune(where: str, bars: list[list[str]], head: dict[str, str], metre: tuple[int, int], title: str) -> Score:
    full, notes = bar_of(metre), []
    try:
        pickup = Fraction(head.get("pickup", "0")) * GRID
    except (ValueError, ZeroDivisionError) as error:
        raise DataError(f"{where}: expected a pickup in quarter notes, came {head['pickup']!r}.") from error
    now = full - pickup if pickup else Fraction(0)
    for number, bar in enumerate(bars):
        begin = now
        for word in bar:
            parts = _NOTE.fullmatch(word)
            if parts is None or parts[5] == "0":
                raise DataError(f"{where}: expected notes such as A4 or Bb4:1/2 and rests such as r:2, came {word!r}.")
            length = Fraction(int(parts[4] or 1), int(parts[5] or 1)) * GRID
            if length.denominator > 1 or not length:
                raise DataError(f"{where}: expected lengths that are whole sixteenth notes, came {word!r}.")
            if parts[1]:
                pitch = 12 * (int(parts[3]) + 1) + _STEP[parts[1]] + {"": 0, "#": 1, "b": -1}[parts[2]]
                notes.append(Note(int(now), int(length), pitch))
            now += length
        rights = {pickup if pickup and not number else full} | ({full - pickup} if number == len(bars) - 1 else set())
        if now - begin not in rights:
            right = " or ".join(f"{float(steps) / GRID:g}" for steps in sorted(rights))
            came = float(now - begin) / GRID
            raise DataError(f"{where}: expected bar {number + 1} to have {right} quarter notes, came {came:g}.")
    if not notes:
        raise DataError(f"{where}: expected notes, came none.")
    return Score(tuple(notes), -(-int(now) // full) * full, metre, title)


# -- chorales ---------------------------------------------------------------------------------------------------------


def read_chorales(path: str | os.PathLike[str], split: Split = "train") -> list[Score]:
    """One split of a JSON file {"train": pieces, "test": pieces}, a piece being a list of quarter notes, each of them
    the list of the pitches that sound (Boulanger-Lewandowski, Bengio & Vincent 2012)."""
    try:
        pieces = json.loads(read_file(path, "chorales in JSON", 16 * MOST_BYTES))[split]
        sounding = [[[_pitch(pitch) for pitch in quarter] for quarter in piece] for piece in pieces]
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        if isinstance(error, DataError):
            raise
        reason = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise DataError(
            f"{path}: expected lists of pitches under 'train' and 'test', came others ({reason})."
        ) from error
    if not sounding or not all(0 < GRID * len(piece) <= MOST_STEPS for piece in sounding):
        raise DataError(f"{path}: expected pieces of 1 to {MOST_STEPS // GRID} quarter notes under {split!r}.")
    scores = []
    for number, piece in enumerate(sounding):
        roll = np.zeros((len(piece), PITCHES), bool)
        for t, pitches in enumerate(piece):
            roll[t, pitches] = True
        scores.append(decode_roll(roll[:, LOWEST : LOWEST + KEYS], title=f"{split} {number + 1}"))
    return scores


def _pitch(value: Any) -> int:
    if type(value) is not int or not 0 <= value < PITCHES:
        raise ValueError(f"{value!r} is no pitch from 0 to 127")
    return value


# -- sets by name or path ---------------------------------------------------------------------------------------------


def available_music() -> dict[str, str]:
    """What each name that ``load_music_set`` knows stands for, in one line."""
    return {
        DEFAULT: "66 melodies in the public domain, bundled with minigen",
        JSB: "382 chorales by J. S. Bach, a chord for each quarter note, downloaded once",
    }


def load_music_set(name_or_path: str = DEFAULT, split: Split = "train") -> MusicSet:
    """Scores by a name in ``available_music()``, from a folder of MIDI files, or from a text of melodies.

    Of melodies and MIDI files one in five is held out. Raises DataError if there is no such set or a file is damaged.
    """
    check_split(split)
    name = str(name_or_path)
    if name == JSB:
        path = remote.find("music", _JSB_FILE) or remote.download_file(
            JSB, _JSB_URL, _JSB_FILE, _JSB_SHA256, f"use {DEFAULT}, which needs no download"
        )
        return MusicSet(tuple(read_chorales(path, split)), name)
    path = data_folder() / "folk_melodies.txt" if name == DEFAULT else Path(os.path.expanduser(name))
    if not os.path.exists(path):
        raise no_such(name, "a folder of MIDI files", available_music())
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix.lower() in (".mid", ".midi"))
        scores: Iterable[Score] = (read_midi(file) for file in _split(files, split, path))
    else:
        scores = _split(read_tunes(path), split, path)
    return MusicSet(tuple(scores), name if name == DEFAULT else path.stem)


def _split(pieces: list, split: Split, path: Path) -> list:
    if len(pieces) < 2:
        raise DataError(f"{path}: expected at least two MIDI files or melodies, came {len(pieces)}; add more.")
    held_out = [i % HELD_OUT == min(HELD_OUT, len(pieces)) - 1 for i in range(len(pieces))]
    return [piece for piece, out in zip(pieces, held_out) if out == (split == "test")]
