"""Loops dealt out to threads: every tile is done once, whatever happens to the threads."""

import os
import threading
import time

import numpy as np
import pytest
from numba import njit

from minigen.kernels.cpu import threads
from minigen.kernels.cpu.blas import scipys
from minigen.kernels.cpu.threads import share, workspace

F = np.dtype("f4")


@pytest.fixture(autouse=True)
def several(monkeypatch):
    """As many threads as a test asks for, and none left over from another."""
    monkeypatch.setattr(threads, "_helpers", [])
    monkeypatch.setattr(threads, "get_num_threads", lambda: 3)
    return lambda n: monkeypatch.setattr(threads, "get_num_threads", lambda: n)


@njit(nogil=True)
def count(first, last, scratch, seen):
    for i in range(first, last):
        seen[i] += 1


@pytest.mark.parametrize("n", [1, 2, 3, 5])
@pytest.mark.parametrize("pause", [0, 2e-3])
def test_every_tile_is_done_once(n, pause, several):
    several(n)
    for tiles in (1, 2, 7, 1000):
        seen = np.zeros(tiles, np.int64)
        for k in range(1, 20):
            share(count, tiles, 0, F, seen)
            assert (seen == k).all()
            time.sleep(pause)  # long enough for the others to fall asleep


def test_no_thread_gets_less_than_it_is_worth():
    calls = []
    share(lambda first, last, scratch: calls.append((first, last)), 10, 0, F, least=5)
    assert sorted(calls) == [(0, 5), (5, 10)]
    calls.clear()
    share(lambda first, last, scratch: calls.append((first, last)), 9, 0, F, least=5)
    assert calls == [(0, 9)]


def test_each_thread_has_scratch_memory_of_its_own():
    rows = share(lambda first, last, scratch: scratch.fill(first), 3, 8, F)
    np.testing.assert_array_equal(rows[:, 0], [0, 1, 2])
    held = workspace(2, 100, F)
    assert workspace(1, 50, F) is held


@pytest.mark.parametrize("where", [0, 1, 2])
def test_what_goes_wrong_in_a_thread_is_raised_when_all_are_done(where):
    done = []

    def wrong(first, last, scratch):
        if first == where:
            raise ZeroDivisionError("here")
        time.sleep(0.01)
        done.append(first)

    for _ in range(2):
        done.clear()
        with pytest.raises(ZeroDivisionError, match="here"):
            share(wrong, 3, 0, F)
        assert sorted(done) == sorted({0, 1, 2} - {where})
    seen = np.zeros(9, np.int64)
    share(count, 9, 0, F, seen)
    assert (seen == 1).all()


def test_an_interrupt_waits_for_the_other_threads():
    finished = []

    def slow(first, last, scratch):
        if first == 0:
            raise KeyboardInterrupt
        time.sleep(0.02)
        finished.append(first)

    with pytest.raises(KeyboardInterrupt):
        share(slow, 3, 0, F)
    assert sorted(finished) == [1, 2]


def test_several_callers_at_once():
    """One of them has the helpers, the others do their loops alone."""
    seen = [np.zeros(200, np.int64) for _ in range(4)]

    def caller(mine):
        for _ in range(50):
            share(count, 200, 0, F, mine)

    callers = [threading.Thread(target=caller, args=(mine,)) for mine in seen]
    for thread in callers:
        thread.start()
    for thread in callers:
        thread.join()
    assert all((mine == 50).all() for mine in seen)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_starts_its_own_threads():
    seen = np.zeros(30, np.int64)
    share(count, 30, 0, F, seen)
    child = os.fork()
    if child == 0:
        share(count, 30, 0, F, seen)
        os._exit(0 if (seen == 2).all() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert (seen == 1).all()


@pytest.mark.skipif(not threads.PLACES, reason="CPUs have no numbers here")
def test_a_helper_leaves_the_cpu_of_its_caller():
    allowed = os.sched_getaffinity(0)
    here = threads._cpu()
    assert here in allowed
    if len(allowed) == 1:
        threads._leave(here)  # nowhere to go
        assert os.sched_getaffinity(0) == allowed
        return
    after = []

    def leave():
        threads._leave(here)
        after.extend([threads._cpu(), os.sched_getaffinity(0)])

    thread = threading.Thread(target=leave)
    thread.start()
    thread.join()
    assert after[0] in allowed - {here} and after[1] == allowed


def test_blas_has_one_thread_in_a_loop_and_gets_its_own_back(monkeypatch):
    if scipys.threads is None:
        pytest.skip("a BLAS that needs no telling")
    before, inside = scipys.threads, []
    scipys._set(2)
    try:
        share(lambda first, last, scratch: inside.append(scipys.threads), 3, 0, F)
        assert inside == [1, 1, 1] and scipys.threads == 2
    finally:
        scipys._set(before)


@pytest.mark.skipif(not hasattr(time, "pthread_getcpuclockid"), reason="no clocks of threads")
def test_idle_helpers_sleep():
    share(count, 9, 0, F, np.zeros(9, np.int64))
    clocks = [time.pthread_getcpuclockid(helper.ident) for helper in threads._helpers]
    time.sleep(0.05)
    before = [time.clock_gettime(clock) for clock in clocks]
    time.sleep(0.05)
    assert len(clocks) == 2 and [time.clock_gettime(clock) for clock in clocks] == before
