"""Sound: WAV files in and out, resampling, frames and spectra, μ-law codes, and sets of recordings [A10].

A sound is float32 (n,) in [−1, 1], one channel, RATE samples a second.
"""

import math
import os
import re
import struct
import warnings
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ..errors import ConfigError, DataError, DtypeError, ShapeError
from .bundled import data_folder
from .files import data_root, no_such, read_file
from .folder import Split, check_split

RATE = 8000
CODES, MU = 256, 255
SILENCE = 128  # the code of 0

BUNDLED, DIGITS = "recordings", "spoken-digits"
_RECORDINGS = {
    "bell": "perc_bell_8k.wav",
    "choir": "ambi_choir_8k.wav",
    "cowbell": "drum_cowbell_8k.wav",
    "guitar": "guit_harmonics_8k.wav",
    "piano": "ambi_piano_8k.wav",
    "tabla": "tabla_tun1_8k.wav",
}
_DIGIT = re.compile(r"(\d)_[^_]+_(\d+)\.wav", re.IGNORECASE)  # digit, speaker, number
_DIGITS_FROM = "https://github.com/Jakobovski/free-spoken-digit-dataset"
_PLACES = ("audio/fsdd/recordings", "fsdd/recordings", "free-spoken-digit-dataset/recordings", "recordings")
_HELD_OUT = 5  # numbers below it are the test part of the spoken digits
_SLOWEST, _FASTEST = 1000, 384_000  # samples a second that a file may have


@dataclass(frozen=True, eq=False)
class AudioSet:
    """Sounds of one rate, each with the index of its class, what the classes are, and where the sounds come from."""

    sounds: tuple[np.ndarray, ...]
    labels: np.ndarray
    classes: tuple[str, ...]
    name: str
    rate: int = RATE

    def __len__(self) -> int:
        return len(self.sounds)


# -- files ------------------------------------------------------------------------------------------------------------


def read_wav(path: str | os.PathLike[str]) -> tuple[np.ndarray, int]:
    """The sound in a WAV file, float32 (n,) in [−1, 1], and its samples per second.

    8, 16, 24 or 32 bits, or floating point; of several channels, the mean. Floating-point sounds that are louder than
    full scale are made as loud as that. Raises DataError for a file that is missing, damaged, cut off, compressed or
    empty; nothing is allocated for what a header only claims.
    """
    from scipy.io import wavfile

    path = Path(os.path.expanduser(path))
    content = read_file(path, "a WAV file")
    _check_chunks(path, content)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", wavfile.WavFileWarning)  # chunks with titles and the like
            rate, data = wavfile.read(BytesIO(content))
    except Exception as error:  # a damaged header: SciPy has many ways to say so
        reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise DataError(f"{path}: cannot be decoded ({reason}); save it as WAV, PCM of 16 bits.") from error
    if not data.size:
        raise DataError(f"{path}: expected a sound, came no samples; choose another file.")
    if not _SLOWEST <= rate <= _FASTEST:
        raise DataError(
            f"{path}: expected {_SLOWEST} to {_FASTEST} samples per second, came {rate}; the header is damaged."
        )
    kind, x = data.dtype, data.astype(np.float32)
    if kind == np.uint8:
        x = (x - 128) / 128
    elif kind.kind == "i":
        x /= 2.0 ** (8 * kind.itemsize - 1)
    elif not np.isfinite(x).all():
        raise DataError(f"{path}: expected numbers in [-1, 1], came NaN or infinity; save the file again.")
    else:
        x /= max(1.0, float(np.abs(x).max()))
    return x if x.ndim == 1 else x.mean(axis=1), int(rate)


def _check_chunks(path: Path, content: bytes) -> None:
    """Raise DataError unless this is a WAV file whose samples are all there."""
    kind, form = content[:4], content[8:12]
    if kind not in (b"RIFF", b"RIFX") or form != b"WAVE":
        raise DataError(f"{path}: expected a WAV file, but it does not begin as one; convert it to WAV.")
    order, at, seen = "<I" if kind == b"RIFF" else ">I", 12, set()
    while at + 8 <= len(content):
        name, (size,) = content[at : at + 4], struct.unpack(order, content[at + 4 : at + 8])
        if at + 8 + size > len(content) and name in (b"fmt ", b"data"):
            raise DataError(
                f"{path}: its header promises {size} bytes of {'samples' if name == b'data' else 'format'}, the file "
                f"has {len(content) - at - 8}; it is cut off: copy it again."
            )
        seen.add(name)
        if name == b"data":
            break
        at += 8 + size + size % 2
    if not {b"fmt ", b"data"} <= seen:
        raise DataError(f"{path}: expected a format and samples, but one of them is missing; copy it again.")


def write_wav(file: str | os.PathLike[str] | BinaryIO, x: np.ndarray, rate: int = RATE) -> None:
    """A sound (n,) as a WAV file of 16 bits, rounded; what lies outside [−1, 1] is clipped."""
    from scipy.io import wavfile

    x = _sound("write_wav", x)
    wavfile.write(file, rate, np.rint(32767 * np.clip(x, -1, 1)).astype(np.int16))


# -- samples ----------------------------------------------------------------------------------------------------------


def resample(x: np.ndarray, rate: int, to: int = RATE) -> np.ndarray:
    """The same sound with `to` samples per second, without what is above to/2 Hz        (n,) -> (⌈n to/rate⌉,)"""
    from scipy.signal import resample_poly

    x, divisor = _sound("resample", x), math.gcd(rate, to)
    return x if rate == to else resample_poly(x, to // divisor, rate // divisor).astype(np.float32)


def mu_law_encode(x: np.ndarray) -> np.ndarray:
    """c = ⌊(f(x) + 1) μ/2 + ½⌋,   f(x) = sign(x) ln(1 + μ|x|) / ln(1 + μ),   μ = 255        (…) in [−1, 1] -> uint8

    ITU-T G.711's curve: the steps between codes grow with |x|, as the ear's do. What lies outside [−1, 1] is clipped.
    """
    x = np.clip(np.asarray(x, np.float64), -1, 1)
    f = np.sign(x) * np.log1p(MU * np.abs(x)) / math.log1p(MU)
    return ((f + 1) * (MU / 2) + 0.5).astype(np.uint8)


def mu_law_decode(c: np.ndarray) -> np.ndarray:
    """x = sign(f) ((1 + μ)^|f| − 1) / μ,   f = 2c/μ − 1        uint8 (…) -> float32 in [−1, 1]

    Encoded and decoded, x has moved by at most ((1 + μ)^(1/μ) − 1) (1 + μ|x|) / μ: 9·10⁻⁵ at 0, 0.022 at 1.
    """
    f = np.asarray(c, np.float64) * (2 / MU) - 1
    return (np.sign(f) * np.expm1(np.abs(f) * math.log1p(MU)) / MU).astype(np.float32)


def frames(x: np.ndarray, length: int, hop: int) -> np.ndarray:
    """x[k hop : k hop + length] for k = 0, …, K − 1, K = max(1, ⌈(n − length)/hop⌉ + 1)        (n,) -> (K, length)

    The last frame is filled up with zeros, so that every sample is in one.
    """
    x = _sound("frames", x)
    if not (length >= 1 and hop >= 1):
        raise ConfigError(f"frames: expected a length and a hop of at least 1, got {length} and {hop}.")
    count = max(1, -(-(len(x) - length) // hop) + 1)
    x = np.pad(x, (0, max(0, (count - 1) * hop + length - len(x))))
    return np.lib.stride_tricks.sliding_window_view(x, length)[::hop][:count]


def spectrogram(x: np.ndarray, length: int = 256, hop: int = 64) -> np.ndarray:
    """20 log₁₀ |Σ_t w_t x_{k hop + t} e^(−2πi ft/length)| + const        (n,) -> (length/2 + 1, K) in decibels

    w is Hann's window and the constant makes a sine of amplitude 1 have 0 dB; nothing is below −120.
    """
    w = np.hanning(length + 1)[:-1]
    size = np.abs(np.fft.rfft(frames(x, length, hop) * w, axis=1)) * (2 / w.sum())
    return (20 * np.log10(np.maximum(size, 1e-6))).T.astype(np.float32)


def _sound(function: str, x: np.ndarray) -> np.ndarray:
    x = np.asarray(x)
    if x.ndim != 1 or not x.size:
        raise ShapeError(f"{function}: expected a sound (n,) of at least one sample, came shape {x.shape}.")
    if x.dtype.kind != "f":
        raise DtypeError(f"{function}: expected floating-point samples in [-1, 1], came {x.dtype}; divide them first.")
    return x


# -- sets -------------------------------------------------------------------------------------------------------------


def available_audio() -> dict[str, str]:
    """What each name that ``load_audio_set`` knows stands for, in one line."""
    return {
        BUNDLED: "six short recordings of instruments and voices, bundled with minigen",
        DIGITS: "the Free Spoken Digit Dataset, looked for in MINIGEN_DATA",
    }


def load_audio_set(name_or_path: str = BUNDLED, split: Split = "train") -> AudioSet:
    """Sounds at RATE samples per second: by a name in ``available_audio()``, or all WAV files of a folder.

    Of spoken digits, files such as 7_jackson_32.wav, the class is the digit, and numbers below 5 are held out, as their
    authors have it. In every other folder each recording is a class of its own; of its ten parts the fifth is held out.

    Raises DataError where there is no such set or a file cannot be read.
    """
    check_split(split)
    if name_or_path == BUNDLED:
        return _parts({name: data_folder() / file for name, file in _RECORDINGS.items()}, BUNDLED, split)
    if name_or_path == DIGITS:
        return _digits(_digit_files(_local()), DIGITS, split)
    path = Path(os.path.expanduser(name_or_path))
    if not path.exists():
        raise no_such(name_or_path, "a folder of WAV files", available_audio())
    if not path.is_dir():
        raise DataError(f"{path}: expected a folder of WAV files, came a file; name the folder it is in.")
    if digits := _digit_files(path):
        return _digits(digits, path.resolve().name, split)
    files = {file.stem: file for file in _wav_files(path)}
    if not files:
        raise DataError(f"{path}: expected WAV files, but there is none; name the folder they are in.")
    return _parts(files, path.resolve().name, split)


def _wav_files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if file.suffix.lower() == ".wav")


def _digit_files(folder: Path) -> list[tuple[int, int, Path]]:
    """(digit, number, file) of a folder of spoken digits; empty if a file has another name."""
    files = _wav_files(folder)
    found = [match for file in files if (match := _DIGIT.fullmatch(file.name))]
    if len(found) < len(files):
        return []
    return [(int(match[1]), int(match[2]), file) for match, file in zip(found, files, strict=True)]


def _digits(files: list[tuple[int, int, Path]], name: str, split: Split) -> AudioSet:
    chosen = [(digit, file) for digit, number, file in files if (number < _HELD_OUT) == (split == "test")]
    if not chosen:
        raise DataError(f"{name}: expected numbers from 5 on to train with and below 5 to test, came one sort only.")
    sounds = tuple(_at_rate(file) for _, file in chosen)
    return AudioSet(sounds, np.array([digit for digit, _ in chosen], np.int64), tuple("0123456789"), name)


def _parts(files: dict[str, Path], name: str, split: Split) -> AudioSet:
    sounds, labels = [], []
    for label, file in enumerate(files.values()):
        x = _at_rate(file)
        first, last = len(x) * 4 // 10, len(x) * 5 // 10
        if first == last:
            raise DataError(f"{file}: expected a recording of at least 10 samples at {RATE} Hz, came {len(x)}.")
        for part in [x[first:last]] if split == "test" else [x[:first], x[last:]]:
            sounds.append(part)
            labels.append(label)
    return AudioSet(tuple(sounds), np.array(labels, np.int64), tuple(files), name)


def _at_rate(file: Path) -> np.ndarray:
    return resample(*read_wav(file))


def _local() -> Path:
    """The folder of the spoken digits in MINIGEN_DATA."""
    if (root := data_root()) is not None:
        for place in (*_PLACES, "."):
            if (root / place).is_dir() and _digit_files(root / place):
                return root / place
    raise DataError(
        f"{DIGITS}: expected files such as 7_jackson_32.wav in MINIGEN_DATA; clone {_DIGITS_FROM} and set MINIGEN_DATA "
        f"to that folder, or pass its folder recordings after --data; {BUNDLED} needs no download."
    )
