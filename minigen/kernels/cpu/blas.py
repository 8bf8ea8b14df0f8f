"""Matrix products inside compiled loops: each thread multiplies its own tile, while the tile is in its cache.

The products are those of the BLAS library that SciPy brings, through the entry point that Numba itself uses for
``np.dot``, but with strides, transposition and accumulation, which ``np.dot`` lacks. Matrices are given by address
(64-bit integers: ``array.ctypes.data``), and nothing checks bounds: whoever calls keeps the arrays alive.
"""

from __future__ import annotations

import ctypes

import numpy as np
import scipy.linalg.cython_blas
from numba import njit, types
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
def gemm(ta, tb, m, n, k, a, lda, b, ldb, beta, c, ldc, one):
    """C = A B + beta C for row-major matrices A (m, k), B (k, n), C (m, n); if `ta`, A lies there as (k, m), if `tb`,
    B as (n, k).

    `lda` … are the lengths of the stored rows, in elements. `beta` is 0 or 1, and `one` the array [0, 1] of the
    matrices' dtype (`FACTORS`), where BLAS reads its factors.
    """
    kind = 115 if one.itemsize == 4 else 100  # "s" or "d"
    numbers = np.int64(one.ctypes.data)
    # BLAS thinks in columns: it is asked for Cᵀ = Bᵀ Aᵀ. 116 is "t", 110 "n"
    _gemm(kind, 116 if tb else 110, 116 if ta else 110, n, m, k, numbers + one.itemsize, b, ldb, a, lda,
          numbers + beta * one.itemsize, c, ldc)  # fmt: skip


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
        self._before = self.threads
        if self._before not in (None, 1):
            self._set(1)

    def __exit__(self, *_: object) -> None:
        if self._before not in (None, 1):
            self._set(self._before)


scipys = OpenBlas(scipy.linalg.cython_blas.__file__)
