"""Draw from a trained model: ``python -m minigen.sample runs/gan-1 -n 64 --seed 1 --out grid.png``."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from . import backend
from .errors import ConfigError
from .saved import trained
from .training.command import EXIT_CODES, Parser, closest, guarded, whole
from .training.files import atomic

EXAMPLES = f"""\
A model may have options of its own, the arguments of its `sample`; write them as --name value.

examples:
  python -m minigen.sample runs/gan-1
  python -m minigen.sample runs/gan-1 -n 100 --seed 7 --out hundred.png

{EXIT_CODES}"""


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    return guarded("minigen.sample", _main, argv)


def parser() -> Parser:
    """What the command line understands, beside the model's own options."""
    p = Parser(prog="python -m minigen.sample", description="Draw from a trained model.", epilog=EXAMPLES)
    p.add_argument("run", metavar="RUN", help="the folder of a run")
    p.add_argument("-n", type=whole(1), default=64, metavar="N", help="how many (default: 64)")
    p.add_argument("--seed", type=whole(0), default=0, metavar="N", help="same seed, same samples (default: 0)")
    p.add_argument("--out", metavar="FILE.png", help="default: samples-nN-seedN.png in the run's folder")
    p.add_argument("--backend", metavar="NAME", help=f"auto, {', '.join(backend.BACKENDS)} (default: auto)")
    return p


def _main(argv: Sequence[str] | None) -> int:
    arguments, rest = parser().parse_known_args(argv)
    folder = Path(os.path.expanduser(arguments.run))
    out = Path(os.path.expanduser(arguments.out or folder / f"samples-n{arguments.n}-seed{arguments.seed}.png"))
    if out.suffix.lower() != ".png":
        raise ConfigError(f"--out {out}: expected the name of a PNG file, ending in .png.")
    with backend.use(arguments.backend or backend.current()):
        name, model = trained(folder)
        if model.modality != "image":
            raise ConfigError(f"{name}: samples of {model.modality} cannot be written as a picture.")
        draw_grid(model, arguments.n, arguments.seed, out, options(name, model, rest))
    print(out)
    return 0


def draw_grid(model: Any, n: int, seed: int, out: Path, chosen: dict[str, Any]) -> None:
    """n samples as a grid in a PNG file."""
    from .training.pictures import draw_samples
    from .viz import image_grid, save_png

    images = draw_samples(model, n, np.random.default_rng(seed), **chosen)
    with atomic(out) as file:
        save_png(file, image_grid(images))


def options(name: str, model: Any, words: Sequence[str]) -> dict[str, Any]:
    """The model's own options from ``--name value`` or ``--name=value``: the keyword arguments of its `sample`.

    Raises ConfigError for one that the model has not, or a value of the wrong type.
    """
    known = {
        p.name: str(p.annotation)
        for p in inspect.signature(model.sample).parameters.values()
        if p.kind is p.KEYWORD_ONLY and p.name != "noise"
    }
    chosen, words = {}, list(words)
    while words:
        word = words.pop(0)
        if not word.startswith("--"):
            raise ConfigError(f"{word!r} is one argument too many; --help shows how to ask.")
        option, given, text = word[2:].partition("=")
        option = option.replace("-", "_")
        if option not in known:
            if not known:
                raise ConfigError(f"--{option}: there is no such option, and {name!r} has none of its own.")
            raise closest(f"the option of {name!r}", option, known)
        if not given:
            if not words:
                raise ConfigError(f"--{option}: expected a value after it.")
            text = words.pop(0)
        kind = {"int": int, "float": float}.get(known[option].removesuffix(" | None"), str)
        try:
            chosen[option] = kind(text)
        except ValueError:
            raise ConfigError(f"--{option}: expected a number ({kind.__name__}), came {text!r}.") from None
    return chosen


if __name__ == "__main__":
    sys.exit(main())
