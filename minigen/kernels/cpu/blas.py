"""Matrix products inside compiled parallel loops: each thread multiplies its own tile, while the tile is in its cache.

The products are those of the BLAS library that SciPy brings, through the entry point that Numba itself uses for
``np.dot``, but with strides, transposition and accumulation, which ``np.dot`` lacks. BLAS must not start threads of its
own meanwhile: call the compiled loop inside ``with one_blas_thread:``.
"""

from __future__ import annotations

import ctypes
import threading
from typing import Any

import numpy as np
from numba import get_num_threads, njit, types
from numba.np.linalg import ensure_blas

ensure_blas()

_gemm = types.ExternalFunction(
    "numba_xxgemm",  # kind, transposed A?, transposed B?, m, n, k, &alpha, &A, lda, &B, ldb, &beta, &C, ldc
    types.intc(types.char, types.char, types.char, *[types.intp] * 11),
)


@njit(nogil=True, inline="always")
def gemm(ta, tb, m, n, k, a, lda, b, ldb, beta, c, ldc, one):
    """C = op(A) op(B) + beta C for row-major matrices given by address: op(A) (m, k), op(B) (k, n), C (m, n).

    `ta`, `tb`: is the matrix stored transposed? `lda` … are the lengths of the stored rows, in elements. `beta` is 0 or
    1, and `one` the array [0, 1] of the matrices' dtype, where BLAS reads its factors.
    """
    kind = 115 if one.itemsize == 4 else 100  # "s" or "d"
    numbers = one.ctypes.data
    # BLAS thinks in columns: it is asked for Cᵀ = op(B)ᵀ op(A)ᵀ
    _gemm(kind, 116 if tb else 110, 116 if ta else 110, n, m, k, numbers + one.itemsize, b, ldb, a, lda,
          numbers + beta * one.itemsize, c, ldc)  # fmt: skip


FACTORS = {np.dtype(dtype): np.array([0, 1], dtype) for dtype in (np.float32, np.float64)}


class _OneBlasThread:
    """Sets SciPy's OpenBLAS to one thread and back. Other libraries notice by themselves that they run in a thread."""

    def __init__(self) -> None:
        import scipy.linalg.cython_blas

        library = ctypes.CDLL(scipy.linalg.cython_blas.__file__)  # symbols are looked up in what it links to as well
        self._get = self._set = None
        for prefix in ("scipy_openblas", "openblas"):
            for suffix in ("", "64_"):
                if hasattr(library, f"{prefix}_set_num_threads{suffix}"):
                    self._get = getattr(library, f"{prefix}_get_num_threads{suffix}")
                    self._set = getattr(library, f"{prefix}_set_num_threads{suffix}")
                    return

    def __enter__(self) -> None:
        if self._set is not None:
            self._before = self._get()
            self._set(1)

    def __exit__(self, *_: object) -> None:
        if self._set is not None:
            self._set(self._before)


one_blas_thread = _OneBlasThread()

_local = threading.local()


def workspace(size: int, dtype: Any) -> np.ndarray:
    """Scratch memory (threads, at least `size`), kept between calls: whoever asks next writes over it."""
    kept = _local.__dict__.setdefault("kept", {})
    threads = get_num_threads()
    held = kept.get(dtype)
    if held is None or held.shape[0] < threads or held.shape[1] < size:
        size = -(-size // 1024) * 1024 + 16  # rows do not start at the same place of the cache
        held = kept[dtype] = np.empty((threads, size), dtype)
    return held
