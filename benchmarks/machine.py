"""What this machine is, and how fast it multiplies and copies: ``python -m benchmarks.machine THREADS SECONDS`` prints
JSON, as does ``python -m benchmarks.machine device SECONDS`` for the CUDA device.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path
from typing import Any

from .worker import ROOT, environment, timed


def describe() -> dict[str, Any]:
    packages = ("numpy", "numba", "scipy", "cupy-cuda12x", "cupy-cuda13x", "torch", "autograd", "dezero", "jax")
    versions = {}
    for name in packages:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": versions,
        "date": time.strftime("%Y-%m-%d %H:%M"),
        "load": [round(a, 2) for a in os.getloadavg()],
    }


def _processor() -> str:
    """Its name, and the widest vectors that it says it has."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        fields = dict(reversed([[part.strip() for part in line.split(":", 1)] for line in lines if ":" in line]))
        flags = fields.get("flags", "").split()
        vectors = next((v for v in ("avx512f", "avx2", "avx") if v in flags), "")
        return f"{fields['model name']}, family {fields['cpu family']} model {fields['model']}, {vectors}"
    except (OSError, KeyError):
        return platform.processor() or platform.machine()


def rates(where: int | str, seconds: float) -> dict[str, float]:
    """{"sgemm": operations a second, "copy": bytes read and written a second} with so many threads, or on the
    "device", in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.machine", str(where), str(seconds)]
    variables = environment(1 if where == "device" else where, ours=False)
    done = subprocess.run(command, cwd=ROOT, env=variables, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)


def _measure(where: str, seconds: float) -> dict[str, float]:
    import numpy as np

    def best(run: Callable[[], Any], timed: Callable = timed) -> float:
        taken, end = [], time.perf_counter() + seconds / 2
        while time.perf_counter() < end or len(taken) < 5:
            taken.append(timed(run)[1])
        return min(taken)

    n, words = (4096, 1 << 27) if where == "device" else (1024, 1 << 25)  # 512 MB; 128 MB
    a, b, c = (np.full((n, n), 0.5, np.float32) for _ in range(3))
    source, target = np.zeros(words, np.float32), np.zeros(words, np.float32)
    if where == "device":
        from minigen import backend

        backend.use("cupy")
        a, b, c, source, target = map(backend.asarray, (a, b, c, source, target))
        copying = best(lambda: np.copyto(target, source), backend.timed)
        return _rates(n, best(lambda: np.matmul(a, b, out=c), backend.timed), source.nbytes, copying)
    threads = int(where)
    ends = [words * i // threads for i in range(threads + 1)]
    with ThreadPoolExecutor(threads) as pool:
        copy = lambda i: np.copyto(target[ends[i] : ends[i + 1]], source[ends[i] : ends[i + 1]])
        copying = best(lambda: list(pool.map(copy, range(threads))))
    return _rates(n, best(lambda: np.matmul(a, b, out=c)), source.nbytes, copying)


def _rates(n: int, multiplying: float, size: int, copying: float) -> dict[str, float]:
    return {"sgemm": 2 * n**3 / multiplying, "copy": 2 * size / copying}


if __name__ == "__main__":
    print(json.dumps(_measure(sys.argv[1], float(sys.argv[2]))))
