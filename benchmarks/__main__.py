"""minigen beside what one would use instead, on the same work and the same cores.

    python -m benchmarks [--quick] [--workload mlp_gan,dcgan] [--backend numpy,numba,cupy] [--threads 1,2]
                         [--peer torch,torch-cuda,autograd,dezero,jax] [--json FILE] [--plot FILE]

Each row is one workload, one backend and one peer: the same architecture, initial weights, batches and optimizer. The
losses of the first five steps must agree, or the row is refused. Then the two take turns, each in its own process.

On a CUDA device (`--backend cupy`, whose peer is `torch-cuda`) both compute in float32, PyTorch with TF32 off. A step
is timed between two CUDA events, and the memory of the device is what each library's pool held at most.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from minigen import backend
from minigen.errors import ConfigError, MinigenError
from minigen.training.files import write_json

from . import harness, machine, peers, workloads
from .options import check_device, check_folders, check_known, listed
from .worker import Ended, Worker

QUICK = {"seconds": 0.3, "rounds": 1}
FULL = {"seconds": 15.0, "rounds": 10}
STARTS = 3  # cold starts of each kind, of which the fastest counts
CACHES = {"numba": "NUMBA_CACHE_DIR", "cupy": "CUPY_CACHE_DIR"}
HEAD = (
    f"{'workload':44s} {'backend':7s} {'peer':19s} {'thr':>3s} {'ours ms':>16s} {'peer ms':>16s}"
    f" {'ratio':>13s} {'MB':>11s} {'device MB':>11s} {'floor ms':>8s}"
)


def options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.splitlines()[0])
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    parser.add_argument("--workload", type=listed, default=workloads.NAMES, help=", ".join(workloads.NAMES))
    parser.add_argument("--backend", type=listed, default=["numba"], help="numpy, numba, cupy (default: numba)")
    help = f"{', '.join(peers.PEERS)}; none: minigen alone (default: torch, on the device torch-cuda)"
    parser.add_argument("--peer", type=listed, help=help)
    parser.add_argument("--threads", type=listed, default=[str(cores)], help="for both sides, say 1,2 (default: cores)")
    parser.add_argument("--quick", action="store_true", help="few rounds, one process for all; no cold starts")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows and a description of the machine")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the ratios")
    chosen = parser.parse_args(arguments)
    if chosen.peer is None:
        chosen.peer = [peer for peer in ("torch", "torch-cuda") if any(peers.meet(peer, b) for b in chosen.backend)]
    check_known("workload", chosen.workload, workloads.NAMES)
    check_known("backend", chosen.backend, backend.BACKENDS)
    check_known("peer", chosen.peer, [*peers.PEERS, "none"])
    if not chosen.threads or not all(n.isdecimal() and int(n) > 0 for n in chosen.threads):
        raise ConfigError(f"--threads: expected whole numbers from 1, got {','.join(chosen.threads)!r}.")
    chosen.threads = [int(n) for n in chosen.threads]
    check_device(chosen.backend)
    check_folders(chosen.json, chosen.plot)
    return chosen


def compare(name: str, library: str, peer: str | None, threads: int, rates: dict, effort: dict, workers: Workers
) -> Iterator[Any]:  # fmt: skip
    """The rows of a workload with one backend and one peer, with their medians; or (part, why it was refused)."""
    sides = [("ours", library)] + ([("peer", peer)] if peer else [])
    try:
        with workers.hired(name, sides, threads) as both:
            yield from _compare(name, library, peer, threads, rates, effort, both)
    except Ended as ended:
        workers.dismiss()
        yield name, str(ended)


class Workers:
    """Processes, new for each workload; or kept (`keep`), to do one after the other: most of a quick run would be the
    imports of new ones."""

    def __init__(self, keep: bool) -> None:
        self.keep = keep
        self.workers: dict[tuple, Worker] = {}

    @contextmanager
    def hired(self, name: str, sides: list[tuple[str, str]], threads: int) -> Iterator[list[Worker]]:
        """One for each side, for this workload"""
        try:
            yield [self._worker(name, side, threads) for side in sides]
        finally:
            if not self.keep:
                self.dismiss()

    def _worker(self, name: str, side: tuple[str, str], threads: int) -> Worker:
        if (side, threads) in self.workers:
            self.workers[side, threads].turn_to(name)
        else:
            self.workers[side, threads] = Worker(name, side, threads)
        return self.workers[side, threads]

    def dismiss(self) -> None:
        for worker in self.workers.values():
            worker.__exit__()
        self.workers.clear()


def _compare(name: str, library: str, peer: str | None, threads: int, rates: dict, effort: dict, both: list[Worker]
) -> Iterator[Any]:  # fmt: skip
    work = workloads.find(name)
    with tempfile.TemporaryDirectory() as folder:
        parts = [worker.build(f"{folder}/weights.npz") for worker in both][0]
        for part, per in parts.items():
            try:
                found = harness.compare(both[0], both[1] if peer else None, part, per=per, **effort)
            except harness.Refused as refused:
                yield part, str(refused)
                continue
            memory = [*(worker.peak() if worker.fresh else (None, None) for worker in both), (None, None)][:2]
            least = harness.floor(*work.costs[part], rates)
            label = part if part == name else f"{name}: {part}"
            yield found, harness.row(label, library, peer, threads, found, memory, least)


def able(peer: str, name: str, library: str) -> bool:
    """Can a peer do a workload, and where `library` does it? PyTorch can do on the device what it can on the CPU."""
    return peers.meet(peer, library) and peer.removesuffix("-cuda") in workloads.find(name).peers


def cold_start(name: str, side: tuple[str, str], threads: int, weights: str, **variables: str) -> float:
    """Seconds from the start of a process to the end of its first step of the first part."""
    begin = time.perf_counter()
    with Worker(name, side, threads, **variables) as worker:
        worker.times(next(iter(worker.build(weights))), 1)
        return time.perf_counter() - begin


def cold_starts(names: list[str], libraries: list[str], rivals: list[str], threads: int) -> Iterator[dict[str, Any]]:
    """Of each library for each workload that all can do; of those that compile, also with nothing compiled before."""
    for name in names:
        with suppress(Ended), tempfile.TemporaryDirectory() as folder:
            weights, found = f"{folder}/weights.npz", {}
            for library in libraries:
                ours = ("ours", library)
                if library in CACHES:
                    empty = [{CACHES[library]: f"{folder}/{library}{i}"} for i in range(STARTS)]
                    found[f"{library}, empty cache"] = min(cold_start(name, ours, threads, weights, **e) for e in empty)
                found[library] = min(cold_start(name, ours, threads, weights) for _ in range(STARTS))
            for peer in rivals:
                if any(able(peer, name, library) for library in libraries):
                    theirs = ("peer", peer)
                    found[peer] = min(cold_start(name, theirs, threads, weights) for _ in range(STARTS))
            yield {"workload": name, "seconds": {k: round(v, 2) for k, v in found.items()}}


def line(found: harness.Comparison, row: dict[str, Any]) -> str:
    """A row of the table: least / median milliseconds, ratio of the minima / median of the ratios."""
    pair = lambda a, b, form: f"{a:{form}} / {b:{form}}" if a is not None and b is not None else "–"
    number = lambda a: "–" if a is None else f"{a:.3g}"
    theirs = pair(*found.peer, ".4g") if found.peer else "–"
    memory = [pair(row[f"ours_{of}"], row[f"peer_{of}"] or 0, ".0f") for of in ("mb", "device_mb")]
    return (
        f"{row['workload']:44s} {row['backend']:7s} {row['peer'] or '–':19s} {row['threads']:3d}"
        f" {pair(*found.ours, '.4g'):>16s} {theirs:>16s} {pair(row['ratio_min'], row['ratio_median'], '.2f'):>13s}"
        f" {memory[0]:>11s} {memory[1]:>11s} {number(row['floor_ms']):>8s}"
    )


def summary(rows: list[dict[str, Any]]) -> list[str]:
    """The geometric mean of the ratios of the minima, for each backend, peer and number of threads."""
    groups: dict[tuple, list[float]] = {}
    for row in rows:
        if row["ratio_min"]:
            groups.setdefault((row["backend"], row["peer"], row["threads"]), []).append(row["ratio_min"])
    return [
        f"{name} / {peer}, {threads} threads: geometric mean {math.exp(sum(map(math.log, r)) / len(r)):.2f}, "
        f"{sum(a <= 1 for a in r)} of {len(r)} rows at most 1"
        for (name, peer, threads), r in groups.items()
    ]


def run(chosen: argparse.Namespace) -> int:
    effort = QUICK if chosen.quick else FULL
    rivals = []
    for peer in chosen.peer:
        if peer == "none":
            continue
        if not any(peers.meet(peer, library) for library in chosen.backend):
            print(f"{peer} is left out: it meets --backend {'cupy' if peers.on_device(peer) else 'numpy or numba'}")
        elif why := peers.missing(peer):
            print(f"{peer} is left out: {why}")
        else:
            rivals.append(peer)
    about = machine.describe()
    print(f"{about['processor']}; {about['cores']} cores, load {about['load'][0]}")
    places = [*chosen.threads] if chosen.backend != ["cupy"] else []
    if "cupy" in chosen.backend:
        about["device"] = backend.device_name()
        places.append("device")
        print(f"device: {about['device']}")
    about["rates"] = {where: machine.rates(where, 0.6 if chosen.quick else 6.0) for where in places}
    for where, rate in about["rates"].items():
        print(
            f"{where}{'' if where == 'device' else ' threads'}: "
            f"sgemm {rate['sgemm'] / 1e9:.0f} GFLOP/s, copy {rate['copy'] / 1e9:.1f} GB/s"
        )
    print(HEAD, flush=True)
    rows: list[dict[str, Any]] = []
    refused: list[dict[str, Any]] = []
    starts: list[dict[str, Any]] = []

    workers = Workers(keep=chosen.quick)

    def save() -> None:
        """What there is so far: the whole table takes half an hour, and may be cut off."""
        if chosen.json:
            write_json(chosen.json, {"machine": about, "rows": rows, "refused": refused, "cold_start": starts})

    for name in chosen.workload:
        for threads in chosen.threads:
            for library in chosen.backend:
                rates = about["rates"]["device" if library == "cupy" else threads]
                for peer in [peer for peer in rivals if able(peer, name, library)] or [None]:
                    for found, row in compare(name, library, peer, threads, rates, effort, workers):
                        if isinstance(row, str):
                            refused.append({"workload": found, "backend": library, "peer": peer, "why": row})
                            print(f"{found}, {library} / {peer}: refused, {row}", flush=True)
                        else:
                            rows.append(row)
                            print(line(found, row), flush=True)
                        save()
    workers.dismiss()
    print(*summary(rows), sep="\n")
    if not chosen.quick:
        print("\nseconds from the start of a process to the end of its first step")
        for start in cold_starts(chosen.workload, chosen.backend, rivals, max(chosen.threads)):
            starts.append(start)
            save()
            print(
                f"{start['workload']:12s}",
                *(f"{k} {v:.2f}" for k, v in start["seconds"].items()),
                sep="   ",
                flush=True,
            )
    save()
    if chosen.plot:
        from .plot import draw

        draw(rows, chosen.plot)
    return 1 if refused else 0


def main(arguments: list[str] | None = None) -> int:
    try:
        return run(options(arguments))
    except MinigenError as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
