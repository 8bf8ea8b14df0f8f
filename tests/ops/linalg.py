"""Records of the products. References are NumPy's functions."""

import numpy as np

from minigen import ops
from minigen.errors import ShapeError
from tests.opspec import Bad, OpSpec, Sample, layouts

GRID = np.ones((2, 3))


def torch():
    import torch

    return torch


def matmul_samples(rng):
    shapes = [((2, 3), (3, 4)), ((3,), (3,)), ((3,), (3, 4)), ((2, 3), (3,)), ((3,), (2, 3, 4)), ((2, 4, 3), (3,)),
              ((2, 4, 3), (3, 2)), ((2, 1, 4, 3), (3, 2)), ((2, 4, 3), (2, 3, 2)), ((2, 1, 4, 3), (5, 3, 2)),
              ((4, 3), (2, 3, 2)), ((1, 4, 3), (2, 3, 2)), ((1, 1), (1, 1)), ((0, 3), (3, 2)), ((2, 0), (0, 3)),
              ((2, 0, 3), (3, 2)), ((2, 3, 0), (0, 2)), ((2, 3), (3, 0))]  # fmt: skip
    found = [Sample((rng.standard_normal(a), rng.standard_normal(b))) for a, b in shapes]
    found += [
        Sample((x, w)) for x in layouts(rng.standard_normal((2, 3))) for w in layouts(rng.standard_normal((3, 2)))
    ]
    cube = rng.standard_normal((3, 2, 4)).transpose(1, 2, 0)
    return [*found, Sample((cube, rng.standard_normal((2, 3)).T)), Sample((cube, rng.standard_normal((2, 5, 3)).mT))]


def linear_samples(rng):
    def sample(x, m=3, bias=True, weight=None):
        weight = rng.standard_normal((m, x.shape[-1])) if weight is None else weight
        return Sample((x, weight, rng.standard_normal(len(weight))) if bias else (x, weight))

    found = [sample(x, weight=w) for x in layouts(rng.standard_normal((2, 3))) for w in layouts(GRID + x[0])]
    shapes = [(3,), (2, 4, 3), (2, 1, 2, 3), (1, 1), (0, 3), (2, 0, 3), (2, 0)]
    found += [sample(rng.standard_normal(shape), bias=bias) for shape in shapes for bias in (True, False)]
    return [*found, sample(rng.standard_normal((3, 2, 4)).transpose(1, 2, 0)), sample(rng.standard_normal((2, 3)), 0)]


def linear_reference(x, weight, bias=0.0):
    return np.einsum("...k,mk->...m", x, weight) + bias


EINSUMS = [
    ("ij,jk->ik", (2, 3), (3, 4)), ("ij,jk", (2, 3), (3, 4)), ("ji", (2, 3)), ("ij->ji", (2, 3)), ("ij->", (2, 3)),
    ("ij->j", (2, 3)), ("i,i", (3,), (3,)), ("i,j->ij", (2,), (3,)), ("bij,bjk->bik", (2, 2, 3), (2, 3, 2)),
    ("bhqd,bhkd->bhqk", (2, 1, 3, 2), (2, 1, 2, 2)), ("ij,jk,kl->il", (2, 3), (3, 2), (2, 2)),
    ("ij,kj,k->i", (2, 3), (2, 3), (2,)), ("ij,k->i", (2, 3), (4,)), ("ij,jk->k", (2, 3), (3, 2)),
    ("...ij,...jk->...ik", (2, 2, 3), (3, 2)), ("...ij,jk", (2, 2, 3), (3, 2)), ("i...,i...->...", (2, 3), (2, 1)),
    ("...i->...", (2, 1, 3)), ("i...->i", (2, 3)), ("ij...,j->...i", (2, 3, 2), (3,)), ("...,...", (2, 3), (3,)),
    ("ij,ij->ij", (2, 3), (1, 3)), ("ij,jk->ik", (2, 1), (3, 2)), ("i,i->", (3,), (1,)), ("ii", (3, 3)),
    ("ii->i", (3, 3)), ("iji->j", (2, 3, 2)), ("ii,i->i", (3, 3), (3,)), ("iii->", (2, 2, 2)), (",->", (), ()),
    (",i->i", (), (3,)), ("ij,jk->ik", (0, 3), (3, 2)), ("ij,jk->ik", (2, 0), (0, 3)), ("i->i", (1,)),
    (" i j , j k -> k i ", (2, 3), (3, 4)), ("Ab,bC", (2, 3), (3, 2)),
]  # fmt: skip


def einsum_samples(rng):
    found = [Sample((s, *(rng.standard_normal(shape) for shape in shapes))) for s, *shapes in EINSUMS]
    return found + [Sample(("ij,kj->ik", x, x[:2] * 0.5)) for x in layouts(rng.standard_normal((3, 4)))]


def einsum_reference(subscripts, *operands):
    """NumPy's; where it refuses to sum over "..." ("i...->i"), over the axes themselves."""
    if subscripts == "i...->i":
        return operands[0].sum(axis=tuple(range(1, operands[0].ndim)))
    return np.einsum(subscripts, *operands)


def bad_einsum(match, *args):
    return Bad(args, {}, ShapeError, match)


SPECS = [
    OpSpec(
        "matmul", ops.matmul, np.matmul, matmul_samples, differentiable=(0, 1), complex_step=True,
        torch=lambda x, w: torch().matmul(x, w),
        bad=[Bad((GRID, GRID), {}, ShapeError, r"cannot multiply \(2, 3\) by \(2, 3\).*is a transpose missing"),
             Bad((np.ones((2, 2, 3)), GRID), {}, ShapeError, r"\(2, 2, 3\) by \(2, 3\)"),
             Bad((np.ones((2, 2, 3)), np.ones((3, 3, 2))), {}, ShapeError, r"leading axes that broadcast"),
             Bad((GRID, np.ones(2)), {}, ShapeError, r"\(2, 3\) by \(2,\)"),
             Bad((GRID, np.ones(())), {}, ShapeError, r"\(2, 3\) by \(\)")],
    ),
    OpSpec(
        "linear", ops.linear, linear_reference, linear_samples, differentiable=(0, 1, 2), complex_step=True,
        torch=lambda x, w, b=None: torch().nn.functional.linear(x, w, b),
        bad=[Bad((GRID, np.ones((3, 2))), {}, ShapeError, r"\(m, k\) with one k, got \(2, 3\) and \(3, 2\)"),
             Bad((GRID, np.ones(3)), {}, ShapeError, r"got \(2, 3\) and \(3,\)"),
             Bad((np.ones(()), GRID), {}, ShapeError, r"got \(\) and \(2, 3\)"),
             Bad((GRID, GRID, np.ones(3)), {}, ShapeError, r"a bias of shape \(2,\).*got \(3,\)")],
    ),
    OpSpec(
        "einsum", ops.einsum, einsum_reference, einsum_samples, differentiable=(1, 2, 3), complex_step=True,
        torch=lambda subscripts, *operands: torch().einsum(subscripts, *operands),
        bad=[bad_einsum("expected 2 operands for 'ij,jk->ik', got 1", "ij,jk->ik", GRID),
             bad_einsum("operand 0 has 2 axes, but its term 'i' in 'i->i' names 1", "i->i", GRID),
             bad_einsum("term 'ijk...' in 'ijk...' names 3", "ijk...", GRID),
             bad_einsum("must name each axis once.*check 'k'", "ij->ik", GRID),
             bad_einsum("must name each axis once.*check 'i'", "ij->ii", GRID),
             bad_einsum("got '1'", "i1->i", GRID), bad_einsum("got '.'", "i.j->i", GRID),
             bad_einsum(r"float64\[2, 3\], float64\[2, 3\].*j", "ij,jk->ik", GRID, GRID),
             bad_einsum(r"float64\[2, 3\].*i", "ii->", GRID)],
    ),
]  # fmt: skip
