"""Optimizers against PyTorch and against loops of plain numbers; clipping, schedules, saved states, messages."""

import json
import math

import numpy as np
import pytest

import minigen
from minigen import backend, optim
from minigen.errors import ConfigError, GraphError, ShapeError

SHAPES = [(3, 4), (5,), (), (2, 1, 3)]


def make(rng, dtype=np.float64):
    return [minigen.tensor(rng.standard_normal(shape).astype(dtype), requires_grad=True) for shape in SHAPES]


def gradients(rng, dtype=np.float64):
    return [backend.asarray(rng.standard_normal(shape).astype(dtype)) for shape in SHAPES]


def array(*numbers):
    return backend.asarray(np.array(numbers))


@pytest.fixture(autouse=True)
def on_each_backend(backend_name):
    """Every test here runs on the backends that were asked for."""


CASES = {
    "sgd": (optim.SGD, {"lr": 0.1}),
    "momentum": (optim.SGD, {"lr": 0.1, "momentum": 0.9}),
    "nesterov": (optim.SGD, {"lr": 0.05, "momentum": 0.8, "nesterov": True, "weight_decay": 0.1}),
    "rmsprop": (optim.RMSprop, {"lr": 0.01}),
    "rmsprop_alpha": (optim.RMSprop, {"lr": 0.02, "alpha": 0.9, "eps": 1e-3}),
    "adam": (optim.Adam, {"lr": 0.01}),
    "adam_gan": (optim.Adam, {"lr": 2e-4, "betas": (0.5, 0.999)}),
    "adam_zero": (optim.Adam, {"lr": 0.01, "betas": (0.0, 0.9), "eps": 1e-4}),
    "adamw": (optim.AdamW, {"lr": 0.01, "betas": (0.9, 0.95), "weight_decay": 0.1}),
}


def one_number(kind, theta, gs, lr, momentum=0.0, nesterov=False, weight_decay=None, alpha=0.99, eps=1e-8,
               betas=(0.9, 0.999)):  # fmt: skip
    """The trajectory of a single parameter, in Python numbers, from the papers' equations."""
    m = v = 0.0
    for t, g in enumerate(gs, 1):
        if kind is optim.SGD:
            g = g + (weight_decay or 0.0) * theta
            m = momentum * m + g
            theta = theta - lr * (g + momentum * m if nesterov else m)
        elif kind is optim.RMSprop:
            v = alpha * v + (1 - alpha) * g**2
            theta = theta - lr * g / (math.sqrt(v) + eps)
        else:
            m = betas[0] * m + (1 - betas[0]) * g
            v = betas[1] * v + (1 - betas[1]) * g**2
            decay = 0.0 if kind is optim.Adam else 0.01 if weight_decay is None else weight_decay
            theta = (1 - lr * decay) * theta
            theta = theta - lr * (m / (1 - betas[0] ** t)) / (math.sqrt(v / (1 - betas[1] ** t)) + eps)
    return theta


@pytest.mark.parametrize("case", CASES)
def test_trajectory_by_hand(case):
    kind, options = CASES[case]
    rng = np.random.default_rng(1)
    parameters = make(rng)
    start = [p.numpy().copy() for p in parameters]
    gs = [gradients(rng) for _ in range(20)]
    optimizer = kind(parameters, **options)
    for step in gs:
        optimizer.step(step)
    for i, p in enumerate(parameters):
        for at in np.ndindex(p.shape):
            expected = one_number(
                kind, float(start[i][at]), [float(backend.to_host(step[i])[at]) for step in gs], **options
            )
            assert p.numpy()[at] == pytest.approx(expected, rel=1e-11, abs=1e-12)


@pytest.mark.oracle
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_trajectory_of_torch(case, dtype):
    torch = pytest.importorskip("torch")
    kind, options = CASES[case]
    rng = np.random.default_rng(2)
    parameters = make(rng, dtype)
    twins = [torch.tensor(p.numpy().copy(), requires_grad=True) for p in parameters]
    ours, theirs = kind(parameters, **options), getattr(torch.optim, kind.__name__)(twins, **options)
    for k in range(20):
        gs = gradients(rng, dtype)
        gs[1] = None if k % 3 == 0 else gs[1]  # a skipped parameter does not age
        for p, g in zip(twins, gs):
            p.grad = None if g is None else torch.tensor(backend.to_host(g))
        ours.step(gs)
        theirs.step()
    for p, twin in zip(parameters, twins):
        assert p.dtype == dtype
        tolerance = 1e-10 if dtype == np.float64 else 2e-5
        np.testing.assert_allclose(p.numpy(), twin.detach().numpy(), rtol=tolerance, atol=tolerance)


def test_step_takes_grad_and_zero_grad_forgets():
    x = minigen.tensor(np.array([1.0, 2.0]), requires_grad=True)
    optimizer = optim.SGD([x], lr=0.5)
    (x * x).sum().backward()
    optimizer.step()
    np.testing.assert_array_equal(x.numpy(), [0.0, 0.0])
    optimizer.zero_grad()
    assert x.grad is None


def test_step_marks_the_old_value_as_out_of_date():
    x = minigen.tensor(np.ones(3), requires_grad=True)
    y = (x * x).sum()
    optim.SGD([x], lr=0.1).step([array(1.0, 1.0, 1.0)])
    with pytest.raises(GraphError, match="updated in place"):
        y.backward()


@pytest.mark.parametrize("case", CASES)
def test_resume_is_exact(case):
    kind, options = CASES[case]
    rng = np.random.default_rng(3)
    a = make(rng, np.float32)
    gs = [gradients(rng, np.float32) for _ in range(6)]
    through = kind(a, **options)
    for step in gs[:3]:
        through.step(step)
    through.lr *= 0.5
    saved = through.state_dict()
    scalars = json.loads(json.dumps(saved["scalars"]))
    b = [minigen.tensor(p.numpy().copy(), requires_grad=True) for p in a]
    for step in gs[3:]:
        through.step(step)
    resumed = kind(b, **options)
    resumed.load_state_dict({"arrays": saved["arrays"], "scalars": scalars})
    for step in gs[3:]:
        resumed.step(step)
    for p, q in zip(a, b):
        assert p.numpy().tobytes() == q.numpy().tobytes()


def test_state_dict_is_a_copy_and_load_changes_nothing_on_error():
    x = minigen.tensor(np.ones(2), requires_grad=True)
    optimizer = optim.Adam([x])
    optimizer.step([array(1.0, 1.0)])
    saved = optimizer.state_dict()
    before = backend.to_host(saved["arrays"]["m.0"]).copy()
    optimizer.step([array(1.0, 1.0)])
    np.testing.assert_array_equal(backend.to_host(saved["arrays"]["m.0"]), before)
    now = backend.to_host(optimizer.state["m"][0]).copy()
    arrays = saved["arrays"]
    for bad, match in [
        ({"arrays": arrays, "scalars": {**saved["scalars"], "optimizer": "SGD"}}, "saved by SGD"),
        ({"arrays": arrays, "scalars": {**saved["scalars"], "steps": [1, 1]}}, "of 2 parameters, but there are 1"),
        ({"arrays": arrays, "scalars": {"optimizer": "Adam", "lr": 0.1}}, "the state lacks 'steps'"),
        ({"arrays": {"m.0": arrays["m.0"]}, "scalars": saved["scalars"]}, "lacks 'v.0'"),
        ({"arrays": {**arrays, "q.0": before}, "scalars": saved["scalars"]}, "unknown 'q.0'"),
        ({"arrays": {**arrays, "v.0": np.ones(3)}, "scalars": saved["scalars"]}, r"'v.0' must be float64\[2\], got"),
    ]:
        with pytest.raises(ConfigError, match=match):
            optimizer.load_state_dict(bad)
        np.testing.assert_array_equal(backend.to_host(optimizer.state["m"][0]), now)
        assert optimizer.steps == [2]


def leaf():
    return minigen.tensor(np.ones(2), requires_grad=True)


@pytest.mark.parametrize(
    "make, match",
    [
        (lambda: optim.SGD([], lr=0.1), "SGD: expected parameters"),
        (lambda: optim.SGD([leaf()], lr=0.0), "lr must be a positive number, got 0.0"),
        (lambda: optim.Adam([leaf()], lr=-1), "lr must be a positive"),
        (lambda: optim.Adam([leaf()], lr=math.nan), "lr must be a positive"),
        (lambda: optim.Adam([leaf()], betas=(0.9, 1.0)), r"betas\[1\] must lie in \[0, 1\), got 1.0"),
        (lambda: optim.Adam([leaf()], betas=(-0.1, 0.9)), r"betas\[0\]"),
        (lambda: optim.Adam([leaf()], eps=0), "eps must be a positive"),
        (lambda: optim.AdamW([leaf()], weight_decay=-0.1), "weight_decay must not be negative"),
        (lambda: optim.SGD([leaf()], lr=0.1, momentum=1.0), "momentum must lie"),
        (lambda: optim.SGD([leaf()], lr=0.1, nesterov=True), "nesterov needs a momentum"),
        (lambda: optim.RMSprop([leaf()], alpha=1.5), "alpha must lie"),
        (lambda: optim.Adam([np.ones(2)]), "parameter 0 must be a leaf tensor, got ndarray"),
        (lambda: optim.Adam([leaf(), minigen.tensor(np.ones(2))]), "parameter 1 .* requires no gradient"),
        (lambda: optim.Adam([leaf() * 2]), "the result of 'multiply'"),
        (lambda: optim.Adam([leaf()] * 2), "listed twice"),
        (lambda: optim.clip_grad_norm([np.ones(2)], 0.0), "max_norm must be positive"),
        (lambda: optim.Player("g", [], lambda batch, rng: None, None, repeats=0), "repeats must be at least 1"),
    ],
)
def test_bad_settings(make, match):
    with pytest.raises(ConfigError, match=match):
        make()


def test_bad_gradients():
    optimizer = optim.Adam([leaf(), leaf()])
    with pytest.raises(ShapeError, match="expected 2 gradients, one per parameter, got 1"):
        optimizer.step([array(1.0, 1.0)])
    with pytest.raises(ShapeError, match=r"gradient 1 must have the shape \(2,\) of its parameter, got \(1,\)"):
        optimizer.step([array(1.0, 1.0), array(1.0)])
    with pytest.raises(GraphError, match="no parameter has a gradient"):
        optimizer.step()


def test_a_nan_gradient_reaches_the_parameter():
    for kind, options in CASES.values():
        x = leaf()
        kind([x], **options).step([array(np.nan, 1.0)])
        assert np.isnan(x.numpy()[0]) and np.isfinite(x.numpy()[1])


def test_clip_grad_norm():
    a, b = array(3.0, 0.0), minigen.tensor(np.array([[4.0]]))
    norm = optim.clip_grad_norm([a, None, b], 1.0)
    assert norm.item() == pytest.approx(5.0)
    np.testing.assert_allclose(backend.to_host(a), [0.6, 0.0], rtol=1e-6)
    np.testing.assert_allclose(b.numpy(), [[0.8]], rtol=1e-6)
    before = backend.to_host(a).copy()
    assert optim.clip_grad_norm([a], 1.0).item() == pytest.approx(0.6)
    np.testing.assert_array_equal(backend.to_host(a), before)
    small = minigen.tensor(np.ones(2, np.float32))
    assert optim.clip_grad_norm([small], 0.1).dtype == small.dtype == np.float32
    bad = array(np.nan, 1.0)
    assert math.isnan(optim.clip_grad_norm([bad], 1.0).item())
    assert np.isnan(backend.to_host(bad)).all()
    x = leaf()
    g = minigen.grad((x * x * x).sum(), x, create_graph=True)
    with pytest.raises(GraphError, match="gradient 0 is a recorded computation"):
        optim.clip_grad_norm([g], 1.0)


@pytest.mark.oracle
def test_clip_grad_norm_of_torch(rng):
    torch = pytest.importorskip("torch")
    for max_norm in (0.5, 100.0):
        gs = gradients(rng)
        twins = [torch.zeros(g.shape, dtype=torch.float64, requires_grad=True) for g in gs]
        for t, g in zip(twins, gs):
            t.grad = torch.tensor(backend.to_host(g))
        expected = torch.nn.utils.clip_grad_norm_(twins, max_norm)
        assert optim.clip_grad_norm(gs, max_norm).item() == pytest.approx(expected.item(), rel=1e-12)
        for t, g in zip(twins, gs):
            np.testing.assert_allclose(backend.to_host(g), t.grad.numpy(), rtol=1e-12)


def test_schedules():
    assert [optim.warmup(k, 4, 1.0) for k in range(6)] == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    assert optim.warmup(0, 0, 0.1) == 0.1
    rates = [optim.cosine(k, 10, 2, 1.0, 0.1) for k in range(13)]
    assert rates[:3] == [0.5, 1.0, 1.0]
    assert rates[6] == pytest.approx(0.55)
    assert rates[10:] == pytest.approx([0.1] * 3)
    assert all(b <= a for a, b in zip(rates[2:], rates[3:]))
