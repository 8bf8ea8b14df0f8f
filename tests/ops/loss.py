"""Records of the losses. References compute one number at a time, in the textbook form."""

import math

import numpy as np

from minigen import ops
from minigen.errors import ConfigError, DataError, DtypeError, ShapeError
from tests.opspec import Bad, OpSpec, Sample, layouts

REDUCTIONS = ("mean", "sum", "none")


def functional():
    import torch

    return torch.nn.functional


def reduced(losses, shape, reduction):
    if reduction == "none":
        return np.reshape(losses, shape)
    return np.float64(math.fsum(losses) / (max(1, len(losses)) if reduction == "mean" else 1))


def bce_with_logits(logits, targets, reduction="mean"):
    def one(l, t):
        if l < -30:  # ln σ(l) = l − ln(1 + eˡ)
            return -t * (l - math.exp(l)) + (1 - t) * math.exp(l)
        p = 1 / (1 + math.exp(-l))
        rest = math.exp(-l) / (1 + math.exp(-l)) if l < 700 else 0.0
        return -t * math.log(p) - (1 - t) * (math.log(rest) if rest else -l)

    losses = [one(float(l), float(t)) for l, t in zip(logits.ravel(), targets.ravel())]
    return reduced(losses, logits.shape, reduction)


def bce_samples(rng):
    found = [Sample((3 * l, rng.random((2, 3)), r)) for l in layouts(rng.standard_normal((2, 3))) for r in REDUCTIONS]
    found += [Sample((rng.standard_normal((3, 2)), t)) for t in layouts(rng.random((3, 2)))[1:]]
    edges = np.array([30.0, -30.0, 1e4, -1e4, 0.0]), np.array([1.0, 0.0, 1.0, 0.0, 0.25])
    empty = np.ones((0, 3))
    return [*found, Sample((*edges, "none")), Sample((empty, empty)), Sample((empty, empty, "none")),
            Sample((rng.standard_normal(()), rng.random(())))]  # fmt: skip


def softmax_cross_entropy(logits, labels, reduction="mean"):
    rows = logits.reshape(-1, logits.shape[-1]).tolist()
    largest = [max(row) for row in rows]
    losses = [
        -math.log(math.exp(row[k] - m) / math.fsum(math.exp(l - m) for l in row)) if row[k] > m - 700 else m - row[k]
        for row, m, k in zip(rows, largest, labels.ravel().tolist())
    ]
    return reduced(losses, labels.shape, reduction)


def cross_entropy_samples(rng):
    logits = layouts(3 * rng.standard_normal((3, 4)))
    found = [Sample((l, rng.integers(0, 4, 3), r)) for l in logits for r in REDUCTIONS]
    cube, line = rng.standard_normal((2, 2, 3)), rng.standard_normal(5)
    edges = np.array([[40.0, -40.0, 0.0], [-40.0, -40.0, -40.0]])
    return [*found, Sample((cube, rng.integers(0, 3, (2, 2)).astype(np.uint8), "none")), Sample((line, np.array(4))),
            Sample((np.ones((2, 1)), np.array([0, 0], np.int32))), Sample((edges, np.array([1, 2]), "none")),
            Sample((np.ones((0, 3)), np.ones(0, int))), Sample((np.ones((0, 3)), np.ones(0, int), "none"))]  # fmt: skip


def mse(x, y, reduction="mean"):
    return reduced([(float(a) - float(b)) ** 2 for a, b in zip(x.ravel(), y.ravel())], x.shape, reduction)


def mse_samples(rng):
    found = [
        Sample((x, rng.standard_normal((2, 3)), r)) for x in layouts(rng.standard_normal((2, 3))) for r in REDUCTIONS
    ]
    return [*found, Sample((rng.standard_normal(()), rng.standard_normal(()))), Sample((np.ones((0, 2)),) * 2)]


def how(reduction, x):
    """PyTorch's mean of nothing is NaN, ours 0."""
    return {"reduction": "sum" if reduction == "mean" and not x.numel() else reduction}


THREE = np.ones((4, 3))
LABELS = np.array([0, 1, 2, 0])
BAD_REDUCTION = Bad(
    (THREE, THREE, "average"), {}, ConfigError, "reduction must be 'mean', 'sum' or 'none', got 'average'"
)

SPECS = [
    OpSpec(
        "bce_with_logits",
        ops.bce_with_logits,
        bce_with_logits,
        bce_samples,
        differentiable=(0, 1),
        torch=lambda l, t, reduction="mean": functional().binary_cross_entropy_with_logits(l, t, **how(reduction, l)),
        bad=[
            BAD_REDUCTION,
            Bad((THREE, np.ones(3)), {}, ShapeError, r"targets must have shape \(4, 3\), got \(3,\)"),
        ],
    ),
    OpSpec(
        "softmax_cross_entropy",
        ops.softmax_cross_entropy,
        softmax_cross_entropy,
        cross_entropy_samples,
        torch=lambda l, k, reduction="mean": functional().cross_entropy(
            l.movedim(-1, min(1, l.ndim - 1)), k.long(), **how(reduction, k)
        ),
        bad=[
            Bad((THREE, LABELS, "max"), {}, ConfigError, "reduction must be .* got 'max'"),
            Bad((THREE, LABELS[:3]), {}, ShapeError, r"labels must have shape \(4,\), got \(3,\)"),
            Bad((np.ones((4, 0)), LABELS), {}, ShapeError, r"at least one class, got \(4, 0\)"),
            Bad((np.ones(()), np.array(0)), {}, ShapeError, r"expected logits \(…, K\)"),
            Bad((THREE, LABELS.astype(float)), {}, DtypeError, "labels must be integers, got float64"),
            Bad((THREE, LABELS + 1), {}, DataError, "lie in 0 … 2 for 3 classes, got 1 … 3", host_only=True),
            Bad((THREE, LABELS - 1), {}, DataError, "lie in 0 … 2 for 3 classes, got -1 … 1", host_only=True),
        ],
    ),
    OpSpec(
        "mse",
        ops.mse,
        mse,
        mse_samples,
        differentiable=(0, 1),
        torch=lambda x, y, reduction="mean": functional().mse_loss(x, y, **how(reduction, x)),
        bad=[BAD_REDUCTION, Bad((THREE, np.ones((3, 4))), {}, ShapeError, r"y must have shape \(4, 3\), got \(3, 4\)")],
    ),
]
