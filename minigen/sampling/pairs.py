"""Pairs: one text made from another."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import ConfigError
from ..training.command import whole
from .run import Run, given

__all__ = ["EXAMPLES", "TITLE", "add_options", "draw"]

TITLE = "models that make one text of another: --prompt, and"
EXAMPLES = """\
  python -m minigen.sample runs/seq2seq-1 --prompt "Saturday, 21 November 2026" --beam 4"""


def add_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--prompt", metavar="TEXT", help="the text to make another of")
    group.add_argument("--beam", type=whole(1), metavar="N", help="search over N hypotheses (default: 1, greedy)")


def draw(run: Run, asked: argparse.Namespace) -> Path | None:
    """What becomes of the prompt, to standard output."""
    if not getattr(asked, "prompt", ""):
        raise ConfigError(f"--prompt: {run.name!r} makes one text from another; say from which.")
    print(*run.model.translate([asked.prompt], **given(asked, ("beam",))), sep="\n")
    return None
