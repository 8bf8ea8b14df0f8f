"""Points of the plane: a picture of samples over real points."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..datasets import load_set
from ..errors import ConfigError
from ..training import runs
from ..training.files import atomic
from ..training.pictures import draw_samples
from ..viz import save_png, scatter
from .run import Run

__all__ = ["EXAMPLES", "TITLE", "add_options", "draw"]

TITLE = "points"
EXAMPLES = """\
  python -m minigen.sample runs/ring-wgan-gp-1 -n 5000"""


def add_options(group: argparse._ArgumentGroup) -> None:
    """None but those of all models."""


def draw(run: Run, asked: argparse.Namespace) -> Path:
    """n samples in blue over as many held-out points in grey, as a PNG file."""
    n = getattr(asked, "n", 2000)
    real = load_set("points", runs.read(run.folder)["config"]["data"], "test").points[:n]
    out = Path(getattr(asked, "out", run.folder / f"samples-n{n}-seed{asked.seed}.png")).expanduser()
    if out.suffix.lower() != ".png":
        raise ConfigError(f"--out {out}: expected the name of a PNG file, ending in .png.")
    with atomic(out) as file:
        save_png(file, scatter(draw_samples(run.model, n, run.rng), real))
    return out
