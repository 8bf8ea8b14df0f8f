"""Every compiled twin of normalisation, losses and optimizers against its reference.

Odd shapes, both dtypes, memory in any order, one thread and more, edge values; and that a twin leaves its inputs alone.
"""

import copy
import importlib
import itertools

import numba
import numpy as np
import pytest

from minigen.kernels import KERNELS
from minigen.kernels.cpu import forget_stale
from minigen.kernels.cpu.threads import share
from tests.memory import orders

FAMILIES = {
    name: importlib.import_module(f"minigen.kernels.cpu.{name}")
    for name in ("activation", "attention", "elementwise", "normalization", "loss", "optimizer", "shape", "wavenet")
}
TWINS = {name: getattr(family, name) for family in FAMILIES.values() for name in family.__all__}
DTYPES = [np.float32, np.float64]


def paired(a, b):
    """Each order of `a` with the same order of `b`, and with the next one."""
    first, second = list(orders(a)), list(orders(b))
    for i, x in enumerate(first):
        yield x, second[i]
        yield x, second[(i + 1) % len(second)]


def agree(ours, expected, dtype, scale=1.0):
    ours, expected = (a if isinstance(a, tuple) else (a,) for a in (ours, expected))
    assert len(ours) == len(expected)
    for a, e in zip(ours, expected):
        assert a.dtype == dtype and a.shape == e.shape
        size = scale * np.abs(e[np.isfinite(e)]).max(initial=1.0)
        np.testing.assert_allclose(a, e, rtol=0, atol=size * (2e-6 if dtype == np.float32 else 1e-13))


def compare(name, arguments, dtype, scale=1.0):
    """The twin on `arguments` gives what the reference gives in float64, and changes nothing."""
    wide = [a.astype(np.float64) if isinstance(a, np.ndarray) and a.dtype.kind == "f" else a for a in arguments]
    kept = copy.deepcopy(arguments)
    ours = TWINS[name](*arguments)
    agree(ours, KERNELS[name](*wide), dtype, scale)
    for a, k in zip(arguments, kept):
        np.testing.assert_array_equal(a, k)
    return ours


@pytest.fixture(params=[1, 2], ids=lambda n: f"{n} threads")
def threads(request, monkeypatch):
    """Normalisation on so many threads, however small the arrays."""
    if request.param > numba.config.NUMBA_NUM_THREADS:
        pytest.skip("fewer threads on this machine")
    before = numba.get_num_threads()
    numba.set_num_threads(request.param)
    monkeypatch.setattr(FAMILIES["normalization"], "THREAD", 8)
    yield request.param
    numba.set_num_threads(before)


def test_each_twin_has_a_reference_of_the_same_signature():
    import inspect

    for name, twin in TWINS.items():
        assert inspect.signature(twin) == inspect.signature(KERNELS[name]), name


# -- normalisation ----------------------------------------------------------------------------------------------------

IMAGES = [(5, 3), (1, 7), (4, 1), (300, 33), (2, 3, 5), (2, 3, 4, 5), (3, 17, 1, 9), (65, 16, 3, 3), (0, 3, 2)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", IMAGES, ids=str)
def test_batch_norm(shape, dtype, threads):
    rng = np.random.default_rng(1)
    c = shape[1]
    mean, r, weight, bias = (rng.standard_normal(c).astype(dtype) for _ in range(4))
    images = (3 + 2 * rng.standard_normal(shape)).astype(dtype)
    for x in orders(images):
        if x.size:
            compare("channel_moments", [x], dtype)
        y = compare("batch_norm", [x, mean, r, weight, bias], dtype, 8.0)
        if x.flags.c_contiguous or np.moveaxis(x, 1, -1).flags.c_contiguous:
            assert y.strides == x.strides
    for x, g in paired(images, rng.standard_normal(shape).astype(dtype)):
        compare("batch_norm_gradients", [g, x, mean, r, weight], dtype, 8.0)


def test_moments_of_a_far_off_mean():
    """One look at the data would lose the variance under the mean: here it has 1 part in 10⁶ of mean²."""
    rng = np.random.default_rng(2)
    x = (1000 + rng.standard_normal((4000, 8))).astype(np.float32)
    x[0] = 0.0
    mean, variance = TWINS["channel_moments"](x)
    exact = x.astype(np.float64)
    np.testing.assert_allclose(mean, exact.mean(0), rtol=1e-6)
    np.testing.assert_allclose(variance, exact.var(0), rtol=1e-4)


def test_moments_do_not_depend_on_the_number_of_threads(monkeypatch):
    x = np.random.default_rng(3).standard_normal((50_000, 3)).astype(np.float32)
    found = []
    for size in (1 << 40, 8):
        monkeypatch.setattr(FAMILIES["normalization"], "THREAD", size)
        found.append([a.tobytes() for a in TWINS["channel_moments"](x)])
    assert found[0] == found[1]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape, axes", [((5, 7), 1), ((2, 3, 33), 1), ((3, 4, 5), 2), ((1, 1), 1), ((70, 16), 1),
                                         ((6,), 1), ((0, 4), 1)], ids=str)  # fmt: skip
def test_layer_norm(shape, axes, dtype, threads):
    rng = np.random.default_rng(4)
    weight, bias = (rng.standard_normal(shape[-axes:]).astype(dtype) for _ in range(2))
    scale = 400.0 if shape[-1] == 1 else 8.0  # there r is 1 / √ε
    for x, g in paired((1 + 2 * rng.standard_normal(shape)).astype(dtype), rng.standard_normal(shape).astype(dtype)):
        _, mean, r = compare("layer_norm", [x, weight, bias, 1e-5], dtype, scale)
        compare("layer_norm_gradients", [g, x, mean, r, weight], dtype, scale)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_normalisation_hands_on_what_is_not_finite(dtype, bad):
    rng = np.random.default_rng(5)
    x = rng.standard_normal((40, 20)).astype(dtype)
    x[17, 3] = bad
    w = np.ones(20, dtype)
    with np.errstate(invalid="ignore"):
        mean, variance = TWINS["channel_moments"](x)
        assert np.isnan(variance[3]) and np.isfinite(np.delete(variance, 3)).all()
        y = TWINS["batch_norm"](x, mean, 1 / np.sqrt(variance), w, w)
        assert np.isnan(y[:, 3]).all() and np.isfinite(np.delete(y, 3, axis=1)).all()
        y, mean, r = TWINS["layer_norm"](x, w, w, 1e-5)
        assert np.isnan(y[17]).all() and np.isfinite(np.delete(y, 17, axis=0)).all()
        g = np.ones_like(x)
        dx, dw, db = TWINS["layer_norm_gradients"](g, x, mean, r, w)
        assert np.isnan(dx[17]).all() and np.isnan(dw).all() and np.isfinite(db).all()
        g[2, 5] = bad
        dx, dw, db = TWINS["batch_norm_gradients"](g, np.ones_like(x), w, w, w)
        assert not np.isfinite(db[5]) and not np.isfinite(dx[2, 5]) and np.isfinite(np.delete(db, 5)).all()


# -- losses -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (1,), (7,), (5, 33), (2, 3, 19), (0, 3)], ids=str)
def test_bce_with_logits(shape, dtype):
    rng = np.random.default_rng(6)
    for logits, targets in paired((4 * rng.standard_normal(shape)).astype(dtype), rng.random(shape).astype(dtype)):
        compare("bce_with_logits", [logits, targets], dtype)
    compare("bce_with_logits", [logits, (rng.random(shape) > 0.5).astype(np.uint8)], dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_bce_with_logits_at_the_edges(dtype):
    logits = np.array([1e4, -1e4, 1e4, -1e4, 0.0, -0.0, 88.0, -88.0, 30.0, -30.0, 1e-30], dtype)
    targets = np.array([1, 0, 0, 1, 0.5, 0.5, 1, 0, 1, 0, 0], dtype)
    loss, slope = TWINS["bce_with_logits"](logits, targets)
    e_loss, e_slope = KERNELS["bce_with_logits"](logits.astype(np.float64), targets.astype(np.float64))
    np.testing.assert_allclose(loss, e_loss, rtol=4e-7, atol=2e-38)  # also where the loss is 10⁻¹³
    np.testing.assert_allclose(slope, e_slope, rtol=4e-7, atol=1e-7)
    with np.errstate(invalid="ignore"):
        for bad in (np.nan, np.inf, -np.inf):
            loss, slope = TWINS["bce_with_logits"](np.array([bad, 1.0], dtype), np.array([0.5, 0.5], dtype))
            assert not np.isfinite(loss[0]) and np.isfinite(loss[1]) and np.isfinite(slope[1])
            assert np.isnan(slope[0]) == np.isnan(bad)


CLASSES = [((5,), 3), ((1,), 1), ((), 4), ((2, 3), 16), ((7,), 17), ((40,), 33), ((3,), 1000), ((0,), 5)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape, classes", CLASSES, ids=str)
def test_softmax_cross_entropy(shape, classes, dtype):
    rng = np.random.default_rng(7)
    for logits in orders((4 * rng.standard_normal((*shape, classes))).astype(dtype)):
        for kind in (np.int64, np.int32, np.uint8):
            labels = rng.integers(0, min(classes, 200), shape).astype(kind)
            _, m, s = compare("softmax_cross_entropy", [logits, labels], dtype)
            g = rng.standard_normal(shape).astype(dtype)
            compare("softmax_cross_entropy_gradient", [logits, labels, m, s, g], dtype)
        one = np.full((), 0.25, dtype)
        compare("softmax_cross_entropy_gradient", [logits, labels, m, s, one], dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("classes", [3, 40])
def test_softmax_cross_entropy_at_the_edges(classes, dtype):
    logits = np.zeros((5, classes), dtype)
    logits[0, :3] = 1e4, -1e4, 0
    logits[1] = -1e4
    logits[2, :2] = -np.inf, 3
    labels = np.array([1, 0, 1, 0, 2])
    loss, m, s = TWINS["softmax_cross_entropy"](logits, labels)
    e_loss, _, _ = KERNELS["softmax_cross_entropy"](logits.astype(np.float64), labels)
    np.testing.assert_allclose(loss, e_loss, rtol=1e-6)
    g = np.ones(5, dtype)
    p = TWINS["softmax_cross_entropy_gradient"](logits, labels, m, s, g)
    assert np.isfinite(p).all() and p[2, 0] == 0
    np.testing.assert_allclose(p.sum(-1), 0, atol=1e-6)
    with np.errstate(invalid="ignore"):
        for at in (0, 1, classes - 1):
            logits[3] = 0
            logits[3, at] = np.nan
            loss, m, s = TWINS["softmax_cross_entropy"](logits, labels)
            assert np.isnan(loss[3]) and np.isfinite(np.delete(loss, 3)).all()
            p = TWINS["softmax_cross_entropy_gradient"](logits, labels, m, s, g)
            assert np.isnan(p[3]).all() and np.isfinite(np.delete(p, 3, axis=0)).all()


# -- optimizers -------------------------------------------------------------------------------------------------------

STEPS = {
    "adam_step": lambda rng: (3, 1e-2, 0.9, 0.99, 1e-8, 0.0),
    "rmsprop_step": lambda rng: (1e-2, 0.9, 1e-8),
    "adam_step (decay)": lambda rng: (1, 1e-2, 0.0, 0.99, 1e-3, 0.1),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (1,), (37,), (5, 7), (3, 4, 2, 5), (0, 2)], ids=str)
@pytest.mark.parametrize("case", STEPS)
def test_steps(case, shape, dtype):
    rng = np.random.default_rng(8)
    name = case.split()[0]
    options = STEPS[case](rng)
    for p, g in paired(rng.standard_normal(shape).astype(dtype), rng.standard_normal(shape).astype(dtype)):
        averages = [np.zeros_like(p) + dtype(0.5) for _ in range(2 if name == "adam_step" else 1)]
        kept = g.copy()
        ours = [p.copy(order="K"), g, *averages]
        expected = [a.astype(np.float64) for a in ours]
        TWINS[name](*ours, *options)
        KERNELS[name](*expected, *options)
        np.testing.assert_array_equal(g, kept)
        for a, e in zip(ours, expected):
            agree(a, e, dtype)
    strided = np.zeros((4, 6), dtype)[:, ::2]
    averages = [np.zeros_like(strided) for _ in range(2 if name == "adam_step" else 1)]
    TWINS[name](strided, np.ones((4, 3), dtype), *averages, *options)
    assert (strided < 0).all() and (strided.base[:, 1::2] == 0).all()


@pytest.mark.parametrize("case", STEPS)
def test_steps_hand_on_nan(case):
    name = case.split()[0]
    for dtype in DTYPES:
        p, g, *averages = (np.ones(50, dtype) for _ in range(4 if name == "adam_step" else 3))
        g[7] = np.nan
        TWINS[name](p, g, *averages, *STEPS[case](None))
        for a in (p, *averages):
            assert np.isnan(a[7]) and np.isfinite(np.delete(a, 7)).all()


MANY = [(), (1,), (37,), (5, 7), (0, 2), (3, 4, 2, 5), (300, 257), *((k,) for k in range(60, 70))]


def many(rng, dtype):
    """Gradients of all sizes, one of them in another memory order and one with gaps"""
    gs = [rng.standard_normal(shape).astype(dtype) for shape in MANY]
    gs[3], gs[5] = gs[3].copy(order="F"), np.repeat(gs[5], 2, axis=-1)[..., ::2]
    return gs


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_adam_steps(rng, dtype, threads, monkeypatch, loops):
    """All at once, each with a step count and decay of its own; parameters that do not fit among them."""
    monkeypatch.setattr("minigen.kernels.cpu.threads.get_num_threads", lambda: threads)
    monkeypatch.setattr(FAMILIES["optimizer"], "LEAST", 10)
    ps, gs, ms = ([np.ascontiguousarray(a) for a in many(rng, dtype)], many(rng, dtype), many(rng, dtype))
    ms[3], ms[5] = np.ascontiguousarray(ms[3]), np.ascontiguousarray(ms[5])
    ps[2] = np.repeat(ps[2], 2)[::2]
    vs = [m * m for m in ms]
    arguments = [ps, gs, ms, vs, [1 + k % 5 for k in range(len(MANY))], 1e-2, 0.9, 0.99, 1e-8]
    arguments.append([0.1 * (k % 3) for k in range(len(MANY))])
    gs[6].flags.writeable = False
    kept, expected = copy.deepcopy(gs), [[a.astype("f8") for a in of] for of in arguments[:4]] + arguments[4:]
    parts = loops(FAMILIES["optimizer"])
    TWINS["adam_steps"](*arguments)
    assert parts == ([(FAMILIES["optimizer"]._adam_of, threads)] if dtype == np.float32 else [])
    KERNELS["adam_steps"](*expected)
    for ours, theirs in zip(arguments[:4], expected[:4]):
        for a, e in zip(ours, theirs):
            agree(a, e, dtype, 4.0)
    for g, k in zip(gs, kept):
        np.testing.assert_array_equal(g, k)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("max_norm", [1.0, 1e4])
def test_clip_norm(rng, dtype, max_norm, monkeypatch):
    """Whatever the number of threads; where gradients have gaps, by the reference."""
    found = []
    for threads, gaps in ((1, False), (2, False), (3, False), (3, True)):
        monkeypatch.setattr("minigen.kernels.cpu.threads.get_num_threads", lambda threads=threads: threads)
        monkeypatch.setattr(FAMILIES["optimizer"], "LEAST", 1 << 12)
        gs = many(np.random.default_rng(5), dtype)
        ours, theirs = gs if gaps else [a.copy(order="K") for a in gs], [a.astype("f8") for a in gs]
        norm = TWINS["clip_norm"](ours, max_norm)
        np.testing.assert_allclose(norm, KERNELS["clip_norm"](theirs, max_norm), rtol=1e-6)
        assert norm.dtype == dtype
        for a, e in zip(ours, theirs):
            agree(a, e, dtype)
        found.append([norm, *ours])
    for others in found[1:3]:
        for a, b in zip(found[0], others):
            np.testing.assert_array_equal(a, b)
    ours[0][...] = np.nan
    assert np.isnan(TWINS["clip_norm"](ours, max_norm)) and all(np.isnan(a).all() for a in ours)
    ours = [np.full(9, np.nan, dtype), np.ones(5, dtype)]
    assert np.isnan(TWINS["clip_norm"](ours, max_norm)) and all(np.isnan(a).all() for a in ours)


def test_other_dtypes_take_the_reference():
    x = np.ones((4, 6), np.float16)
    w = np.ones(6, np.float16)
    assert TWINS["batch_norm"](x, w, w, w, w).dtype == np.float16
    assert TWINS["bce_with_logits"](x, x)[0].dtype == np.float16
    swapped = np.arange(6, dtype=">f8").reshape(3, 2)
    np.testing.assert_array_equal(TWINS["channel_moments"](swapped)[0], [2, 3])
    np.testing.assert_array_equal(TWINS["layer_norm"](swapped, np.ones(2), np.ones(2), 0.0)[1], [[0.5], [2.5], [4.5]])


def test_a_parameter_that_cannot_be_written_is_refused():
    fixed = np.zeros(3)
    fixed.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        TWINS["adam_step"](fixed, np.ones(3), np.zeros(3), np.zeros(3), *STEPS["adam_step"](None))


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("shape", [(41, 3), (6, 7, 5), (1, 90), (90, 1), (3, 4, 5, 6)])
def test_sums_over_leading_axes(rng, shape, threads, monkeypatch):
    reduction = importlib.import_module("minigen.kernels.cpu.reduction")
    monkeypatch.setattr(reduction, "THREAD", 20)
    monkeypatch.setattr(reduction, "BLOCK", 12)
    monkeypatch.setattr("minigen.kernels.cpu.threads.get_num_threads", lambda: threads)
    x = rng.standard_normal(shape, np.float32)
    for n in range(1, len(shape)):
        y = reduction.sums(x, tuple(range(n)))
        assert y.dtype == np.float32
        np.testing.assert_allclose(y, x.astype("f8").sum(tuple(range(n))), rtol=0, atol=1e-5)
    images, axes = np.moveaxis(x, -1, 1), (0, *range(2, x.ndim))  # the channels are last in memory
    np.testing.assert_allclose(reduction.sums(images, axes), images.astype("f8").sum(axes), rtol=0, atol=1e-5)
    np.testing.assert_allclose(reduction.sums(x, (-1,)), x.astype("f8").sum(-1), rtol=0, atol=1e-5)
    for wrong in ((0, 0), (0, 9), (0, -x.ndim)):
        with pytest.raises(ValueError):
            reduction.sums(x, wrong)
    x[0, ..., 0] = np.inf
    assert np.isposinf(reduction.sums(x, (0,)).reshape(-1)[0])


# -- numbers that change places ---------------------------------------------------------------------------------------


def layouts(x):
    """x, of four axes, as a view of memory of every order, with gaps here and there, turned round, and repeated"""
    for order in itertools.permutations(range(4)):
        yield np.ascontiguousarray(x.transpose(order)).transpose(np.argsort(order))
    for axis in range(4):
        yield np.repeat(x, 2, axis)[(slice(None),) * axis + (slice(None, None, 2),)]
        yield np.concatenate([x, x], axis)[(slice(None),) * axis + (slice(x.shape[axis], None),)]
        yield np.flip(np.flip(x, axis).copy(), axis)
    yield np.broadcast_to(x[:1], x.shape)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("shape", [(2, 16, 3, 16), (3, 5, 1, 37), (1, 40, 4, 5), (17, 1, 33, 2), (2, 2, 2, 2)])
def test_moving_to_another_memory_order(rng, shape, threads, monkeypatch, loops):
    layout = importlib.import_module("minigen.kernels.cpu.layout")
    monkeypatch.setattr(FAMILIES["shape"], "LEAST", 2)
    monkeypatch.setattr(layout, "LEAST", 2)
    monkeypatch.setattr("minigen.kernels.cpu.threads.get_num_threads", lambda: threads)
    dealt = loops(layout)
    for x in layouts(rng.standard_normal(shape, np.float32)):
        for y in (np.empty(shape, np.float32), np.empty((*shape[2:], *shape[:2]), np.float32).transpose(2, 3, 0, 1)):
            layout.move(y, x)
            np.testing.assert_array_equal(y, x)
        assert layout.contiguous(x).flags.c_contiguous
        np.testing.assert_array_equal(layout.contiguous(x), x)
        for other in ((shape[0], -1), (-1,), (-1, shape[3]), shape[::-1], (*shape[:2], 1, *shape[2:])):
            y = TWINS["reshape"](x, other)
            np.testing.assert_array_equal(y, np.reshape(x, other))
            assert np.shares_memory(y, x) == np.shares_memory(np.reshape(x, other), x)
        with pytest.raises(ValueError, match="cannot reshape"):
            TWINS["reshape"](x, (x.size + 1,))
    assert {function for function, _ in dealt} == {layout._copy_rows, layout._transpose}
    for x in (rng.standard_normal(shape), rng.integers(0, 9, shape)):
        y = np.empty(shape[::-1], x.dtype).T
        layout.move(y, x)
        np.testing.assert_array_equal(y, x)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("index", [
    (slice(None), slice(2, None)), (slice(None), slice(1, 4)), slice(2, 3), (slice(0, 3), slice(None)),
    (slice(None), slice(None), slice(None, -1)), (slice(None), slice(None)), (slice(1, 3), slice(1, 3)),
    (slice(None), slice(None, None, 2)), (slice(None), slice(4, 4)), (1,), (Ellipsis, slice(1, 3)), (slice(None), None),
])  # fmt: skip
def test_place(rng, dtype, index, monkeypatch):
    monkeypatch.setattr(FAMILIES["shape"], "LEAST", 1)
    y = rng.standard_normal((3, 5, 4)).astype(dtype)
    x = rng.standard_normal(y[index].shape).astype(dtype)
    for u in (x, np.asfortranarray(x)):
        placed = TWINS["place"](u, index, y.shape)
        np.testing.assert_array_equal(placed, KERNELS["place"](x, index, y.shape))
        assert placed.dtype == dtype


def test_place_repeats_what_is_placed_and_refuses_what_does_not_fit(rng, monkeypatch):
    monkeypatch.setattr(FAMILIES["shape"], "LEAST", 1)
    x, index = rng.standard_normal((3, 1, 4), np.float32), (slice(None), slice(2, None))
    np.testing.assert_array_equal(TWINS["place"](x, index, (3, 5, 4)), KERNELS["place"](x, index, (3, 5, 4)))
    with pytest.raises(ValueError, match="broadcast"):
        TWINS["place"](rng.standard_normal((3, 2, 4), np.float32), index, (3, 5, 4))


# -- the gate of (leaky) ReLU, products -------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("a", [0.0, 0.2, -1.5])
def test_gate(rng, dtype, threads, a, monkeypatch):
    activation = importlib.import_module("minigen.kernels.cpu.activation")
    monkeypatch.setattr(activation, "LEAST", 10)
    monkeypatch.setattr("minigen.kernels.cpu.threads.get_num_threads", lambda: threads)
    x, g = (rng.standard_normal((3, 4, 5, 7)).astype(dtype) for _ in range(2))
    x[0, 0, 0] = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-40, -1e-40]
    with np.errstate(all="ignore"):
        for u, v in paired(x, g):
            for left, right in ((u, v), (u, u)):
                before = left.copy(), right.copy()
                y = activation.gate(left, right, a)
                np.testing.assert_array_equal(y, np.where(left > 0, right, dtype(a) * right))
                assert y.dtype == dtype
                np.testing.assert_array_equal((left, right), before)
    assert activation.gate(x.transpose(0, 2, 3, 1), g.transpose(0, 2, 3, 1), a).transpose(0, 3, 1, 2).flags.c_contiguous


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("dtype", DTYPES)
def test_passes_over_memory(rng, dtype, threads, monkeypatch):
    """Arrays alike or not, with gaps, axes of length 1 and one number for each channel: exactly NumPy's results."""
    monkeypatch.setattr(FAMILIES["elementwise"], "LEAST", 10)
    monkeypatch.setattr("minigen.kernels.cpu.threads.get_num_threads", lambda: threads)
    dealt = []
    monkeypatch.setattr(FAMILIES["elementwise"], "share", lambda f, *a, **k: dealt.append(f) or share(f, *a, **k))
    for shape in ((3, 4, 5, 7), (5, 1, 6, 8), (6, 40)):
        x, w = (rng.standard_normal(shape).astype(dtype) for _ in range(2))
        x.flat[:5] = [np.nan, np.inf, -np.inf, -0.0, 1e-40]
        channels = rng.standard_normal((shape[1],) + (1,) * (len(shape) - 2)).astype(dtype)
        for u, v in (*paired(x, w), (x, channels), (x.swapaxes(0, 1)[:, ::2], w.swapaxes(0, 1)[:, ::2])):
            kept = u.copy(), v.copy()
            np.testing.assert_array_equal(TWINS["add"](u, v), u + v)
            np.testing.assert_array_equal(TWINS["relu"](u), np.maximum(u, 0))
            np.testing.assert_array_equal((u, v) if u.shape == v.shape else v, kept if u.shape == v.shape else kept[1])
            y = u.copy(order="K")
            assert TWINS["add_to"](y, v) is y
            np.testing.assert_array_equal(y, kept[0] + v)
        images = x if x.ndim == 2 else np.moveaxis(np.moveaxis(x, 1, -1).copy(), -1, 1)
        np.testing.assert_array_equal(TWINS["add_to"](images.copy(order="K"), channels), images + channels)
    assert len({f.__name__ for f in dealt}) == (4 if threads > 1 and dtype == np.float32 else 0)
    assert (TWINS["add_to"](np.ones(100, dtype), np.ones(1, dtype)) == 2).all()
    for u, v in ((x, 2.5), (x, np.float32(2.5)), (x, np.array(2.5, dtype)), (dtype(2.5), x)):
        np.testing.assert_array_equal(TWINS["add"](u, v), u + v)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_losses_are_dealt_out(rng, threads, monkeypatch):
    """The bytes do not depend on the number of threads."""
    monkeypatch.setattr(FAMILIES["loss"], "LEAST", 10)
    found = []
    for number in (1, threads):
        monkeypatch.setattr("minigen.kernels.cpu.threads.get_num_threads", lambda number=number: number)
        draw = np.random.default_rng(5)
        logits, targets = draw.standard_normal((2, 37, 11), np.float32)
        labels = draw.integers(0, 11, 37)
        loss, m, s = TWINS["softmax_cross_entropy"](logits, labels)
        gradient = TWINS["softmax_cross_entropy_gradient"](logits, labels, m, s, loss)
        found.append([a.tobytes() for a in (*TWINS["bce_with_logits"](logits, targets), loss, m, s, gradient)])
    assert found[0] == found[1]
    exact = KERNELS["softmax_cross_entropy"](logits.astype("f8"), labels)
    agree((loss, m, s), exact, np.float32)
    agree(gradient, KERNELS["softmax_cross_entropy_gradient"](logits.astype("f8"), labels, m, s, loss), np.float32, 4.0)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_gelu_is_dealt_out(rng, threads, monkeypatch):
    activation = importlib.import_module("minigen.kernels.cpu.activation")
    monkeypatch.setattr(activation, "LEAST", 40)
    monkeypatch.setattr("minigen.kernels.cpu.threads.get_num_threads", lambda: threads)
    x, g = (rng.standard_normal((5, 37), np.float32) for _ in range(2))
    wide_x, wide_g = x.astype("f8"), g.astype("f8")
    agree(activation.gelu(x), KERNELS["gelu"](wide_x), np.float32)
    agree(activation.gelu_gradient(g, x), KERNELS["gelu_gradient"](wide_g, wide_x), np.float32)


@pytest.mark.parametrize("n, t, c", [(1, 1, 1), (3, 700, 5), (2, 256, 16), (4, 257, 32)])
def test_gated_units_are_dealt_out(rng, n, t, c, monkeypatch):
    """They are those of the reference, and the same bytes whatever the number of threads; far out, too."""
    activation, found = importlib.import_module("minigen.kernels.cpu.activation"), []
    monkeypatch.setattr(activation, "LEAST", 40)
    a, b, g = (rng.standard_normal(shape, np.float32) for shape in ((n, t, 2 * c), (n, 2 * c), (n, t, c)))
    a[0, 0] *= 60
    for threads in (1, 2, 3):
        monkeypatch.setattr("minigen.kernels.cpu.threads.get_num_threads", lambda threads=threads: threads)
        found.append([activation.gated(a, b), *activation.gated_gradients(g, a, b)])
        assert [y.tobytes() for y in found[0]] == [y.tobytes() for y in found[-1]]
    wide_a, wide_b, wide_g = (array.astype("f8") for array in (a, b, g))
    expected = [KERNELS["gated"](wide_a, wide_b), *KERNELS["gated_gradients"](wide_g, wide_a, wide_b)]
    for y, z in zip(found[0], expected, strict=True):
        np.testing.assert_allclose(y, z, rtol=0, atol=1e-6 * max(1, np.abs(z).max()))
    a[0, 0, 0] = np.nan
    assert np.isnan(activation.gated(a, b)[0, 0, 0]) and np.isnan(activation.gated_gradients(g, a, b)[1][0, 0])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("shape", [(1, 1, 1), (37, 5, 11), (11, 5, 37), (64, 64, 64), (5, 0, 3), (0, 3, 5)])
def test_product(rng, dtype, threads, shape, monkeypatch):
    product = importlib.import_module("minigen.kernels.cpu.product")
    monkeypatch.setattr(product, "WORK", 1000)
    monkeypatch.setattr(product, "OURS", True)
    monkeypatch.setattr("minigen.kernels.cpu.threads.get_num_threads", lambda: threads)
    n, k, m = shape
    x, w, b = (rng.standard_normal(shape).astype(dtype) for shape in ((n, k), (k, m), (m,)))
    for u, v in ((x, w), (np.asfortranarray(x), w), (x, np.asfortranarray(w)), (x[::-1], w[:, ::-1])):
        y = product.product(u, v)
        assert y.dtype == dtype and y.shape == (n, m)
        expected, near = u.astype("f8") @ v.astype("f8"), 1e-4 if dtype == np.float32 else 1e-12
        np.testing.assert_allclose(y, expected, atol=near)
        np.testing.assert_allclose(product.product(u, v, b), expected + b, atol=near)


def test_products_are_dealt_out(rng, monkeypatch, loops):
    """Every column is computed, by as many threads as the work is worth."""
    product = importlib.import_module("minigen.kernels.cpu.product")
    parts = loops(product)
    monkeypatch.setattr("minigen.kernels.cpu.threads.get_num_threads", lambda: 2)
    monkeypatch.setattr(product, "OURS", True)
    monkeypatch.setattr(product, "WORK", 2e7)
    x, w = rng.standard_normal((300, 300)), rng.standard_normal((300, 500))
    np.testing.assert_allclose(product.product(x, w), np.einsum("ij,jk->ik", x, w), atol=1e-9)
    assert parts == [(product._columns, 2)]
    product.product(x[:100, :100], w[:100])
    assert len(parts) == 1  # too little for a second thread
    monkeypatch.setattr(product, "OURS", False)
    product.product(x, w)
    assert len(parts) == 1  # BLAS has threads of its own


def test_the_cache_of_other_sources_is_forgotten(tmp_path):
    """A cached kernel does not notice that a function in another file, compiled into it, has changed."""
    (tmp_path / "a.py").write_text("x = 1")
    cached = tmp_path / "__pycache__" / "a.f-1.py311.1.nbc"
    cached.parent.mkdir()

    def forgotten():
        cached.touch()
        forget_stale(tmp_path)
        return not cached.exists()

    assert forgotten() and not forgotten()
    (tmp_path / "b.py").write_text("x = 2")
    assert forgotten() and not forgotten()
    (tmp_path / "a.py").write_text("x = 3")
    assert forgotten() and not forgotten()
