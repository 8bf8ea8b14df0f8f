"""Operations that pick numbers by position. The adjoint of picking is :func:`scatter`: add each to where it came from.

An index is what NumPy takes: integers, slices, None, Ellipsis, arrays of integers or of truth values, and tuples of
these. No gradient flows through positions.
"""

from __future__ import annotations

import math
from typing import Any

from numpy.lib.array_utils import normalize_axis_index

from .. import backend, kernels
from ..backend import xp
from ..errors import BackendError, DtypeError, ShapeError
from ..tensor import Tensor, primitive
from .shape import reshape


@primitive(lambda g, x_shape, index: scatter(g, index, x_shape), None)
def getitem(x, index):
    """y = x[index]        ∂L/∂x = 0, then ∂L/∂x[index] += g (a place picked twice gets both)"""
    return x[_arrays(x, index)]


@primitive(lambda g, index: getitem(g, index), None)
def scatter(x, index, shape):
    """y = 0 of `shape`, then y[index] += x (a place named twice gets both)        ∂L/∂x = g[index]"""
    x = x if backend.is_array(x) else xp.asarray(x)  # NumPy makes a scalar of what has no axes
    index = _arrays(x, index)
    if _is_rows(x, index, shape):
        if backend.name_of(x) == "numpy" and index.size and not -shape[0] <= index.min() <= index.max() < shape[0]:
            raise ShapeError(f"scatter: expected positions below {shape[0]}, got {index.min()} to {index.max()}.")
        return kernels.scatter_rows(x, index, shape)
    if _names_each_once(index):
        return kernels.place(x, index, shape)
    y = xp.zeros(shape, x.dtype, like=x)
    kernels.add_at(y, index, x)
    return y


@primitive(lambda g, x_shape, indices, axis: reshape(scatter(g, *_places(x_shape, indices, axis)), x_shape), None)
def take(x, indices, axis=None):
    """y = x[:, …, indices] with `indices` at `axis` (None: of x flattened)        ∂L/∂x as for getitem

    Shapes (a, n, b), (…) -> (a, …, b).
    """
    return xp.take(x, _arrays(x, _integers("take", indices)), axis=axis)


@primitive(lambda g, x_shape, indices, axis: scatter(g, _grid(x_shape, indices, axis), x_shape), None)
def take_along_axis(x, indices, axis=-1):
    """y[i, j, k] = x[i, indices[i, j, k], k] where `axis` is 1        ∂L/∂x as for getitem

    Shapes (a, n, b), (a, m, b) -> (a, m, b); axes other than `axis` broadcast.
    """
    return xp.take_along_axis(x, _arrays(x, _integers("take_along_axis", indices)), normalize_axis_index(axis, x.ndim))


@primitive(None, lambda g, ids, weight_shape: scatter(g, ids, weight_shape))
def embedding(ids, weight):
    """y = weight[ids], one row for each id        ∂L/∂weight[id] = Σ g over the places of that id

    Shapes (…) integers, (V, D) -> (…, D). On the CPU an id outside [0, V) is an error; a device does not look.
    """
    ids = _checked("embedding", ids, len(weight))
    if backend.name_of(ids) != backend.name_of(weight):
        raise BackendError(
            f"embedding: got {backend.name_of(ids)} ids and a {backend.name_of(weight)} weight; move one with .to(...)."
        )
    return weight[ids]


@primitive(None)
def one_hot(ids, num_classes, dtype=backend.default_dtype):
    """y[…, c] = 1 where c = ids[…], else 0        (…) integers -> (…, num_classes)"""
    ids = _checked("one_hot", ids, num_classes)
    return (ids[..., None] == xp.arange(num_classes, like=ids)).astype(dtype)


# -- indices ----------------------------------------------------------------------------------------------------------


def _arrays(x: Any, index: Any) -> Any:
    """`index` with arrays in the place of Tensors. A host array does not index a device array: that would copy it."""
    if type(index) is tuple:
        index = tuple(i._data if isinstance(i, Tensor) else i for i in index)
    if type(x) is not xp.ndarray and backend.name_of(x) == "cupy":
        for i in index if type(index) is tuple else (index,):
            if isinstance(i, xp.ndarray):
                raise BackendError("indexing: got a numpy index for a cupy array; move one with .to(...).")
    return index


def _names_each_once(index: Any) -> bool:
    """Numbers, slices and truth values name no place twice; arrays of integers may."""
    return all(
        i is None
        or i is Ellipsis
        or isinstance(i, slice | int | xp.integer)
        or xp.dtype(bool) == getattr(i, "dtype", None)
        for i in (index if type(index) is tuple else (index,))
    )


def _places(shape: tuple[int, ...], indices: Any, axis: int | None) -> tuple[Any, tuple[int, ...]]:
    """The index that picks what `take` picks, and the shape it is for."""
    if axis is None:
        return indices, (math.prod(shape),)
    axis = normalize_axis_index(axis, len(shape))
    return ((slice(None),) * axis + (indices,) if axis else indices), shape


def _grid(shape: tuple[int, ...], indices: Any, axis: int) -> tuple:
    """The index that picks what `take_along_axis` picks: positions 0 … n−1 along the other axes."""
    axis, indices = normalize_axis_index(axis, len(shape)), _integers("take_along_axis", indices)
    return tuple(
        indices if i == axis else xp.arange(n, like=indices).reshape([-1 if j == i else 1 for j in range(len(shape))])
        for i, n in enumerate(shape)
    )


def _integers(op: str, indices: Any) -> Any:
    """`indices`, also a number or a list, as an array of integers."""
    if not backend.is_array(indices):
        indices = backend.asarray(indices)
    if indices.dtype.kind not in "iu":
        raise DtypeError(
            f"{op}: expected integers for indices, got {indices.dtype}; convert them with astype('int64')."
        )
    return indices


def _checked(op: str, ids: Any, n: int) -> Any:
    """`ids` as an array of integers in [0, n)."""
    ids = _integers(op, ids)
    if backend.name_of(ids) == "numpy" and ids.size and (ids.min() < 0 or ids.max() >= n):
        raise ShapeError(
            f"{op}: expected ids from 0 to {n - 1}, got {ids.min()} to {ids.max()}; is the vocabulary larger?"
        )
    return ids


def _is_rows(x: Any, index: Any, shape: tuple[int, ...]) -> bool:
    """Are these rows for integer positions along the first axis?"""
    return (
        backend.is_array(index) and index.dtype.kind in "iu" and len(shape) > 1
        and x.shape == (*index.shape, *shape[1:])
    )  # fmt: skip
