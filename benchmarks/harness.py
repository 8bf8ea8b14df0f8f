"""Two contestants, the same work, in turn: do they compute the same, and how long does each take?

Noise only ever adds time, so the minimum over many rounds says what the work takes; the ratio of the minima and the
median of the ratios round by round are what counts on a machine that others use as well.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any, NamedTuple, Protocol

TOLERANCE = 1e-3  # how far apart two losses may be, relative to the larger
AGREE = 5  # steps whose losses are compared before anything is timed
BURST = 0.05  # seconds that one turn takes at least, so that neither side always starts with the other's caches
KEYS = (
    "workload backend peer threads ours_ms peer_ms ratio_min ratio_median ours_mb ours_device_mb peer_mb peer_device_mb"
    " floor_ms"
).split()  # of a row in the JSON file


class Contestant(Protocol):
    """One side of a comparison, in a process of its own: :class:`benchmarks.worker.Worker`."""

    def losses(self, part: str, steps: int) -> list[float]: ...
    def times(self, part: str, steps: int) -> list[float]: ...


class Timing(NamedTuple):
    """Milliseconds of one side: the least and the median over all steps."""

    least: float
    middle: float


class Comparison(NamedTuple):
    ours: Timing
    peer: Timing | None
    ratio_min: float | None
    ratio_median: float | None


class Refused(Exception):
    """The two sides do not do the same work."""


def disagreement(ours: Sequence[float], theirs: Sequence[float]) -> str | None:
    """Where two lists of losses differ, in words, or None."""
    for step, (a, b) in enumerate(zip(ours, theirs, strict=True), 1):
        if not abs(a - b) <= TOLERANCE * max(abs(a), abs(b)):
            return f"the losses of step {step} are {a:.6g} and {b:.6g}, which is not the same work"
    return None


def compare(ours: Contestant, theirs: Contestant | None, part: str, *, per: int = 1, seconds: float, rounds: int,
            clock: Callable[[], float] = time.perf_counter) -> Comparison:  # fmt: skip
    """Time both sides in turn, `rounds` times at least and `seconds` long. Raises Refused.

    The steps whose losses are compared are the warm-up, in which all that is compiled gets compiled.
    """
    sides = [ours] if theirs is None else [ours, theirs]
    losses = [side.losses(part, AGREE) for side in sides]
    if theirs is not None and (why := disagreement(*losses)):
        raise Refused(why)
    begin = clock()
    firsts = [side.times(part, 1) for side in sides]
    steps = [max(1, round(BURST / max(min(first), 1e-6))) for first in firsts]
    found: list[list[list[float]]] = [[first] if max(steps) == 1 else [] for first in firsts]
    while len(found[0]) < rounds or clock() - begin < seconds:
        for side, count, turns in zip(sides, steps, found, strict=True):
            turns.append(side.times(part, count))
    timings = [Timing(*(1e3 * f(t for turn in turns for t in turn) / per for f in (min, median))) for turns in found]
    if theirs is None:
        return Comparison(timings[0], None, None, None)
    ratios = [median(a) / median(b) for a, b in zip(*found, strict=True)]
    return Comparison(*timings, timings[0].least / timings[1].least, median(ratios))


def floor(flops: float, moved: float, machine: dict[str, float]) -> float:
    """Milliseconds that the work takes at least: at the rate of a large matrix product, or of copying."""
    return 1e3 * max(flops / machine["sgemm"], moved / machine["copy"])


def row(workload: str, backend: str, peer: str | None, threads: int, found: Comparison, memory: Sequence[tuple],
        floor_ms: float) -> dict[str, Any]:  # fmt: skip
    """A row of the JSON file: numbers to four digits. `memory` is that of the host and of the device, for each side."""
    values = [
        found.ours.least, found.peer and found.peer.least, found.ratio_min, found.ratio_median, *memory[0], *memory[1],
        floor_ms,
    ]  # fmt: skip
    rounded = [None if v is None else float(f"{v:.4g}") for v in values]
    return dict(zip(KEYS, [workload, backend, peer, threads, *rounded], strict=True))
