"""The CUDA C: every kernel compiles for GPUs of four generations and, on a device, gives what its reference gives.

The references are computed in float64 on the CPU. Odd shapes, both dtypes, memory in any order, edge values.
"""

import importlib
import inspect
import pkgutil
import sys

import numpy as np
import pytest

from minigen import backend
from minigen.errors import BackendError
from minigen.kernels import KERNELS, cuda
from minigen.kernels.cuda import __main__ as compiler
from tests.memory import orders

FILES = {file.name: importlib.import_module(f"{cuda.__name__}.{file.name}")
         for file in pkgutil.iter_modules([str(cuda.FOLDER)]) if file.name != "__main__"}  # fmt: skip
TWINS = {name: getattr(file, name) for file in FILES.values() for name in file.__all__}


# -- without a device -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def nvrtc():
    """Skips where CUDA C cannot be compiled."""
    try:
        backend.compile_cuda("", "90")
    except BackendError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("arch", compiler.ARCHS)
@pytest.mark.parametrize("family", compiler.FAMILIES)
def test_every_kernel_compiles(nvrtc, family, arch):
    """… without spilling, and with registers for two blocks of 256 threads on a multiprocessor, at least."""
    for real in ("float", "double"):
        text = cuda.source(family, real)
        found = compiler.report(family, real, arch)
        assert len(found) == text.count('extern "C" __global__')
        for kernel, usage in found.items():
            assert usage.spilled == 0 and 0 < usage.registers <= 128 and usage.shared <= 4096, (kernel, usage)


def test_a_broken_kernel_does_not_compile(nvrtc):
    text = cuda.source("activation", "float")
    assert text.count("y[i] = x[i] * cdf(x[i])") == 1
    with pytest.raises(BackendError, match=r"sm_90: .*identifier \"cfd\" is undefined"):
        backend.compile_cuda(text.replace("y[i] = x[i] * cdf(x[i])", "y[i] = x[i] * cfd(x[i])"), "90")


def test_the_report_is_a_table(nvrtc, capsys):
    assert compiler.main(["80"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "| kernel | sm_80 | shared bytes | spilled bytes |"
    kernels = sum((cuda.FOLDER / f"{f}.cu").read_text().count('extern "C" __global__') for f in compiler.FAMILIES)
    assert len(lines) == 2 + kernels and any(line.startswith("| optimizer: `adam_steps` |") for line in lines)


def test_each_twin_has_a_reference_of_the_same_signature():
    for name, twin in TWINS.items():
        assert inspect.signature(twin) == inspect.signature(KERNELS[name]), name


def test_each_family_has_its_source():
    assert set(FILES) == set(compiler.FAMILIES)
    launched = {name for file in FILES.values() for name in _words(inspect.getsource(file))}
    for family in compiler.FAMILIES:
        for line in (cuda.FOLDER / f"{family}.cu").read_text("utf-8").splitlines():
            if line.startswith('extern "C"'):
                assert line.split("void ")[1].split("(")[0] in launched, line


def _words(text):
    return text.replace('"', " ").replace(",", " ").split()


# -- on a device ------------------------------------------------------------------------------------------------------

device = pytest.mark.gpu
DTYPES = [np.float32, np.float64]


@pytest.fixture
def on_device():
    with backend.use("cupy"):
        yield


def host(a):
    """The argument for the reference: on the host, in float64."""
    if isinstance(a, list):
        return [host(one) for one in a]
    if not backend.is_array(a):
        return a
    a = backend.to_host(a).copy()
    return a.astype(np.float64) if a.dtype.kind == "f" else a


def agree(ours, expected, dtype, scale=1.0):
    ours, expected = (a if isinstance(a, tuple | list) else (a,) for a in (ours, expected))
    assert len(ours) == len(expected)
    for a, e in zip(ours, expected):
        assert backend.name_of(a) == "cupy" and a.dtype == dtype and a.shape == e.shape
        size = scale * np.abs(e[np.isfinite(e)]).max(initial=1.0)
        bound = size * (2e-6 if dtype == np.float32 else 1e-13)
        np.testing.assert_allclose(backend.to_host(a), e, rtol=0, atol=bound)


def compare(name, arguments, dtype, scale=1.0, *, changed=()):
    """The twin gives what the reference gives, twice the same bytes, and changes only the arguments `changed`."""
    kept = [host(a) for a in arguments]
    again = [a.copy() if k in changed and backend.is_array(a) else a for k, a in enumerate(arguments)]
    expected = KERNELS[name](*(host(a) for a in arguments))
    ours = TWINS[name](*arguments)
    agree(ours, expected, dtype, scale)
    for k, (a, before) in enumerate(zip(arguments, kept)):
        if k not in changed and backend.is_array(a):
            np.testing.assert_array_equal(host(a), before)
    twice = TWINS[name](*again)
    for a, b in zip(*(r if isinstance(r, tuple) else (r,) for r in (ours, twice))):
        assert backend.to_host(a).tobytes() == backend.to_host(b).tobytes()
    return ours


class Draw:
    """Arrays on the device."""

    def __init__(self, dtype, seed=1):
        self.dtype, self.rng = dtype, np.random.default_rng(seed)

    def __call__(self, *shape, scale=1.0, shift=0.0):
        return backend.asarray((shift + scale * self.rng.standard_normal(shape)).astype(self.dtype))

    def several(self, count, *shape):
        return [self(*shape) for _ in range(count)]

    def mask(self, *shape):
        return backend.asarray(self.rng.random(shape) < 0.7)

    def labels(self, shape, classes, dtype=np.int64):
        return backend.asarray(self.rng.integers(0, classes, shape).astype(dtype))


@device
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (1,), (37,), (5, 33), (2, 3, 4, 5), (0, 3), (3, 70_001)], ids=str)
def test_activations_and_bce(shape, dtype, on_device):
    draw = Draw(dtype)
    for x, g in zip(orders(draw(*shape, scale=3)), reversed(list(orders(draw(*shape))))):
        compare("gate", [x, g, -0.3], dtype)
        compare("gelu", [x], dtype)
        compare("gelu_gradient", [g, x], dtype)
        compare("bce_with_logits", [x, g], dtype, 2.0)


@device
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n, t, c", [(1, 1, 1), (3, 37, 5), (2, 300, 16), (2, 0, 3)])
def test_gated_units(n, t, c, dtype, on_device):
    draw = Draw(dtype)
    b = draw(n, 2 * c, scale=2)
    for a, g in zip(orders(draw(n, t, 2 * c, scale=30)), reversed(list(orders(draw(n, t, c))))):
        compare("gated", [a, b], dtype, 2.0)
        compare("gated_gradients", [g, a, b], dtype, 8.0)


@device
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape, classes", [((5,), 3), ((1,), 1), ((), 4), ((2, 3), 33), ((40,), 1000), ((0,), 5)])
def test_softmax_cross_entropy(shape, classes, dtype, on_device):
    draw = Draw(dtype)
    for logits in orders(draw(*shape, classes, scale=4)):
        for kind in (np.int64, np.uint8):
            labels = draw.labels(shape, min(classes, 200), kind)
            _, m, s = compare("softmax_cross_entropy", [logits, labels], dtype, 2.0)
            for g in (draw(*shape), draw()):
                compare("softmax_cross_entropy_gradient", [logits, labels, m, s, g], dtype, 2.0)


@device
@pytest.mark.parametrize("dtype", DTYPES)
def test_losses_at_the_edges(dtype, on_device):
    logits = np.array([1e4, -1e4, 1e4, -1e4, 0.0, 88.0, -88.0, 30.0, 1e-30], dtype)
    targets = np.array([1, 0, 0, 1, 0.5, 1, 0, 1, 0], dtype)
    exact = KERNELS["bce_with_logits"](logits.astype(np.float64), targets.astype(np.float64))
    for a, e in zip(TWINS["bce_with_logits"](backend.asarray(logits), backend.asarray(targets)), exact):
        np.testing.assert_allclose(backend.to_host(a), e, rtol=4e-7, atol=1e-7 if e is exact[1] else 2e-38)
    rows = np.zeros((4, 40), dtype)
    rows[0, :3], rows[1], rows[2, :2], rows[3, 39] = (1e4, -1e4, 0), -1e4, (-np.inf, 3), np.nan
    x, labels = backend.asarray(rows), backend.asarray(np.array([1, 0, 1, 0]))
    loss, m, s = TWINS["softmax_cross_entropy"](x, labels)
    p = TWINS["softmax_cross_entropy_gradient"](x, labels, m, s, backend.asarray(np.ones(4, dtype)))
    expected, *_ = KERNELS["softmax_cross_entropy"](rows[:3].astype(np.float64), np.array([1, 0, 1]))
    np.testing.assert_allclose(backend.to_host(loss)[:3], expected, rtol=1e-6)
    p = backend.to_host(p)
    assert np.isnan(backend.to_host(loss)[3]) and np.isnan(p[3]).all() and np.isfinite(p[:3]).all() and p[2, 0] == 0


IMAGES = [(5, 3), (1, 7), (4, 1), (300, 33), (2, 3, 5), (3, 17, 1, 9), (65, 16, 3, 3)]


@device
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", IMAGES, ids=str)
def test_batch_norm(shape, dtype, on_device):
    draw = Draw(dtype)
    mean, r, weight, bias = draw.several(4, shape[1])
    for x, g in zip(orders(draw(*shape, scale=2, shift=3)), reversed(list(orders(draw(*shape))))):
        found = compare("channel_moments", [x], dtype, 4.0)
        compare("batch_norm", [x, mean, r, weight, bias], dtype, 8.0)
        compare("batch_norm_gradients", [g, x, mean, r, weight], dtype, 8.0)
    for kept in ([None, None], draw.several(2, shape[1])):
        arguments = [found[0], found[1], *kept, 12, 0.1, 1e-5]
        expected = [host(a) for a in arguments]
        compare("batch_scale", arguments, dtype, 400.0, changed=(2, 3))
        KERNELS["batch_scale"](*expected)
        if kept[0] is not None:  # compare() has let the twin change them once
            agree(kept, expected[2:4], dtype, 2.0)


@device
def test_moments_of_a_far_off_mean(on_device):
    x = (1000 + np.random.default_rng(2).standard_normal((4000, 8))).astype(np.float32)
    mean, variance = TWINS["channel_moments"](backend.asarray(x))
    np.testing.assert_allclose(backend.to_host(mean), x.astype(np.float64).mean(0), rtol=1e-6)
    np.testing.assert_allclose(backend.to_host(variance), x.astype(np.float64).var(0), rtol=1e-4)


@device
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape, axes", [((5, 7), 1), ((2, 3, 33), 1), ((3, 4, 5), 2), ((1, 1), 1), ((700, 16), 1),
                                         ((6,), 1), ((0, 4), 1)], ids=str)  # fmt: skip
def test_layer_norm(shape, axes, dtype, on_device):
    draw = Draw(dtype)
    weight, bias = draw.several(2, *shape[-axes:])
    scale = 400.0 if shape[-1] == 1 else 8.0  # there r is 1 / √ε
    for x, g in zip(orders(draw(*shape, scale=2, shift=1)), reversed(list(orders(draw(*shape))))):
        _, mean, r = compare("layer_norm", [x, weight, bias, 1e-5], dtype, scale)
        compare("layer_norm_gradients", [g, x, mean, r, weight], dtype, scale)


@device
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("lead, t, u", [((), 1, 1), ((2,), 5, 5), ((2, 3), 4, 37), ((1, 2), 3, 2)], ids=str)
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_attention(lead, t, u, causal, masked, dtype, on_device):
    draw = Draw(dtype)
    q, k, v, g = draw(*lead, t, 6), draw(*lead, u, 6), draw(*lead, u, 5), draw(*lead, t, 5)
    mask = draw.mask(*lead[:1], *(1,) * (len(lead) - 1), t, u) if masked else None
    _, p = compare("attention", [q, k, v, mask, causal], dtype, 4.0)
    compare("attention_gradients", [g, q, k, v, p, causal], dtype, 8.0)


CONVOLUTIONS = {
    "one pixel": ((1, 1, 1, 1), (1, 1, 1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    "few outputs, padded on one side": ((2, 5, 6, 7), (2, 5, 3, 4), (1, 1), ((2, 0), (0, 3)), (1, 1), 1),
    "few outputs, dilated": ((2, 5, 6, 7), (2, 5, 3, 2), (1, 1), ((1, 3), (2, 0)), (2, 3), 1),
    "few outputs, padded beyond the kernel": ((1, 5, 4, 4), (2, 5, 2, 2), (1, 1), ((2, 1), (0, 3)), (1, 1), 1),
    "plain": ((2, 3, 6, 5), (4, 3, 3, 2), (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    "stride 2, same": ((2, 4, 7, 8), (5, 4, 5, 5), (2, 2), ((2, 2), (1, 2)), (1, 1), 1),
    "stride 3 of 2 × 1, rows that no window sees": ((1, 2, 9, 8), (3, 2, 2, 1), (3, 3), ((0, 0), (0, 0)), (1, 1), 1),
    "dilated, one-sided": ((2, 3, 7, 9), (4, 3, 2, 3), (1, 2), ((3, 0), (0, 4)), (2, 3), 1),
    "groups": ((2, 6, 5, 5), (4, 3, 3, 3), (2, 1), ((1, 1), (1, 0)), (1, 1), 2),
    "each channel its own": ((2, 5, 4, 6), (5, 1, 3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 5),
    "a signal, causal": ((3, 4, 1, 17), (6, 4, 1, 3), (1, 1), ((0, 0), (8, 0)), (1, 4), 1),
    "no image": ((0, 3, 5, 5), (2, 3, 3, 3), (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
}


@device
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_convolutions(case, dtype, on_device):
    shape, kernel, stride, padding, dilation, groups = CONVOLUTIONS[case]
    draw = Draw(dtype)
    w = draw(*kernel)
    for x in orders(draw(*shape)):
        y = compare("conv2d", [x, w, stride, padding, dilation, groups], dtype, 8.0)
    for u in orders(draw(*y.shape)):
        compare("conv_transpose2d", [u, w, shape[2:], stride, padding, dilation, groups], dtype, 8.0)
        compare("conv2d_weight_grad", [x, u, kernel[2:], stride, padding, dilation, groups], dtype, 8.0)


@device
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n, steps, size", [(1, 1, 1), (3, 5, 4), (2, 7, 33)])
@pytest.mark.parametrize("masked", [False, True])
def test_recurrent(n, steps, size, masked, dtype, on_device):
    draw = Draw(dtype)
    mask = draw.mask(n, steps) if masked else None
    h0, c0, g_c = draw.several(3, n, size)
    g, b = draw(n, steps, size), draw(size)
    a, u = zip(*((draw(n, steps, k * size), draw(k * size, size, scale=size**-0.5)) for k in (1, 3, 4)))
    h = compare("rnn", [a[0], u[0], h0, mask], dtype, 4.0)
    compare("rnn_gradients", [g, u[0], h0, mask, h], dtype, 16.0)
    h, *rest = compare("gru", [a[1], u[1], b, h0, mask], dtype, 4.0)
    compare("gru_gradients", [g, u[1], h0, mask, h, *rest], dtype, 16.0)
    h, c, gates = compare("lstm", [a[2], u[2], h0, c0, mask], dtype, 4.0)
    compare("lstm_gradients", [g, g_c, u[2], h0, c0, mask, h, c, gates], dtype, 16.0, changed=(8,))


@device
@pytest.mark.parametrize("dtype", DTYPES)
def test_adam_steps(dtype, on_device):
    """More parameters than one launch takes, of all sizes, each with a step count and decay of its own."""
    draw = Draw(dtype)
    shapes = [(), (1,), (37,), (5, 7), (0, 2), (3, 4, 2, 5), (300, 257)] + [(k,) for k in range(1, 70)]
    ps, gs, ms = ([draw(*shape) for shape in shapes] for _ in range(3))
    vs = [m * m for m in ms]
    ps[3], gs[5] = ps[3].copy(order="F"), np.repeat(gs[5], 2, axis=-1)[..., ::2]
    ts, decays = [1 + k % 5 for k in range(len(shapes))], [0.1 * (k % 3) for k in range(len(shapes))]
    arguments = [ps, gs, ms, vs, ts, 1e-2, 0.9, 0.99, 1e-8, decays]
    expected = [host(a) for a in arguments]
    TWINS["adam_steps"](*arguments)
    KERNELS["adam_steps"](*expected)
    for ours, theirs in zip(arguments[:4], expected[:4]):
        for a, e in zip(ours, theirs):
            agree(a, e, dtype, 4.0)


@device
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n, width, count", [(1, 1, 1), (500, 3, 4), (40, 33, 100), (7, 300, 2), (0, 3, 5)])
@pytest.mark.parametrize("search", [1 << 25, 0], ids=["searched", "sorted"])
def test_adding_rows(n, width, count, dtype, search, on_device, monkeypatch):
    monkeypatch.setattr(FILES["indexing"], "SEARCH", search)
    draw = Draw(dtype)
    x = draw(n, width)
    for kind in (np.int64, np.uint8):
        ids = draw.labels(n, count, kind)
        compare("scatter_rows", [x, ids, (count, width)], dtype, 8.0)
    index = (slice(None, None, 2), ids.astype(np.int64), None)
    y = draw(5, count)
    added = draw(3, n, 1)
    expected = [host(a) for a in (y, index[1], added)]
    TWINS["add_at"](y, index, added)
    KERNELS["add_at"](expected[0], (index[0], expected[1], None), expected[2])
    agree(y, expected[0], dtype, 8.0)


@device
def test_other_dtypes_take_the_reference(on_device):
    x, w = backend.asarray(np.ones((4, 6), np.float16)), backend.asarray(np.ones(6, np.float16))
    for result in (TWINS["batch_norm"](x, w, w, w, w), TWINS["bce_with_logits"](x, x)[0], TWINS["gelu"](x)):
        assert result.dtype == np.float16
    y = backend.asarray(np.zeros((3, 2), np.int64))
    TWINS["add_at"](y, backend.asarray(np.array([2, 0, 2])), backend.asarray(np.ones((3, 2), np.int64)))
    np.testing.assert_array_equal(backend.to_host(y), [[1, 1], [0, 0], [2, 2]])


@device
def test_the_order_in_which_threads_run_does_not_matter(on_device):
    """Where CUDA C runs on the CPU, one thread after the other, they can be made to run in another order."""
    runner = sys.modules.get("cupy_on_host")
    if runner is None:
        pytest.skip("on a device nobody can tell in which order threads run")
    draw = Draw(np.float32)
    x, g, w = draw(6, 4, 5, 5), draw(6, 5, 3, 3), draw(5, 4, 3, 3)
    rows, ids = draw(200, 5), draw.labels(200, 7)
    hs, u = draw(3, 4, 8), draw(32, 8)
    geometry = ((2, 2), ((1, 1), (1, 1)), (1, 1), 1)

    def results():
        yield TWINS["conv_transpose2d"](g, w, (5, 5), *geometry)
        yield from TWINS["channel_moments"](np.moveaxis(x.copy(), 1, -1))
        yield TWINS["scatter_rows"](rows, ids, (7, 5))
        yield from TWINS["softmax_cross_entropy"](rows, ids[:200] % 5)
        yield from TWINS["layer_norm"](rows, rows[0], rows[1], 1e-5)
        yield from TWINS["lstm"](Draw(np.float32)(3, 4, 32), u, hs[:, 0].copy(), hs[:, 1].copy(), None)

    found = []
    try:
        for order in (0, 1, 2):
            runner.set_order(order)
            found.append([backend.to_host(a).tobytes() for a in results()])
    finally:
        runner.set_order(0)
    assert found[0] == found[1] == found[2] and all(map(len, found[0]))


def test_every_twin_is_tested():
    """… on a device, by the tests above."""
    text = inspect.getsource(sys.modules[__name__])
    assert [name for name in TWINS if f'"{name}"' not in text] == []
    assert TWINS and FILES
