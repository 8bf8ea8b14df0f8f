"""Pictures: grids of images, animations, curves. Arrays in, files out."""

from .curves import draw_curves
from .grid import image_grid, save_gif, save_png

__all__ = ["draw_curves", "image_grid", "save_gif", "save_png"]
