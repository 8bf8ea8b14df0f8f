"""Music: what goes on from a primer, as a MIDI file to edit, a WAV file to hear and a piano roll to see."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..datasets import read_midi
from ..errors import ConfigError
from ..training.command import number, whole
from ..training.music import BARS, write_music
from .run import Run, given

__all__ = ["EXAMPLES", "TITLE", "add_options", "draw"]

TITLE = "models of music: --temperature, and"
EXAMPLES = """\
  python -m minigen.sample runs/melody-1 --primer tune.mid --bars 8 --temperature 0.9 --out new.mid"""
MOST_BARS = 1000


def add_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--primer", metavar="FILE.mid", help="the music to go on from, in the metre of its file")
    group.add_argument("--bars", type=whole(1), metavar="N", help=f"how many to write (default: {BARS})")
    group.add_argument("--temperature", type=number(0), metavar="X", help="0: always the likeliest (default: 1)")


def draw(run: Run, asked: argparse.Namespace) -> Path:
    """The primer and so many whole bars more as a MIDI file; a WAV file and a PNG of the same name beside it."""
    bars = getattr(asked, "bars", BARS)
    if bars > MOST_BARS:
        raise ConfigError(f"--bars {bars}: expected at most {MOST_BARS}.")
    if "n" in asked:
        raise ConfigError(f"-n: {run.name!r} writes one piece; ask again with another --seed for another.")
    out = Path(getattr(asked, "out", run.folder / f"sample-bars{bars}-seed{asked.seed}.mid")).expanduser()
    if out.suffix.lower() not in (".mid", ".midi"):
        raise ConfigError(f"--out {out}: expected the name of a MIDI file, ending in .mid.")
    primer = read_midi(asked.primer) if "primer" in asked else None
    score = run.model.compose(primer, bars, run.rng, **given(asked, ("temperature",)))
    write_music(out, score, primer.steps if primer else 0)
    return out
