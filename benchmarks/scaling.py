"""How training scales over processes: measured on this machine, and predicted for up to 1,000 nodes of a network.

    python -m benchmarks.scaling [--ranks 1,2,4] [--seconds 4] [--latency 1e-6] [--bandwidth 12.5e9] [--out STEM]

measures, each number of ranks under one mpirun and each rank with one thread:

- the time of :func:`minigen.distributed.mean` for messages from 4 bytes to 16 MiB;
- the time of a training step of each model, with the preset's batch shared out (strong scaling) and with the preset's
  batch in each rank (weak scaling); how many messages a step sends, and how large;
- what each process does for all: draw normal numbers for the items of others.

The model. A mean over P nodes of m bytes takes, with a latency of α seconds and a bandwidth of β bytes a second,

    t(P, m) = min(⌈log₂ P⌉ (α + m / β),   2 ⌈log₂ P⌉ α + 2 (P − 1)/P m / β)

by recursive doubling, or by halving and doubling (Thakur, Rabenseifner & Gropp 2005), whichever is quicker. A step with
the preset's batch in each node takes, with T₁ the measured step of one process,

    T(P) = T₁ + Σ (t(P, m) + κ m) over its messages + (P − 1) d

κ m is the time to gather a message of m bytes in one buffer and to scale it, d that of drawing the normal numbers of
another node's items. The efficiency is T₁ / T(P). α, β of this machine are fitted to the means of two ranks, which hold
κ; those of a network are an assumption, to be given. Not in the model: nodes that are slower than others, memory and
networks that others use, reading data, writing checkpoints, and overlap of messages with the backward pass, of which
minigen has none.

STEM.json holds all figures, STEM.md the page, STEM.png its picture.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from minigen import backend, datasets, distributed, models
from minigen.errors import ConfigError, MinigenError
from minigen.training import Callback, Trainer, generators
from minigen.training.files import write_json

from . import machine
from .options import check_folders, listed
from .worker import ROOT, environment

MODELS = ("gan", "dcgan", "vae", "charlm", "gpt")
SIZES = [4**k for k in range(1, 13)]  # bytes
NODES = [*(2**k for k in range(10)), 1000]
WARM = 3  # steps before the clock counts: kernels are compiled

# What counts is the least time, as for all benchmarks: whatever else a machine does only adds to it.


# -- one rank ---------------------------------------------------------------------------------------------------------


class Watch(Callback):
    """When each step was done, and the bytes of each message that the last one sent."""

    def __init__(self) -> None:
        self.at: list[float] = []
        self.sent: list[int] = []
        self.messages: list[int] = []

    def start(self, trainer: Trainer) -> None:
        self.sent = []
        self._mean, self._most = distributed.mean, distributed.most
        distributed.mean, distributed.most = self.mean, self.most

    def step(self, trainer: Trainer) -> None:
        self.at.append(time.perf_counter())
        self.messages, self.sent = self.sent, []

    def close(self, trainer: Trainer) -> None:
        distributed.mean, distributed.most = self._mean, self._most

    def mean(self, *arrays: Any) -> list:
        self.sent.append(sum(a.nbytes for a in arrays))
        return self._mean(*arrays)

    def most(self, *values: float) -> list[float]:
        self.sent.append(8 * len(values))
        return self._most(*values)


class Normals:
    """A generator that counts the normal numbers that are asked of it."""

    def __init__(self, rng: np.random.Generator):
        self.rng, self.bit_generator, self.random, self.count = rng, rng.bit_generator, rng.random, 0

    def standard_normal(self, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        self.count += math.prod(shape)
        return self.rng.standard_normal(shape, dtype=dtype)


def training(name: str, batch: int, seconds: float) -> dict[str, Any]:
    """Milliseconds of a step (least, median), its messages, the bytes of the parameters, normal numbers per item."""
    config = models.learn(name, models.config(name))
    model = models.build(name, vars(config), rng=generators(0)["weights"])
    data = model.prepare(datasets.load_set(config.reads, config.data))
    watch = Watch()
    trainer = Trainer(model, data, batch_size=batch, log_every=1 << 30, callbacks=[watch])
    trainer.rng = normals = Normals(trainer.rng)
    trainer.run(WARM)
    while len(watch.at) < WARM + 6:
        trainer.run(1 << 30, trainer.seconds + seconds)
    steps = np.diff(watch.at[WARM:]) * 1e3
    return {
        "least_ms": float(steps.min()), "median_ms": float(median(steps)), "steps": len(steps), "batch": batch,
        "messages": watch.messages, "normals": normals.count / trainer.step / batch,
    }  # fmt: skip


def averaging(size: int, seconds: float) -> float:
    """The least seconds of a mean of so many bytes over the ranks."""
    a, taken = np.ones(size // 4, np.float32), []
    with distributed.Shard(distributed.size()):
        while not taken or not any(distributed.most(sum(taken) > seconds and len(taken) > 10)):
            distributed.wait()
            begin = time.perf_counter()
            (a,) = distributed.mean(a)
            taken.append(time.perf_counter() - begin)
    return min(taken)


def packing() -> float:
    """κ: seconds a byte to gather what is sent in one buffer, and to scale it."""
    arrays = [np.ones(1 << 16, np.float32) for _ in range(64)]

    def once() -> float:
        begin = time.perf_counter()
        flat = np.concatenate([a.reshape(-1) for a in arrays])
        flat *= 0.5
        return time.perf_counter() - begin

    return min(once() for _ in range(20)) / sum(a.nbytes for a in arrays)


def drawing() -> float:
    """Seconds of a normal number."""
    rng = backend.generator(0)

    def once() -> float:
        begin = time.perf_counter()
        rng.standard_normal(100_000, dtype=np.float32)
        return time.perf_counter() - begin

    return min(once() for _ in range(20)) / 100_000


def measure(seconds: float) -> dict[str, Any]:
    """All that one number of ranks measures, as its first rank sees it."""
    backend.use("numba")
    distributed.start()
    ranks = distributed.size()
    found: dict[str, Any] = {"strong": {}, "weak": {}}
    if ranks > 1:
        found["means"] = [[size, averaging(size, seconds / 20)] for size in SIZES]
    else:
        found |= {"packing": packing(), "normal": drawing()}
    for name in MODELS:
        batch = models.config(name).batch_size
        found["strong"][name] = training(name, batch, seconds)
        found["weak"][name] = training(name, batch * ranks, seconds) if ranks > 1 else found["strong"][name]
    return found


# -- the model --------------------------------------------------------------------------------------------------------


def fitted(means: Sequence[Sequence[float]]) -> tuple[float, float]:
    """α and β of t = α + m / β, the time of a mean over two ranks, by least squares of the relative errors."""
    m, t = np.array(means, float).T
    (latency, slope), *_ = np.linalg.lstsq(np.stack([1 / t, m / t], 1), np.ones(len(t)), rcond=None)
    return float(latency), float(1 / slope)


def exchange(nodes: int, size: float, latency: float, bandwidth: float) -> float:
    """t(P, m)"""
    rounds = math.ceil(math.log2(nodes))
    doubling = rounds * (latency + size / bandwidth)
    return min(doubling, 2 * rounds * latency + 2 * (nodes - 1) / nodes * size / bandwidth)


def parts(nodes: int, one: dict[str, Any], messages: Sequence[float], network: tuple[float, float], packing: float,
          normal: float) -> dict[str, float]:  # fmt: skip
    """The seconds of which T(P) is the sum. `one` is what one process measured, `packing` κ, `normal` the seconds of a
    normal number."""
    if nodes == 1:
        return {"step": one["least_ms"] / 1e3}
    return {
        "step": one["least_ms"] / 1e3,
        "messages": sum(exchange(nodes, m, *network) for m in messages),
        "packing": packing * sum(messages),
        "drawing": (nodes - 1) * one["normals"] * one["batch"] * normal,
    }


# -- what is written --------------------------------------------------------------------------------------------------


def predicted(found: dict[str, Any], network: tuple[float, float], packing: float) -> dict[str, list[dict[str, float]]]:
    """For each model the parts of a step at each number of NODES."""
    alone = found["1"]
    return {
        name: [
            parts(nodes, one, found["2"]["weak"][name]["messages"], network, packing, alone["normal"])
            for nodes in NODES
        ]
        for name, one in alone["weak"].items()
    }


def efficiency(step: dict[str, float], hidden: str = "") -> float:
    """T₁ / T(P), or what it would be if one of the parts took no time."""
    return step["step"] / sum(seconds for name, seconds in step.items() if name != hidden)


HEAD = """\
# How training scales over processes

Written by `python -m benchmarks.scaling`, whose docstring has the method and the model.

**Measured** on {cores} cores ({processor}), {note}. Each process has one thread. `step` is the least time
of a step of one process with the preset's batch; then come the messages of a step and their megabytes: one for the
gradients of each player, one to decide together whether to go on, the others for batch normalisation. The last columns
are efficiencies: the preset's batch shared out to 2 or 4 processes (strong), and such a batch in each of them (weak).
They count cores: four processes on two cores are at best twice as fast as one, which is 100 % here.
"""

PREDICTED = """\
**Predicted** with a preset's batch in each node, one process a node: over this machine's memory, as measured between
two processes (α = {own[latency]:.3g} s, β = {own[bandwidth]:.3g} bytes/s), and over a network that is assumed
(α = {other[latency]:.3g} s, β = {other[bandwidth]:.3g} bytes/s). Two processes of one machine reach less than two nodes
should: they share its memory, and each waits whenever the other is interrupted.
"""

WHY = """\
What limits 1,000 nodes of the second network: shares of the time of a step. The last columns are the efficiency if all
messages travelled while the backward pass computes, and if nobody drew for the others, so that the numbers would depend
on how many processes there are.
"""


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows)) + "\n"


def percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def page(report: dict[str, Any]) -> str:
    """What was measured and predicted, in Markdown."""
    found, networks = report["measured"], report["networks"]
    alone, cores = found["1"]["weak"], report["machine"]["cores"]
    several = [(kind, n) for kind in ("strong", "weak") for n in sorted(found, key=int) if n != "1"]
    measured = []
    for name, one in alone.items():
        sent = found["2"]["weak"][name]["messages"]
        row = [name, str(one["batch"]), f"{one['least_ms']:.1f}", str(len(sent)), f"{sum(sent) / 1e6:.2f}"]
        for kind, n in several:
            work, workers = 1 if kind == "strong" else int(n), min(int(n), cores)
            row.append(percent(work * one["least_ms"] / found[n][kind][name]["least_ms"] / workers))
        measured.append(row)
    shown = [2, 8, 64, 512, 1000]
    curves = [
        [name, title, *(percent(efficiency(steps[NODES.index(n)])) for n in shown)]
        for title, network in networks.items()
        for name, steps in network["steps"].items()
    ]
    limits = []
    for name, steps in networks["assumed"]["steps"].items():
        whole = sum(steps[-1].values())
        shares = [percent(seconds / whole) for seconds in steps[-1].values()]
        limits.append([name, *shares, *(percent(efficiency(steps[-1], part)) for part in ("messages", "drawing"))])
    head = ["model", "items", "step, ms", "messages", "MB", *(f"{kind}, {n}" for kind, n in several)]
    return "\n".join([
        HEAD.format(**report["machine"], note=report["note"]), table(head, measured),
        PREDICTED.format(own=networks["measured"], other=networks["assumed"]),
        table(["model", "network", *(f"{n} nodes" for n in shown)], curves),
        WHY, table(["model", "own step", "messages", "packing", "drawing", "with overlap", "own draws"], limits),
        "![Left, the time of a mean; right, the efficiency that the model predicts](scaling.png)\n",
    ])  # fmt: skip


def draw(report: dict[str, Any], file: Path) -> None:
    """Left, how long a mean takes; right, the efficiency that the model predicts, and what two ranks reached."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    for n, found in report["measured"].items():
        if "means" in found:
            size, taken = zip(*found["means"])
            left.loglog(size, np.array(taken) * 1e6, "o", label=f"{n} processes, measured")
    for style, (title, network) in zip(("--", "-"), report["networks"].items()):
        times = [exchange(2, m, network["latency"], network["bandwidth"]) * 1e6 for m in SIZES]
        left.loglog(SIZES, times, style, color="gray", label=f"2 nodes, {title} α and β")
        for k, (name, steps) in enumerate(network["steps"].items()):
            label = name if style == "-" else None
            right.semilogx(NODES, [efficiency(step) for step in steps], style, color=f"C{k}", label=label)
    left.set_xlabel("bytes of a message")
    left.set_ylabel("µs for its mean over the processes")
    left.legend(fontsize=8)
    for k, (name, one) in enumerate(report["measured"]["1"]["weak"].items()):
        reached = one["least_ms"] / report["measured"]["2"]["weak"][name]["least_ms"]
        right.plot(2, reached, "x", color=f"C{k}")
    right.set_xlabel("nodes, each with the preset's batch")
    right.set_ylabel("efficiency")
    right.set_title("—— assumed network   – – this machine's memory   × measured", fontsize=9)
    right.set_ylim(0, 1.05)
    right.legend(fontsize=7)
    figure.savefig(file, dpi=120)


# -- the command ------------------------------------------------------------------------------------------------------


def launch(ranks: int, seconds: float) -> dict[str, Any]:
    """What so many ranks measure."""
    mpirun = shutil.which("mpirun", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if mpirun is None:
        raise ConfigError("mpirun: there is none; pip install 'minigen[mpi]'.")
    command = [mpirun, "-n", str(ranks), sys.executable, "-m", "benchmarks.scaling", "--measure", str(seconds)]
    done = subprocess.run(command, cwd=ROOT, env=environment(1, ours=True), stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise MinigenError(f"{ranks} ranks ended with exit code {done.returncode}, see above.")
    return json.loads(done.stdout)


def main(argv: Sequence[str] | None = None) -> int:
    p = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__.split("\n")[0])
    p.add_argument("--ranks", default="1,2,4", help="how many, 1 and 2 among them (default: 1,2,4)")
    p.add_argument("--seconds", type=float, default=4.0, help="for each model and number of ranks (default: 4)")
    p.add_argument("--latency", type=float, default=1e-6, help="of the network, in seconds (default: 1e-6)")
    p.add_argument("--bandwidth", type=float, default=12.5e9, help="in bytes a second (default: 12.5e9, 100 Gbit/s)")
    p.add_argument("--out", type=Path, metavar="STEM", help="write STEM.json, STEM.md and STEM.png")
    p.add_argument("--note", default="others may have used them as well", help="about the machine, for the page")
    p.add_argument("--measure", type=float, help=argparse.SUPPRESS)
    arguments = p.parse_args(argv)
    if arguments.measure:
        found = measure(arguments.measure)
        if distributed.rank() == 0:
            print(json.dumps(found))
        return 0
    try:
        check_folders(arguments.out)
        ranks = listed(arguments.ranks)
        if not {"1", "2"} <= set(ranks) or not all(map(str.isdigit, ranks)):
            raise ConfigError(f"--ranks: expected a list of numbers, 1 and 2 among them, got {arguments.ranks!r}.")
        found = {n: launch(int(n), arguments.seconds) for n in ranks}
    except MinigenError as error:
        print(f"benchmarks.scaling: {error}", file=sys.stderr)
        return 2
    networks = {
        title: {"latency": network[0], "bandwidth": network[1], "steps": predicted(found, network, packing)}
        for title, network, packing in (
            ("measured", fitted(found["2"]["means"]), 0.0),
            ("assumed", (arguments.latency, arguments.bandwidth), found["1"]["packing"]),
        )
    }  # fmt: skip
    report = {"machine": machine.describe(), "note": arguments.note, "measured": found, "networks": networks}
    print(page(report))
    if arguments.out:
        write_json(arguments.out.with_suffix(".json"), report)
        arguments.out.with_suffix(".md").write_text(page(report))
        draw(report, arguments.out.with_suffix(".png"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
