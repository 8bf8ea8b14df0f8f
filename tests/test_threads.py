"""Loops dealt out to threads: every tile is done once, whatever happens to the threads."""

import functools
import os
import signal
import threading
import time

import numpy as np
import pytest
from llvmlite import ir
from numba import njit, types
from numba.core.errors import TypingError
from numba.extending import intrinsic

from minigen.kernels.cpu import threads
from minigen.kernels.cpu.blas import limit
from minigen.kernels.cpu.threads import share, workspace

F = np.dtype("f4")


@pytest.fixture(autouse=True)
def several(monkeypatch):
    """As many threads as a test asks for, and none left over from another."""
    monkeypatch.setattr(threads, "_helpers", [])
    monkeypatch.setattr(threads, "_crew", functools.cache(threads._crew.__wrapped__))
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


@njit(nogil=True)
def note(first, last, scratch, ends):
    ends[first] = last


def test_no_thread_gets_less_than_it_is_worth():
    for tiles, expected in ((10, {0: 5, 5: 10}), (9, {0: 9})):
        ends = np.zeros(tiles, np.int64)
        share(note, tiles, 0, F, ends, least=5)
        assert {i: end for i, end in enumerate(ends) if end} == expected


@njit(nogil=True)
def fill(first, last, scratch):
    scratch[:] = first


def test_each_thread_has_scratch_memory_of_its_own():
    rows = share(fill, 3, 8, F)
    np.testing.assert_array_equal(rows[:, 0], [0, 1, 2])
    held = workspace(2, 100, F)
    assert workspace(1, 50, F) is held


@njit(nogil=True)
def slow(first, last, scratch, wrong, done):
    """Some 50 ms: one division after the other"""
    if first == wrong:
        raise ValueError("here")
    x = 1.0
    for _ in range(10_000_000):
        x = 1 / (1 + x)
    done[first] = x > 0


@pytest.mark.parametrize("where", [0, 1, 2])
def test_what_goes_wrong_in_a_thread_is_raised_when_all_are_done(where):
    for _ in range(2):
        done = np.zeros(3, np.int64)
        with pytest.raises(MemoryError, match="slow: a compiled loop failed"):
            share(slow, 3, 0, F, where, done)
        assert set(np.flatnonzero(done)) == {0, 1, 2} - {where}
    seen = np.zeros(9, np.int64)
    share(count, 9, 0, F, seen)
    assert (seen == 1).all()


def test_after_a_loop_that_cannot_be_compiled_others_are_done():
    with pytest.raises(TypingError):
        share(count, 9, 0, F, "no array")
    seen = np.zeros(9, np.int64)
    assert len(share(count, 9, 0, F, seen)) == 3  # on all threads
    assert (seen == 1).all()


@njit(nogil=True)
def parts(first, last, scratch, seen, failing):
    """As `count`, and the scratch memory tells which part had it"""
    for i in range(first, last):
        seen[i] += 1
    scratch[0] = first
    if first == failing:
        raise ValueError("here")


def test_who_asks_does_not_wait_for_a_helper_that_does_not_come(monkeypatch):
    monkeypatch.setattr(threads._Helper, "run", lambda self: None)
    seen = np.zeros(9, np.int64)
    for k in range(1, 4):
        rows = share(parts, 9, 1, F, seen, -1)
        assert (seen == k).all()
        np.testing.assert_array_equal(rows[:, 0], [0, 3, 6])
    for failing in (0, 3, 6):
        with pytest.raises(MemoryError):
            share(parts, 9, 1, F, seen, failing)


def test_helpers_that_cannot_sleep_as_the_system_does(monkeypatch):
    monkeypatch.setattr(threads, "POSIX", False)
    for k in range(1, 5):
        done = np.zeros(3, np.int64)
        share(slow, 3, 0, F, -1, done)
        assert done.all()
        time.sleep(1e-2 * k)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers")
def test_an_interrupt_waits_for_all_threads():
    def interrupt(*_):
        raise KeyboardInterrupt

    done = np.zeros(3, np.int64)
    share(slow, 3, 0, F, -1, done)
    done[:] = 0
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            signal.setitimer(signal.ITIMER_REAL, 0.005)
            share(slow, 3, 0, F, -1, done)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert done.all()


@intrinsic
def owner(typing, a):
    """The address of what counts the references to an array, 0 for none"""

    def build(context, builder, signature, arguments):
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        return builder.ptrtoint(array.meminfo, ir.IntType(64))

    return types.intp(a), build


@njit(nogil=True)
def owners(first, last, scratch, found, nested):
    found[first] = owner(found) | owner(nested[0]) | owner(nested[1][0]) | owner(scratch)


@njit
def owner_of(a):
    return owner(a)


def test_arrays_have_no_owner_in_a_loop():
    """Else each slice would count its references, and threads wait for each other's count."""
    found, other = np.full(3, -1), np.zeros(4)
    assert owner_of(found) != 0
    share(owners, 3, 4, F, found, (other, (other,)))
    assert not found.any()


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


@njit(nogil=True)
def look(first, last, scratch, seen):
    for i in range(first, last):
        seen[i] = limit(1)


def test_blas_has_one_thread_in_all_threads_of_a_loop_and_gets_its_own_back():
    before, seen = limit(2), np.zeros(9, np.int64)
    try:
        if limit(2) == 1:
            pytest.skip("a BLAS that needs no telling")
        share(look, 9, 0, F, seen)
        assert (seen == 1).all() and limit(2) == 2
    finally:
        limit(before)


@njit(nogil=True)
def end_another(first, last, scratch):
    limit(2)


def test_a_loop_beside_another_does_not_give_blas_what_that_one_told_it():
    before = limit(1)
    try:
        with threads._busy:  # another loop runs, and ends in the middle of this one
            share(end_another, 1, 0, F)
        told, set_here = limit(2), limit(2)
        if set_here == 1:
            pytest.skip("a BLAS that needs no telling")
        assert told == 2
    finally:
        limit(before)


@pytest.mark.skipif(not hasattr(time, "pthread_getcpuclockid"), reason="no clocks of threads")
def test_idle_helpers_sleep():
    """They look for a new loop for some milliseconds of their own time, then use none."""
    share(count, 9, 0, F, np.zeros(9, np.int64))
    clocks = [time.pthread_getcpuclockid(helper.ident) for helper in threads._helpers]

    def used():
        return [time.clock_gettime(clock) for clock in clocks]

    assert len(clocks) == 2
    first = before = used()
    for _ in range(100):  # on a busy machine those milliseconds come late
        time.sleep(0.05)
        now, before = before, used()
        if now == before:
            break
    assert now == before and max(b - a for a, b in zip(first, before)) < 0.1
