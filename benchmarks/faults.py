"""What a training survives, and whether it stays the same for an hour.

    python -m benchmarks.faults kills [--count 50] [--json FILE]
    python -m benchmarks.faults hour [--minutes 60] [--json FILE]

`kills` trains a small `gan` and a small `charlm` and ends them with SIGKILL at random moments, one after the other,
each time going on with `--resume`, until so many kills are done. After each the newest checkpoint must be whole and
not older than one interval; after each finished run its parameters, optimizers, generators, log and samples must equal
those of a run that nobody disturbed, byte for byte. A moment is some milliseconds after a step of the next third of
the run, or, one time in four, after the start: so they do not depend on how busy the machine is.

`hour` trains `gan` of its own size on one thread, and looks at the process from outside whenever it logs: at its
resident memory, and the processor time of each step, which does not count what other processes take.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from minigen.errors import ConfigError, MinigenError
from minigen.training import checkpoint, runs
from minigen.training.files import write_json
from minigen.training.metrics import read_metrics

from .machine import describe
from .options import check_folders
from .worker import ROOT, environment

INTERVAL = 0.05  # seconds from one checkpoint to the next
SETTINGS = f"log_every = 1\nsample_every = 100\nsave_every = {INTERVAL}\n"
MODELS = {
    "gan": "generator = [16]\ndiscriminator = [16]\nlatent = 4\nbatch_size = 8\n",
    "charlm": "width = 16\nlayers = 1\nembedding = 8\nblock = 16\nbatch_size = 8\n",
}
WARM = 900  # seconds after which every picture has been drawn a few times and the heap has its size


# -- kills ------------------------------------------------------------------------------------------------------------


def train(*arguments: str | Path) -> subprocess.Popen:
    """A process of `python -m minigen.train`, with one thread."""
    command = [sys.executable, "-m", "minigen.train", *map(str, arguments)]
    variables = environment(1, ours=True)
    return subprocess.Popen(
        command, cwd=ROOT, env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


def kills(model: str, count: int, steps: int, folder: Path, library: str = "numba") -> dict[str, Any]:
    """Kill a training so many times, in one run after the other; AssertionError if anything is lost."""
    settings = folder / f"{model}.toml"
    settings.write_text(f"{MODELS[model]}{SETTINGS}steps = {steps}\nbackend = '{library}'\n")
    new = lambda run: (model, "--config", settings, "--out", run)
    whole = folder / "undisturbed"
    finish(train(*new(whole)))
    expected = outcome(whole)
    rng = np.random.default_rng(0)
    found: dict[str, Any] = {"kills": 0, "runs": 0, "in_a_save": 0, "lost_steps": [], "lost_seconds": []}
    run = folder / "0"
    while True:
        left = found["kills"] < count
        process = train("--resume", run) if (run / runs.CONFIG).exists() else train(*new(run))
        after = 0 if rng.random() < 0.25 else int(rng.integers(1, steps // 3))
        if left and killed(process, run, after, rng.uniform(0, INTERVAL)):
            found["kills"] += 1
            for name, value in loss(run).items():
                found[name] = found[name] + value
            continue
        finish(process)
        assert outcome(run) == expected, f"{run} differs from the run that nobody disturbed"
        found["runs"] += 1
        if not left:
            break
        run = folder / str(found["runs"])
    lost = {name: found.pop(name) for name in ("lost_steps", "lost_seconds")}
    return found | {f"most_{name}": max(values) for name, values in lost.items()} | {
        "equal": True, "steps": steps, "interval_seconds": INTERVAL,
    }  # fmt: skip


def killed(process: subprocess.Popen, run: Path, steps: int, delay: float) -> bool:
    """End a process `delay` seconds after it has begun or gone on with a run and logged some steps more.

    False if it was faster than that.
    """
    config, log = run / runs.CONFIG, run / runs.METRICS
    before, wanted = config.exists() and config.stat().st_ino, len(read_metrics(log)) + steps
    while process.poll() is None and (not config.exists() or config.stat().st_ino == before):
        time.sleep(0.002)
    while process.poll() is None and steps and len(read_metrics(log)) < wanted:
        time.sleep(0.002)
    time.sleep(delay)
    if process.poll() is not None:
        return False
    process.kill()
    process.communicate()
    return True


def finish(process: subprocess.Popen) -> None:
    """Let a process come to its end, which must be a good one."""
    _, errors = process.communicate()
    assert process.returncode == 0, errors


def loss(run: Path) -> dict[str, Any]:
    """What a kill has cost: whether it hit a save, and the steps and seconds since the last checkpoint."""
    torn = any(run.glob(".checkpoint-*.tmp")) or len(list(run.glob("checkpoint-*.safetensors"))) > len(
        checkpoint.steps(run)
    )
    if not runs.begun(run):
        return {"in_a_save": torn, "lost_steps": [0], "lost_seconds": [0.0]}
    saved = checkpoint.load(run)
    after = [line for line in read_metrics(run / runs.METRICS) if line["step"] > saved.step]
    # The loop looks at the clock after every line and saves when an interval is over: only one line may come later.
    late = [line["seconds"] - after[0]["seconds"] for line in after[:-1]]
    assert all(seconds <= INTERVAL + 0.001 for seconds in late), f"{run}: more than one interval was lost"
    lost = after[-1]["seconds"] - saved.record["seconds"] if after else 0.0
    return {"in_a_save": torn, "lost_steps": [len(after)], "lost_seconds": [round(lost, 3)]}


def outcome(run: Path) -> dict[str, Any]:
    """All that a finished run has come to, without times."""
    saved = checkpoint.load(run)
    log = [{k: v for k, v in line.items() if k != "seconds"} for line in read_metrics(run / runs.METRICS)]
    samples = {file.name: file.read_bytes() for file in (run / "samples").iterdir() if file.suffix != ".tmp"}
    arrays = {name: (a.dtype.str, a.shape, a.tobytes()) for name, a in saved.arrays.items()}
    return {"arrays": arrays, "log": log, "samples": samples, "step": saved.step} | {
        entry: saved.record[entry] for entry in ("optimizers", "data", "rng")
    }


# -- an hour ----------------------------------------------------------------------------------------------------------


def hour(minutes: float, folder: Path) -> dict[str, Any]:
    """Train for so long; (time, resident memory, processor time, step) at each line of the log, and what follows."""
    run, settings = folder / "run", folder / "hour.toml"
    settings.write_text("log_every = 200\nsample_every = 5000\n")
    process = train("gan", "--config", settings, "--steps", 10**7, "--budget", f"{minutes}m", "--out", run)
    size, rows = 0, []
    while process.poll() is None:
        log = run / runs.METRICS
        now = log.stat().st_size if log.exists() else 0
        if now > size and (lines := read_metrics(log)):
            size = now
            rows.append((lines[-1]["seconds"], resident(process.pid), processor(process.pid), lines[-1]["step"]))
        time.sleep(0.05)
    finish(process)
    return {"minutes": minutes, "rows": rows, **steadiness(rows)}


def steadiness(rows: list[tuple[float, int, float, int]]) -> dict[str, Any]:
    """How far memory strays after WARM seconds, and the median time of a step in each sixth of the time, in ms."""
    memory = [row[1] / 2**20 for row in rows if row[0] >= min(WARM, rows[-1][0] / 4)]
    sixths: list[list[tuple[float, float]]] = [[] for _ in range(6)]
    for a, b in zip(rows, rows[1:]):
        if b[3] > a[3]:
            per = 1000 / (b[3] - a[3])
            sixths[min(5, int(6 * b[0] / rows[-1][0]))].append((per * (b[0] - a[0]), per * (b[2] - a[2])))
    of = lambda k: [round(statistics.median(step[k] for step in part), 2) if part else None for part in sixths]
    strays = 100 * (max(memory) / min(memory) - 1)
    return {
        "steps": rows[-1][3],
        "resident_mb": {"at_first": rows[0][1] / 2**20, "warm_least": min(memory), "warm_most": max(memory)},
        "resident_strays_percent": round(strays, 3),
        "step_wall_ms": of(0),
        "step_processor_ms": of(1),
    }


def resident(pid: int) -> int:
    """Bytes of memory that a process has now (Linux)."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def processor(pid: int) -> float:
    """Seconds of processor time that a process has used (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# -- the command ------------------------------------------------------------------------------------------------------


def options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("kills", "hour"))
    parser.add_argument("--count", type=int, default=50, help="kills, over both models (default: 50)")
    parser.add_argument("--minutes", type=float, default=60, help="of training (default: 60)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures and a description of the machine")
    asked = parser.parse_args(arguments)
    if asked.count < 2 or not asked.minutes > 0:
        raise ConfigError("--count: expected at least 2, and --minutes more than 0.")
    check_folders(asked.json)
    return asked


def run(asked: argparse.Namespace) -> None:
    found: dict[str, Any] = {"machine": describe()}
    with tempfile.TemporaryDirectory() as name:
        if asked.what == "kills":
            for model in MODELS:
                folder = Path(name) / model
                folder.mkdir()
                found[model] = kills(model, asked.count // 2, 600, folder)
                print(model, json.dumps(found[model]), flush=True)
        else:
            found |= hour(asked.minutes, Path(name))
            print(json.dumps({key: value for key, value in found.items() if key != "rows"}, indent=2))
    if asked.json:
        write_json(asked.json, found)


def main(arguments: list[str] | None = None) -> int:
    try:
        run(options(arguments))
    except MinigenError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
