"""Convolution: the triple of adjoints over all options, sizes, padding by name, and the compiled twins."""

import threading
from dataclasses import dataclass

import numba
import numpy as np
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from minigen import backend, grad, ops, tensor
from minigen.errors import BackendError
from minigen.kernels import reference
from minigen.kernels.cpu import convolution as twins
from minigen.kernels.cpu import indirect, thin
from tests.ops import convolution as loops

quiet = settings(
    deadline=None, database=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
needs_tiles = pytest.mark.skipif(not indirect.TILES, reason="no vectors of 512 bits")
few, many = settings(quiet, max_examples=40), settings(quiet, max_examples=150)

# -- inputs -----------------------------------------------------------------------------------------------------------


def in_order(a):
    return a


def columns_skipped(a):
    return np.repeat(a, 2, axis=-1)[..., ::2]


def reversed_memory(a):
    return np.ascontiguousarray(a[:, ::-1, ..., ::-1])[:, ::-1, ..., ::-1]


def surrounded(a):
    """Channels last, in the middle of memory full of NaN: reading past an end shows in the result."""
    last = np.moveaxis(a, 1, -1)
    room = np.full(last.size + 200, np.nan, a.dtype)
    room[100 : 100 + last.size] = last.ravel()
    return np.moveaxis(room[100 : 100 + last.size].reshape(last.shape), -1, 1)


LAYOUTS = [in_order, np.asfortranarray, columns_skipped, reversed_memory, surrounded]


@dataclass
class Case:
    """A convolution of images: its geometry, and inputs that fit."""

    shape: tuple
    kernel: tuple
    stride: tuple
    padding: tuple
    dilation: tuple
    groups: int
    outputs: int
    layouts: tuple

    @property
    def options(self):
        return {"stride": self.stride, "padding": self.padding, "dilation": self.dilation, "groups": self.groups}

    @property
    def out(self):
        return tuple(
            (n + sum(p) - d * (k - 1) - 1) // s + 1
            for n, p, d, k, s in zip(self.shape[2:], self.padding, self.dilation, self.kernel, self.stride)
        )

    @property
    def output_padding(self):
        """What the transposed convolution needs to come back to x: the inputs that the stride leaves over."""
        return tuple(
            (n + sum(p) - d * (k - 1) - 1) % s
            for n, p, d, k, s in zip(self.shape[2:], self.padding, self.dilation, self.kernel, self.stride)
        )

    def arrays(self, dtype=np.float64, seed=0):
        rng = np.random.default_rng(seed)
        shapes = (
            self.shape,
            (self.outputs, self.shape[1] // self.groups, *self.kernel),
            (self.shape[0], self.outputs, *self.out),
        )
        return [layout(rng.standard_normal(shape).astype(dtype)) for shape, layout in zip(shapes, self.layouts)]

    def kernel_calls(self, x, w, y):
        """(name, arguments) of the three kernels."""
        rest = (self.stride, self.padding, self.dilation, self.groups)
        return {
            "conv2d": (x, w, *rest),
            "conv_transpose2d": (y, w, self.shape[2:], *rest),
            "conv2d_weight_grad": (x, y, self.kernel, *rest),
        }


@st.composite
def cases(draw, channels=(1, 2, 3, 8, 9), most=9):
    pair = lambda low, high: (draw(st.integers(low, high)), draw(st.integers(low, high)))
    groups = draw(st.sampled_from([1, 1, 1, 2, 3]))
    c, co = (groups * draw(st.sampled_from(channels)) for _ in range(2))
    case = Case(
        shape=(draw(st.integers(1, 3)), c, *pair(1, most)),
        kernel=pair(1, 4),
        stride=pair(1, 3),
        padding=(pair(0, 3), pair(0, 3)),
        dilation=pair(1, 3),
        groups=groups,
        outputs=co,
        layouts=tuple(draw(st.sampled_from(LAYOUTS)) for _ in range(3)),
    )
    assume(min(case.out) >= 1)
    return case


def close(ours, theirs, rtol=1e-12):
    """Agreement relative to the largest value."""
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=rtol * np.abs(theirs).max(initial=1.0))


# -- the triple -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["numpy", "numba"])
@given(case=cases())
@example(case=Case((1, 1, 1, 1), (2, 1), (2, 1), ((1, 0), (0, 0)), (1, 1), 1, 1, (in_order,) * 3))  # an empty phase
@many
def test_adjoint_identities(name, case):
    """⟨conv(x, w), y⟩ = ⟨x, conv_transpose(y, w)⟩ = ⟨w, weight_grad(x, y)⟩: the same array w serves all three."""
    x, w, y = case.arrays()
    with backend.use(name):
        first = ops.conv2d(x, w, **case.options)
        second = ops.conv_transpose2d(y, w, output_padding=case.output_padding, **case.options)
        third = ops.conv2d_weight_grad(x, y, case.kernel, **case.options)
    assert first.shape == y.shape and second.shape == x.shape and third.shape == w.shape
    found = [np.vdot(a, b) for a, b in ((first, y), (x, second), (w, third))]
    scale = max(np.linalg.norm(first) * np.linalg.norm(y), 1e-300)
    np.testing.assert_allclose(found, found[0], rtol=0, atol=1e-12 * scale)


@pytest.mark.parametrize("name", ["numpy", "numba"])
@given(case=cases(channels=(1, 2), most=5))
@few
def test_against_loops(name, case):
    x, w, y = case.arrays()
    with backend.use(name):
        close(ops.conv2d(x, w, **case.options), loops.conv(x, w, **case.options))
        more = {"output_padding": case.output_padding, **case.options}
        close(ops.conv_transpose2d(y, w, **more), loops.conv_transpose(y, w, **more))
        args = (x, y, case.kernel)
        close(ops.conv2d_weight_grad(*args, **case.options), loops.weight_grad(*args, **case.options))


@pytest.mark.parametrize("name", ["numpy", "numba"])
@given(case=cases())
@few
def test_signals_are_images_of_height_one(name, case):
    case.shape, case.kernel = (*case.shape[:2], 1, case.shape[3]), (1, case.kernel[1])
    case.stride, case.dilation, case.padding = (1, case.stride[1]), (1, case.dilation[1]), ((0, 0), case.padding[1])
    x, w, y = case.arrays()
    one = {"stride": case.stride[1], "padding": case.padding[1], "dilation": case.dilation[1], "groups": case.groups}
    with backend.use(name):
        z = ops.conv1d(x[:, :, 0], w[:, :, 0], **one)
        np.testing.assert_array_equal(z, ops.conv2d(x, w, **case.options)[:, :, 0])
        z = ops.conv_transpose1d(y[:, :, 0], w[:, :, 0], output_padding=case.output_padding[1], **one)
        images = ops.conv_transpose2d(y, w, output_padding=case.output_padding, **case.options)
        np.testing.assert_array_equal(z, images[:, :, 0])


@pytest.mark.oracle
@pytest.mark.parametrize("name", ["numpy", "numba"])
@given(case=cases())
@settings(quiet, max_examples=20)
def test_torch_agrees(name, case):
    """Value, gradient and gradient of the gradient, with bias; PyTorch knows equal padding on both sides only."""
    torch = pytest.importorskip("torch")
    case.padding = tuple((p[0], p[0]) for p in case.padding)
    assume(min(case.out) >= 1)
    theirs = {**case.options, "padding": tuple(p[0] for p in case.padding)}
    more = {"output_padding": case.output_padding}
    x, w, y = case.arrays()
    rng = np.random.default_rng(1)
    pairs = [
        (ops.conv2d, torch.nn.functional.conv2d, (x, w, rng.standard_normal(case.outputs)), {}),
        (ops.conv_transpose2d, torch.nn.functional.conv_transpose2d, (y, w, rng.standard_normal(x.shape[1])), more),
    ]
    for ours, oracle, arrays, extra in pairs:
        with backend.use(name):
            a = [tensor(v, requires_grad=True) for v in arrays]
            b = [torch.tensor(np.array(v, order="C"), requires_grad=True) for v in arrays]
            z, t = ours(*a, **case.options, **extra), oracle(*b, **theirs, **extra)
            close(z.numpy(), t.detach())
            g = rng.standard_normal(z.shape)
            first = grad(z, a, g, create_graph=True)
            expected = torch.autograd.grad(t, b, torch.tensor(g), create_graph=True)
            for p, q in zip(first, expected):
                close(p.numpy(), q.detach())
            u = [rng.standard_normal(v.shape) for v in arrays[:2]]
            second = grad(first[:2], a[:2], u)
            expected = torch.autograd.grad(expected[:2], b[:2], [torch.tensor(v) for v in u])
            for p, q in zip(second, expected):
                close(p.numpy(), q)


@pytest.mark.oracle
@pytest.mark.parametrize("name", ["numpy", "numba"])
def test_third_derivatives(name):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(2)
    x, w = rng.standard_normal((2, 2, 6, 5)), rng.standard_normal((3, 2, 3, 3))

    def third(x, w, conv, transpose, differentiate, total):
        z = transpose(conv(x, w) ** 3, w)
        for _ in range(3):
            z = total(z)
            gx, gw = differentiate(z, [x, w])
            z = total(gx * gx) + total(gw * gw)
        return z, gx, gw

    with backend.use(name):
        ours = third(
            tensor(x, requires_grad=True), tensor(w, requires_grad=True),
            lambda x, w: ops.conv2d(x, w, stride=2, padding=1),
            lambda y, w: ops.conv_transpose2d(y, w, stride=2, padding=1),
            lambda z, v: grad(z, v, create_graph=True), ops.sum,
        )  # fmt: skip
    functional = torch.nn.functional
    theirs = third(
        torch.tensor(x, requires_grad=True), torch.tensor(w, requires_grad=True),
        lambda x, w: functional.conv2d(x, w, stride=2, padding=1),
        lambda y, w: functional.conv_transpose2d(y, w, stride=2, padding=1),
        lambda z, v: torch.autograd.grad(z, v, create_graph=True), torch.sum,
    )  # fmt: skip
    for a, b in zip(ours, theirs):
        close(a.numpy(), b.detach(), rtol=1e-10)


# -- padding by name, sizes -------------------------------------------------------------------------------------------


def test_same_padding_is_that_of_keras():
    """⌈n/s⌉ outputs; the odd one of the padding comes after. k = 5, s = 2 on an even size: (1, 2)."""
    for n in range(1, 12):
        for k in range(1, 6):
            for s in range(1, 4):
                for d in range(1, 3):
                    x, w = np.random.default_rng(n).standard_normal((1, 1, n)), np.arange(1.0, k + 1).reshape(1, 1, k)
                    out = -(-n // s)
                    total = max((out - 1) * s + d * (k - 1) + 1 - n, 0)
                    pads = (total // 2, total - total // 2)
                    y = ops.conv1d(x, w, stride=s, padding="same", dilation=d)
                    assert y.shape == (1, 1, out)
                    np.testing.assert_array_equal(y, ops.conv1d(x, w, stride=s, padding=pads, dilation=d))
    wide, w = np.arange(8.0).reshape(1, 1, 8), np.eye(5)[:, None, :]
    seen = ops.conv1d(wide, w, stride=2, padding="same")[0, :, 0]
    np.testing.assert_array_equal(seen, [0, 0, 1, 2, 3])  # the first output sees one zero, then x₀


@pytest.mark.parametrize("name", ["numpy", "numba"])
def test_transposed_same_multiplies_the_size_and_is_the_adjoint(name):
    rng = np.random.default_rng(3)
    with backend.use(name):
        for n in (1, 2, 7):
            for k in range(1, 6):
                for s in (1, 2, 3):
                    y, w = rng.standard_normal((2, 3, n, n)), rng.standard_normal((3, 2, k, k))
                    x = ops.conv_transpose2d(y, w, stride=s, padding="same")
                    assert x.shape == (2, 2, n * s, n * s)
                    big = rng.standard_normal(x.shape)
                    np.testing.assert_allclose(
                        np.vdot(ops.conv2d(big, w, stride=s, padding="same"), y),
                        np.vdot(big, x),
                        rtol=1e-11,
                        atol=1e-11,
                    )


@pytest.mark.parametrize("name", ["numpy", "numba"])
def test_causal_convolution_sees_no_later_input(name):
    rng = np.random.default_rng(4)
    x, w = rng.standard_normal((2, 3, 20)), rng.standard_normal((4, 3, 3))
    with backend.use(name):
        y = ops.conv1d(x, w, padding="causal", dilation=4)
        assert y.shape == (2, 4, 20)
        for t in (0, 7, 19):
            changed = x.copy()
            changed[:, :, t:] += 1
            z = ops.conv1d(changed, w, padding="causal", dilation=4)
            np.testing.assert_allclose(z[:, :, :t], y[:, :, :t], rtol=0, atol=1e-13)
            assert (np.abs(z[:, :, t] - y[:, :, t]) > 1e-6).all()


@given(case=cases())
@few
def test_sizes(case):
    """The formulas of the docstrings, and PyTorch's sizes through every output padding."""
    x, w, y = case.arrays()
    assert ops.conv2d(x, w, **case.options).shape == (case.shape[0], case.outputs, *case.out)
    for extra in range(min(case.stride)):
        z = ops.conv_transpose2d(y, w, output_padding=extra, **{**case.options, "padding": 0})
        assert z.shape[2:] == tuple(
            (n - 1) * s + d * (k - 1) + extra + 1
            for n, s, d, k in zip(case.out, case.stride, case.dilation, case.kernel)
        )


# -- the compiled twins -----------------------------------------------------------------------------------------------


@pytest.fixture
def fenced(monkeypatch):
    """Scratch memory of exactly the size asked for, a fence behind each row, and rubbish in what is handed out."""
    fences = []

    def workspace(threads, size, dtype):
        memory = np.full((threads, size + 64), np.nan, dtype)
        memory[:, size:] = 12345
        fences.append(memory[:, size:])
        return memory

    monkeypatch.setattr("minigen.kernels.cpu.threads.workspace", workspace)
    yield
    assert all((fence == 12345).all() for fence in fences), "a kernel wrote past its scratch memory"


def agree(case, dtype):
    """All three twins give what the references give in float64."""
    x, w, y = case.arrays(dtype)
    wide = case.kernel_calls(*(a.astype(np.float64) for a in (x, w, y)))
    for name, args in case.kernel_calls(x, w, y).items():
        kept = [a.copy() for a in args[:2]]
        np.full(int(np.prod(case.shape)) * 4, np.nan, dtype)  # freed at once: what an output may get for memory
        ours, expected = getattr(twins, name)(*args), getattr(reference.convolution, name)(*wide[name])
        assert ours.dtype == dtype, name
        close(ours, expected, 3e-6 if dtype == np.float32 else 1e-13 * 8)
        for a, k in zip(args, kept):
            np.testing.assert_array_equal(a, k)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("threads", [1, 2])
@given(case=cases(channels=(1, 3, 8, 17), most=13), tile=st.sampled_from([1, 3_000, 30_000, 10**6]))
@settings(quiet, max_examples=60)
def test_twins(fenced, dtype, threads, case, tile):
    """With tiles of every size: many images each, one, bands of rows."""
    before, size = numba.get_num_threads(), twins._TILE
    try:
        numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
        twins._TILE = tile
        agree(case, dtype)
    finally:
        twins._TILE = size
        numba.set_num_threads(before)


LAYERS = {
    "transposed 5×5, stride 2": Case((9, 24, 14, 14), (5, 5), (2, 2), ((1, 2), (1, 2)), (1, 1), 1, 40, (in_order,) * 3),
    "3×3, stride 1": Case((3, 32, 15, 13), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1, 33, (surrounded,) * 3),
    "to one channel": Case((5, 64, 12, 12), (5, 5), (1, 1), ((2, 2), (2, 2)), (1, 1), 1, 1, (surrounded,) * 3),
    "to two channels": Case((3, 20, 9, 21), (3, 4), (2, 1), ((0, 2), (3, 1)), (1, 2), 1, 2, (in_order,) * 3),
    "from two, transposed": Case((3, 2, 11, 9), (4, 5), (2, 3), ((2, 1), (2, 2)), (1, 1), 1, 24, (surrounded,) * 3),
    "from one channel": Case((5, 1, 28, 28), (5, 5), (2, 2), ((1, 2), (1, 2)), (1, 1), 1, 64, (in_order,) * 3),
    "from colours": Case((2, 3, 20, 21), (4, 4), (2, 2), ((1, 1), (1, 1)), (1, 1), 1, 16, (in_order,) * 3),
    "long dilated signal": Case((2, 16, 1, 3000), (1, 2), (1, 1), ((0, 0), (64, 0)), (1, 64), 1, 32, (surrounded,) * 3),
    "1×1": Case((2, 48, 9, 9), (1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1), 1, 24, (surrounded,) * 3),
    "one large image": Case((1, 16, 70, 90), (3, 5), (1, 2), ((1, 1), (0, 3)), (2, 1), 1, 16, (in_order,) * 3),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("layer", LAYERS)
def test_twins_on_layers(fenced, layer, dtype):
    agree(LAYERS[layer], dtype)


@pytest.mark.parametrize("layer", LAYERS)
def test_twins_without_tiles_in_the_registers(fenced, layer, monkeypatch):
    for module in (indirect, thin):
        monkeypatch.setattr(module, "TILES", False)
    agree(LAYERS[layer], np.float32)


@needs_tiles
@given(
    case=cases(channels=(1, 3, 16, 48, 112), most=7),
    positions=st.sampled_from([1, 20, 10**6]),
    largest=st.sampled_from([500, 1 << 20]),
)
@example(case=Case((5, 7, 6, 6), (2, 3), (3, 4), ((1, 2), (0, 1)), (1, 1), 1, 16, (surrounded,) * 3), positions=20,
         largest=1 << 20)  # fmt: skip
@settings(quiet, max_examples=80)
def test_twins_in_tiles_of_the_registers(fenced, case, positions, largest):
    """Several images at a time, or one; and what is too large for that."""
    before = indirect.POSITIONS, indirect.LARGEST
    try:
        indirect.POSITIONS, indirect.LARGEST = positions, largest
        agree(case, np.float32)
    finally:
        indirect.POSITIONS, indirect.LARGEST = before


@needs_tiles
def test_long_sums_keep_their_digits():
    """3,200 terms that are added one after the other lose 2.7e-6 of the largest output, in parts 0.7e-6."""
    case = Case((8, 128, 14, 14), (5, 5), (1, 1), ((2, 2), (2, 2)), (1, 1), 1, 128, (in_order,) * 3)
    x, w, y = case.arrays(np.float32)
    wide = case.kernel_calls(*(a.astype(np.float64) for a in (x, w, y)))
    for name, args in case.kernel_calls(x, w, y).items():
        expected = getattr(reference.convolution, name)(*wide[name])
        assert abs(getattr(twins, name)(*args) - expected).max() < 1.5e-6 * abs(expected).max(), name


@needs_tiles
def test_multiples_of_a_vector_are_done_in_tiles(loops):
    done = loops(indirect)
    agree(LAYERS["one large image"], np.float32)
    names = [function for function, _ in done]
    assert names.count(indirect._correlate) >= 2 and indirect._weight_grad in names


@pytest.mark.parametrize("layer", LAYERS)
def test_threads_do_not_change_the_result(layer):
    """Bit for bit where outputs are computed; to rounding where the threads' parts are added up; and repeatable."""
    case = LAYERS[layer]
    calls = case.kernel_calls(*case.arrays(np.float32))
    before, found = numba.get_num_threads(), []
    try:
        for threads in (1, 2, 2):
            numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
            found.append({name: getattr(twins, name)(*args) for name, args in calls.items()})
    finally:
        numba.set_num_threads(before)
    for name in calls:
        assert found[1][name].tobytes() == found[2][name].tobytes()
        if name != "conv2d_weight_grad":
            assert found[0][name].tobytes() == found[1][name].tobytes()
        close(found[0][name], found[1][name], 1e-5)


def test_results_are_not_written_again():
    """The scratch memory is used again; what was handed out is not."""
    case = LAYERS["3×3, stride 1"]
    results = [
        getattr(twins, name)(*args)
        for seed in (0, 1)
        for name, args in case.kernel_calls(*case.arrays(seed=seed)).items()
    ]
    kept = [r.copy() for r in results]
    agree(LAYERS["transposed 5×5, stride 2"], np.float64)
    for r, k in zip(results, kept):
        np.testing.assert_array_equal(r, k)


def test_several_python_threads_at_once():
    """Each has its own scratch memory."""
    case = LAYERS["3×3, stride 1"]
    inputs = [case.kernel_calls(*case.arrays(np.float32, seed)) for seed in range(4)]
    expected = [{name: getattr(twins, name)(*args) for name, args in calls.items()} for calls in inputs]
    wrong = []

    def work(calls, results):
        for _ in range(5):
            for name, args in calls.items():
                if not np.allclose(getattr(twins, name)(*args), results[name], rtol=1e-4, atol=1e-3):
                    wrong.append(name)

    workers = [threading.Thread(target=work, args=pair) for pair in zip(inputs, expected)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


def test_results_keep_the_channels_last():
    for case in LAYERS.values():
        calls = case.kernel_calls(*case.arrays(np.float32))
        for name in ("conv2d", "conv_transpose2d"):
            for family in (twins, reference.convolution):
                y = getattr(family, name)(*calls[name])
                assert np.moveaxis(y, 1, -1).flags.c_contiguous or family is not twins
                assert y.strides[1] == y.itemsize or y.shape[1] == 1


@pytest.mark.parametrize(
    "dtypes", [("f2", "f2"), ("i4", "f4"), ("f4", "f8"), (">f8", ">f8"), ("c16", "f8"), ("i8", "i8")]
)
def test_other_dtypes_take_the_reference(dtypes):
    case = LAYERS["from colours"]
    x, w, y = case.arrays()
    x, y, w = (4 * x).astype(dtypes[0]), (4 * y).astype(dtypes[0]), (4 * w).astype(dtypes[1])
    for name, args in case.kernel_calls(x, w, y).items():
        ours, expected = getattr(twins, name)(*args), getattr(reference.convolution, name)(*args)
        assert ours.dtype == expected.dtype
        if dtypes != ("f4", "f8") or name != "conv2d_weight_grad":  # that one is between two float32 arrays
            np.testing.assert_array_equal(ours, expected)


# -- the rest ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["numpy", "numba"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_empty_batch(name, dtype):
    with backend.use(name):
        x, w = tensor(np.zeros((0, 3, 6, 6), dtype), requires_grad=True), tensor(np.ones((2, 3, 3, 3), dtype), True)
        for y in (ops.conv2d(x, w, stride=2), ops.conv_transpose2d(ops.conv2d(x, w, stride=2), w, stride=2)):
            gx, gw = grad(y, [x, w], np.zeros(y.shape, dtype))
            assert gx.shape == x.shape and gw.shape == w.shape and not gw.numpy().any()


@pytest.mark.parametrize("name", ["numpy", "numba"])
def test_bias_is_not_added_to_anything_that_is_seen(name):
    """The sum is made in the convolution's own memory; inputs stay, and so does a convolution without bias."""
    rng = np.random.default_rng(5)
    x, w, b = (rng.standard_normal(s).astype(np.float32) for s in ((2, 3, 5, 5), (4, 3, 1, 1), (4,)))
    with backend.use(name):
        kept = [a.copy() for a in (x, w, b)]
        plain = ops.conv2d(x, w)
        close(ops.conv2d(x, w, b), plain + b[:, None, None], 1e-6)
        for a, k in zip((x, w, b), kept):
            np.testing.assert_array_equal(a, k)
        assert ops.conv2d(x, w, b.astype(np.float64)).dtype == np.float64


def test_max_pool_at_the_edges():
    """The first of equals takes the gradient, NaN wins, and the padding never does, not even against −∞."""
    x = tensor(np.ones((1, 1, 4, 4)), requires_grad=True)
    (g,) = grad(ops.max_pool2d(x, 2), [x], np.ones((1, 1, 2, 2)))
    np.testing.assert_array_equal(g.numpy()[0, 0], np.kron(np.eye(2) * 0 + 1, [[1, 0], [0, 0]]))
    bad = np.ones((1, 1, 2, 4))
    bad[0, 0, 0, 0] = np.nan
    y = ops.max_pool2d(bad, 2)
    assert np.isnan(y[0, 0, 0, 0]) and y[0, 0, 0, 1] == 1
    lowest = tensor(np.full((1, 1, 3, 3), -np.inf), requires_grad=True)
    y = ops.max_pool2d(lowest, 2, 2, 1)
    assert (y.numpy() == -np.inf).all()
    (g,) = grad(y, [lowest], np.ones(y.shape))
    assert g.numpy().sum() == y.size
    np.testing.assert_array_equal(ops.max_pool2d(np.arange(16).reshape(1, 1, 4, 4), 2)[0, 0], [[5, 7], [13, 15]])


def test_pooling_takes_each_axis_on_its_own():
    x = np.arange(24.0).reshape(1, 1, 4, 6)
    np.testing.assert_array_equal(ops.max_pool2d(x, (4, 1)), x[:, :, -1:])
    np.testing.assert_allclose(ops.avg_pool2d(x, (1, 6)), x.mean(-1, keepdims=True))


def test_pixel_shuffle_and_back():
    x = np.random.default_rng(6).standard_normal((2, 12, 3, 4)).astype(np.float32)
    np.testing.assert_array_equal(ops.pixel_unshuffle(ops.pixel_shuffle(x, 2), 2), x)


@pytest.mark.gpu
def test_mixing_host_and_device_is_an_error():
    x, w = np.ones((1, 2, 4, 4)), backend.to(np.ones((3, 2, 3, 3)), "cupy")
    for args in ((x, w), (w, x)):
        for name in ("numpy", "numba", "cupy"):
            with backend.use(name), pytest.raises(BackendError, match="conv2d: got arrays of both cupy and numpy"):
                ops.conv2d(*args, padding=1)
