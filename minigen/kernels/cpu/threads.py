"""Threads for compiled loops: a loop over tiles is dealt out to this thread and to others that wait for it.

The threads are Python's: a compiled function lets go of the interpreter while it runs. That compiles in a third of the
time of Numba's own ``parallel=True``. A thread that is woken from sleep comes some 100 µs late, as long as many a loop
takes. So a thread that is done looks for its next loop for a while, and only then goes to sleep. And a thread
that is woken may be put on the CPU of the one that woke it, and both stay there for hundreds of loops while another CPU
is idle: Linux was seen to do so. Then it moves away.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

import numpy as np
from numba import config, get_num_threads, njit, types

from .blas import scipys

__all__ = ["available", "share", "workspace"]

LOOKS = os.name == "posix" and not config.DISABLE_JIT
PATIENCE = 2000  # looks, each some 0.1 µs
GRACE = 30  # looks that leave the caller time to let go of the interpreter: who finds it held falls asleep
PLACES = LOOKS and sys.platform == "linux"
_pause = types.ExternalFunction("getppid", types.intc())  # any short call: after it, memory is read again
_sched_getcpu = types.ExternalFunction("sched_getcpu", types.intc())


@njit(nogil=True, cache=True)
def _tell_and_look(done, asked, n):
    """Say that loop n is done, then wait for the next. Has it come?"""
    done[0] = n
    for _ in range(PATIENCE):
        if asked[0] != n:
            for _ in range(GRACE):
                _pause()
            return True
        _pause()
    return False


@njit(nogil=True, cache=True)
def _look(done, n):
    """Wait for the end of loop n. Has it come?"""
    for _ in range(PATIENCE):
        if done[0] == n:
            return True
        _pause()
    return False


@njit(nogil=True, cache=True)
def _cpu():
    """The number of the CPU that this thread runs on."""
    return _sched_getcpu()


def _leave(cpu: int) -> None:
    """Move this thread to another CPU, if there is one that it may use; later the system moves it as it likes."""
    allowed = os.sched_getaffinity(0)
    if allowed - {cpu}:
        os.sched_setaffinity(0, allowed - {cpu})
        os.sched_setaffinity(0, allowed)


class _Helper(threading.Thread):
    """A thread that does one loop after another: n are asked for, n are done, each counted by one side only."""

    def __init__(self) -> None:
        super().__init__(name="minigen", daemon=True)
        counts = np.zeros((2, 16), np.int64)  # 128 bytes each: no line of the cache is written by both sides
        self._asked, self._done = counts
        self._job: tuple[Callable, tuple] | None = None
        self._error: BaseException | None = None
        self._bell: SimpleQueue[None] = SimpleQueue()
        self._asleep = False
        self._caller = -1
        self.start()

    def ask(self, function: Callable, *arguments: Any) -> None:
        self._job = function, arguments
        self._caller = _cpu() if PLACES else -1
        self._asked[0] += 1
        if self._asleep:
            self._bell.put(None)

    def wait(self) -> BaseException | None:
        """Returns when nothing is left to do, with what went wrong."""
        n = self._asked[0]
        while not (_look(self._done, n) if LOOKS else self._done[0] == n):
            time.sleep(5e-5)
        return self._error

    def run(self) -> None:
        n = 0
        while True:
            if LOOKS:
                _tell_and_look(self._done, self._asked, n)
            self._done[0] = n
            self._asleep = True
            while self._asked[0] == n:  # the bell may have been rung for the loop before
                self._bell.get()
            self._asleep = False
            n = int(self._asked[0])
            if PLACES and self._caller == _cpu():
                _leave(self._caller)
            (function, arguments), self._job, self._error = self._job, None, None
            try:
                function(*arguments)
            except BaseException as error:
                self._error = error


_local = threading.local()
_helpers: list[_Helper] = []
_busy = threading.Lock()  # one loop at a time has the helpers; another does without


def _forget() -> None:
    global _busy
    _helpers.clear()
    _busy = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def available() -> int:
    """How many threads a loop can be dealt out to."""
    return get_num_threads()


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
    threads = max(min(available(), count // least), 1)
    if threads > 1 and not _busy.acquire(blocking=False):
        threads = 1
    rows = workspace(threads, scratch, dtype)[:threads]
    if threads == 1:
        with scipys:
            function(0, count, rows[0], *arguments)
        return rows
    try:
        while len(_helpers) < threads - 1:
            _helpers.append(_Helper())
        ends = [thread * count // threads for thread in range(threads + 1)]
        with scipys:
            try:
                for i in range(1, threads):
                    _helpers[i - 1].ask(function, ends[i], ends[i + 1], rows[i], *arguments)
                function(0, ends[1], rows[0], *arguments)
            finally:
                errors = [helper.wait() for helper in _helpers[: threads - 1]]
    finally:
        _busy.release()
    for error in filter(None, errors):
        raise error
    return rows
