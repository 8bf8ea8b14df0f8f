"""Between stored pixels, uint8 from 0 to 255, and the floating-point images that networks see."""

import numpy as np
from numpy.typing import DTypeLike

from ..errors import DtypeError, NonFiniteError, ShapeError


def to_unit(images: np.ndarray, dtype: DTypeLike = np.float32) -> np.ndarray:
    """x = u / 255 ∈ [0, 1]        uint8 (N, H, W) -> (N, 1, H, W),  (N, C, H, W) -> (N, C, H, W)"""
    x = _floating("to_unit", images, dtype)
    x /= 255
    return x


def to_signed(images: np.ndarray, dtype: DTypeLike = np.float32) -> np.ndarray:
    """x = u / 127.5 − 1 ∈ [−1, 1]        uint8 (N, H, W) -> (N, 1, H, W),  (N, C, H, W) -> (N, C, H, W)"""
    x = _floating("to_signed", images, dtype)
    x /= 127.5
    x -= 1
    return x


def from_unit(x: np.ndarray) -> np.ndarray:
    """u = round(255 · clip(x, 0, 1))        floating (…) -> uint8 (…), the channel axis stays"""
    return _stored("from_unit", x, scale=255, shift=0)


def from_signed(x: np.ndarray) -> np.ndarray:
    """u = round(127.5 · (clip(x, −1, 1) + 1))        floating (…) -> uint8 (…), the channel axis stays"""
    return _stored("from_signed", x, scale=127.5, shift=1)


def _floating(function: str, images: np.ndarray, dtype: DTypeLike) -> np.ndarray:
    images, dtype = np.asarray(images), np.dtype(dtype)
    if images.dtype != np.uint8:
        raise DtypeError(
            f"{function}: expected images of uint8, came {images.dtype}; scale the stored images only once."
        )
    if dtype.kind != "f":
        raise DtypeError(f"{function}: expected a floating dtype, came {dtype}; use float32 or float64.")
    if images.ndim not in (3, 4):
        raise ShapeError(
            f"{function}: expected images of shape (N, H, W) or (N, C, H, W), came {images.shape}; "
            "for one image add an axis with images[None]."
        )
    return (images if images.ndim == 4 else images[:, None]).astype(dtype)


def _stored(function: str, x: np.ndarray, scale: float, shift: float) -> np.ndarray:
    x = np.asarray(x)
    if x.dtype.kind != "f":
        raise DtypeError(f"{function}: expected a floating array, came {x.dtype}; stored images need no conversion.")
    if np.isnan(x).any():
        raise NonFiniteError(f"{function}: expected numbers, came NaN in {np.isnan(x).sum()} of {x.size} pixels.")
    return np.rint((np.clip(x, -shift, 1) + x.dtype.type(shift)) * x.dtype.type(scale)).astype(np.uint8)
