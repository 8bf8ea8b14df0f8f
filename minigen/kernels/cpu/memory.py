"""NumPy's large arrays begin with a line of the cache.

They begin 16 bytes after one, and each a little elsewhere, as malloc leaves them. Then every vector of 64 bytes lies
across two lines. And a loop that reads x and writes y slows down to a third when y lies just behind x modulo 4096
bytes, as two arrays of 2^n bytes do: the processor takes what it reads next for what it has just written. A training
step of GPT takes a tenth less time with arrays that are aligned.

NumPy lets its allocator be exchanged (NEP 49), by C programs; so the functions are looked up in its table of them.
"""

from __future__ import annotations

import ctypes
import sys

import numpy as np
from numba import cfunc, types

__all__ = ["align"]

LINE = 64  # bytes
LARGE = 1 << 14  # bytes, from which an array is aligned
KNOWN = sys.platform == "linux" and hasattr(ctypes.CDLL(None), "gnu_get_libc_version")
SET_HANDLER, GET_HANDLER = 304, 305  # places in NumPy's table of functions, the same in all its versions since 1.22

_malloc = types.ExternalFunction("malloc", types.uintp(types.uintp))
_memalign = types.ExternalFunction("memalign", types.uintp(types.uintp, types.uintp))
_free = types.ExternalFunction("free", types.void(types.uintp))


class _Handler(ctypes.Structure):
    """NumPy's PyDataMem_Handler, version 1. What a function does with memory, it does with `context` at hand."""

    _fields_ = [
        ("name", ctypes.c_char * 127), ("version", ctypes.c_uint8),
        *((name, ctypes.c_void_p) for name in ("context", "malloc", "calloc", "realloc", "free")),
    ]  # fmt: skip


def _allocate(context, size):
    """malloc with LINE in mind. What memalign takes is more than it leaves when it is freed, so that the next array of
    that size finds no room there: memory grew by half. Blocks that take whole lines, 16 bytes of their header included,
    leave room that begins with a line; memalign is for where that is not so."""
    if size < LARGE:
        return _malloc(size)
    size = (size + 15) // LINE * LINE + LINE - 16
    address = _malloc(size)
    if address % LINE:
        _free(address)
        address = _memalign(LINE, size)
    return address


def align() -> None:
    """From now on, allocate NumPy's large arrays at multiples of LINE: in this thread, where the C library is glibc."""
    if not KNOWN:
        return
    python, name = ctypes.pythonapi, ctypes.create_string_buffer(b"mem_handler")
    address_in = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(("PyCapsule_GetPointer", python))
    capsule = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)(
        ("PyCapsule_New", python)
    )
    table = ctypes.cast(address_in(np._core._multiarray_umath._ARRAY_API, None), ctypes.POINTER(ctypes.c_void_p))
    get, exchange = (
        ctypes.PYFUNCTYPE(ctypes.py_object, *arguments)(table[place])
        for place, arguments in ((GET_HANDLER, ()), (SET_HANDLER, (ctypes.py_object,)))
    )
    before = _Handler.from_address(address_in(get(), name.value))
    if before.name != b"default_allocator" or before.version != 1:
        return  # it is done, or somebody else has chosen one
    allocate = cfunc(types.uintp(types.uintp, types.uintp), cache=True)(_allocate)
    handler = _Handler.from_buffer_copy(before)
    handler.name, handler.malloc = b"minigen's allocator", allocate.address
    for needed in (allocate, handler, name):  # as long as there is any array, and so to the very end
        python.Py_IncRef(ctypes.py_object(needed))
    exchange(capsule(ctypes.addressof(handler), ctypes.addressof(name), None))
