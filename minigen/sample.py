"""Draw from a trained model: ``python -m minigen.sample runs/gan-1 -n 64 --seed 1 --out grid.png``."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from . import backend
from .sampling import MODALITIES, Run
from .saved import trained
from .training.command import Parser, asked_of, guarded, run_parser, whole


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    return guarded("minigen.sample", _main, argv)


def parser(modalities: Iterable[str] = MODALITIES) -> Parser:
    """What the command line understands of models of these modalities."""
    modules = [MODALITIES[name] for name in modalities]
    p = run_parser("minigen.sample", "Draw from a trained model.", modules)
    p.add_argument("-n", type=whole(1), metavar="N", help="how many (default: 64 images, 1 text)")
    p.add_argument("--out", metavar="FILE", help="default: a PNG in the run's folder, or the terminal for text")
    return p


def _main(argv: Sequence[str] | None) -> int:
    asked = parser().parse_args(argv)
    folder = Path(os.path.expanduser(asked.run))
    with backend.use(getattr(asked, "backend", None) or backend.current()), np.errstate(all="ignore"):  # told in words
        name, model = trained(folder, best=asked.best)
        asked = asked_of(parser([model.modality]), argv, name)
        out = MODALITIES[model.modality].draw(Run(name, model, folder, np.random.default_rng(asked.seed)), asked)
    if out is not None:
        print(out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
