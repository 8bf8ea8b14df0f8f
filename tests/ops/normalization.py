"""Records of normalisation and dropout. References compute one number at a time."""

import math

import numpy as np

from minigen import ops
from minigen.errors import ConfigError, DtypeError, ShapeError
from tests.opspec import Bad, OpSpec, Sample, layouts


def functional():
    import torch

    return torch.nn.functional


def normalized(values, eps):
    """The values of one group, minus their mean, over the root of their variance + ε."""
    mean = math.fsum(values) / len(values)
    variance = math.fsum((v - mean) ** 2 for v in values) / len(values)
    return [(v - mean) / math.sqrt(variance + eps) for v in values]


def batch_norm(x, weight, bias, running_mean, running_var, training, momentum=0.1, eps=1e-5):
    y = np.empty(x.shape)
    for c in range(x.shape[1]):
        values = x[:, c].ravel().tolist()
        if training:
            found = normalized(values, eps)
        else:
            found = [(v - running_mean[c]) / math.sqrt(running_var[c] + eps) for v in values]
        y[:, c] = np.reshape([weight[c] * v + bias[c] for v in found], x[:, c].shape)
    return y


def batch_norm_samples(rng):
    def sample(x, training, **options):
        c = x.shape[1]
        running = (None, None) if training else (rng.standard_normal(c), rng.random(c) + 0.5)
        return Sample((x, rng.standard_normal(c), rng.standard_normal(c), *running, training), options)

    draw = lambda *shape: 1 + 2 * rng.standard_normal(shape)
    channels_last = np.moveaxis(draw(3, 2, 2, 4), -1, 1)
    found = [sample(x, training) for x in layouts(draw(4, 3)) for training in (True, False)]
    found += [
        sample(x, True) for x in (channels_last, draw(3, 2, 4), draw(2, 2, 3, 2), draw(2, 1, 2, 1), draw(1, 2, 3))
    ]
    found += [sample(channels_last, False), sample(draw(0, 3), False), sample(draw(5, 2), True, eps=0.1)]
    return found


def layer_norm(x, normalized_shape, weight, bias, eps=1e-5):
    shape = np.atleast_1d(normalized_shape)
    lead = x.ndim - len(shape)
    y = np.empty(x.shape)
    for i in np.ndindex(x.shape[:lead]):
        y[i] = np.reshape(normalized(x[i].ravel().tolist(), eps), shape) * weight + bias
    return y


def layer_norm_samples(rng):
    def sample(x, axes, **options):
        shape = x.shape[-axes:]
        name = shape[0] if axes == 1 else shape
        return Sample((x, name, rng.standard_normal(shape), rng.standard_normal(shape)), options)

    draw = lambda *shape: 1 + 2 * rng.standard_normal(shape)
    found = [sample(x, 1) for x in layouts(draw(3, 4))]
    return [*found, sample(draw(2, 3, 4), 1), sample(draw(2, 2, 3), 2), sample(draw(5), 1), sample(draw(0, 3), 1),
            sample(draw(2, 3), 1, eps=0.1)]  # fmt: skip


def dropout(x, p, rng, training):
    if not training:
        return x
    draws = np.reshape([rng.random(dtype=np.float32) for _ in range(x.size)], x.shape)
    return np.where(draws < p, 0.0, x / (1 - p))


def dropout_samples(rng):
    found = [Sample((x, 0.4, np.random.default_rng(7), True)) for x in layouts(rng.standard_normal((5, 4)))]
    empty, some = np.ones((0, 2)), rng.standard_normal((2, 3))
    return [*found, Sample((empty, 0.5, np.random.default_rng(1), True)),
            Sample((some, 0.0, np.random.default_rng(1), True)), Sample((some, 0.9, None, False))]  # fmt: skip


ONE, THREE = np.ones(3), np.ones((4, 3))

SPECS = [
    OpSpec(
        "batch_norm",
        ops.batch_norm,
        batch_norm,
        batch_norm_samples,
        differentiable=(0, 1, 2),
        torch=lambda x, w, b, mean, var, training, momentum=0.1, eps=1e-5: functional().batch_norm(
            x, mean, var, w, b, training, momentum, eps
        ),
        bad=[
            Bad((np.ones((1, 3)), ONE, ONE, None, None, True), {}, ShapeError, r"more than one value .* \(1, 3\)"),
            Bad((np.ones((0, 3)), ONE, ONE, None, None, True), {}, ShapeError, r"more than one value .* \(0, 3\)"),
            Bad((ONE, ONE, ONE, None, None, True), {}, ShapeError, r"expected x of shape \(N, C, …\), got \(3,\)"),
            Bad((THREE, np.ones(4), ONE, None, None, True), {}, ShapeError, r"weight must .*\(3,\).*got \(4,\)"),
            Bad((THREE, ONE, THREE, None, None, True), {}, ShapeError, r"bias must have shape \(3,\).*got \(4, 3\)"),
            Bad((THREE, ONE, ONE, ONE, None, False), {}, ShapeError, r"running_var must have shape \(3,\).*got None"),
        ],
    ),
    OpSpec(
        "layer_norm",
        ops.layer_norm,
        layer_norm,
        layer_norm_samples,
        differentiable=(0, 2, 3),
        torch=lambda x, shape, w, b, eps=1e-5: functional().layer_norm(x, w.shape, w, b, eps),
        bad=[
            Bad((THREE, 4, ONE, ONE), {}, ShapeError, r"must end in the axes normalized_shape \(4,\), got \(4, 3\)"),
            Bad((THREE, (), ONE, ONE), {}, ShapeError, r"normalized_shape \(\)"),
            Bad((THREE, 3, THREE, ONE), {}, ShapeError, r"weight must .* normalized_shape \(3,\), got \(4, 3\)"),
            Bad((THREE, (4, 3), THREE, ONE), {}, ShapeError, r"bias must .* normalized_shape \(4, 3\), got \(3,\)"),
        ],
    ),
    OpSpec(
        "dropout",
        ops.dropout,
        dropout,
        dropout_samples,
        bad=[
            Bad((ONE, 1.0, np.random.default_rng(1), True), {}, ConfigError, r"p must lie in \[0, 1\), got 1.0"),
            Bad((ONE, -0.1, np.random.default_rng(1), False), {}, ConfigError, "got -0.1"),
            Bad((np.arange(3), 0.5, np.random.default_rng(1), True), {}, DtypeError, "floating-point x, got int64"),
        ],
    ),
]
