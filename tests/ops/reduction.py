"""Records of the operations along axes. References are NumPy's and SciPy's functions."""

import math

import numpy as np
import scipy.special as sp

from minigen import ops
from minigen.errors import DtypeError, ShapeError
from tests.opspec import Bad, OpSpec, Sample, layouts


def torch():
    import torch

    return torch


def axes(x, axis):
    """`axis` as the tuple that PyTorch wants."""
    return tuple(range(x.ndim)) if axis is None else axis if isinstance(axis, tuple) else (axis,)


def inputs(rng, draw):
    """(array, axis) over sizes, layouts and every way of naming axes."""
    found = [(x, axis) for x in layouts(draw(rng, 3, 4)) for axis in (None, 0, -1)]
    cube = draw(rng, 2, 3, 2)
    found += [(cube, axis) for axis in ((0, 2), (-1, 1), (1,), (0, 1, 2), 1, -3)]
    return [*found, (draw(rng), None), (draw(rng, 1), 0), (draw(rng, 2, 1, 3), 1), (draw(rng, 0, 3), 1)]


def normal(rng, *shape):
    return rng.standard_normal(shape)


def distinct(rng, *shape):
    """No two numbers closer than 0.3, so that the largest stays the largest."""
    return rng.permutation(math.prod(shape)).reshape(shape) * 0.3 - 1.0


def with_zeros(rng, *shape):
    """Rows with no zero, one zero, several."""
    return rng.standard_normal(shape) * (rng.random(shape) < 0.7)


BAD_AXIS = Bad((np.ones((2, 3)), 2), {}, ShapeError, r"float64\[2, 3\].*(axis 2 is out of bounds|index out of range)")
BAD_TYPE = Bad((np.ones((2, 3)), 0.5), {}, DtypeError, r"float64\[2, 3\].*integer")
TWICE = Bad((np.ones((2, 3)), (0, -2)), {}, ShapeError, "duplicate")
EMPTY_ROWS = Bad((np.ones((3, 0)),), {}, ShapeError, r"\[3, 0\].*no identity")
NOTHING = Bad((np.ones((0, 3)), 0), {}, ShapeError, r"\[0, 3\].*no identity")


def reduction(name, reference, torch, draw=normal, bad=(BAD_AXIS, BAD_TYPE, TWICE), options=({},), op=None, **more):
    """A record of an operation that collapses axes."""

    def samples(rng):
        found = [Sample((x, axis), {**o}) for x, axis in inputs(rng, draw) for o in options]
        return found + [Sample((x,), {"axis": a, "keepdims": True}) for x, a in inputs(rng, draw) if x.shape != (3, 4)]

    return OpSpec(name, op or getattr(ops, name), reference, samples, torch=torch, bad=list(bad), **more)


def prod_torch(x, axis=None, keepdims=False):
    for a in axes(x, axis):
        x = torch().prod(x, dim=a, keepdim=True)
    return x if keepdims else torch().squeeze(x, axes(x, axis))


def ties(rng, *shape):
    """Pairs of equal numbers along every axis."""
    return np.ones(shape)


def tie_samples(rng):
    row = np.array([[1.0, 3.0, 3.0], [2.0, 2.0, -1.0]])
    return [Sample((row, 1)), Sample((row.T, 0)), Sample((row[:1], None)), Sample((row, 1), {"keepdims": True})]


def softmax_samples(rng):
    found = [Sample((x,)) for x in layouts(rng.standard_normal((3, 4)))]
    cube = rng.standard_normal((2, 3, 2))
    found += [Sample((cube, axis)) for axis in (0, 1, -2, (0, 2), None)]
    return [*found, Sample((np.ones((2, 1)),)), Sample((np.ones((0, 3)),))]


def far(rng):
    """Where eˣ overflows. Differences are too coarse here, so PyTorch alone checks the gradients."""
    return [Sample((np.array([[1000.0, 999.0, 0.0], [-1000.0, -999.0, -1001.0]]), axis)) for axis in (0, 1)]


def softmax_torch(name):
    def call(x, axis=-1):
        if isinstance(axis, int):
            return getattr(torch(), name)(x, dim=axis)
        y = x - torch().logsumexp(x, dim=axes(x, axis), keepdim=True)
        return y.exp() if name == "softmax" else y

    return call


def tie(name):
    return OpSpec(
        f"{name}_ties", getattr(ops, name), getattr(np, name), {"max": tie_samples, "min": lower_tie_samples}[name],
        second_order=False, bad=[NOTHING],
        torch=lambda x, axis=None, keepdims=False: getattr(torch(), f"a{name}")(x, axes(x, axis), keepdims),
    )  # fmt: skip


def lower_tie_samples(rng):
    return [Sample((-s.args[0], *s.args[1:]), s.kwargs) for s in tie_samples(rng)]


SPECS = [
    reduction("sum", np.sum, lambda x, axis=None, keepdims=False: torch().sum(x, axes(x, axis), keepdims),
              complex_step=True),
    reduction("mean", np.mean, lambda x, axis=None, keepdims=False: torch().mean(x, axes(x, axis), keepdims),
              complex_step=True),
    reduction(
        "var", np.var,
        lambda x, axis=None, keepdims=False: (
            (x - x.mean(axes(x, axis), keepdim=True)) ** 2).mean(axes(x, axis), keepdim=keepdims),
    ),
    OpSpec(
        "var_unbiased", ops.var, np.var,
        lambda rng: [Sample((normal(rng, 3, 4), axis), {"ddof": 1}) for axis in (None, 0, (0, 1))]
        + [Sample((normal(rng, 2, 3),), {"axis": -1, "ddof": 1, "keepdims": True})],
        torch=lambda x, axis=None, ddof=0, keepdims=False: torch().var(
            x, axes(x, axis), correction=ddof, keepdim=keepdims),
        bad=[BAD_AXIS],
    ),
    reduction("prod", np.prod, prod_torch, complex_step=True),
    reduction("prod_with_zeros", np.prod, prod_torch, draw=with_zeros, op=ops.prod),
    reduction("max", np.max, lambda x, axis=None, keepdims=False: torch().amax(x, axes(x, axis), keepdims),
              draw=distinct, bad=(BAD_AXIS, BAD_TYPE, TWICE, NOTHING)),
    reduction("min", np.min, lambda x, axis=None, keepdims=False: torch().amin(x, axes(x, axis), keepdims),
              draw=distinct, bad=(BAD_AXIS, BAD_TYPE, TWICE, NOTHING)),
    tie("max"),
    tie("min"),
    reduction(
        "logsumexp", lambda x, axis=None, keepdims=False: np.log(np.exp(x).sum(axis, keepdims=keepdims)),
        lambda x, axis=None, keepdims=False: torch().logsumexp(x, axes(x, axis), keepdims) if x.ndim else x * 1,
        bad=(BAD_AXIS, BAD_TYPE, TWICE, NOTHING),
    ),
    OpSpec(
        "logsumexp_far", ops.logsumexp, sp.logsumexp,
        far, differentiable=(), torch=lambda x, axis: torch().logsumexp(x, axis), bad=[BAD_AXIS],
    ),
    OpSpec(
        "logsumexp_infinite", ops.logsumexp, sp.logsumexp,
        lambda rng: [Sample((np.array([[-np.inf, 0.5, 1.0], [2.0, 0.5, -np.inf]]), axis)) for axis in (0, 1, None)],
        differentiable=(), bad=[BAD_AXIS],
    ),
    OpSpec(
        "cumsum", ops.cumsum, np.cumsum,
        lambda rng: [Sample((x, axis)) for x in layouts(normal(rng, 3, 4)) for axis in (0, -1, None)]
        + [Sample((normal(rng, 2, 1, 3), 1)), Sample((normal(rng, 0, 3), 0)), Sample((normal(rng),))],
        complex_step=True,
        torch=lambda x, axis=None: torch().cumsum(x.reshape(-1) if axis is None else x, 0 if axis is None else axis),
        bad=[BAD_AXIS, Bad((np.ones((2, 3)), (0, 1)), {}, DtypeError, "tuple")],
    ),
    OpSpec("softmax", ops.softmax, lambda x, axis=-1: sp.softmax(x, axis), softmax_samples,
           torch=softmax_torch("softmax"), bad=[BAD_AXIS, TWICE, EMPTY_ROWS]),
    OpSpec("log_softmax", ops.log_softmax, lambda x, axis=-1: sp.log_softmax(x, axis), softmax_samples,
           torch=softmax_torch("log_softmax"), bad=[BAD_AXIS, TWICE, EMPTY_ROWS]),
    OpSpec("softmax_far", ops.softmax, sp.softmax, far, differentiable=(),
           torch=softmax_torch("softmax"), bad=[BAD_AXIS]),
    OpSpec("log_softmax_far", ops.log_softmax, sp.log_softmax, far, differentiable=(),
           torch=softmax_torch("log_softmax"), bad=[BAD_AXIS]),
]  # fmt: skip
