"""Matrix products inside compiled loops: each thread multiplies its own tile, while the tile is in its cache.

The products are those of the BLAS library that SciPy brings, through the entry point that Numba itself uses for
``np.dot``, but with strides, transposition and accumulation, which ``np.dot`` lacks. Matrices are given by address
(64-bit integers: ``array.ctypes.data``), and nothing checks bounds: whoever calls keeps the arrays alive.

The threads are Python's: a compiled function lets go of the interpreter while it runs. That starts a loop in some
20 µs, leaves no thread spinning when the loop is done, and compiles in a third of the time of ``parallel=True``.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import scipy.linalg.cython_blas
from numba import config, get_num_threads, njit, types
from numba.np.linalg import ensure_blas

ensure_blas()

_gemm = types.ExternalFunction(
    "numba_xxgemm",  # kind, transposed A?, transposed B?, m, n, k, &alpha, &A, lda, &B, ldb, &beta, &C, ldc
    types.intc(types.char, types.char, types.char, *[types.intp] * 11),
)
_memset = types.ExternalFunction("memset", types.intp(types.intp, types.intc, types.intp))
copy = types.ExternalFunction("memcpy", types.intp(types.intp, types.intp, types.intp))  # to, from, bytes

FACTORS = {np.dtype(dtype): np.array([0, 1], dtype) for dtype in (np.float32, np.float64)}


@njit(nogil=True, cache=True)
def clear(to, count):
    """Set `count` bytes to zero."""
    if count > 0:
        _memset(to, 0, count)


@njit(nogil=True, cache=True)
def gemm(transposed, m, n, k, a, lda, b, ldb, beta, c, ldc, one):
    """C = A B + beta C for row-major matrices A (m, k), B (k, n), C (m, n); or Aᵀ B with A (k, m), if `transposed`.

    `lda` … are the lengths of the stored rows, in elements. `beta` is 0 or 1, and `one` the array [0, 1] of the
    matrices' dtype (`FACTORS`), where BLAS reads its factors.
    """
    kind = 115 if one.itemsize == 4 else 100  # "s" or "d"
    numbers = np.int64(one.ctypes.data)
    # BLAS thinks in columns: it is asked for Cᵀ = Bᵀ Aᵀ
    _gemm(kind, 110, 116 if transposed else 110, n, m, k, numbers + one.itemsize, b, ldb, a, lda,
          numbers + beta * one.itemsize, c, ldc)  # fmt: skip


@njit(nogil=True, cache=True)
def gemm_bt(m, n, k, a, lda, b, ldb, beta, c, ldc, one):
    """C = A Bᵀ + beta C for row-major matrices A (m, k), B (n, k), C (m, n); the rest as for `gemm`."""
    kind = 115 if one.itemsize == 4 else 100
    numbers = np.int64(one.ctypes.data)
    _gemm(kind, 116, 110, n, m, k, numbers + one.itemsize, b, ldb, a, lda, numbers + beta * one.itemsize, c, ldc)


class OpenBlas:
    """The OpenBLAS that a compiled module is linked to, if it is one. ``with`` it, that library starts no threads.

    Other libraries notice by themselves that they are called from one thread among several.
    """

    def __init__(self, file: str) -> None:
        library = ctypes.CDLL(file)  # symbols are looked up in what it links to as well
        self._get = self._set = None
        for prefix in ("scipy_openblas", "openblas"):
            for suffix in ("", "64_"):
                if self._set is None and hasattr(library, f"{prefix}_set_num_threads{suffix}"):
                    self._get = getattr(library, f"{prefix}_get_num_threads{suffix}")
                    self._set = getattr(library, f"{prefix}_set_num_threads{suffix}")

    @property
    def threads(self) -> int | None:
        """How many threads it would use; None where it is another library."""
        return self._get and self._get()

    def __enter__(self) -> None:
        if self._set is not None:
            self._before = self._get()
            self._set(1)

    def __exit__(self, *_: object) -> None:
        if self._set is not None:
            self._set(self._before)


_scipys = OpenBlas(scipy.linalg.cython_blas.__file__)
_local = threading.local()
_pool: ThreadPoolExecutor | None = None


def _forget_pool() -> None:
    global _pool
    _pool = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)


def workspace(threads: int, size: int, dtype: Any) -> np.ndarray:
    """Scratch memory (at least `threads`, at least `size`), kept between calls: whoever asks next writes over it."""
    kept = _local.__dict__.setdefault("kept", {})
    held = kept.get(dtype)
    if held is None or held.shape[0] < threads or held.shape[1] < size:
        size = -(-size // 1024) * 1024 + 16  # rows do not start at the same place of the cache
        held = kept[dtype] = np.empty((threads, size), dtype)
    return held


def share(function: Callable, count: int, scratch: int, dtype: Any, *arguments: Any, least: int = 1) -> np.ndarray:
    """function(first, last, row of scratch memory, *arguments) for the tiles 0 … count, dealt out to the threads.

    No thread gets less than `least` tiles, unless there are fewer. Returns the scratch memory, one row per thread that
    took part. BLAS has one thread meanwhile.
    """
    global _pool
    threads = max(min(get_num_threads(), count // least), 1)
    rows = workspace(threads, scratch, dtype)[:threads]
    if _pool is None and threads > 1:
        _pool = ThreadPoolExecutor(max(config.NUMBA_NUM_THREADS - 1, 1), "minigen")
    ends = [thread * count // threads for thread in range(threads + 1)]
    with _scipys:
        others = [
            _pool.submit(function, ends[i], ends[i + 1], rows[i], *arguments) for i in range(1, threads)
        ]  # fmt: skip
        try:
            function(0, ends[1], rows[0], *arguments)
            for other in others:
                other.result()
        except BaseException:  # interrupted: a thread may still be writing there
            _local.__dict__.clear()
            raise
    return rows
