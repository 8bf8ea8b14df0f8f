"""Text: what goes on from a prompt, shown as it is written."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..training.command import number, whole
from ..training.files import atomic
from .run import Run, given

__all__ = ["EXAMPLES", "TITLE", "add_options", "draw"]

TITLE = "models of text"
EXAMPLES = """\
  python -m minigen.sample runs/charlm-1 --prompt "人工智能" --length 200 --temperature 0.8"""


def add_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--prompt", metavar="TEXT", help="what to go on from")
    group.add_argument("--length", type=whole(1), metavar="N", help="symbols to write (default: 500)")
    group.add_argument("--temperature", type=number(0), metavar="X", help="0: always the likeliest (default: 1)")
    group.add_argument("--top-k", type=whole(1), metavar="N", help="draw from the N likeliest symbols alone")
    group.add_argument("--top-p", type=number(0, 1), metavar="X", help="draw from the likeliest that have p together")


def draw(run: Run, asked: argparse.Namespace) -> Path | None:
    """n texts, each after the prompt; to standard output, or to the file --out."""
    prompt = getattr(asked, "prompt", "")
    settings = given(asked, ("temperature", "top_k", "top_p"))
    written = []
    for i in range(getattr(asked, "n", 1)):
        pieces = run.model.write(prompt, getattr(asked, "length", 500), run.rng, **settings)
        if "out" in asked:
            written.append(prompt + "".join(pieces))
            continue
        print("-" * 40 + "\n" if i else "", prompt, sep="", end="", flush=True)
        for piece in pieces:
            print(piece, end="", flush=True)
        print()
    if "out" not in asked:
        return None
    out = Path(asked.out).expanduser()
    with atomic(out) as file:
        file.write(("\n" + "-" * 40 + "\n").join(written).encode() + b"\n")
    return out
