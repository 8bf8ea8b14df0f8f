"""How good is a trained model? ``python -m minigen.evaluate runs/gan-1`` prints a table and writes metrics.json."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from . import backend
from .evaluation import MODALITIES
from .saved import trained
from .training import runs
from .training.command import Parser, asked_of, guarded, run_parser
from .training.files import atomic, write_json


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    return guarded("minigen.evaluate", _main, argv)


def parser(modalities: Iterable[str] = MODALITIES) -> Parser:
    """What the command line understands of models of these modalities."""
    modules = [MODALITIES[name] for name in modalities]
    p = run_parser("minigen.evaluate", "Measure a trained model.", modules)
    p.add_argument("--data", metavar="DATA", help="data by name or path (default: that of the run)")
    return p


def _main(argv: Sequence[str] | None) -> int:
    asked = parser().parse_args(argv)
    folder = Path(os.path.expanduser(asked.run))
    with backend.use(getattr(asked, "backend", None) or backend.current()):
        name, model = trained(folder, best=asked.best)
        asked = vars(asked_of(parser([model.modality]), argv, name))
        for option in ("run", "best", "backend"):
            asked.pop(option, None)
        asked.setdefault("data", runs.read(folder)["config"]["data"])
        report = {"model": name, **asked, **MODALITIES[model.modality].evaluate(model, **asked)}
    print(MODALITIES[model.modality].table(name, report))
    write_json(folder / "metrics.json", report)
    print(folder / "metrics.json")
    if hasattr(MODALITIES[model.modality], "draw"):
        with atomic(folder / "metrics.png") as file:
            MODALITIES[model.modality].draw(file, report)
        print(folder / "metrics.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
