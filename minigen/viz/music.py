"""Music as pictures: a score as a piano roll; how often something happens in the data and in what a model writes."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import BinaryIO

import numpy as np

from ..datasets import Score
from ..errors import ShapeError

_GIVEN, _NEW = "#9aa7b8", "#1f4e8c"
_BLACK_KEYS = (1, 3, 6, 8, 10)
ROW, ROWS = 8, 40  # bars in a row, and the most rows

File = str | os.PathLike[str] | BinaryIO


def draw_piano_roll(file: File, score: Score, given: int = 0) -> None:
    """The notes over time and pitch as a PNG, eight bars to a row; what begins before the step `given` is grey.

    The rows of black keys are shaded, a C is named, and every bar has its line. A long score shows its last 40 rows.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    width = ROW * score.bar
    rows = range(max(0, -(-score.steps // width) - ROWS), max(1, -(-score.steps // width)))
    pitches = [note.pitch for note in score.notes] or [60]
    low, high = min(pitches) - 2, max(pitches) + 2
    high_each = 0.35 + min(2.4, max(0.9, 0.07 * (high - low)))
    figure = Figure(figsize=(9, 0.3 + high_each * len(rows)), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    for axes, row in zip(figure.subplots(len(rows), 1, squeeze=False)[:, 0], rows, strict=True):
        first = row * width
        for pitch in range(low, high + 1):
            if pitch % 12 in _BLACK_KEYS:
                axes.axhspan(pitch - 0.5, pitch + 0.5, color="#f1f1ee", linewidth=0)
        for note in score.notes:
            if first - note.length < note.start < first + width:
                axes.broken_barh(
                    [(note.start + 0.15, note.length - 0.3)], (note.pitch - 0.42, 0.84),
                    facecolor=_GIVEN if note.start < given else _NEW, linewidth=0,
                )  # fmt: skip
        for bar in range(ROW + 1):
            axes.axvline(first + bar * score.bar, color="#c8c8c0", linewidth=0.7, zorder=0)
        axes.set(xlim=(first, first + width), ylim=(low - 0.5, high + 0.5))
        axes.set_xticks([first + (bar + 0.5) * score.bar for bar in range(ROW)])
        axes.set_xticklabels([str(row * ROW + bar + 1) for bar in range(ROW)], fontsize=7)
        named = [pitch for pitch in range(low, high + 1) if pitch % 12 == 0]
        axes.set_yticks(named, [f"C{pitch // 12 - 1}" for pitch in named], fontsize=7)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
    axes.set_xlabel("bar", fontsize=8)
    figure.savefig(file, format="png")


def draw_histograms(file: File, panels: Mapping[str, tuple[Sequence[str], Mapping[str, Sequence[float]]]]) -> None:
    """Bars side by side as a PNG: {title: (names on the axis, {row: shares})}, a panel for each title."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    if not panels:
        raise ShapeError("draw_histograms: expected at least one panel, came none.")
    figure = Figure(figsize=(9, 2.6 * len(panels)), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (title, (names, rows)) in zip(figure.subplots(len(panels), 1, squeeze=False)[:, 0], panels.items()):
        wide = 0.8 / len(rows)
        for i, (row, shares) in enumerate(rows.items()):
            colour = (_GIVEN, _NEW)[i % 2]
            axes.bar(np.arange(len(names)) + wide * (i - (len(rows) - 1) / 2), shares, wide, label=row, color=colour)
        axes.set_title(title, fontsize=10, loc="left")
        axes.set_xticks(range(len(names)), names, fontsize=8)
        axes.tick_params(axis="y", labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(fontsize=8, frameon=False)
    figure.savefig(file, format="png")
