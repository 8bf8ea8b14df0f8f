"""Sounds as pictures: how loud each frequency is over time."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import BinaryIO

import numpy as np

from ..datasets.audio import RATE, spectrogram
from ..errors import ShapeError

HOP = 32
DEEP = 70  # decibels between black and white


def draw_spectrograms(
    file: str | os.PathLike[str] | BinaryIO, sounds: Mapping[str, np.ndarray], rate: int = RATE
) -> None:
    """The spectrogram of each sound, under its title, as a PNG; bright is loud, down to 70 dB below the loudest."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    if not sounds:
        raise ShapeError("draw_spectrograms: expected at least one sound, came none.")
    columns = min(len(sounds), 5)
    rows = math.ceil(len(sounds) / columns)
    figure = Figure(figsize=(max(4, 2.4 * columns), 0.5 + 2.1 * rows), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(rows, columns, squeeze=False, sharey=True)
    pictures = {title: spectrogram(x, hop=HOP) for title, x in sounds.items()}
    top = max(float(picture.max()) for picture in pictures.values())
    for axes in grid.flat[len(sounds) :]:
        axes.set_axis_off()
    for axes, (title, picture) in zip(grid.flat, pictures.items(), strict=False):
        extent = (0, len(sounds[title]) / rate, 0, rate / 2000)
        axes.imshow(picture, origin="lower", aspect="auto", extent=extent, vmin=top - DEEP, vmax=top, cmap="magma")
        axes.set_title(title, fontsize=9, loc="left")
        axes.tick_params(labelsize=7)
    for axes in grid[:, 0]:
        axes.set_ylabel("kHz", fontsize=8)
    for axes in grid[-1]:
        axes.set_xlabel("seconds", fontsize=8)
    figure.savefig(file, format="png")
