"""Draw from a trained model: ``python -m minigen.sample runs/gan-1 -n 64 --seed 1 --out grid.png``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from . import backend
from .errors import ConfigError
from .sampling import MODALITIES, Run
from .saved import trained
from .training.command import EXIT_CODES, Parser, guarded, whole


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    return guarded("minigen.sample", _main, argv)


def parser(modalities: Iterable[str] = MODALITIES) -> Parser:
    """What the command line understands of models of these modalities."""
    chosen = {name: MODALITIES[name] for name in modalities}
    examples = "\n".join(module.EXAMPLES for module in chosen.values())
    p = Parser(
        prog="python -m minigen.sample", description="Draw from a trained model.", argument_default=argparse.SUPPRESS,
        conflict_handler="resolve", epilog=f"examples:\n{examples}\n\n{EXIT_CODES}",
    )  # fmt: skip
    p.add_argument("run", metavar="RUN", help="the folder of a run")
    p.add_argument("-n", type=whole(1), metavar="N", help="how many (default: 64 images, 1 text)")
    p.add_argument("--seed", type=whole(0), default=0, metavar="N", help="same seed, same samples (default: 0)")
    p.add_argument("--out", metavar="FILE", help="default: a PNG in the run's folder, or the terminal for text")
    p.add_argument("--backend", metavar="NAME", help=f"auto, {', '.join(backend.BACKENDS)} (default: auto)")
    for module in chosen.values():
        module.add_options(p.add_argument_group(module.TITLE))
    return p


def _main(argv: Sequence[str] | None) -> int:
    asked = parser().parse_args(argv)
    folder = Path(os.path.expanduser(asked.run))
    with backend.use(getattr(asked, "backend", None) or backend.current()):
        name, model = trained(folder)
        _, foreign = parser([model.modality]).parse_known_args(argv)
        if foreign:
            raise ConfigError(f"{foreign[0]}: {name!r} is no model for this option; --help shows whose it is.")
        out = MODALITIES[model.modality].draw(Run(name, model, folder, np.random.default_rng(asked.seed)), asked)
    if out is not None:
        print(out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
