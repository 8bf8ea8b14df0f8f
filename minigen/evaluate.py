"""How good is a trained model? ``python -m minigen.evaluate runs/gan-1`` prints a table and writes metrics.json."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from . import backend
from .errors import ConfigError
from .evaluation import MODALITIES
from .saved import trained
from .training import runs
from .training.command import EXIT_CODES, Parser, guarded, whole
from .training.files import write_json


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    return guarded("minigen.evaluate", _main, argv)


def parser(modalities: Iterable[str] = MODALITIES) -> Parser:
    """What the command line understands of models of these modalities."""
    chosen = {name: MODALITIES[name] for name in modalities}
    examples = "\n".join(module.EXAMPLES for module in chosen.values())
    p = Parser(
        prog="python -m minigen.evaluate", description="Measure a trained model.", argument_default=argparse.SUPPRESS,
        conflict_handler="resolve", epilog=f"examples:\n{examples}\n\n{EXIT_CODES}",
    )  # fmt: skip
    p.add_argument("run", metavar="RUN", help="the folder of a run")
    p.add_argument("--seed", type=whole(0), default=0, metavar="N", help="of what is drawn (default: 0)")
    p.add_argument("--data", metavar="DATA", help="data by name or path (default: that of the run)")
    p.add_argument("--backend", metavar="NAME", help=f"auto, {', '.join(backend.BACKENDS)} (default: auto)")
    for module in chosen.values():
        module.add_options(p.add_argument_group(module.TITLE))
    return p


def _main(argv: Sequence[str] | None) -> int:
    asked = vars(parser().parse_args(argv))
    folder = Path(os.path.expanduser(asked.pop("run")))
    with backend.use(asked.pop("backend", None) or backend.current()):
        name, model = trained(folder)
        _, foreign = parser([model.modality]).parse_known_args(argv)
        if foreign:
            raise ConfigError(f"{foreign[0]}: {name!r} is no model for this option; --help shows whose it is.")
        asked.setdefault("data", runs.read(folder)["config"]["data"])
        report = {"model": name, **asked, **MODALITIES[model.modality].evaluate(model, **asked)}
    print(MODALITIES[model.modality].table(name, report))
    write_json(folder / "metrics.json", report)
    print(folder / "metrics.json")
    return 0


if __name__ == "__main__":
    sys.exit(main())
