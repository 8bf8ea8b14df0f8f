"""Sound: nats per held-out sample beside chains of n-grams, classes that can be told apart, samples per second."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from minigen.saved import trained

from .rows import Bench, Figures, Row


def sounds(model: str, data: str, quick: int):
    """The figures of a model of sound; the spoken digits are looked for in MINIGEN_DATA."""

    def measure(bench: Bench) -> Figures:
        run = bench.train(model, data=data, quick={"steps": quick})
        found = bench.evaluate(run, *["--each", "2"] * bench.quick)
        figures = {("nats" if row == "model" else row): value["mean"] for row, value in found["nats"].items()}
        figures |= {"own label": found["own label"], "asked for": found["judge"]["samples"]}
        return figures | {"judge on held-out": found["judge"]["held out"], "samples per second": speed(run)}

    return measure


def speed(run: Path) -> float:
    """Samples per second of one sound of a second, the best of three."""
    model = trained(run)[1]
    draw = lambda n: list(model.generate(np.array([0]), n, np.random.default_rng(0)))
    draw(400)
    times = []
    for _ in range(3):
        begin = time.perf_counter()
        draw(8000)
        times.append(time.perf_counter() - begin)
    return round(8000 / min(times))


def good(classes: int):
    def met(figures: Figures) -> bool:
        chains = [value for name, value in figures.items() if name.endswith("-gram")]
        by_class = figures["asked for"] >= 3 / classes
        return figures["nats"] < min(chains) and by_class and figures["samples per second"] >= 4000

    return met


TARGET = "below every chain; samples taken for the class asked for three times as often as by chance; 4000 a second"
ROWS = [
    Row("wavenet", "wavenet on spoken digits (100 recordings; 100 held out), beside chains of n-grams of codes", TARGET,
        sounds("wavenet", "spoken-digits", 30), good(10), 5),
    Row("wavenet-b6", "article B's cell of two sigmoids on the same digits [B6]", "reported",
        sounds("wavenet-b6", "spoken-digits", 30), lambda f: True, 5),
    Row("wavenet-recordings", "wavenet on the six bundled recordings, a tenth of each held out", TARGET,
        sounds("wavenet", "recordings", 30), good(6), 5),
]  # fmt: skip
