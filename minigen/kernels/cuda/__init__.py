"""CUDA C twins of `kernels.reference`, launched through CuPy; products of matrices stay with cuBLAS.

The files `*.cu` hold the kernels, each with its formula and thread layout; `common.cuh` is put before each. Beside
every `X.cu` stands `X.py`, which brings arrays into the memory order that the kernels read and launches them. A kernel
is compiled at its first launch, for float32 or float64, and kept on disk by CuPy; other dtypes take the reference.

Nothing here waits for the device, and nothing adds with atomics: the same inputs give the same bytes in every run.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from ... import backend
from ...backend import Array, xp

__all__ = ["FOLDER", "LIMIT", "alike", "by_columns", "by_elements", "by_rows", "contiguous", "launch", "ours", "source"]

FOLDER = Path(__file__).parent
LIMIT = 1 << 30  # elements of an array: kernels count in 32 bits
_REAL = {np.dtype(np.float32): "float", np.dtype(np.float64): "double"}
_BLOCK = 256  # threads
_MOST = 1 << 14  # blocks of a launch by elements; each thread then takes several


def source(family: str, real: str) -> str:
    """The CUDA C of a family, with `real` float or double."""
    text = (FOLDER / f"{family}.cu").read_text("utf-8")
    return f"typedef {real} real;\n" + (FOLDER / "common.cuh").read_text("utf-8") + text


@cache
def _kernel(family: str, name: str, dtype: np.dtype) -> Any:
    return _module(family, dtype).get_function(name)


@cache
def _module(family: str, dtype: np.dtype) -> Any:
    return backend.cuda_module(source(family, _REAL[dtype]))


def launch(family: str, name: str, dtype: Any, grid: tuple, block: tuple, *arguments: Any) -> None:
    """Start a kernel. Whole numbers travel as int, others as double; None is a null pointer."""
    passed = [np.int32(a) if isinstance(a, int) else 0 if a is None else a for a in arguments]
    _kernel(family, name, dtype)(grid, block, passed)


def by_elements(family: str, name: str, n: int, dtype: Any, *arguments: Any) -> None:
    """Threads over n elements."""
    if n:
        launch(family, name, dtype, (min(-(-n // _BLOCK), _MOST),), (_BLOCK,), *arguments)


def by_rows(family: str, name: str, rows: int, dtype: Any, *arguments: Any) -> None:
    """A warp for each row."""
    if rows:
        launch(family, name, dtype, (-(-rows // 8),), (32, 8), *arguments)


def by_columns(family: str, name: str, columns: int, blocks: int, dtype: Any, *arguments: Any) -> None:
    """Eight threads down each column, and `blocks` of rows."""
    if columns and blocks:
        launch(family, name, dtype, (-(-columns // 32), blocks), (32, 8), *arguments)


def ours(*arrays: Array) -> bool:
    """Are these arrays for the kernels: of one dtype, float32 or float64, and not too large?"""
    dtype = arrays[0].dtype
    return dtype in _REAL and all(a.dtype == dtype and a.size < LIMIT for a in arrays)


def alike(x: Array, *others: Array) -> tuple[Array, ...]:
    """x and others of its shape and dtype in one memory order without gaps: that of x, if x has none, else row-major.

    Copies what lies otherwise.
    """
    if not _dense(x):
        x = x.copy(order="C")
    return x, *(a if a.strides == x.strides and a.dtype == x.dtype else _laid_out_as(x, a) for a in others)


def contiguous(*arrays: Array | None) -> list[Array | None]:
    """The arrays in row-major order, copied where they lie otherwise."""
    return [a if a is None or a.flags.c_contiguous else a.copy(order="C") for a in arrays]


def _dense(x: Array) -> bool:
    if x.flags.c_contiguous:
        return True
    order = sorted(range(x.ndim), key=lambda axis: -x.strides[axis])
    return x.transpose(order).flags.c_contiguous


def _laid_out_as(x: Array, a: Array) -> Array:
    out = xp.empty_like(x)
    out[...] = a
    return out
