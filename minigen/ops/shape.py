"""Operations that move numbers without changing them. Each gradient rule moves them back.

The rules come in pairs, one operation the adjoint of the other: concatenate and split, pad and slicing,
expand_dims and squeeze; a permutation of axes is undone by its inverse.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from numpy.lib.array_utils import normalize_axis_index

from .. import backend, kernels
from ..backend import xp
from ..errors import ShapeError
from ..tensor import primitive

# -- new shapes -------------------------------------------------------------------------------------------------------


@primitive(lambda g, x_shape: reshape(g, x_shape))
def reshape(x, shape):
    """y has the elements of x in row-major order        ∂L/∂x = g in the shape of x"""
    return kernels.reshape(x, shape) if backend.is_array(x) else xp.reshape(x, shape)


@primitive(lambda g: g)
def broadcast_to(x, shape):
    """y repeats x along new axes and axes of length 1        ∂L/∂x = g summed over them (by the engine)"""
    return xp.broadcast_to(x, shape)


@primitive(lambda g, x_shape: reshape(g, x_shape))
def squeeze(x, axis=None):
    """y is x without its axes of length 1 (all, or those in `axis`)        ∂L/∂x = g in the shape of x"""
    return xp.squeeze(x, axis=axis)


@primitive(lambda g, x_shape: reshape(g, x_shape))
def expand_dims(x, axis):
    """y is x with new axes of length 1, at `axis` of y        ∂L/∂x = g in the shape of x"""
    return xp.expand_dims(x, axis)


@primitive(lambda g: g)
def astype(x, dtype):
    """y is x in another dtype        ∂L/∂x = g, cast back (by the engine)"""
    return xp.asarray(x).astype(dtype) if xp.isscalar(x) else x.astype(dtype)


# -- permutations -----------------------------------------------------------------------------------------------------


@primitive(lambda g, axes: transpose(g, _inverse(axes)))
def transpose(x, axes=None):
    """y[i_{axes₀}, i_{axes₁}, …] = x[i₀, i₁, …]; None reverses the axes        ∂L/∂x = g by the inverse permutation"""
    return xp.transpose(x, axes)


def _inverse(axes):
    return axes and sorted(range(len(axes)), key=lambda i: axes[i] % len(axes))


@primitive(lambda g, source, destination: moveaxis(g, destination, source))
def moveaxis(x, source, destination):
    """y has the axes `source` of x at `destination`, the others in their order        ∂L/∂x = g moved back"""
    return xp.moveaxis(x, source, destination)


@primitive(lambda g, axis1, axis2: swapaxes(g, axis1, axis2))
def swapaxes(x, axis1, axis2):
    """y is x with two axes exchanged        ∂L/∂x = g with the same two exchanged"""
    return xp.swapaxes(x, axis1, axis2)


@primitive(lambda g, axis: flip(g, axis))
def flip(x, axis=None):
    """y is x in reverse order along `axis` (None: along all)        ∂L/∂x = g reversed"""
    return xp.flip(x, axis)


# -- joining and cutting ----------------------------------------------------------------------------------------------


@primitive(joint=lambda g, arrays_shape, axis: split(g, list(accumulate(s[axis] for s in arrays_shape))[:-1], axis))
def _concatenate(*arrays, axis):
    return xp.concatenate(arrays, axis=axis)


def concatenate(arrays: Sequence, axis: int | None = 0):
    """y = (x₁ | x₂ | … | xₙ) along `axis` (None: of all flattened)        ∂L/∂xₖ = the k-th part of g

    Shapes (…, a₁, …), (…, a₂, …), … -> (…, Σ aₖ, …).
    """
    if axis is None:
        arrays, axis = [reshape(x, -1) for x in arrays], 0
    return _concatenate(*arrays, axis=axis)


@primitive(joint=lambda g, arrays_shape, axis: [squeeze(part, axis) for part in split(g, len(arrays_shape), axis)])
def _stack(*arrays, axis):
    return xp.stack(arrays, axis=axis)


def stack(arrays: Sequence, axis: int = 0):
    """y = n arrays of one shape along a new axis, which is `axis` of y        ∂L/∂xₖ = slice k of g"""
    return _stack(*arrays, axis=axis)


@primitive(joint=lambda g, axis: (concatenate(g, axis),))
def split(x, *, indices_or_sections, axis=0):
    """x = (y₁ | y₂ | … | yₙ) along `axis`        ∂L/∂x = (g₁ | g₂ | … | gₙ)

    n equal parts where `indices_or_sections` is a number, else a list of the places to cut at. Returns a tuple.
    """
    n, parts = x.shape[normalize_axis_index(axis, x.ndim)], indices_or_sections
    if isinstance(parts, int) and (parts < 1 or n % parts):
        raise ShapeError(
            f"split: axis {axis} of length {n} does not divide into {parts} equal parts; "
            "pass a list of the places to cut at."
        )
    return tuple(xp.split(x, indices_or_sections, axis=axis))


@primitive(lambda g, x_shape, pad_width: g[_inside(x_shape, _pairs(x_shape, pad_width))])
def pad(x, pad_width, constant_values=0.0):
    """y = x with `constant_values` around it        ∂L/∂x = g inside

    pad_width: a number for all sides, (before, after) for all axes, or one such pair per axis. Shapes
    (…, n, …) -> (…, before + n + after, …).
    """
    pairs = _pairs(x.shape, pad_width)
    y = xp.zeros([before + n + after for n, (before, after) in zip(x.shape, pairs)], x.dtype, like=x)
    if constant_values:
        y[...] = constant_values
    y[_inside(x.shape, pairs)] = x
    return y


def _pairs(shape, pad_width):
    """`pad_width` as a list of (before, after), one for each axis."""
    try:
        pairs = xp.broadcast_to(pad_width, (len(shape), 2)).tolist()
    except ValueError:
        pairs = None
    if pairs is None or any(n < 0 for pair in pairs for n in pair):
        raise ShapeError(
            f"pad: expected a number ≥ 0, a pair, or one (before, after) for each axis of {shape}, got {pad_width}; "
            "to cut, use a slice."
        )
    return pairs


def _inside(shape, pairs):
    return tuple(slice(before, before + n) for n, (before, _) in zip(shape, pairs))
