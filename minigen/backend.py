"""Which array library computes: ``numpy``, ``numba`` or ``cupy``.

===========  ===================================================  ==========================
backend      arrays                                               kernels
===========  ===================================================  ==========================
``numpy``    ``numpy.ndarray``                                    ``kernels/reference``
``numba``    ``numpy.ndarray``                                    ``kernels/cpu``, compiled
``cupy``     ``cupy.ndarray`` on the current CUDA device          ``kernels/cuda``, CUDA C
===========  ===================================================  ==========================

The chosen backend decides only where *new* arrays are made and which kernels a CPU array gets. Inside an operation
the type of the array decides: ``xp`` below is NumPy, whose functions hand over to CuPy when they meet a CuPy array
(NumPy Enhancement Proposals 13 and 18), and which makes new arrays beside an old one with ``like=`` (NEP 35). So one
source line serves both libraries, at no cost on the CPU. Nothing is copied between host and device unless
:func:`to` or :func:`to_host` is called.

This is the only module that imports CuPy.
"""

from __future__ import annotations

import importlib.util
import os
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy as xp

from .errors import BackendError, ConfigError, DtypeError

__all__ = [
    "BACKENDS", "Array", "add_at", "asarray", "available", "backend_of", "compile_cuda", "cuda_module", "current",
    "default_dtype", "device_memory", "device_name", "erf", "generator", "is_array", "name_of", "no_device_reason",
    "normal", "synchronize", "timed", "to", "to_host", "uniform", "use", "xp",
]  # fmt: skip

BACKENDS = ("numpy", "numba", "cupy")
Array = Any  # numpy.ndarray or cupy.ndarray
default_dtype = np.dtype(np.float32)

_current: str | None = None  # resolved from MINIGEN_BACKEND at first use
_cupy: Any = None  # the module, once a device has answered
_cupy_missing: str | None = None  # why there is none, once we have looked


def no_device_reason() -> str | None:
    """None where a CUDA device answers through CuPy, else one sentence that says what is missing."""
    global _cupy, _cupy_missing
    if _cupy is None and _cupy_missing is None:
        if importlib.util.find_spec("cupy") is None:
            _cupy_missing = "CuPy is not installed: pip install 'minigen[cuda12]' or 'minigen[cuda13]'"
        else:
            try:
                import cupy

                if cupy.cuda.runtime.getDeviceCount() < 1:
                    _cupy_missing = "CuPy is installed but finds no CUDA device"
                else:
                    _cupy = cupy
            except Exception as error:  # a missing driver, toolkit or shared library: CuPy has many ways to say so
                reason = " ".join(str(error).split())[:200] or type(error).__name__
                _cupy_missing = f"CuPy is installed but no CUDA device answers ({reason}): check the driver"
    return _cupy_missing


def available() -> tuple[str, ...]:
    """The backends that work on this machine."""
    return BACKENDS if no_device_reason() is None else BACKENDS[:2]


def _resolve(name: str) -> str:
    if name == "auto":
        reason = no_device_reason()
        if reason is None:
            return "cupy"
        if "not installed" not in reason:
            warnings.warn(f"{reason}; falling back to the numba backend on the CPU.", stacklevel=4)
        return "numba"
    if name not in BACKENDS:
        raise ConfigError(f"backend: expected one of auto, {', '.join(BACKENDS)}, got {name!r}.")
    if name == "cupy" and (reason := no_device_reason()):
        raise BackendError(f"backend 'cupy' was asked for, but {reason}; or use --backend numba.")
    return name


class use:
    """Choose the backend: ``use("cupy")`` from here on, ``with use("numpy"):`` for one block.

    ``name`` is ``numpy``, ``numba``, ``cupy`` or ``auto`` (CuPy where a device answers, else Numba). Raises
    :class:`BackendError` where CuPy or a device is missing, :class:`ConfigError` for an unknown name.
    """

    def __init__(self, name: str):
        global _current
        self.name = _resolve(name)
        self._previous, _current = _current, self.name

    def __enter__(self) -> str:
        return self.name

    def __exit__(self, *_: object) -> None:
        global _current
        _current = self._previous


def current() -> str:
    """The chosen backend; the environment variable MINIGEN_BACKEND, or ``auto``, decides the first time."""
    global _current
    if _current is None:
        _current = _resolve(os.environ.get("MINIGEN_BACKEND", "auto"))
    return _current


def is_array(a: object) -> bool:
    """Is `a` an array of one of the libraries?"""
    return type(a) is np.ndarray or (_cupy is not None and isinstance(a, _cupy.ndarray)) or isinstance(a, np.ndarray)


def name_of(a: Array) -> str:
    """``numpy`` or ``cupy``: the library that an array belongs to."""
    return "numpy" if isinstance(a, np.ndarray | np.generic) else "cupy"


def backend_of(a: Array) -> str:
    """The backend whose kernels an array gets: CuPy by its type, NumPy or Numba as chosen."""
    if type(a) is not np.ndarray and name_of(a) == "cupy":
        return "cupy"
    name = current()
    return name if name != "cupy" else "numba"


def asarray(data: Any, dtype: Any = None) -> Array:
    """`data` as an array of the current backend. Arrays keep their dtype; Python floats become float32.

    Errors: a device array where the backend is on the host is refused (copy it with :func:`to_host`), as are
    ragged lists and objects that are not numbers.
    """
    if is_array(data):
        if name_of(data) == "cupy" and current() != "cupy":
            raise BackendError(
                f"asarray: got a cupy array while the backend is {current()!r}; copy it with .to({current()!r})."
            )
        array = data
    else:
        try:
            array = np.asarray(data)
        except ValueError as error:
            raise DtypeError(f"asarray: expected numbers in a regular grid, got a ragged list ({error}).") from None
        if array.dtype == np.float64 and dtype is None and not isinstance(data, np.generic):
            array = array.astype(default_dtype)
    if array.dtype.kind not in "biufc":
        raise DtypeError(f"asarray: expected numbers, got {type(data).__name__} of dtype {array.dtype}.")
    if dtype is not None and array.dtype != dtype:
        array = array.astype(dtype)
    return to(array, "cupy") if current() == "cupy" else array


def to(a: Array, name: str) -> Array:
    """`a` on another backend; the one explicit copy between host and device. On the same side it is `a` itself."""
    name = _resolve(name)
    here = name_of(a)
    if name == "cupy":
        return a if here == "cupy" else _cupy.asarray(a)
    return a if here == "numpy" else _cupy.asnumpy(a)


def to_host(a: Array) -> np.ndarray:
    """`a` as a NumPy array (a copy from the device where it lies there; waits for the device)."""
    return np.asarray(a) if name_of(a) == "numpy" else _cupy.asnumpy(a)


def synchronize() -> None:
    """Wait until the device has done its work; nothing to do on the CPU. For timing."""
    if current() == "cupy":
        _cupy.cuda.get_current_stream().synchronize()


def erf(x: Array) -> Array:
    """The error function erf x = 2/√π ∫₀ˣ e^(−t²) dt, which NumPy lacks: SciPy's, or CuPy's on the device."""
    if name_of(x) == "cupy":
        from cupyx.scipy import special
    else:
        from scipy import special
    return special.erf(x).astype(x.dtype, copy=False)


def add_at(y: Array, index: Any, x: Array) -> None:
    """y[index] += x in place, where a place that is named twice gets both; on a device in any order."""
    (_cupy if name_of(y) == "cupy" else np).add.at(y, index, x)


def generator(seed: int, *, device: bool = False) -> Any:
    """An explicit random generator. `device=True` (CuPy only) draws on the GPU: faster, but then CPU and GPU runs
    with one seed see different numbers."""
    if not device:
        return np.random.Generator(np.random.PCG64(seed))
    if current() != "cupy":
        raise BackendError(f"generator: device=True needs the cupy backend, the current one is {current()!r}.")
    return _cupy.random.Generator(_cupy.random.XORWOW(seed))


def normal(rng: Any, shape: tuple[int, ...], dtype: Any = None) -> Array:
    """Standard normal numbers from `rng`, as an array of the current backend. A host generator draws on the host."""
    draws = rng.standard_normal(shape, dtype=np.dtype(dtype or default_dtype))
    return to(draws, "cupy") if current() == "cupy" else draws


def uniform(rng: Any, shape: tuple[int, ...], dtype: Any = None) -> Array:
    """Uniform numbers in [0, 1) from `rng`, as an array of the current backend."""
    draws = rng.random(shape, dtype=np.dtype(dtype or default_dtype))
    return to(draws, "cupy") if current() == "cupy" else draws


# -- CUDA C -----------------------------------------------------------------------------------------------------------

_CUDA_OPTIONS = ("--std=c++17",)


def cuda_module(source: str) -> Any:
    """The kernels of a CUDA C source, by ``get_function(name)``; compiled for the current device at their first use."""
    return _cupy.RawModule(code=source, options=_CUDA_OPTIONS)


def compile_cuda(source: str, arch: str) -> str:
    """Compile a CUDA C source for ``sm_<arch>``, for which NVRTC is enough: no device, no driver. Returns the
    assembler's report: registers, memory and spills of each kernel. Errors: BackendError with the compiler's words."""
    try:
        from cupy.cuda import nvrtc

        program = nvrtc.createProgram(source, "kernels.cu", (), ())
    except Exception as error:  # CuPy or NVRTC's library is not there, which is said in many ways
        raise BackendError(f"compile_cuda: CuPy with NVRTC is needed to compile CUDA C, but: {error}.") from error
    try:
        options = (*_CUDA_OPTIONS, f"-arch=sm_{arch}", "--ptxas-options=-v", "--no-cache")  # what is cached is not told
        nvrtc.compileProgram(program, options)
        return nvrtc.getProgramLog(program)
    except nvrtc.NVRTCError as error:
        raise BackendError(f"compile_cuda: {error} for sm_{arch}: {nvrtc.getProgramLog(program).strip()}") from None
    finally:
        nvrtc.destroyProgram(program)


# -- measuring --------------------------------------------------------------------------------------------------------


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """What `work()` gives, and the seconds it took; on a device between two events in its own queue, the second of
    which is reached when all is done."""
    if current() != "cupy":
        begin = time.perf_counter()
        result = work()
        return result, time.perf_counter() - begin
    begin, end = _cupy.cuda.Event(), _cupy.cuda.Event()
    begin.record()
    result = work()
    end.record()
    end.synchronize()
    return result, _cupy.cuda.get_elapsed_time(begin, end) / 1e3


def device_memory() -> int | None:
    """The bytes of the device that CuPy holds, in use or kept for later; None on the CPU. What is not in use is given
    back, so that the next answer is the most that was held since this one."""
    if current() != "cupy":
        return None
    pool = _cupy.get_default_memory_pool()
    held = pool.total_bytes()
    pool.free_all_blocks()
    return held


def device_name() -> str:
    """What the current CUDA device calls itself. Raises BackendError where there is none."""
    _resolve("cupy")
    name = _cupy.cuda.runtime.getDeviceProperties(_cupy.cuda.Device().id)["name"]
    return name.decode()
