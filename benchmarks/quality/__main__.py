"""``python -m benchmarks.quality``: see :mod:`benchmarks.quality`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from minigen.errors import ConfigError, MinigenError
from minigen.training.files import write_json
from minigen.training.runs import versions

from .. import machine
from . import ROWS, __doc__
from .rows import Bench, Figures, Row, use_data

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results" / "quality"


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        prog="python -m benchmarks.quality", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("--list", action="store_true", help="say what there is, and leave")
    p.add_argument("--only", metavar="ROW,ROW", default=",".join(ROWS), help="some of the rows (default: all)")
    p.add_argument("--quick", action="store_true", help="a look at each within two minutes; no result is written")
    p.add_argument("--again", action="store_true", help="also rows that have a result")
    p.add_argument("--seed", type=int, default=0, help="of all runs (default: 0)")
    p.add_argument("--runs", type=Path, metavar="DIR", default=ROOT / "runs" / "quality", help="(default: %(default)s)")
    p.add_argument("--data-root", metavar="DIR", help="the folder with MNIST's files (default: that in MINIGEN_DATA)")
    p.add_argument("--note", default="", help="about the machine, such as: others were using it")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns 0 if every target that was measured is met, 1 if not."""
    asked = parser().parse_args(argv)
    if asked.data_root:
        use_data(asked.data_root)
    try:
        chosen = [row_of(name) for name in asked.only.split(",")]
        if asked.list:
            print(*(f"{row.name:16} {row.title}\n{'':16} {row.target}; {row.minutes:g} minutes" for row in chosen),
                  sep="\n")  # fmt: skip
            return 0
        results = [run(row, asked) for row in chosen]
    except MinigenError as error:
        print(f"benchmarks.quality: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("benchmarks.quality: interrupted; the same command goes on.", file=sys.stderr)
        return 130
    if not asked.quick:
        write_table()
        print(RESULTS / "README.md")
    return 0 if all(result["met"] for result in results) else 1


def row_of(name: str) -> Row:
    if name not in ROWS:
        raise ConfigError(f"--only: expected some of {', '.join(ROWS)}, got {name!r}.")
    return ROWS[name]


def run(row: Row, asked: argparse.Namespace) -> Figures:
    """The result of a row: that on disk, or a new one."""
    file = RESULTS / f"{row.name}.json"
    if file.is_file() and not (asked.again or asked.quick):
        result = json.loads(file.read_text())
        print(f"{row.name}: {words(result['figures'])} (measured before)")
        return result
    print(f"{row.name}: {row.title}", flush=True)
    folder = asked.runs / f"{row.name}-{'quick-' if asked.quick else ''}seed{asked.seed}"
    bench = Bench(folder, asked.seed, asked.quick)
    figures = row.measure(bench)
    result = {
        "row": row.name, "title": row.title, "target": row.target, "met": bool(row.met(figures)), "figures": figures,
        "seconds": bench.seconds, "seed": asked.seed, "settings": bench.settings,
        "machine": machine.describe() | {"note": asked.note}, "versions": versions(),
    }  # fmt: skip
    print(f"{row.name}: {words(figures)}; target {row.target}: {'met' if result['met'] else 'not met'}", flush=True)
    if not asked.quick:
        RESULTS.mkdir(parents=True, exist_ok=True)
        write_json(file, result)
    return result


def words(figures: Figures) -> str:
    """Figures in one line."""
    return ", ".join(f"{name} {value:.5g}" if isinstance(value, float) else f"{name} {value}"
                     for name, value in figures.items())  # fmt: skip


def write_table() -> None:
    """README.md beside the results, from all that are there."""
    found = [json.loads(file.read_text()) for name in ROWS if (file := RESULTS / f"{name}.json").is_file()]
    lines = [
        "# Figures reached", "", "Written by `python -m benchmarks.quality` from the JSON files beside it.", "",
        "| row | what | reached | target | met | minutes | machine |", "|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for result in found:
        about = result["machine"]
        computer = f"{about['cores']} cores" + (f": {about['note']}" if about["note"] else "")
        minutes = sum(result["seconds"].values()) / 60
        cells = [result["row"], result["title"], words(result["figures"]), result["target"],
                 "yes" if result["met"] else "no", f"{minutes:.1f}", computer]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    (RESULTS / "README.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    sys.exit(main())
