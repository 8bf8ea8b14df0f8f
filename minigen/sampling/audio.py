"""Sound: recordings of chosen classes as a WAV file, and their spectrograms."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from ..datasets.audio import RATE
from ..errors import ConfigError
from ..training.command import number, whole
from ..training.sounds import draw_sounds, write_sounds
from .run import Run, given

__all__ = ["EXAMPLES", "TITLE", "add_options", "draw"]

TITLE = "models of sound: -n, --label, --temperature, and"
EXAMPLES = """\
  python -m minigen.sample runs/wavenet-1 --label 3 --seconds 1 --temperature 0.9 --out new.wav"""


def add_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--label", type=whole(0), metavar="N", help="samples of this class alone")
    group.add_argument("--seconds", type=number(0.01, 600), metavar="X", help="length of each sound (default: 1)")
    group.add_argument("--temperature", type=number(0), metavar="X", help="0: always the likeliest (default: 1)")


def draw(run: Run, asked: argparse.Namespace) -> Path:
    """n sounds of the class, or one of each class, after each other in a WAV file; a PNG of the same name beside it."""
    from tqdm import tqdm

    classes = run.model.conditions
    if (label := getattr(asked, "label", 0)) >= classes:
        raise ConfigError(f"--label: expected labels from 0 to {classes - 1}, got {label}.")
    if "label" in asked:
        labels = np.full(getattr(asked, "n", 1), label)
    else:
        labels = np.arange(getattr(asked, "n", min(classes, 10))) % classes
    what = f"label-{label}" if "label" in asked else f"n{len(labels)}"
    out = Path(getattr(asked, "out", run.folder / f"samples-{what}-seed{asked.seed}.wav")).expanduser()
    if out.suffix.lower() != ".wav":
        raise ConfigError(f"--out {out}: expected the name of a WAV file, ending in .wav.")
    n = round(getattr(asked, "seconds", 1.0) * RATE)
    with tqdm(total=n, unit="sample", disable=not sys.stderr.isatty(), dynamic_ncols=True) as bar:
        sounds = draw_sounds(run.model, labels, n, run.rng, told=bar.update, **given(asked, ("temperature",)))
    write_sounds(out, sounds, labels)
    return out
