"""Numba twins of `kernels.reference`, imported and compiled at first use; compiled code is cached on disk.

Numba forgets what it compiled of a function when the function's own file changes, but not when another changes whose
functions were compiled into it. So all of it is forgotten here when any file of this folder has changed.

The first import also has NumPy align its arrays, see `memory`. There is none where Numba is told not to compile: these
functions call others that Python cannot.
"""

from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from numba import config

if config.DISABLE_JIT:
    raise ImportError("minigen.kernels.cpu is compiled code, and NUMBA_DISABLE_JIT is set: use minigen.kernels.")


def forget_stale(folder: Path) -> None:
    """Delete what Numba has cached beside the sources of a folder, unless it is of these very sources."""
    cache = folder / "__pycache__"
    stamp, sources = cache / "kernels.sha256", sha256()
    for file in sorted(folder.glob("*.py")):
        sources.update(file.read_bytes())
    with suppress(OSError):  # a folder that cannot be written has no cache of ours either
        if stamp.is_file() and stamp.read_text() == sources.hexdigest():
            return
        for file in cache.glob("*.nb[ci]"):
            file.unlink(missing_ok=True)
        cache.mkdir(exist_ok=True)
        stamp.write_text(sources.hexdigest())


forget_stale(Path(__file__).parent)

from .memory import align  # noqa: E402 its compiled code is in the cache, too

align()
