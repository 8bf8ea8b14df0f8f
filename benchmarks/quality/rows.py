"""What a row is, and the trained and measured runs that it asks for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from minigen import evaluate, train
from minigen.errors import ConfigError, MinigenError
from minigen.training import checkpoint, runs

Figures = dict[str, Any]
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Row:
    """One line of the table.

    title     what is trained and on which data
    target    what is to be reached, in words
    measure   trains and measures: from a :class:`Bench` to named figures
    met       do the figures reach the target?
    minutes   about how long it takes on two idle cores
    """

    name: str
    title: str
    target: str
    measure: Callable[[Bench], Figures]
    met: Callable[[Figures], bool]
    minutes: float


@dataclass
class Bench:
    """Where a row trains: the folder of its runs, their seed, and whether two minutes must do.

    settings, seconds   what was trained so far in this row: the configuration of each run and the time it took
    """

    folder: Path
    seed: int = 0
    quick: bool = False
    settings: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def train(self, model: str, *, quick: dict[str, Any] | None = None, **overrides: Any) -> Path:
        """The folder of a run of `model` with some settings overridden; `quick` replaces more of them for a quick look.

        A run that is there already is gone on with, which takes no time if it has come to its end.
        """
        run = self.folder / model
        if (run / runs.CONFIG).is_file():
            done(train.main(["--resume", str(run)]), model)
        else:
            self.folder.mkdir(parents=True, exist_ok=True)
            settings = self.folder / f"{model}.toml"
            values = overrides | ((quick or {}) if self.quick else {}) | {"seed": self.seed}
            settings.write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items()))
            done(train.main([model, "--config", str(settings), "--out", str(run)]), model)
        return self.trained(run, model)

    def trained(self, run: Path, model: str) -> Path:
        """Note the settings and the time of a run that has come to its end."""
        self.settings[model] = runs.read(run)["config"]
        self.seconds[model] = round(float(checkpoint.load(run).record["seconds"]), 1)
        return run

    def evaluate(self, run: Path, *options: str) -> Figures:
        """What ``python -m minigen.evaluate RUN`` writes."""
        done(evaluate.main([str(run), "--seed", str(self.seed), *options]), f"the evaluation of {run.name}")
        return json.loads((run / "metrics.json").read_text())


def time_ratio(workload: str) -> Callable[[Bench], Figures]:
    """minigen's time over PyTorch's for a training step: the same weights, batches and losses (`benchmarks`)."""

    def measure(bench: Bench) -> Figures:
        bench.folder.mkdir(parents=True, exist_ok=True)
        file = bench.folder / "time.json"
        command = [sys.executable, "-m", "benchmarks", "--workload", workload, "--peer", "torch", "--json", str(file)]
        done(subprocess.run(command + ["--quick"] * bench.quick, cwd=ROOT).returncode, "the comparison")
        rows = json.loads(file.read_text())["rows"]
        if not rows or not rows[0]["ratio_median"]:
            raise ConfigError(f'{workload}: PyTorch is not installed; pip install "minigen[bench]".')
        return {"ratio of minima": rows[0]["ratio_min"], "median ratio": rows[0]["ratio_median"],
                "milliseconds": rows[0]["ours_ms"], "threads": rows[0]["threads"]}  # fmt: skip

    return measure


class Stopped(MinigenError):
    """A command that ended without a result; it has said why."""


def done(code: int, what: str) -> None:
    if code == 130:
        raise KeyboardInterrupt
    if code:
        raise Stopped(f"{what} ended with exit code {code}; see above.")


def use_data(root: str) -> None:
    """Let full data sets be found in a folder."""
    os.environ["MINIGEN_DATA"] = os.path.abspath(os.path.expanduser(root))
