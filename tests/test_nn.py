"""Modules, layers and initialisers, against plain NumPy; PyTorch's layers where it is installed."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import special

import minigen
from minigen import backend, nn
from minigen.errors import ConfigError, DataError, DtypeError, ShapeError
from minigen.nn import init


def rng(seed: int = 0) -> np.random.Generator:
    return backend.generator(seed)


def leaf(a: object) -> minigen.Tensor:
    return minigen.tensor(np.asarray(a), requires_grad=True)


def normal(*shape: int, seed: int = 5) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


class Block(nn.Module):
    """One of everything that a module can hold."""

    def __init__(self):
        generator = rng()
        self.scale = leaf(np.ones(3, np.float32))
        self.count = minigen.tensor(0.0)
        self.stack = [nn.Linear(3, 4, rng=generator), nn.Linear(4, 3, bias=False, rng=generator)]
        self.norm = nn.BatchNorm1d(3)
        self.size = 3
        self._cache = minigen.tensor([1.0])

    def forward(self, x):
        for layer in self.stack:
            x = layer(x)
        return self.norm(x) * self.scale


NAMES = ["scale", "stack.0.weight", "stack.0.bias", "stack.1.weight", "norm.weight", "norm.bias"]
BUFFERS = ["count", "norm.running_mean", "norm.running_var"]


# -- Module -----------------------------------------------------------------------------------------------------------


def test_what_a_module_holds_in_the_order_of_assignment():
    block = Block()
    assert [name for name, _ in block.named_parameters()] == NAMES
    assert [name for name, _ in block.named_buffers()] == BUFFERS
    assert block.parameters() == [p for _, p in block.named_parameters()]
    assert block.modules() == [block, block.stack[0], block.stack[1], block.norm]
    assert [path for path, _ in block.named_modules()] == ["", "stack.0", "stack.1", "norm"]


def test_tensors_know_their_path_from_the_outermost_module():
    block = Block()
    assert [p.name for p in block.parameters()] == NAMES
    outer = nn.Sequential(nn.ReLU(), block)
    assert [p.name for p in outer.parameters()] == [f"1.{name}" for name in NAMES]
    assert [b.name for _, b in outer.named_buffers()] == [f"1.{name}" for name in BUFFERS]
    assert [module._path for module in outer.modules()[1:]] == ["0", "1", "1.stack.0", "1.stack.1", "1.norm"]


@pytest.mark.parametrize("make, shape", [(nn.Conv2d, (3, 1, 6, 6)), (nn.Linear, (3, 1))], ids=["Conv2d", "Linear"])
def test_a_stale_update_names_the_parameter(make, shape):
    size = (3,) if make is nn.Conv2d else ()
    net = nn.Sequential(make(1, 2, *size, rng=rng()), make(2, 2, *size, rng=rng()))
    loss = net(leaf(normal(*shape).astype(np.float32))).sum()
    net[1].weight.data -= 1.0
    with pytest.raises(minigen.errors.GraphError, match=r"\(1.weight\) had in the forward pass, but it was updated"):
        minigen.grad(loss, net[0].weight)


def test_a_result_is_no_state():
    block = Block()
    block.last = block.scale * 2.0
    assert len(block.parameters()) == len(NAMES) and len(list(block.named_buffers())) == len(BUFFERS)


def test_a_shared_parameter_counts_once():
    first = nn.Linear(3, 3, rng=rng())
    second = nn.Linear(3, 3, rng=rng())
    second.weight = first.weight
    net = nn.Sequential(first, second, first)
    assert [name for name, _ in net.named_parameters()] == ["0.weight", "0.bias", "1.bias"]
    assert list(net.state_dict()) == ["0.weight", "0.bias", "1.bias"]
    assert net.modules() == [net, first, second]


def test_train_and_eval_reach_every_module():
    block = Block()
    assert all(module.training for module in block.modules())
    assert block.eval() is block and not any(module.training for module in block.modules())
    assert block.train() is block and all(module.training for module in block.modules())


def test_state_is_a_copy_and_comes_back_into_the_same_tensors():
    block, x = Block(), normal(6, 3).astype(np.float32)
    block(minigen.tensor(x))  # moves the running statistics
    state, tensors = block.state_dict(), block.parameters()
    assert list(state) == ["scale", "count", *NAMES[1:], *BUFFERS[1:]]
    expected = block.eval()(minigen.tensor(x)).numpy()
    arrays = [p.data for p in tensors]
    for p in tensors:
        p.data += 1
    block.norm.running_mean.data += 1
    assert not np.array_equal(block(minigen.tensor(x)).numpy(), expected)
    block.load_state_dict(state)
    np.testing.assert_array_equal(block(minigen.tensor(x)).numpy(), expected)
    assert all(a is p.data for a, p in zip(arrays, block.parameters(), strict=True))
    other = Block()
    other.load_state_dict(state)
    np.testing.assert_array_equal(other.eval()(minigen.tensor(x)).numpy(), expected)


@pytest.mark.parametrize(
    "change, error, message",
    [
        (lambda s: [s.pop("scale"), s.pop("norm.bias")], DataError, "it lacks scale, norm.bias; build"),
        (lambda s: s.update(a=0, b=0), DataError, "it has a, b, which the model has not"),
        (lambda s: [s.pop("scale"), s.update(a=0)], DataError, "it lacks scale; it has a, which"),
        (
            lambda s: s.update({"scale": np.ones(4, np.float32), "norm.bias": np.ones((3, 1), np.float32)}),
            ShapeError,
            r"scale expects \(3,\), came \(4,\); norm.bias expects \(3,\), came \(3, 1\)",
        ),
        (lambda s: s.update(scale=np.ones(3)), DtypeError, "scale expects float32, came float64"),
    ],
)
def test_a_state_that_does_not_fit_changes_nothing(change, error, message):
    block = Block()
    before, state = block.state_dict(), block.state_dict()
    state["stack.0.weight"] += 1
    change(state)
    with pytest.raises(error, match=message):
        block.load_state_dict(state)
    for name, array in block.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def test_to_keeps_the_tensors():
    block = Block()
    before = block.parameters()
    minigen.grad(block(minigen.tensor(normal(4, 3).astype(np.float32))).sum(), before)
    before[0].grad = minigen.tensor([1.0])
    assert block.to("numpy") is block
    assert all(a is b for a, b in zip(before, block.parameters(), strict=True)) and before[0].grad is None


def test_a_module_on_each_backend(backend_name):
    """Built, listed, run, saved and loaded; the numbers are those of the numpy backend"""
    x = normal(6, 1, 4, 4).astype(np.float32)

    def run():
        generator = rng()
        layers = nn.Conv2d(1, 3, 3, rng=generator), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(12, 2, rng=generator)
        net = nn.Sequential(*layers, nn.Dropout(0.5))
        y = net(minigen.tensor(x), rng=generator)
        net.load_state_dict(net.state_dict() | {"3.bias": np.ones(2, np.float32)})
        assert "(6, 3, 2, 2)" in net.summary(x)
        return [y.numpy(), net.eval()(minigen.tensor(x)).numpy(), *net.state_dict().values()]

    got = run()
    with backend.use("numpy"):
        expected = run()
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_to_another_backend(backend_name):
    with backend.use("numpy"):
        block = Block()
    parameters = block.parameters()
    assert block.to(backend_name).parameters() == parameters
    assert {backend.name_of(t.data) for t in parameters} == {"cupy" if backend_name == "cupy" else "numpy"}
    assert block(minigen.tensor(normal(4, 3).astype(np.float32))).shape == (4, 3)


def test_listing():
    net = nn.Sequential(nn.Linear(4, 8, rng=rng()), nn.Sequential(nn.LeakyReLU(0.2), nn.Dropout(0.1)))
    assert repr(net) == (
        "Sequential(\n  (0): Linear(4, 8)\n  (1): Sequential(\n    (0): LeakyReLU(0.2)\n    (1): Dropout(0.1)\n  )\n)"
    )


def test_summary():
    net = nn.Sequential(nn.Linear(40, 80, rng=rng()), nn.BatchNorm1d(80), nn.Tanh())
    lines = net.summary().splitlines()
    assert lines[0].split() == ["name", "layer", "parameters"]
    assert lines[2].split() == ["0", "Linear(40,", "80)", "3,280"]
    assert lines[-1].split() == ["parameters", "3,440"]
    assert len(set(map(len, lines))) == 1

    statistics = net.state_dict()
    lines = net.summary(np.zeros((5, 40), np.float32)).splitlines()
    assert lines[4].split() == ["2", "Tanh()", "(5,", "80)", "–"]
    assert net.training and "forward" not in vars(net[0])
    for name, array in net.state_dict().items():
        np.testing.assert_array_equal(array, statistics[name])


def test_forward_must_be_defined():
    with pytest.raises(NotImplementedError, match="Module: define forward"):
        nn.Module()(1)


# -- Sequential, Flatten, Reshape -------------------------------------------------------------------------------------


def test_sequential():
    layers = [nn.Linear(2, 3, rng=rng()), nn.ReLU()]
    net = nn.Sequential(*layers)
    assert len(net) == 2 and list(net) == layers and net[1] is layers[1]
    x = normal(4, 2).astype(np.float32)
    w, b = (p.numpy() for p in net.parameters())
    np.testing.assert_allclose(net(minigen.tensor(x)).numpy(), np.maximum(x @ w.T + b, 0), rtol=1e-6)
    with pytest.raises(DtypeError, match="layer 1 must be a Module, got function"):
        nn.Sequential(nn.ReLU(), lambda x: x)


def test_flatten_and_reshape_are_inverse():
    x = normal(2, 3, 4, 5)
    flat = nn.Flatten()(minigen.tensor(x))
    np.testing.assert_array_equal(flat.numpy(), x.reshape(2, 60))
    np.testing.assert_array_equal(nn.Reshape(3, 4, 5)(flat).numpy(), x)
    assert nn.Flatten()(minigen.tensor(np.zeros((0, 3, 4)))).shape == (0, 12)
    with pytest.raises(ShapeError, match=r"Reshape\(7, 9\) at '0': an input of shape \(2, 60\) has no shape \(N, 7, 9"):
        nn.Sequential(nn.Reshape(7, 9))(flat)


# -- layers with weights ----------------------------------------------------------------------------------------------


def test_linear():
    layer = nn.Linear(5, 3, rng=rng(), dtype="float64")
    x = normal(2, 4, 5)
    expected = np.einsum("abi,oi->abo", x, layer.weight.numpy()) + layer.bias.numpy()
    y = layer(leaf(x))
    np.testing.assert_allclose(y.numpy(), expected, rtol=1e-13)
    g = normal(2, 4, 3, seed=6)
    weight, bias = minigen.grad(y, layer.parameters(), g)
    np.testing.assert_allclose(weight.numpy(), np.einsum("abo,abi->oi", g, x), rtol=1e-12)
    np.testing.assert_allclose(bias.numpy(), g.sum((0, 1)), rtol=1e-12)


def test_embedding():
    layer = nn.Embedding(6, 3, rng=rng())
    ids = np.array([[0, 5, 5], [2, 2, 2]])
    y = layer(ids)
    np.testing.assert_array_equal(y.numpy(), layer.weight.numpy()[ids])
    g = minigen.grad(y.sum(), layer.weight).numpy()
    np.testing.assert_array_equal(g, np.repeat([[1.0], [0], [3], [0], [0], [2]], 3, axis=1))


def convolution(x, w, stride, padding):
    """Cross-correlation (N, C, *size) by loops over the kernel's taps."""
    n = x.ndim - 2
    x = np.pad(x, [(0, 0), (0, 0), *[(padding, padding)] * n])
    size = [(a - k) // stride + 1 for a, k in zip(x.shape[2:], w.shape[2:], strict=True)]
    y = np.zeros((x.shape[0], w.shape[0], *size))
    for tap in np.ndindex(*w.shape[2:]):
        window = tuple(slice(t, t + (a - 1) * stride + 1, stride) for t, a in zip(tap, size, strict=True))
        y += np.einsum("nc...,oc->no...", x[(..., *window)], w[(..., *tap)])
    return y


@pytest.mark.parametrize("kind, size", [(nn.Conv1d, (9,)), (nn.Conv2d, (9, 8))])
def test_convolution(kind, size):
    layer = kind(2, 3, 3, stride=2, padding=1, rng=rng(), dtype="float64")
    assert layer.weight.shape == (3, 2, *(3,) * len(size))
    x = normal(4, 2, *size)
    expected = convolution(x, layer.weight.numpy(), 2, 1) + layer.bias.numpy().reshape(-1, *(1,) * len(size))
    np.testing.assert_allclose(layer(minigen.tensor(x)).numpy(), expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("kind, size", [(nn.ConvTranspose1d, (4,)), (nn.ConvTranspose2d, (4, 5))])
def test_transposed_convolution_is_the_adjoint(kind, size):
    """⟨conv(x, w), y⟩ = ⟨x, conv_transpose(y, w)⟩"""
    layer = kind(3, 2, 3, stride=2, padding=1, output_padding=1, bias=False, rng=rng(), dtype="float64")
    assert layer.weight.shape == (3, 2, *(3,) * len(size))
    y = normal(4, 3, *size)
    up = layer(minigen.tensor(y)).numpy()
    assert up.shape == (4, 2, *(2 * n for n in size))
    x = normal(*up.shape, seed=7)
    assert np.vdot(convolution(x, layer.weight.numpy(), 2, 1), y) == pytest.approx(np.vdot(x, up), rel=1e-12)


def test_transposed_convolution_doubles():
    layer = nn.ConvTranspose2d(4, 6, 5, stride=2, padding="same", groups=2, rng=rng())
    assert layer.weight.shape == (4, 3, 5, 5) and layer(minigen.tensor(np.zeros((1, 4, 7, 6), "f4"))).shape == (
        1,
        6,
        14,
        12,
    )
    assert repr(layer) == "ConvTranspose2d(4, 6, 5×5, stride=2, padding='same', groups=2)"


@pytest.mark.oracle
def test_layers_as_torch_has_them():
    torch = pytest.importorskip("torch")
    x, ids = normal(3, 4, 9, 8), np.array([[1, 0], [2, 4]])
    make = {"rng": rng(), "dtype": "float64"}
    cases = [
        (nn.Linear(8, 5, **make), torch.nn.Linear(8, 5), x),
        (nn.Conv2d(4, 6, (3, 2), stride=(2, 1), padding=1, dilation=2, groups=2, **make),
         torch.nn.Conv2d(4, 6, (3, 2), stride=(2, 1), padding=1, dilation=2, groups=2), x),
        (nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1, groups=2, **make),
         torch.nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1, groups=2), x),
        (nn.Conv1d(4, 6, 3, padding="same", **make), torch.nn.Conv1d(4, 6, 3, padding="same"), x[..., 0]),
        (nn.ConvTranspose1d(4, 6, 3, stride=3, **make), torch.nn.ConvTranspose1d(4, 6, 3, stride=3), x[..., 0]),
        (nn.BatchNorm1d(4, dtype="float64"), torch.nn.BatchNorm1d(4), x[..., 0]),
        (nn.BatchNorm2d(4, dtype="float64"), torch.nn.BatchNorm2d(4), x),
        (nn.LayerNorm(8, dtype="float64"), torch.nn.LayerNorm(8), x),
        (nn.Embedding(5, 3, **make), torch.nn.Embedding(5, 3), ids),
    ]  # fmt: skip
    for mine, theirs, data in cases:
        theirs.double()
        state = {name: torch.tensor(a) for name, a in mine.state_dict().items()}
        theirs.load_state_dict(state, strict=False)
        for training in True, False:
            mine.train(training), theirs.train(training)
            got, expected = mine(minigen.tensor(data)), theirs(torch.tensor(data))
            np.testing.assert_allclose(
                got.numpy(), expected.detach().numpy(), rtol=1e-9, atol=1e-12, err_msg=repr(mine)
            )
        for name, buffer in mine.named_buffers():
            np.testing.assert_allclose(buffer.numpy(), theirs.state_dict()[name].numpy(), rtol=1e-12)


# -- normalisation, dropout -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind, shape", [(nn.BatchNorm1d, (8, 3)), (nn.BatchNorm1d, (4, 3, 5)), (nn.BatchNorm2d, (4, 3, 2, 5))]
)
def test_batch_norm(kind, shape):
    layer = kind(3, dtype="float64")
    layer.weight.data[:], layer.bias.data[:] = [1, 2, 3], [0, 1, -1]
    x = 3 + 2 * normal(*shape)
    axes, each = (0, *range(2, len(shape))), (1, 3, *(1,) * (len(shape) - 2))
    mean, var, n = x.mean(axes), x.var(axes), x.size / 3

    def normalised(mean, var):
        y = (x - mean.reshape(each)) / np.sqrt(var.reshape(each) + 1e-5)
        return y * np.reshape([1, 2, 3], each) + np.reshape([0, 1, -1], each)

    np.testing.assert_allclose(layer(minigen.tensor(x)).numpy(), normalised(mean, var), rtol=1e-10)
    running = 0.1 * mean, 0.9 + 0.1 * var * n / (n - 1)
    np.testing.assert_allclose(layer.running_mean.numpy(), running[0], rtol=1e-12)
    np.testing.assert_allclose(layer.running_var.numpy(), running[1], rtol=1e-12)
    layer.eval()
    np.testing.assert_allclose(layer(minigen.tensor(x)).numpy(), normalised(*running), rtol=1e-10)
    np.testing.assert_allclose(layer.running_mean.numpy(), running[0], rtol=1e-12)


def test_layer_norm():
    layer, x = nn.LayerNorm(6, dtype="float64"), normal(2, 5, 6)
    expected = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(layer(minigen.tensor(x)).numpy(), expected, rtol=1e-10)


def test_dropout():
    layer, x = nn.Dropout(0.25), np.ones((200, 100), np.float32)
    y = layer(minigen.tensor(x), rng=rng()).numpy()
    assert set(np.unique(y)) == {0, np.float32(1 / 0.75)} and (y == 0).mean() == pytest.approx(0.25, abs=0.02)
    with pytest.raises(ConfigError, match="training draws a mask, so pass the generator"):
        layer(minigen.tensor(x))
    assert layer.eval()(x) is x
    assert nn.Dropout(0)(x) is x
    with pytest.raises(ConfigError, match="from 0 to below 1, got 1"):
        nn.Dropout(1)


def test_dropout_goes_on_exactly_from_the_generators_state():
    """The generator handed to the forward pass is all the randomness there is."""
    net = nn.Sequential(nn.Linear(4, 50, rng=rng()), nn.Sequential(nn.Dropout(0.5), nn.Tanh()), nn.Dropout(0.5))
    x, generator = minigen.tensor(normal(3, 4).astype(np.float32)), rng(1)
    net(x, rng=generator)
    saved = generator.bit_generator.state
    expected = [net(x, rng=generator).numpy() for _ in range(2)]
    assert not np.array_equal(*expected)
    resumed = rng(2)
    resumed.bit_generator.state = saved
    for y in expected:
        np.testing.assert_array_equal(net(x, rng=resumed).numpy(), y)


def test_moving_average(backend_name):
    """θ̄ₜ = Σ βᵗ⁻ⁱ θᵢ / Σ βᵗ⁻ⁱ of parameters and buffers, and what the module makes of an input with it"""
    block, β = Block().to(backend_name), 0.8
    average, at = nn.MovingAverage(block, β), []
    assert not average.parameters() and len(list(average.named_buffers())) == len(NAMES + BUFFERS)
    for t in 1, 2, 3, 4:
        for i, (_, tensor) in enumerate([*block.named_parameters(), *block.named_buffers()]):
            tensor.data += backend.asarray(normal(*tensor.shape, seed=10 * t + i).astype(np.float32) ** 2)
        average.update(t)
        at.append(block.state_dict())
    weights = [β ** (4 - t) for t in (1, 2, 3, 4)]
    expected = {n: sum(w * a[n] for w, a in zip(weights, at, strict=True)) / sum(weights) for n in at[0]}
    for name, array in average.state_dict().items():
        np.testing.assert_allclose(array, expected[name.removeprefix("module.")], rtol=1e-5, atol=1e-6)
    x = minigen.tensor(normal(4, 3).astype(np.float32))
    y = average.eval()(x).numpy()
    block.load_state_dict({name: a.astype(np.float32) for name, a in expected.items()})
    np.testing.assert_allclose(y, block.eval()(x).numpy(), rtol=1e-4, atol=1e-5)
    with pytest.raises(ConfigError, match=r"beta must lie in \[0, 1\), got 1"):
        nn.MovingAverage(block, 1)


# -- activations ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "layer, reference",
    [
        (nn.ReLU(), lambda x: np.maximum(x, 0)),
        (nn.LeakyReLU(0.2), lambda x: np.where(x > 0, x, 0.2 * x)),
        (nn.ELU(0.5), lambda x: np.where(x > 0, x, 0.5 * (np.exp(x) - 1))),
        (nn.Tanh(), np.tanh),
        (nn.Sigmoid(), special.expit),
        (nn.Softplus(), lambda x: np.log1p(np.exp(x))),
        (nn.GELU(), lambda x: x * special.ndtr(x)),
        (nn.SiLU(), lambda x: x * special.expit(x)),
    ],
    ids=lambda value: repr(value) if isinstance(value, nn.Module) else "reference",
)
def test_activations(layer, reference):
    x = normal(4, 5)
    np.testing.assert_allclose(layer(minigen.tensor(x)).numpy(), reference(x), rtol=1e-12)
    assert layer.parameters() == []


# -- how weights start ------------------------------------------------------------------------------------------------

SHAPES = [(300, 200), (60, 40, 5), (30, 40, 3, 5)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    "f, variance, uniform",
    [
        (init.glorot_uniform, lambda i, o: 2 / (i + o), True),
        (init.glorot_normal, lambda i, o: 2 / (i + o), False),
        (init.he_uniform, lambda i, o: 2 / i, True),
        (init.he_normal, lambda i, o: 2 / i, False),
        (init.lecun_uniform, lambda i, o: 1 / i, True),
        (init.lecun_normal, lambda i, o: 1 / i, False),
        (init.torch_default, lambda i, o: 1 / (3 * i), True),
        (init.dcgan, lambda i, o: 0.02**2, False),
    ],
)
def test_initialisers_have_the_papers_variance(f, variance, uniform, shape):
    k = math.prod(shape[2:])
    expected = variance(shape[1] * k, shape[0] * k)
    w = f(rng(), shape)
    assert w.shape == shape and w.dtype == np.float32 and f(rng(), shape, np.float64).dtype == np.float64
    assert w.var() == pytest.approx(expected, rel=0.06) and abs(w.mean()) < 5 * math.sqrt(expected / w.size)
    largest = abs(w).max() / math.sqrt(expected)  # √3 for a uniform distribution
    assert (1.7 < largest <= math.sqrt(3) + 1e-6) if uniform else largest > 3
    np.testing.assert_array_equal(w, f(rng(), shape))


@pytest.mark.parametrize("shape", [(40, 40), (60, 20), (10, 6, 3, 3)])
def test_orthogonal(shape):
    w = init.orthogonal(rng(), shape, np.float64).reshape(shape[0], -1)
    gram = w @ w.T if shape[0] <= w.shape[1] else w.T @ w
    np.testing.assert_allclose(gram, np.eye(len(gram)), atol=1e-12)
    assert w.var() == pytest.approx(1 / max(w.shape), rel=0.05)
    assert init.orthogonal(rng(), shape).dtype == np.float32


def test_orthogonal_prefers_no_sign():
    """Without the signs of R's diagonal every matrix would begin with a negative number."""
    first = [init.orthogonal(rng(seed), (4, 4))[0, 0] for seed in range(60)]
    assert 15 < sum(a < 0 for a in first) < 45


def test_zeros_and_ones_draw_nothing():
    generator = rng()
    state = generator.bit_generator.state
    np.testing.assert_array_equal(init.zeros(generator, (3,)), np.zeros(3))
    np.testing.assert_array_equal(init.ones(generator, (3,)), np.ones(3))
    assert generator.bit_generator.state == state


def test_a_bias_has_no_fans():
    with pytest.raises(ShapeError, match=r"expected a weight \(outputs, inputs, ...\), got shape \(3,\)"):
        init.he_normal(rng(), (3,))


@pytest.mark.parametrize(
    "layer, fan_in",
    [
        (lambda **k: nn.Linear(50, 400, **k), 50),
        (lambda **k: nn.Conv2d(8, 400, 3, groups=2, **k), 4 * 9),
        (lambda **k: nn.ConvTranspose1d(8, 400, 5, **k), 400 * 5),
    ],
)
def test_layers_start_as_in_torch(layer, fan_in):
    built = layer(rng=rng())
    for p in built.parameters():
        largest = abs(p.numpy()).max() * math.sqrt(fan_in)
        assert 0.97 < largest <= 1 and p.dtype == np.float32
    named = layer(rng=rng(), init=init.dcgan)
    assert not named.bias.numpy().any() and named.weight.numpy().std() == pytest.approx(0.02, rel=0.05)
    assert layer(rng=rng(), bias=False).bias is None
    wide = layer(rng=rng(), dtype="float64")
    assert all(p.dtype == np.float64 for p in wide.parameters())
    for a, b in zip(built.parameters(), layer(rng=rng()).parameters(), strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_the_generator_must_be_given():
    for kind, sizes in [
        (nn.Linear, (2, 3)),
        (nn.Conv2d, (2, 3, 3)),
        (nn.ConvTranspose1d, (2, 3, 3)),
        (nn.Embedding, (2, 3)),
    ]:
        with pytest.raises(TypeError, match="rng"):
            kind(*sizes)


# -- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "layer, shape, message",
    [
        (lambda: nn.Linear(4, 2, rng=rng()), (3, 5), r"Linear\(4, 2\) at '0': expected .* \(…, 4\), got \(3, 5\)"),
        (lambda: nn.Linear(4, 2, rng=rng()), (), r"shape \(…, 4\), got \(\)"),
        (lambda: nn.Conv2d(4, 2, 3, rng=rng()), (1, 3, 8, 8), r"Conv2d\(4, 2, 3×3\) at '0': .* \(N, 4, H, W\), got"),
        (lambda: nn.Conv1d(4, 2, 3, rng=rng()), (4, 8), r"shape \(N, 4, W\), got \(4, 8\)"),
        (lambda: nn.ConvTranspose2d(4, 2, 3, rng=rng()), (1, 3, 8, 8), r"shape \(N, 4, H, W\), got"),
        (lambda: nn.BatchNorm1d(4), (2, 3), r"BatchNorm1d\(4\) at '0': .* shape \(N, 4\) or \(N, 4, W\), got \(2, 3\)"),
        (lambda: nn.BatchNorm2d(4), (2, 4), r"shape \(N, 4, H, W\), got \(2, 4\)"),
        (lambda: nn.LayerNorm(4), (2, 3), r"shape \(…, 4\), got \(2, 3\)"),
    ],
)  # fmt: skip
def test_an_input_that_does_not_fit_names_the_layer(layer, shape, message):
    with pytest.raises(ShapeError, match=message):
        nn.Sequential(layer())(minigen.tensor(np.zeros(shape, np.float32)))


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: nn.Linear(0, 3, rng=rng()), "Linear: in_features must be a whole number from 1, got 0"),
        (lambda: nn.Linear(3, 2.5, rng=rng()), "out_features must be a whole number from 1, got 2.5"),
        (lambda: nn.Conv2d(3, 4, 3, groups=2, rng=rng()), "groups must divide both channel counts, got 3 and 4"),
        (lambda: nn.Conv2d(3, 4, (3, 3, 3), rng=rng()), r"expected 2 kernel sizes, got \(3, 3, 3\)"),
        (lambda: nn.Conv1d(3, 4, 0, rng=rng()), "kernel_size must be a whole number from 1, got 0"),
        (lambda: nn.Embedding(-1, 4, rng=rng()), "Embedding: count must be"),
        (lambda: nn.BatchNorm2d(0), "BatchNorm2d: features must be"),
    ],
)
def test_sizes_that_cannot_be(make, message):
    with pytest.raises(ConfigError, match=message):
        make()
