"""Matrix products inside compiled loops: each thread multiplies its own tile, while the tile is in its cache.

The products are those of the BLAS library that SciPy brings, through the entry point that Numba itself uses for
``np.dot``, but with strides, transposition and accumulation, which ``np.dot`` lacks. Matrices are given by address
(64-bit integers: ``array.ctypes.data``), and nothing checks bounds: whoever calls keeps the arrays alive.
"""

from __future__ import annotations

import ctypes

import llvmlite.binding
import numpy as np
import scipy.linalg.cython_blas
from numba import cfunc, njit, types
from numba.np.linalg import ensure_blas

ensure_blas()

_gemm = types.ExternalFunction(
    "numba_xxgemm",  # kind, transposed A?, transposed B?, m, n, k, &alpha, &A, lda, &B, ldb, &beta, &C, ldc
    types.intc(types.char, types.char, types.char, *[types.intp] * 11),
)
_memset = types.ExternalFunction("memset", types.intp(types.intp, types.intc, types.intp))
copy = types.ExternalFunction("memcpy", types.intp(types.intp, types.intp, types.intp))  # to, from, bytes

FACTORS = {np.dtype(dtype): np.array([0, 1], dtype) for dtype in (np.float32, np.float64)}


# Numba compiles a function anew for each literal among its arguments, and for unsigned addresses.
NONE, ONE, SIZE = np.int64(0), np.int64(1), np.int64(4)  # SIZE: bytes of a float32
YES, NO = np.bool_(True), np.bool_(False)


@njit(nogil=True, cache=True, inline="always")
def address(a):
    return np.int64(a.ctypes.data)


def compiled_once(name, function, arguments):
    """A function of so many integers that gives one, for compiled loops. What they otherwise call is compiled again
    into each of them, which took a sixth of the time that the loops of `gan` take to compile. Nobody would hear of what
    goes wrong in it: it takes no memory."""
    kind = types.intp(*[types.intp] * arguments)
    code = cfunc(kind, cache=True)(function)
    _kept.append(code)
    llvmlite.binding.add_symbol(name, code.address)
    return types.ExternalFunction(name, kind)


_kept: list = []  # compiled functions are gone when nobody holds them


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


def _openblas(module: str) -> dict[str, int]:
    """The addresses of get_num_threads and set_num_threads in the OpenBLAS that a compiled module is linked to; none
    where that is another library, which notices by itself that it is called from one thread among several."""
    library = ctypes.CDLL(module)  # symbols are looked up in what it links to as well
    for prefix in ("scipy_openblas", "openblas"):
        for suffix in ("", "64_"):
            names = {name: f"{prefix}_{name}{suffix}" for name in ("get_num_threads", "set_num_threads")}
            if hasattr(library, names["set_num_threads"]):
                return {k: ctypes.cast(getattr(library, v), ctypes.c_void_p).value for k, v in names.items()}
    return {}


def threads_of(module: str) -> int | None:
    """How many threads the OpenBLAS of a compiled module would use; None where it is linked to another library."""
    found = _openblas(module)
    return ctypes.CFUNCTYPE(ctypes.c_int)(found["get_num_threads"])() if found else None


def _link() -> None:
    """Give compiled code the two functions of SciPy's library by name; another library's threads are counted as one."""
    found = _openblas(scipy.linalg.cython_blas.__file__)
    if not found:
        _kept.extend([cfunc("intc()")(lambda: 1), cfunc("void(intc)")(lambda threads: None)])
        found = dict(zip(("get_num_threads", "set_num_threads"), (f.address for f in _kept[-2:])))
    for name, address in found.items():
        llvmlite.binding.add_symbol(f"minigen_blas_{name}", address)


_link()
_get_num_threads = types.ExternalFunction("minigen_blas_get_num_threads", types.intc())
_set_num_threads = types.ExternalFunction("minigen_blas_set_num_threads", types.void(types.intc))


@njit(nogil=True, cache=True)
def limit(threads):
    """Have SciPy's library use so many threads. How many it used before."""
    before = np.int64(_get_num_threads())
    if before != threads:
        _set_num_threads(threads)
    return before
