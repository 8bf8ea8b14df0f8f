"""Pictures: grids of images, points, animations, curves, and a computation step by step. Arrays in, files out."""

from .curves import draw_curves
from .grid import image_grid, save_gif, save_png
from .music import draw_histograms, draw_piano_roll
from .points import scatter
from .spectrogram import draw_spectrograms
from .stepper import trace

__all__ = [
    "draw_curves", "draw_histograms", "draw_piano_roll", "draw_spectrograms", "image_grid", "save_gif", "save_png",
    "scatter", "trace",
]  # fmt: skip
