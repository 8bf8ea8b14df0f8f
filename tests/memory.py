"""The same numbers in another order in memory: what a compiled kernel must not mind."""

import numpy as np


def orders(a):
    """An array of any library in row-major, column-major, channels-last and strided memory, and a negative stride."""
    yield a
    if a.ndim > 1:
        yield a if a.flags.f_contiguous else a.copy(order="F")
        yield np.moveaxis(_row_major(np.moveaxis(a, 1, -1)), -1, 1)
    if a.ndim:
        yield np.repeat(a, 2, axis=-1)[..., ::2]
        yield _row_major(a[::-1])[::-1]


def _row_major(a):
    """`np.ascontiguousarray`, which does not know the arrays of a device"""
    return a if a.flags.c_contiguous else a.copy(order="C")
