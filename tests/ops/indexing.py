"""Records of the operations that pick by position. References are NumPy's indexing, or loops."""

import numpy as np

from minigen import ops
from minigen.errors import DtypeError, ShapeError
from tests.opspec import Bad, OpSpec, Sample, layouts

GRID = np.ones((2, 3))
MANY = np.ones((2, 2100))


def torch():
    import torch

    return torch


def indices(rng):
    """(shape, index): one of each kind, and mixtures; arrays of integers name some places twice."""
    rows, columns = np.array([0, 2, 0, -1]), np.array([[1, 1], [3, 0]])
    mask = np.array([True, False, True])
    return [
        ((3, 4), 1), ((3, 4), -1), ((3, 4), (2, 3)), ((3, 4), slice(1, None)), ((3, 4), (..., slice(0, 4, 2))),
        ((3, 4), slice(None, None, -1)), ((3, 4), (..., 0)), ((3, 4), None), ((3, 4), (slice(None), None, 1)),
        ((3, 4), ...), ((3, 4), slice(2, 2)), ((), ()), ((), None), ((1,), 0), ((0, 3), (slice(None), 1)),
        ((3, 4), rows), ((3, 4), [0, 0, 2]), ((3, 4), (rows, np.array([1, 1, 1, 0]))), ((3, 4), (slice(None), columns)),
        ((3, 4), (rows[:, None], np.array([0, 0]))), ((3, 4), (rows, 1)), ((2, 3, 4), (0, slice(1, 3), rows)),
        ((2, 3, 4), (np.array([0, 0]), slice(None), np.array([3, 3]))), ((2, 3, 4), (..., columns, None)),
        ((3, 4), mask), ((3, 4), rng.random((3, 4)) < 0.5), ((3, 4), (mask, 1)), ((3, 4), (mask, slice(1, 3))),
        ((3, 4), np.zeros((3, 4), bool)), ((3, 4), np.zeros(0, int)), ((3, 4), np.array(1)), ((3, 4), np.int64(2)),
    ]  # fmt: skip


def getitem_samples(rng):
    found = [Sample((rng.standard_normal(shape), index)) for shape, index in indices(rng)]
    return found + [Sample((x, (np.array([1, 1]), slice(0, 3)))) for x in layouts(rng.standard_normal((3, 4)))]


def getitem_torch(x, index):
    """PyTorch has no negative steps: through positions."""
    host = lambda i: i.numpy() if isinstance(i, torch().Tensor) else i
    index = tuple(map(host, index)) if isinstance(index, tuple) else host(index)
    positions = np.arange(x.numel()).reshape(x.shape)[index]
    return x.reshape(-1)[torch().from_numpy(np.array(positions))]


def scatter_samples(rng):
    found = []
    for shape, index in indices(rng):
        picked = np.empty(shape)[index]
        found.append(Sample((rng.standard_normal(picked.shape), index, shape)))
    ids = rng.integers(-7, 7, (40, 2))
    found.append(Sample((rng.standard_normal((40, 2, 60)), ids, (7, 60))))  # many rows: as a sparse product
    return found + [Sample((x, np.array([1, 0, 1]), (2, 4))) for x in layouts(rng.standard_normal((3, 4)))]


def scatter_reference(x, index, shape):
    """One number after the other."""
    y = np.zeros(shape)
    positions = np.arange(y.size).reshape(shape)[index]
    for place, value in zip(np.ravel(positions), np.ravel(x), strict=True):
        y.flat[place] += value
    return y


def scatter_torch(x, index, shape):
    host = lambda i: i.numpy() if isinstance(i, torch().Tensor) else i
    index = tuple(map(host, index)) if isinstance(index, tuple) else host(index)
    positions = np.arange(int(np.prod(shape))).reshape(shape)[index]
    y = torch().zeros(int(np.prod(shape)), dtype=x.dtype)
    return y.index_add(0, torch().from_numpy(np.ravel(positions).copy()), x.reshape(-1)).reshape(shape)


def take_samples(rng):
    twice = np.array([[0, 2, 0], [1, 0, -1]])
    found = [Sample((x, twice, axis)) for x in layouts(rng.standard_normal((3, 4))) for axis in (0, 1, -1, None)]
    found += [Sample((rng.standard_normal((2, 3, 2)), i, 1)) for i in (1, [0, 0], np.zeros((0, 2), int), np.array(2))]
    return [*found, Sample((rng.standard_normal((1,)), np.array([0, 0, 0]))),
            Sample((rng.standard_normal((0, 2)), [1], 1)), Sample((rng.standard_normal((3, 4)), 5))]  # fmt: skip


def take_torch(x, indices, axis=None):
    indices = torch().as_tensor(indices)
    if axis is None:
        return x.reshape(-1)[indices]
    return x[(slice(None),) * (axis % x.ndim) + (indices,)]


def along_samples(rng):
    x = rng.standard_normal((3, 4))
    best = np.argsort(x, axis=1)[:, :2]
    found = [Sample((a, best, 1)) for a in layouts(x)] + [Sample((x, np.array([[0, 0, 2, 1], [0, 2, 2, 2]]), 0))]
    return [*found, Sample((x, best)), Sample((rng.standard_normal((2, 1, 3)), np.zeros((2, 4, 3), int), -2)),
            Sample((rng.standard_normal((4,)), np.array([3, 3]), 0)), Sample((x, np.array([[1, 1, -2]]), -1)),
            Sample((x, np.zeros((3, 0), int), 1)), Sample((x, [[0, 1, 0, 1]], 0))]  # fmt: skip


def along_torch(x, indices, axis=-1):
    indices = torch().as_tensor(indices) % x.shape[axis]
    shape = [n if i != axis % x.ndim else indices.shape[i] for i, n in enumerate(x.shape)]
    return torch().gather(x, axis, indices.expand(shape))


def embedding_reference(ids, weight):
    y = np.empty((*np.shape(ids), weight.shape[1]))
    for place in np.ndindex(np.shape(ids)):
        y[place] = weight[np.asarray(ids)[place]]
    return y


def embedding_torch(ids, weight):
    ids = torch().as_tensor(ids).long()
    return torch().nn.functional.embedding(ids, weight) if ids.numel() else weight[ids]


def one_hot_reference(ids, num_classes, dtype="float32"):
    y = np.zeros((*np.shape(ids), num_classes), dtype)
    for place in np.ndindex(np.shape(ids)):
        y[place][np.asarray(ids)[place]] = 1
    return y


def embedding_samples(rng):
    found = [Sample((np.array([1, 0, 1]), w)) for w in layouts(rng.standard_normal((3, 4)))]
    found += [
        Sample((i, rng.standard_normal((5, 2))))
        for i in (
            rng.integers(0, 5, (2, 3)),
            np.array(4),
            [[0, 0], [4, 1]],
            np.zeros((0,), int),
            np.array([2, 2], np.uint8),
        )
    ]
    return [*found, Sample((rng.integers(0, 6, (40, 3)), rng.standard_normal((6, 40))))]  # fmt: skip


def one_hot_samples(rng):
    return [Sample((i, 4, *dtype)) for i in (np.array([0, 3, 3]), np.array([[1], [2]]), [1, 0], np.array(2),
            np.zeros((0, 2), int)) for dtype in ((), ("int64",))]  # fmt: skip


OUT = Bad((GRID, np.array([0, 2])), {}, ShapeError, r"float64\[2, 3\], int64\[2\].*index 2 is out of", host_only=True)

SPECS = [
    OpSpec(
        "getitem", ops.getitem, lambda x, index: x[index], getitem_samples, complex_step=True, torch=getitem_torch,
        bad=[Bad((GRID, 2), {}, ShapeError, r"float64\[2, 3\], 2.*ndex 2 is out of bounds for axis 0 with size 2"),
             OUT,
             Bad((GRID, (0, 0, 0)), {}, ShapeError, "too many indices"),
             Bad((GRID, np.array([0.5])), {}, ShapeError, r"float64\[1\].*integer"),
             Bad((GRID, np.array([True, False, True])), {}, ShapeError, r"bool\[3\].*boolean"),
             Bad((GRID, "a"), {}, ShapeError, "'a'")],
    ),
    OpSpec(
        "scatter", ops.scatter, scatter_reference, scatter_samples, complex_step=True, torch=scatter_torch,
        bad=[Bad((GRID, np.array([0, 2]), (2, 3)), {}, ShapeError, "positions below 2, got 0 to 2", host_only=True),
             Bad((MANY, np.array([0, 3]), (3, 2100)), {}, ShapeError, "positions below 3, got 0 to 3", host_only=True),
             Bad((GRID, np.array([0, 1, 1]), (2, 3)), {}, ShapeError, r"float64\[2, 3\], int64\[3\]")],
    ),
    OpSpec(
        "take", ops.take, np.take, take_samples, complex_step=True, torch=take_torch,
        bad=[Bad((GRID, np.array([0, 2]), 0), {}, ShapeError, "index 2 is out of bounds for axis 0", host_only=True),
             Bad((GRID, 6), {}, ShapeError, r"float64\[2, 3\], 6.*out of bounds", host_only=True),
             Bad((GRID, 0, 2), {}, ShapeError, "axis 2 is out of bounds"),
             Bad((GRID, np.array([0.5]), 0), {}, DtypeError, "expected integers for indices, got float64")],
    ),
    OpSpec(
        "take_along_axis", ops.take_along_axis,
        lambda x, indices, axis=-1: np.take_along_axis(x, np.asarray(indices), axis),
        along_samples, complex_step=True, torch=along_torch,
        bad=[Bad((GRID, np.array([[3], [0]]), 1), {}, ShapeError, "index 3 is out of bounds", host_only=True),
             Bad((GRID, np.array([0]), 1), {}, ShapeError, "dimension"),
             Bad((GRID, np.array([[0]]), 2), {}, ShapeError, "axis 2 is out of bounds"),
             Bad((GRID, np.zeros((3, 1), int), 1), {}, ShapeError, r"float64\[2, 3\], int64\[3, 1\]"),
             Bad((GRID, np.array([[0.5]]), 1), {}, DtypeError, "expected integers")],
    ),
    OpSpec(
        "embedding", ops.embedding, embedding_reference, embedding_samples, differentiable=(1,), complex_step=True,
        torch=embedding_torch,
        bad=[Bad((np.array([0, 2]), GRID), {}, ShapeError, "expected ids from 0 to 1, got 0 to 2", host_only=True),
             Bad((np.array([-1, 1]), GRID), {}, ShapeError, "got -1 to 1", host_only=True),
             Bad((np.array([0.0]), GRID), {}, DtypeError, "expected integers for indices, got float64")],
    ),
    OpSpec(
        "one_hot", ops.one_hot, one_hot_reference, one_hot_samples, differentiable=(),
        bad=[Bad((np.array([0, 4]), 4), {}, ShapeError, "expected ids from 0 to 3, got 0 to 4", host_only=True),
             Bad((np.array([True]), 4), {}, DtypeError, "expected integers for indices, got bool")],
    ),
]  # fmt: skip
