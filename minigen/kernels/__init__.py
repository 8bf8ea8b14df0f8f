"""Array -> array computations worth more than one array expression, without gradients.

``reference/`` is the truth in plain array code, for NumPy and CuPy alike. ``cpu/`` (Numba) and ``cuda/`` (CUDA C
through CuPy) hold faster twins: the same file, the same name, the same signature. A twin exists only where a benchmark
shows that it pays. Calling ``kernels.NAME(x, ...)`` takes the twin that belongs to the backend of the first argument
(or of the first of a list), or the reference where there is none.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import cache, wraps
from typing import Any

from ..backend import backend_of
from .reference import FAMILIES

_FOLDERS = {"numba": "cpu", "cupy": "cuda"}


def _compiles() -> bool:
    from numba import config  # which takes a while

    return not config.DISABLE_JIT


@cache
def twin(name: str, backend: str) -> Callable:
    """The function that computes kernel `name` on a backend: its compiled twin, or the reference. Where Numba is told
    not to compile (NUMBA_DISABLE_JIT), that is the reference: the twins call functions that Python cannot."""
    reference = KERNELS[name]
    folder = _FOLDERS.get(backend)
    if folder is None or (backend == "numba" and not _compiles()):
        return reference
    family = reference.__module__.rsplit(".", 1)[1]
    path = f"{__name__}.{folder}.{family}"
    if importlib.util.find_spec(f"{__name__}.{folder}") is None or importlib.util.find_spec(path) is None:
        return reference
    return getattr(importlib.import_module(path), name, reference)


def _dispatching(name: str, reference: Callable) -> Callable:
    @wraps(reference)
    def kernel(x: Any, *args: Any, **options: Any) -> Any:
        return twin(name, backend_of(x[0] if type(x) is list else x))(x, *args, **options)

    return kernel


KERNELS: dict[str, Callable] = {
    name: getattr(family, name) for family in FAMILIES for name in family.__all__
}  # every reference by name
globals().update({name: _dispatching(name, reference) for name, reference in KERNELS.items()})
