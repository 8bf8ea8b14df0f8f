"""Points of the ring: how many of its modes are found, and how steep a penalised critic is."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from .. import backend, metrics
from ..datasets import load_set
from ..losses.wasserstein import gradient_penalty
from ..training.command import whole
from ..training.pictures import draw_samples

__all__ = ["EXAMPLES", "TITLE", "add_options", "evaluate", "table"]

TITLE = "points"
EXAMPLES = """\
  python -m minigen.evaluate runs/ring-wgan-gp-1"""


def add_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument("-n", type=whole(100), metavar="N", help="samples (default: 2000)")


def evaluate(model: Any, data: str, seed: int, *, n: int = 2000) -> dict[str, Any]:
    """{"modes": how many there are, "covered", "high_quality", "counts", "gradient_norm" of a penalised critic}

    The norm is the mean over points on lines between held-out points and samples, as the penalty has it.
    """
    real = load_set("points", data, "test")
    drawing, lines = np.random.default_rng(seed).spawn(2)
    samples, centres = draw_samples(model, n, drawing), metrics.ring_centres()
    found = metrics.mode_report(samples, centres, real.std)
    report = {"modes": len(centres), **found._asdict(), "counts": found.counts.tolist()}
    if getattr(model.config, "lipschitz", None) == "penalty":
        m = min(n, len(real))
        x, fake = (backend.asarray(points[:m].astype(np.float32)) for points in (real.points, samples))
        report["gradient_norm"] = gradient_penalty(model.discriminator, x, fake, lines)[1].item()
    return report


def table(name: str, report: dict[str, Any]) -> str:
    """The report as lines of text."""
    lines = [
        f"modes found: {report['covered']} of {report['modes']}",
        f"samples within 3 σ of a mode: {100 * report['high_quality']:.1f} %",
        f"samples of each mode: {', '.join(map(str, report['counts']))}",
    ]
    if "gradient_norm" in report:
        lines.append(f"mean norm of the critic's gradient: {report['gradient_norm']:.3f}")
    return "\n".join(lines)
