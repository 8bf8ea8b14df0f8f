"""NumPy's large arrays begin with a line of the cache, and live and die as others do."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from minigen.kernels.cpu import memory

needs_glibc = pytest.mark.skipif(not memory.KNOWN, reason="no glibc, or nothing compiled")


def starts(arrays):
    return {a.ctypes.data % memory.LINE for a in arrays}


@needs_glibc
def test_large_arrays_begin_with_a_line(rng):
    made = [rng.standard_normal(n, np.float32) for n in range(memory.LARGE // 4, 20_000, 997)]
    made += [made[0] + 1, np.empty((3, 70, 71)), made[-1].reshape(-1, 1) @ np.ones((1, 3), np.float32)]
    assert starts(made) == {0}
    assert memory.align() is None  # a second time nothing changes
    assert starts([np.empty(5000)]) == {0}


def test_arrays_grow_shrink_and_travel(rng):
    for n in (10, 1000, 5000, 300_000):  # about both of NumPy's ways to allocate
        a = rng.standard_normal(n)
        kept = a.copy()
        a.resize(3 * n, refcheck=False)
        np.testing.assert_array_equal(a, np.concatenate([kept, np.zeros(2 * n)]))
        a.resize(n // 2, refcheck=False)
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(a)), kept[: n // 2])


@needs_glibc
def test_a_process_ends_well_with_arrays_alive():
    code = (
        "import sys, threading, numpy as np; early = np.ones(10**6)\n"
        "import minigen.kernels.cpu\n"
        "sys.kept = [np.ones(n) for n in (3, 3000, 10**6)]\n"  # freed after all modules
        "t = threading.Thread(target=lambda: sys.kept.append(np.ones(10**6) + early)); t.start(); t.join()\n"
        "del early; print(sum(a.sum() for a in sys.kept))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout.strip()) == (0, "3003003.0"), done.stderr


def held():
    """Bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


@needs_glibc
def test_memory_is_given_back():
    """A thousand times 8 MB do not pile up."""
    before = held()
    for _ in range(1000):
        np.empty(1 << 20)[::512] = 1
    assert held() - before < 100e6
