"""Records of the operations that move numbers. References are NumPy's functions."""

import numpy as np

from minigen import ops
from minigen.errors import DtypeError, ShapeError
from tests.opspec import Bad, OpSpec, Sample, layouts

ROW = np.ones(3)
GRID = np.ones((2, 3))


def torch():
    import torch

    return torch


def calls(*shapes_and_arguments):
    """Samples from pairs of a shape and further arguments; a (3, 4) in all memory layouts."""

    def samples(rng):
        found = []
        for shape, *arguments in shapes_and_arguments:
            x = rng.standard_normal(shape)
            found += [Sample((a, *arguments)) for a in (layouts(x) if shape == (3, 4) else [x])]
        return found

    return samples


def spec(name, reference, samples, torch, bad, **more):
    more.setdefault("complex_step", True)
    return OpSpec(name, getattr(ops, name), reference, samples, torch=torch, bad=bad, **more)


def joined(axes_and_shapes):
    """Samples of operations on a list of arrays."""

    def samples(rng):
        found = [Sample(([rng.standard_normal(s) for s in shapes], axis)) for axis, *shapes in axes_and_shapes]
        return [*found, Sample((layouts(rng.standard_normal((3, 4))), 1))]

    return samples


def pad_reference(x, pad_width, constant_values=0.0):
    return np.pad(x, pad_width, constant_values=constant_values)


def pad_torch(x, pad_width, constant_values=0.0):
    pairs = np.broadcast_to(pad_width, (x.ndim, 2)).tolist()
    return torch().nn.functional.pad(x, [n for pair in pairs[::-1] for n in pair], value=constant_values)


def split_torch(x, indices_or_sections, axis=0):
    return torch().tensor_split(x, indices_or_sections, dim=axis)


SPECS = [
    spec("reshape", np.reshape,
         calls(((3, 4), (2, 6)), ((3, 4), -1), ((3, 4), (4, -1)), ((), (1, 1)), ((1,), ()), ((0, 3), (3, 0)),
               ((2, 1, 3), (3, 2))),
         lambda x, shape: torch().reshape(x, shape if isinstance(shape, tuple) else (shape,)),
         [Bad((GRID, (4, 2)), {}, ShapeError, r"float64\[2, 3\].*size 6 into shape \(4, ?2\)|size"),
          Bad((GRID, (-1, 4)), {}, ShapeError, r"\[2, 3\]"), Bad((GRID, 1.5), {}, DtypeError, "integer")]),
    spec("broadcast_to", np.broadcast_to,
         calls(((4,), (3, 4)), ((3, 1), (3, 4)), ((), (2, 3)), ((1,), (5,)), ((3, 4), (2, 3, 4)), ((1, 3), (0, 3)),
               ((2, 1, 3), (2, 2, 2, 3))),
         lambda x, shape: torch().broadcast_to(x, shape),
         [Bad((ROW, (2,)), {}, ShapeError, r"float64\[3\]"), Bad((GRID, (3,)), {}, ShapeError, r"\[2, 3\]")]),
    spec("squeeze", np.squeeze,
         calls(((2, 1, 3),), ((2, 1, 3), 1), ((1, 2, 1), -1), ((1, 2, 1), (0, 2)), ((1, 1),), ((),), ((0, 1), 1),
               ((3, 4),)),
         lambda x, axis=None: torch().squeeze(x) if axis is None else torch().squeeze(x, axis),
         [Bad((GRID, 0), {}, ShapeError, r"\[2, 3\].*size not equal to one"),
          Bad((GRID, 2), {}, ShapeError, "axis 2 is out of bounds")]),
    spec("expand_dims", np.expand_dims,
         calls(((3, 4), 0), ((3, 4), -1), ((3, 4), (1, 3)), ((), 0), ((0, 2), 1), ((1,), -2)),
         lambda x, axis: x.reshape(np.expand_dims(np.empty(x.shape), axis).shape),
         [Bad((GRID, 3), {}, ShapeError, "axis 3 is out of bounds"), Bad((GRID, (0, 0)), {}, ShapeError, "repeated")]),
    spec("astype", lambda x, dtype: x.astype(dtype),
         calls(((3, 4), "int64"), ((), "float32"), ((0, 2), "float32"), ((2, 3), "float32")),
         lambda x, dtype: x.to(getattr(torch(), dtype)),
         [Bad((GRID, "float33"), {}, DtypeError, "float33")], differentiable=(), complex_step=False),
    spec("transpose", np.transpose,
         calls(((3, 4),), ((3, 4), (1, 0)), ((2, 3, 4),), ((2, 3, 4), (1, 2, 0)), ((2, 3, 4), (-1, 0, -2)), ((),),
               ((5,),), ((0, 3),), ((2, 1, 3), (2, 0, 1))),
         lambda x, axes=None: x.permute(axes or tuple(range(x.ndim))[::-1]),
         [Bad((GRID, (0, 2)), {}, ShapeError, r"\[2, 3\].*out of bounds"),
          Bad((GRID, (0,)), {}, ShapeError, "axes don't match"), Bad((GRID, (0, 0)), {}, ShapeError, "repeated")]),
    spec("moveaxis", np.moveaxis,
         calls(((3, 4), 0, 1), ((2, 3, 4), 0, -1), ((2, 3, 4), (0, 1), (-1, 0)), ((2, 3, 4), (2, 0, 1), (0, 1, 2)),
               ((0, 3), 1, 0), ((1,), 0, 0)),
         lambda x, source, destination: torch().moveaxis(x, source, destination),
         [Bad((GRID, 2, 0), {}, ShapeError, "axis 2 is out of bounds"),
          Bad((GRID, (0, 1), 0), {}, ShapeError, "same number")]),
    spec("swapaxes", np.swapaxes,
         calls(((3, 4), 0, 1), ((2, 3, 4), 0, -1), ((2, 3, 4), 1, 1), ((0, 3), 1, 0), ((1,), 0, 0)),
         lambda x, axis1, axis2: torch().swapaxes(x, axis1, axis2),
         [Bad((GRID, 0, 2), {}, ShapeError, r"\[2, 3\].*out of (bounds|range)")]),
    spec("flip", np.flip,
         calls(((3, 4),), ((3, 4), 0), ((3, 4), -1), ((2, 3, 2), (0, 2)), ((),), ((1,),), ((0, 3), 0)),
         lambda x, axis=None: torch().flip(
             x, tuple(range(x.ndim)) if axis is None else axis if isinstance(axis, tuple) else (axis,)),
         [Bad((GRID, 2), {}, ShapeError, "axis 2 is out of bounds")]),
    spec("concatenate", np.concatenate,
         joined([(0, (2, 3), (1, 3), (4, 3)), (-1, (2, 3), (2, 1)), (1, (2, 3, 2), (2, 0, 2)), (0, (3,)),
                 (None, (2, 2), (3,)), (-2, (1, 2), (1, 2))]),
         lambda arrays, axis=0: torch().cat([a.reshape(-1) for a in arrays], 0) if axis is None
         else torch().cat(arrays, axis),
         [Bad(([GRID, np.ones((2, 2))],), {}, ShapeError, r"float64\[2, 3\], float64\[2, 2\]"),
          Bad(([GRID, ROW],), {}, ShapeError, "dimension|same ndim"),
          Bad(([GRID, GRID], 2), {}, ShapeError, "out of bounds"), Bad(([],), {}, ShapeError, "at least one array")]),
    spec("stack", np.stack,
         joined([(0, (2, 3), (2, 3)), (-1, (2, 3), (2, 3), (2, 3)), (1, (2, 3)), (0, (), ()), (0, (0, 2), (0, 2)),
                 (-2, (3,), (3,))]),
         lambda arrays, axis=0: torch().stack(arrays, axis),
         [Bad(([GRID, ROW],), {}, ShapeError, "same shape|same ndim"),
          Bad(([GRID, GRID], 3), {}, ShapeError, "out of bounds"), Bad(([],), {}, ShapeError, "at least one array")]),
    spec("split", np.split,
         calls(((3, 4), 2, 1), ((3, 4), 3), ((3, 4), [1, 3], -1), ((6,), [2, 2, 4]), ((2, 1, 3), 1, 1), ((0, 3), 2),
               ((4, 2), (1,))),
         split_torch,
         [Bad((GRID, 2, 1), {}, ShapeError, "axis 1 of length 3 does not divide into 2"),
          Bad((GRID, 2, 2), {}, ShapeError, "axis 2 is out of bounds"),
          Bad((GRID, 0), {}, ShapeError, "does not divide into 0")]),
    spec("pad", pad_reference,
         calls(((3, 4), 1), ((3, 4), (1, 2)), ((3, 4), ((0, 1), (2, 0)), 1.5), ((4,), ((2, 3),), -np.pi),
               ((2, 1, 3), ((0, 0), (1, 1), (0, 2))), ((0, 2), 1, 1.0), ((1,), 0)),
         pad_torch,
         [Bad((GRID, ((1, 1), (1, 1), (1, 1))), {}, ShapeError, r"one \(before, after\) for each axis of \(2, 3\)"),
          Bad((GRID, -1), {}, ShapeError, "got -1; to cut, use a slice"),
          Bad((GRID, 0.5), {}, DtypeError, "integer")]),
]  # fmt: skip
