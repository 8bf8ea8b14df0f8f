"""Points of the plane as a picture."""

from __future__ import annotations

import numpy as np

from ..errors import ShapeError

REAL, DRAWN = (200, 200, 200), (31, 78, 140)


def scatter(points: np.ndarray, real: np.ndarray | None = None, *, reach: float = 3.0, size: int = 400) -> np.ndarray:
    """The points in blue over real ones in grey, on [−reach, reach]²        (N, 2), (M, 2) -> uint8 (size, size, 3)

    What lies outside, or is NaN, is left out. Raises ShapeError for another shape.
    """
    picture = np.full((size, size, 3), 255, np.uint8)
    for some, colour in ((real, REAL), (points, DRAWN)):
        if some is None:
            continue
        if np.ndim(some) != 2 or np.shape(some)[1] != 2:
            raise ShapeError(f"scatter: expected points (N, 2), came shape {np.shape(some)}.")
        x, y = np.asarray(some, np.float64)[(np.abs(some) <= reach).all(axis=1)].T
        column = np.rint((x + reach) / (2 * reach) * (size - 2)).astype(int)
        row = np.rint((reach - y) / (2 * reach) * (size - 2)).astype(int)
        for down in (0, 1):
            for right in (0, 1):
                picture[row + down, column + right] = colour
    return picture
