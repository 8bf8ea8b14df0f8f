"""Twins of `reference.convolution`: the same products of matrices, between kernels that fold and unfold the images.

The column matrix is the largest array, kh kw times the channels that are unfolded. With stride 1 each of the three
convolutions is one of the other two, or itself, with the kernel turned round, which unfolds the other side: that way is
taken where that side has fewer channels.
"""

from __future__ import annotations

from collections import namedtuple
from functools import lru_cache

import numpy as np

from ...backend import xp
from ..reference import convolution as reference
from ..reference.convolution import _grouped, _matrix, _ungrouped
from . import LIMIT, by_elements, ours

__all__ = ["conv2d", "conv2d_weight_grad", "conv_transpose2d"]

_NAMES = "n channels height width ho wo kh kw sh sw dh dw top left groups".split()
_GEOMETRY = np.dtype([(name, np.int32) for name in _NAMES])  # as in convolution.cu
Geometry = namedtuple("Geometry", [*_NAMES, "packed"])


def conv2d(x, w, stride, padding, dilation, groups):
    q = _geometry(x.shape, w.shape[2:], stride, padding, dilation, groups)
    if not _fits(q, x, w):
        return reference.conv2d(x, w, stride, padding, dilation, groups)
    out = (q.ho, q.wo)
    if len(w) < x.shape[1] and (turned := _turned(w.shape[2:], stride, padding, dilation, groups, x.shape[2:], out)):
        return conv_transpose2d(x, _turn(w), out, stride, turned, dilation, groups)
    y = _product(_im2col(x, q), _matrix(w, groups).swapaxes(1, 2))  # (G, N Hₒ Wₒ, Cₒ/G)
    return _ungrouped(y, len(x), *out)


def conv_transpose2d(y, w, size, stride, padding, dilation, groups):
    shape = (len(y), w.shape[1] * groups, *size)
    q = _geometry(shape, w.shape[2:], stride, padding, dilation, groups, y.shape[2:])
    if not _fits(q, y, w):
        return reference.conv_transpose2d(y, w, size, stride, padding, dilation, groups)
    if len(w) < shape[1] and (turned := _turned(w.shape[2:], stride, padding, dilation, groups, y.shape[2:], size)):
        return conv2d(y, _turn(w), stride, turned, dilation, groups)
    columns = _product(_grouped(y, groups), _matrix(w, groups))
    image = xp.empty((shape[0], *size, shape[1]), y.dtype, like=y)
    by_elements("convolution", "col2im", image.size, y.dtype, columns, image, image.size, q.packed)
    return image.transpose(0, 3, 1, 2)


def conv2d_weight_grad(x, y, kernel, stride, padding, dilation, groups):
    q = _geometry(x.shape, kernel, stride, padding, dilation, groups)
    if not _fits(q, x, y):
        return reference.conv2d_weight_grad(x, y, kernel, stride, padding, dilation, groups)
    sizes = (y.shape[2:], x.shape[2:])
    if y.shape[1] < x.shape[1] and (turned := _turned(kernel, stride, padding, dilation, groups, *sizes)):
        return _turn(conv2d_weight_grad(y, x, kernel, stride, turned, dilation, groups)).copy()
    w = _product(_grouped(y, groups).swapaxes(1, 2), _im2col(x, q))  # (G, Cₒ/G, kh kw C/G)
    w = w.reshape(y.shape[1], *kernel, x.shape[1] // groups)
    return w.transpose(0, 3, 1, 2).copy()


def _turned(kernel, stride, padding, dilation, groups, size, other):
    """The padding with which the turned kernel goes from images of one size to the other; None where it cannot."""
    spans = [d * (k - 1) for k, d in zip(kernel, dilation)]
    turned = tuple((s - p, m - n + p) for s, (p, _), n, m in zip(spans, padding, size, other))
    fits = stride == (1, 1) and groups == 1 and min(a for pair in turned for a in pair) >= 0
    return turned if fits else None


def _turn(w):
    """w[o, c, k, l] as [c, o, −k, −l]"""
    return w[:, :, ::-1, ::-1].swapaxes(0, 1)


@lru_cache(1024)
def _geometry(shape, kernel, stride, padding, dilation, groups, out=None):
    """All numbers of a convolution by name, and packed for the kernels."""
    (top, bottom), (left, right) = padding
    if out is None:
        height, width = shape[2] + top + bottom, shape[3] + left + right
        out = tuple((n - d * (k - 1) - 1) // s + 1 for n, k, s, d in zip((height, width), kernel, stride, dilation))
    numbers = (*shape, *out, *kernel, *stride, *dilation, top, left, groups)
    return Geometry(*numbers, np.array(numbers, _GEOMETRY))


def _fits(q, *arrays):
    return ours(*arrays) and q.n * q.channels * q.ho * q.wo * q.kh * q.kw < LIMIT


def _im2col(x, q):
    """(G, N Hₒ Wₒ, kh kw C/G): for each group and position what its kernel sees."""
    shape = (q.groups, q.n * q.ho * q.wo, q.kh * q.kw * (q.channels // q.groups))
    columns = xp.empty(shape, x.dtype, like=x)
    steps = [np.int64(s // x.itemsize) for s in x.strides]
    by_elements("convolution", "im2col", columns.size, x.dtype, x, *steps, columns, columns.size, q.packed)
    return columns


def _product(a, b):
    """a b for each group. Of a single group, as matrices: cuBLAS then reads what lies transposed where it lies."""
    return (a[0] @ b[0])[None] if len(a) == 1 else a @ b
