"""One side of a comparison in a process of its own: so libraries do not share threads, memory or caches of the heap.

    python -m benchmarks.worker WORKLOAD ours BACKEND
    python -m benchmarks.worker WORKLOAD peer NAME

reads one request a line and answers each with one line of JSON. :class:`Worker` is the other end. What a process
imports, it imports at once, so that two do so side by side.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "NPROC")


def environment(threads: int, ours: bool) -> dict[str, str]:
    """Variables that give every library `threads` threads; they count when it is first imported.
    JAX reads NPROC.

    OpenBLAS's own threads are left to minigen, as they are in use: it shares work out to threads of its own. CuPy's
    products are of float32 numbers as they are, not rounded to TF32.
    """
    given = dict.fromkeys(VARIABLES, str(threads)) | {"CUPY_TF32": "0"}
    if ours:
        del given["OPENBLAS_NUM_THREADS"]
    return {k: v for k, v in os.environ.items() if k not in VARIABLES} | given


class Ended(Exception):
    """The process of a worker is no more."""


class Worker:
    """A process to time. `side` is ("ours", backend) or ("peer", name)."""

    def __init__(self, workload: str, side: tuple[str, str], threads: int, **variables: str):
        self.fresh = True  # it has done no other workload
        command = [sys.executable, "-m", "benchmarks.worker", workload, *side]
        self.name = side[1]
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=environment(threads, side[0] == "ours") | variables, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def ask(self, *request: Any) -> Any:
        try:
            print(json.dumps(request), file=self.process.stdin, flush=True)
            answer = self.process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            raise Ended(f"the process of {self.name} ended with exit code {self.process.wait()}, see above")
        return json.loads(answer)

    def build(self, weights: str) -> dict[str, int]:
        """Ours saves its weights there, a peer copies them. The parts, and what a step of each counts for."""
        return self.ask("build", weights)

    def turn_to(self, workload: str) -> None:
        """Build another workload next; the one before is forgotten, but what it left in the heap is not."""
        self.fresh = False
        self.ask("turn", workload)

    def losses(self, part: str, steps: int) -> list[float]:
        return self.ask("losses", part, steps)

    def times(self, part: str, steps: int) -> list[float]:
        """Seconds of each step."""
        return self.ask("times", part, steps)

    def peak(self) -> tuple[float, float | None]:
        """The most memory that the process has held since it was asked last, in MB: of the host, and of the device."""
        return self.ask("peak")

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


# -- in the process ---------------------------------------------------------------------------------------------------


def timed(step: Callable[[], Any]) -> tuple[Any, float]:
    """What a step gives, and the seconds it took."""
    begin = time.perf_counter()
    result = step()
    return result, time.perf_counter() - begin


def _start(kind: str, name: str) -> Any:
    """Import what will compute."""
    if kind == "ours":
        import minigen

        minigen.use(name)
        return minigen.backend
    from . import peers

    return peers.load(name)


def _build(workload: str, kind: str, name: str, library: Any, weights: str) -> tuple[dict, Callable, Callable]:
    """The parts, what times a step, and what says how many bytes of the device were held, if there is one."""
    import numpy as np

    from . import peers, workloads

    work = workloads.find(workload)
    if kind == "ours":
        arrays, parts = work.ours()
        np.savez(weights, *arrays)
        return parts, library.timed, library.device_memory
    with np.load(weights) as saved:
        arrays = [saved[key] for key in saved]
    parts = work.theirs(library, arrays)
    return (parts, library.timed, library.device_memory) if peers.on_device(name) else (parts, timed, lambda: None)


def _peak() -> float:
    """VmHWM rather than ru_maxrss, which on Linux starts at the parent's."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        kilobytes = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
        Path("/proc/self/clear_refs").write_text("5")  # start again
    except (OSError, StopIteration):
        import resource

        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        kilobytes = used / 1024 if sys.platform == "darwin" else used
    return kilobytes / 1024


def main(workload: str, kind: str, name: str) -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints is no answer
    library = _start(kind, name)
    for line in sys.stdin:
        request, *rest = json.loads(line)
        if request == "build":
            parts, measured, device_memory = _build(workload, kind, name, library, *rest)
            answer: Any = {part: p.per for part, p in parts.items()}
        elif request == "turn":
            (workload,), answer = rest, None
            parts = part = result = None  # their memory is free
        elif request == "peak":
            held = device_memory()
            answer = _peak(), held and held / 2**20
        else:
            part, answer = parts[rest[0]], []
            for _ in range(rest[1]):
                result, seconds = measured(part.step)
                answer.append(part.number(result) if request == "losses" else seconds)
                del result
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
