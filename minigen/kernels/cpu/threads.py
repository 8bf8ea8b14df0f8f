"""Threads for compiled loops: a loop over tiles is dealt out to this thread and to others that wait for it.

The threads are Python's, but a loop is asked for, begun and ended without the interpreter: what it needs is left in
memory with the address of its machine code, and a number is raised that the other thread looks at. That takes less
than 1 µs. (Numba's own ``parallel=True`` takes three times as long to compile.)

A thread that is woken from sleep comes 100 µs late, and later where other programs want its CPU: as long as many a loop
takes. So a thread that is done looks for its next loop for a while, and only then goes to sleep; and who asks for a
loop does not wait for threads that have not begun their part when its own is done, but does theirs as well. Sleep is
the system's, not Python's: a thread that wakes up into the interpreter holds it, while the one that woke it is done
with its loop and wants it back. That took milliseconds.

A thread that is woken may be put on the CPU of the one that woke it, and both stay there for hundreds of loops while
another CPU is idle: Linux was seen to do so. Then it moves away.
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from types import FunctionType
from typing import Any

import llvmlite.binding
import numba
import numpy as np
from llvmlite import ir
from numba import jit, njit, types
from numba.core import cgutils
from numba.core.caching import NullCache
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array

from .blas import ONE, address, compiled_once, limit

__all__ = ["available", "share", "workspace"]

numba.get_num_threads()  # which first has Numba load what counts its threads
# The function behind it, without the locks with which it looks whether that is done: they take 1 µs, and 20 µs when a
# large loop has just filled the caches.
get_num_threads = ctypes.PYFUNCTYPE(ctypes.c_int)(llvmlite.binding.address_of_symbol("get_num_threads"))

PATIENCE = 60_000  # looks, some 2 ms: longer than what lies between two loops of a training step
POSIX = os.name == "posix"
PLACES = sys.platform == "linux"

# What stands in the memory between a helper and its caller. Each side writes to lines of the cache of its own, but for
# TAKEN, the number of the last loop that one of the two has taken on.
ASKED, FUNCTION, DATA, FIRST, LAST, PART, CPU, DONE, FAILED, NEAR, ASLEEP = 0, 1, 2, 3, 4, 5, 6, 16, 17, 18, 19
TAKEN, LOCK, BELL, SIZE = 32, 48, 64, 80  # LOCK and BELL are the system's, of 64 bytes at most
OFTEN = 1_000  # looks after which a helper that has nothing to do asks where it is


# -- what Numba cannot say ---------------------------------------------------------------------------------------------


def _place(builder: Any, address: Any, index: Any) -> Any:
    number = ir.IntType(64)
    return builder.inttoptr(builder.add(address, builder.mul(index, ir.Constant(number, 8))), number.as_pointer())


@intrinsic
def _look(typing, box, index):
    """The number at a place. All threads see all looks and tells in one order."""

    def build(context, builder, signature, arguments):
        return builder.load_atomic(_place(builder, *arguments), "seq_cst", 8)

    return types.intp(types.intp, types.intp), build


@intrinsic
def _rest(typing):
    """A moment in which a processor that runs two threads runs the other"""

    def build(context, builder, signature, arguments):
        if platform.machine().lower() in ("x86_64", "amd64"):
            pause = ir.FunctionType(ir.VoidType(), [])
            builder.call(cgutils.get_or_insert_function(builder.module, pause, "llvm.x86.sse2.pause"), [])
        return context.get_dummy_value()

    return types.void(), build


@intrinsic
def _tell(typing, box, index, number):
    """Write a number; whoever sees it sees what was written before."""

    def build(context, builder, signature, arguments):
        builder.store_atomic(arguments[2], _place(builder, *arguments[:2]), "seq_cst", 8)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, types.intp), build


@intrinsic
def _take(typing, box, n):
    """Take on loop n, unless the other side has. Is it ours?"""

    def build(context, builder, signature, arguments):
        box, n = arguments
        place = _place(builder, box, ir.Constant(ir.IntType(64), TAKEN))
        before = builder.sub(n, ir.Constant(ir.IntType(64), 1))
        return builder.extract_value(builder.cmpxchg(place, before, n, "seq_cst", "seq_cst"), 1)

    return types.boolean(types.intp, types.intp), build


def _lent(context: Any, builder: Any, kind: Any, value: Any) -> Any:
    """A value whose arrays have no owner. Else every slice in a loop would count the owner's references up and down,
    and threads would wait for each other's count: attention took half as long again."""
    if isinstance(kind, types.BaseTuple):
        for i, part in enumerate(kind):
            lent = _lent(context, builder, part, builder.extract_value(value, i))
            value = builder.insert_value(value, lent, i)
    elif isinstance(kind, types.Array):
        array = context.make_array(kind)(context, builder, value)
        array.meminfo = array.parent = context.get_constant_null(types.pyobject)
        value = array._getvalue()
    return value


def _row(context: Any, builder: Any, kind: Any, rows: Any, i: Any) -> Any:
    """rows[i], as an array without an owner"""
    whole = context.make_array(kind)(context, builder, rows)
    row = context.make_array(kind.copy(ndim=1))(context, builder)
    shape, strides = (cgutils.unpack_tuple(builder, a) for a in (whole.shape, whole.strides))
    start = cgutils.pointer_add(builder, whole.data, builder.mul(i, strides[0]))
    populate_array(row, start, shape[1:], strides[1:], whole.itemsize, None)
    return row._getvalue()


@intrinsic
def _packed(typing, function, rows, arguments):
    """(address of code, address of data): with these two numbers `_call` calls function(first, last, rows[i],
    *arguments). The data lie in the memory of the function that asks, and are gone when it returns."""
    target = function.get_call_type(typing, (types.intp, types.intp, rows.copy(ndim=1), *arguments), {})

    def build(context, builder, signature, values):
        call, kind = context.call_conv, _kind(context)
        code = ir.Function(builder.module, kind, f"{builder.function.name}.part")
        code.linkage = "internal"
        inside = ir.IRBuilder(code.append_basic_block("entry"))
        data = _lent(context, builder, types.Tuple([rows, arguments]), cgutils.pack_struct(builder, values[1:]))
        address, first, last, i = call.get_arguments(code)
        held, unpacked = cgutils.unpack_tuple(inside, inside.load(inside.inttoptr(address, data.type.as_pointer())))
        implementation = context.get_function(function, target)
        row = _row(context, inside, rows, held, i)
        implementation(inside, [first, last, row, *cgutils.unpack_tuple(inside, unpacked)])
        context.add_linking_libs(getattr(implementation, "libs", ()))
        call.return_value(inside, context.get_constant(types.intp, 0))
        kept = cgutils.alloca_once_value(builder, data)
        return cgutils.pack_array(builder, [builder.ptrtoint(at, ir.IntType(64)) for at in (code, kept)])

    return types.UniTuple(types.intp, 2)(function, rows, arguments), build


@intrinsic
def _call(typing, code, data, first, last, i):
    """Call what `_packed` packed. Did it fail?"""

    def build(context, builder, signature, arguments):
        code = builder.inttoptr(arguments[0], _kind(context).as_pointer())
        status, _ = context.call_conv.call_function(builder, code, types.intp, [types.intp] * 4, arguments[1:])
        return builder.zext(status.is_error, ir.IntType(64))

    return types.intp(*[types.intp] * 5), build


def _kind(context: Any) -> Any:
    return context.call_conv.get_function_type(types.intp, [types.intp] * 4)


# -- the two sides -----------------------------------------------------------------------------------------------------


@njit(nogil=True, cache=True)
def _nothing(*_):
    return -1


def _of_posix(name, arguments):
    """A function of the system on addresses, which does nothing where the system is another"""
    return types.ExternalFunction(name, types.intc(*[types.intp] * arguments)) if POSIX else _nothing


_yield = _of_posix("sched_yield", 0)
_mutex_init, _cond_init = _of_posix("pthread_mutex_init", 2), _of_posix("pthread_cond_init", 2)
_lock, _unlock = _of_posix("pthread_mutex_lock", 1), _of_posix("pthread_mutex_unlock", 1)
_wait, _ring = _of_posix("pthread_cond_wait", 2), _of_posix("pthread_cond_signal", 1)
_sched_getcpu = types.ExternalFunction("sched_getcpu", types.intc()) if PLACES else _nothing


@njit(nogil=True, cache=True)
def _cpu():
    """The number of the CPU that this thread runs on; −1 where nobody says."""
    return _sched_getcpu()


@njit(nogil=True, cache=True)
def _make_bell(box):
    _mutex_init(box + 8 * LOCK, 0)
    _cond_init(box + 8 * BELL, 0)


@njit(nogil=True, cache=True)
def _sleep(box, n):
    """Until a loop after loop n is asked for"""
    _lock(box + 8 * LOCK)
    _tell(box, ASLEEP, 1)  # said before looking, as the other side looks after asking
    while _look(box, ASKED) == n:
        _wait(box + 8 * BELL, box + 8 * LOCK)
    _tell(box, ASLEEP, 0)
    _unlock(box + 8 * LOCK)


@njit(nogil=True, cache=True)
def _wake(box):
    if _look(box, ASLEEP):
        _lock(box + 8 * LOCK)
        _ring(box + 8 * BELL)
        _unlock(box + 8 * LOCK)


@njit(nogil=True, cache=True)
def _serve(box, n, places, posix):
    """Do the loops after loop n as they are asked for, and sleep when none comes for a while. Returns the number of the
    last one, when this thread is to move to another CPU, or where it cannot sleep here."""
    looks = 0
    while True:
        looks += 1
        asked = _look(box, ASKED)
        if asked == n:
            _rest()
            if places and looks % OFTEN == 0 and _look(box, CPU) == _sched_getcpu():
                break
            if looks == PATIENCE:
                if not posix:
                    return n
                _sleep(box, n)
                looks = 0
            continue
        looks, n = 0, asked
        if _take(box, n):
            part = _look(box, FIRST), _look(box, LAST), _look(box, PART)
            failed = _call(_look(box, FUNCTION), _look(box, DATA), *part)
            _tell(box, FAILED, failed)
            near = places and _look(box, CPU) == _sched_getcpu()
            _tell(box, DONE, n)
            if near:
                break
    _tell(box, NEAR, 1)
    return n


def _deal(boxes, threads, count, places, alone, code, data):
    """The tiles 0 … count: some for the helper behind each box, some for this thread, which also does what is a
    helper's while that one is still on its way. Did any fail? `boxes` is the address of those of the helpers. `alone`:
    another loop has the helpers, and gives BLAS its threads back."""
    before = ONE if alone else limit(ONE)
    for i in range(1, threads):
        box = _look(boxes, i - 1)
        _tell(box, FUNCTION, code)
        _tell(box, DATA, data)
        _tell(box, FIRST, i * count // threads)
        _tell(box, LAST, (i + 1) * count // threads)
        _tell(box, PART, i)
        if places:
            _tell(box, CPU, _sched_getcpu())
        _tell(box, ASKED, _look(box, ASKED) + 1)
        _wake(box)
    failed = _call(code, data, 0, count // threads, 0)
    for i in range(1, threads):
        box = _look(boxes, i - 1)
        n = _look(box, ASKED)
        if _take(box, n):
            failed += _call(code, data, i * count // threads, (i + 1) * count // threads, i)
            continue
        looks = 0
        while _look(box, DONE) != n:
            looks += 1
            if looks < PATIENCE:
                _rest()
            else:  # there may be fewer processors than threads
                _yield()
        failed += _look(box, FAILED)
    if not alone:
        limit(before)
    return failed


_deal_out = compiled_once("minigen_deal", _deal, 7)


def _dealt_out(boxes, count, places, alone, rows, *arguments):
    """`function` stands among the globals of a copy, see `_compiled`."""
    code, data = _packed(function, rows, arguments)  # noqa: F821
    return _deal_out(address(boxes), boxes.size + 1, count, places, alone, code, data) != 0


@cache
def _compiled(function: Callable) -> Callable:
    """`_dealt_out` for one function, kept on the disk beside it: Numba keeps nothing that is handed a function."""
    written, kept = function.py_func, not isinstance(function._cache, NullCache)
    inside = jit(**function.targetoptions, no_cpython_wrapper=True, no_cfunc_wrapper=True)(written)
    place = {name: getattr(written.__code__, name) for name in ("co_filename", "co_firstlineno")}
    copy = FunctionType(_dealt_out.__code__.replace(**place), {**globals(), "function": inside}, _dealt_out.__name__)
    copy.__module__, copy.__qualname__ = written.__module__, f"{written.__qualname__}.{copy.__name__}"
    return njit(nogil=True, cache=kept)(copy)


def _leave(cpu: int) -> None:
    """Move this thread to another CPU, if there is one that it may use; later the system moves it as it likes."""
    allowed = os.sched_getaffinity(0)
    if allowed - {cpu}:
        with suppress(OSError):  # they may have been taken away meanwhile
            os.sched_setaffinity(0, allowed - {cpu})
            os.sched_setaffinity(0, allowed)


class _Helper(threading.Thread):
    """A thread that does one loop after another, as their numbers go up: asked for by its caller, taken by either side,
    done by this one."""

    def __init__(self) -> None:
        super().__init__(name="minigen", daemon=True)
        self._numbers = np.zeros(SIZE, np.int64)
        self._numbers[CPU] = -1  # nobody has asked yet
        self.box = self._numbers.ctypes.data
        _make_bell(self.box)
        self.start()

    def run(self) -> None:
        n = 0
        while True:
            n = _serve(self.box, n, PLACES and len(os.sched_getaffinity(0)) > 1, POSIX)
            if self._numbers[NEAR]:
                self._numbers[NEAR] = 0
                _leave(int(self._numbers[CPU]))
            else:
                time.sleep(1e-3)


_local = threading.local()
_helpers: list[_Helper] = []
_NOBODY = np.empty(0, np.int64)  # no boxes
_busy = threading.Lock()  # one loop at a time has the helpers; another does without


@cache
def _crew(count: int) -> np.ndarray:
    """The boxes of so many helpers"""
    while len(_helpers) < count:
        _helpers.append(_Helper())
    return np.array([helper.box for helper in _helpers[:count]], np.int64)


def _forget() -> None:
    global _busy
    _helpers.clear()
    _crew.cache_clear()
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

    `function` is compiled, gives nothing back and lets nothing go wrong but for lack of memory. No thread gets less
    than `least` tiles, unless there are fewer. Returns the scratch memory, one row per thread that took part. BLAS has
    one thread meanwhile; beside another loop, as many as that one leaves it.
    """
    alone = not _busy.acquire(blocking=False)
    try:
        threads = 1 if alone or count < 2 * least else min(available(), count // least)
        rows = workspace(threads, scratch, dtype)[:threads]
        boxes = _crew(threads - 1) if threads > 1 else _NOBODY
        failed = _compiled(function)(boxes, count, PLACES, alone, rows, *arguments)
    finally:
        if not alone:
            _busy.release()
    if failed:
        raise MemoryError(f"{function.__name__}: a compiled loop failed, which only a lack of memory can make it do.")
    return rows
