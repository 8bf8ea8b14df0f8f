"""Many images in one: a grid as an array, and arrays as PNG and GIF files."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Any, BinaryIO

import numpy as np

from ..errors import DtypeError, ShapeError

File = str | os.PathLike[str] | BinaryIO


def image_grid(images: np.ndarray, columns: int | None = None, *, gap: int = 2, scale: int = 2) -> np.ndarray:
    """n images side by side, row by row, on white        (N, C, H, W) -> uint8 (rows, columns, 3)

    images   in [0, 1] (what lies outside is clipped, NaN is black) or uint8; C is 1, grey, or 3, red green blue
    columns  as many as make the grid nearly square, unless given
    gap      the white pixels around each image
    scale    each pixel of an image becomes scale × scale

    Raises ShapeError for another shape or no image, DtypeError for other numbers.
    """
    images = np.asarray(images)
    if images.ndim != 4 or images.shape[1] not in (1, 3) or not images.size:
        raise ShapeError(f"image_grid: expected images (N, 1 or 3, H, W), at least one, came shape {images.shape}.")
    if columns is not None and columns < 1:
        raise ShapeError(f"image_grid: expected at least one column, came {columns}.")
    if images.dtype.kind == "f":
        images = np.rint(255 * np.clip(np.nan_to_num(images, nan=0.0), 0, 1)).astype(np.uint8)
    elif images.dtype != np.uint8:
        raise DtypeError(f"image_grid: expected floating numbers in [0, 1] or uint8, came {images.dtype}.")
    n, _, height, width = images.shape
    columns = min(n, columns or math.ceil(math.sqrt(n)))
    rows = math.ceil(n / columns)
    pixels = np.broadcast_to(images, (n, 3, height, width)).transpose(0, 2, 3, 1)
    pixels = pixels.repeat(scale, axis=1).repeat(scale, axis=2)
    high, wide = height * scale + gap, width * scale + gap
    grid = np.full((rows * high + gap, columns * wide + gap, 3), 255, np.uint8)
    for i, image in enumerate(pixels):
        top, left = gap + i // columns * high, gap + i % columns * wide
        grid[top : top + height * scale, left : left + width * scale] = image
    return grid


def save_png(file: File, picture: np.ndarray) -> None:
    """A picture, uint8 (H, W, 3) or grey (H, W), as a PNG. The same picture gives the same bytes."""
    from PIL import Image

    Image.fromarray(_picture("save_png", picture)).save(file, format="PNG")


def save_gif(file: File, frames: Sequence[np.ndarray | str | os.PathLike[str]], *, seconds: float = 0.2) -> None:
    """Pictures, or the image files they are in, as an endless GIF; each is shown for some seconds, the last for longer.

    All must have one size. Raises ShapeError if they have not, or if there is none.
    """
    from PIL import Image

    pictures = []
    for frame in frames:
        if isinstance(frame, np.ndarray):
            pictures.append(Image.fromarray(_picture("save_gif", frame)).convert("RGB"))
        else:
            with Image.open(frame) as opened:
                pictures.append(opened.convert("RGB"))
    if all(_is_grey(picture) for picture in pictures):  # then 256 colours are enough, and none is approximated
        pictures = [picture.convert("L") for picture in pictures]
    sizes = {picture.size for picture in pictures}
    if len(sizes) != 1:
        raise ShapeError(f"save_gif: expected pictures of one size, at least one, came the sizes {sorted(sizes)}.")
    milliseconds = [round(1000 * seconds)] * (len(pictures) - 1) + [round(1000 * max(2.0, seconds))]
    pictures[0].save(
        file, format="GIF", save_all=True, append_images=pictures[1:], duration=milliseconds, loop=0, optimize=False
    )


def _is_grey(picture: Any) -> bool:
    red, green, blue = np.moveaxis(np.asarray(picture), 2, 0)
    return np.array_equal(red, green) and np.array_equal(red, blue)


def _picture(function: str, picture: np.ndarray) -> np.ndarray:
    picture = np.asarray(picture)
    if picture.dtype != np.uint8 or not (picture.ndim == 2 or (picture.ndim == 3 and picture.shape[2] == 3)):
        raise ShapeError(
            f"{function}: expected a picture of uint8, (H, W) or (H, W, 3), came {picture.dtype} {picture.shape}; "
            "make one with image_grid."
        )
    return np.ascontiguousarray(picture)
