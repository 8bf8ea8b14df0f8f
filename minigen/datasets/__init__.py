"""Data: image sets and texts by name or path, tokenizers, synthetic data, and the order in which examples are seen.

Everything here is NumPy on the host.
"""

from .audio import (
    AudioSet,
    available_audio,
    frames,
    load_audio_set,
    mu_law_decode,
    mu_law_encode,
    read_wav,
    resample,
    spectrogram,
    write_wav,
)
from .batches import Batches
from .bundled import load_digits
from .catalog import available, load
from .dates import date_pairs, number_pairs, number_words
from .folder import load_folder
from .idx import read_idx, write_idx
from .images import ImageSet
from .music import (
    MusicSet,
    Note,
    Score,
    available_music,
    decode_melody,
    decode_roll,
    encode_melody,
    encode_roll,
    load_music_set,
    read_midi,
    read_tunes,
    transpositions,
    write_midi,
)
from .pairs import Pair, load_pairs, split_pairs
from .pixels import from_signed, from_unit, to_signed, to_unit
from .remote import download
from .sets import (
    KINDS,
    PairSet,
    PointSet,
    TextSet,
    available_pairs,
    available_points,
    available_sets,
    load_pair_set,
    load_point_set,
    load_set,
    load_text_set,
)
from .synthetic import mixture_1d, ring_of_gaussians, two_moons
from .text import (
    Poem,
    available_texts,
    load_poems,
    load_text,
    random_windows,
    strided_windows,
    train_validation_split,
)
from .tokenizers import BPETokenizer, ByteTokenizer, CharTokenizer, Tokenizer, load_tokenizer, tokenizer_from_dict

__all__ = [
    "KINDS",
    "AudioSet",
    "BPETokenizer",
    "Batches",
    "ByteTokenizer",
    "CharTokenizer",
    "ImageSet",
    "MusicSet",
    "Note",
    "Pair",
    "PairSet",
    "Poem",
    "PointSet",
    "Score",
    "TextSet",
    "Tokenizer",
    "available",
    "available_audio",
    "available_music",
    "available_pairs",
    "available_points",
    "available_sets",
    "available_texts",
    "date_pairs",
    "decode_melody",
    "decode_roll",
    "download",
    "encode_melody",
    "encode_roll",
    "frames",
    "from_signed",
    "from_unit",
    "load",
    "load_audio_set",
    "load_digits",
    "load_folder",
    "load_music_set",
    "load_pair_set",
    "load_pairs",
    "load_poems",
    "load_point_set",
    "load_set",
    "load_text",
    "load_text_set",
    "load_tokenizer",
    "mixture_1d",
    "mu_law_decode",
    "mu_law_encode",
    "number_pairs",
    "number_words",
    "random_windows",
    "read_idx",
    "read_midi",
    "read_tunes",
    "read_wav",
    "resample",
    "ring_of_gaussians",
    "spectrogram",
    "split_pairs",
    "strided_windows",
    "to_signed",
    "to_unit",
    "tokenizer_from_dict",
    "train_validation_split",
    "transpositions",
    "two_moons",
    "write_idx",
    "write_midi",
    "write_wav",
]
