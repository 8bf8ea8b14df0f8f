"""The curves of a training run: one small plot for each metric, over the steps."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Any, BinaryIO

import numpy as np

_RAW, _SMOOTH = "#b8c4d6", "#1f4e8c"
_OTHER = ("step", "epoch", "seconds")


def draw_curves(file: str | os.PathLike[str] | BinaryIO, records: Sequence[dict[str, Any]]) -> None:
    """Draw every metric of the records (the lines of metrics.jsonl) over their step, as a PNG.

    Behind is each value as logged, in front a running mean over about a twentieth of the run. The axis is
    logarithmic where all values are positive and the largest is more than a hundred times the smallest.
    Missing values (None) are left out.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    names = list(dict.fromkeys(name for record in records for name in record if name not in _OTHER))
    columns = min(3, max(1, math.ceil(math.sqrt(len(names)))))
    rows = max(1, math.ceil(len(names) / columns))
    wide, high = 4.2 * columns, 2.7 * rows
    figure = Figure(figsize=(wide, high), dpi=110)
    FigureCanvasAgg(figure)
    figure.subplots_adjust(
        left=0.6 / wide, right=1 - 0.25 / wide, bottom=0.5 / high, top=1 - 0.3 / high, wspace=0.22, hspace=0.42
    )
    for i, name in enumerate(names):
        step, value = _series(records, name)
        axes = figure.add_subplot(rows, columns, i + 1)
        axes.set_title(name, fontsize=10, loc="left")
        axes.set_xlabel("step", fontsize=8)
        axes.tick_params(labelsize=8)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
        axes.grid(True, color="#e6e6e6", linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        if len(value) and value.min() > 0 and value.max() > 100 * value.min():
            axes.set_yscale("log")
        dots = {"marker": "."} if len(value) < 3 else {}
        axes.plot(step, value, color=_RAW, linewidth=0.9, **dots)
        axes.plot(step, smooth(value), color=_SMOOTH, linewidth=1.6)
    if not names:
        figure.text(0.5, 0.5, "nothing was logged yet", ha="center", va="center")
    figure.savefig(file, format="png")


def smooth(values: np.ndarray, window: int | None = None) -> np.ndarray:
    """Each value's mean with its neighbours, (n,) -> (n,): `window` values around it, fewer at the ends.

    Without `window` it is a twentieth of n, and below 40 values none are averaged.
    """
    values = np.asarray(values, np.float64)
    half = (len(values) // 20 if window is None else window) // 2
    if half < 1:
        return values
    total = np.concatenate([[0.0], np.cumsum(values)])
    i = np.arange(len(values))
    first, last = np.maximum(i - half, 0), np.minimum(i + half, len(values) - 1)
    return (total[last + 1] - total[first]) / (last + 1 - first)


def _series(records: Sequence[dict[str, Any]], name: str) -> tuple[np.ndarray, np.ndarray]:
    found = [(record["step"], record[name]) for record in records if record.get(name) is not None]
    return np.array([s for s, _ in found], np.float64), np.array([v for _, v in found], np.float64)
