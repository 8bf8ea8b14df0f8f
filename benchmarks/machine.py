"""What this machine is, and how fast it multiplies and copies: ``python -m benchmarks.machine THREADS`` prints JSON."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path
from typing import Any

from .worker import ROOT, environment


def describe() -> dict[str, Any]:
    packages = ("numpy", "numba", "scipy", "torch", "autograd", "dezero")
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


def rates(threads: int, seconds: float) -> dict[str, float]:
    """{"sgemm": operations a second, "copy": bytes read and written a second} with so many threads, in a process of
    its own."""
    command = [sys.executable, "-m", "benchmarks.machine", str(threads), str(seconds)]
    done = subprocess.run(
        command, cwd=ROOT, env=environment(threads, ours=False), check=True, capture_output=True, text=True
    )
    return json.loads(done.stdout)


def _measure(threads: int, seconds: float) -> dict[str, float]:
    import numpy as np

    n, words = 1024, 1 << 25  # 128 MB
    a, b, c = (np.full((n, n), 0.5, np.float32) for _ in range(3))
    source, target = np.zeros(words, np.float32), np.zeros(words, np.float32)
    ends = [words * i // threads for i in range(threads + 1)]

    def best(run: Any) -> float:
        taken, end = [], time.perf_counter() + seconds / 2
        while time.perf_counter() < end or len(taken) < 5:
            begin = time.perf_counter()
            run()
            taken.append(time.perf_counter() - begin)
        return min(taken)

    with ThreadPoolExecutor(threads) as pool:
        copy = lambda i: np.copyto(target[ends[i] : ends[i + 1]], source[ends[i] : ends[i + 1]])
        seconds_of_copy = best(lambda: list(pool.map(copy, range(threads))))
    return {"sgemm": 2 * n**3 / best(lambda: np.matmul(a, b, out=c)), "copy": 2 * source.nbytes / seconds_of_copy}


if __name__ == "__main__":
    print(json.dumps(_measure(int(sys.argv[1]), float(sys.argv[2]))))
