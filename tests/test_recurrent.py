"""Recurrent layers: the compiled kernel against its reference, the layers against PyTorch's and against themselves."""

import copy
import inspect

import numba
import numpy as np
import pytest
import scipy.special as sp

from minigen import backend, nn, ops
from minigen.errors import ConfigError, DataError, DtypeError, ShapeError
from minigen.kernels import KERNELS
from minigen.kernels.cpu import recurrent as cpu
from minigen.tensor import grad, tensor

LAYERS = [nn.RNN, nn.GRU, nn.LSTM, nn.TwoSigmoidRNN]
each_layer = pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.__name__)


def numbers(*shape, seed=3, dtype=np.float64):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def made(layer, *sizes, dtype="float64", seed=0, **options):
    return layer(*sizes, rng=backend.generator(seed), dtype=dtype, **options)


def values(state):
    return [a.numpy() for s in state for a in s]


# -- kernels ----------------------------------------------------------------------------------------------------------


@pytest.fixture(params=[1, 2], ids=lambda n: f"{n} threads")
def threads(request):
    if request.param > numba.config.NUMBA_NUM_THREADS:
        pytest.skip("fewer threads on this machine")
    before = numba.get_num_threads()
    numba.set_num_threads(request.param)
    yield request.param
    numba.set_num_threads(before)


def lstm_arguments(n, steps, size, mask, dtype):
    f = lambda seed, *shape: numbers(*shape, seed=seed, dtype=dtype)
    a, u, h0, c0 = f(0, n, steps, 4 * size), f(1, 4 * size, size) / size, f(2, n, size), f(3, n, size)
    given = None if mask is None else np.random.default_rng(4).random((n, steps)) < mask
    return [a, u, h0, c0, given], [f(5, n, steps, size), f(6, n, size)]


def wide(arguments):
    return [a.astype(np.float64) if a is not None and a.dtype == np.float32 else a for a in arguments]


@pytest.mark.parametrize("mask", [None, 0.7, 0.0])
@pytest.mark.parametrize(
    "n, steps, size", [(1, 1, 1), (5, 4, 3), (3, 7, 33), (9, 2, 16), (0, 2, 3), (1, 1, 5), (8, 1, 32), (9, 1, 16)]
)
def test_the_compiled_lstm_does_what_its_reference_does(n, steps, size, mask, threads):
    arguments, (g, g_c) = lstm_arguments(n, steps, size, mask, np.float32)
    _, u, h0, c0, given = arguments
    kept = copy.deepcopy([arguments, g, g_c])
    ours, expected = cpu.lstm(*arguments), KERNELS["lstm"](*wide(arguments))
    real = np.ones((n, steps), bool) if given is None else given  # the gates of padding mean nothing
    for a, e, where in zip(ours, expected, (..., ..., real)):
        assert a.dtype == np.float32 and a.shape == e.shape
        np.testing.assert_allclose(a[where], e[where], rtol=0, atol=2e-6)
    ours = cpu.lstm_gradients(g, g_c, u, h0, c0, given, *ours)
    expected = KERNELS["lstm_gradients"](*wide([g, g_c, u, h0, c0, given, *expected]))
    for a, e in zip(ours, expected, strict=True):
        assert a.dtype == np.float32 and a.shape == e.shape
        np.testing.assert_allclose(a, e, rtol=0, atol=2e-6 * np.abs(e).max(initial=1.0))
    for a, k in zip([*arguments, g, g_c], [*kept[0], *kept[1:]]):
        np.testing.assert_array_equal(a, k)


def test_the_compiled_lstm_takes_any_memory_order():
    (a, u, h0, c0, _), (g, g_c) = lstm_arguments(4, 5, 6, None, np.float32)
    expected = cpu.lstm(a, u, h0, c0, None)
    slopes = cpu.lstm_gradients(g, g_c, u, h0, c0, None, *copy.deepcopy(expected))
    turn = lambda x: np.repeat(x, 2, axis=-1)[..., ::2]
    ours = cpu.lstm(*map(turn, (a, u, h0, c0)), None)
    turned = cpu.lstm_gradients(*map(turn, (g, g_c, u, h0, c0)), None, *copy.deepcopy(ours))
    for x, e in zip([*ours, *turned], [*expected, *slopes], strict=True):
        np.testing.assert_array_equal(x, e)


def test_the_compiled_lstm_hands_on_what_is_not_finite():
    (a, u, h0, c0, _), (g, g_c) = lstm_arguments(3, 4, 5, None, np.float32)
    a[1, 2, 0] = np.nan
    a[2, 0, :] = np.array([np.inf, -np.inf] * 10, np.float32)
    h, c, gates = cpu.lstm(a, u, h0, c0, None)
    assert np.isnan(h[1, 2, 0]) and np.isnan(h[1, 3]).all() and np.isfinite(h[[0, 2]]).all()
    da, du, *_ = cpu.lstm_gradients(g, g_c, u, h0, c0, None, h, c, gates)
    assert np.isnan(da[1]).any() and np.isnan(du).any() and np.isfinite(da[0]).all()


def test_the_gates_are_exact_to_rounding():
    x = np.concatenate([np.linspace(-30, 30, 4001), np.logspace(-12, 0, 500), [0.0, -0.0, 90, -90, 1e30, -1e30]])
    x = x.astype(np.float32)
    for function, expected in ((cpu._add_sigmoid, sp.expit), (cpu._add_tanh, np.tanh)):
        y = x.copy()
        function(y, np.zeros_like(x))
        np.testing.assert_allclose(y, expected(x.astype(np.float64)), rtol=6e-7, atol=1e-37)


def test_each_twin_has_a_reference_of_the_same_signature():
    for name in cpu.__all__:
        assert inspect.signature(getattr(cpu, name)) == inspect.signature(KERNELS[name]), name


# -- layers -----------------------------------------------------------------------------------------------------------


@each_layer
def test_a_sequence_step_by_step_is_the_sequence(layer, backend_name):
    x = backend.asarray(numbers(3, 5, 4).astype(np.float32))
    model = made(layer, 4, 6, dtype="float32", layers=2)
    whole, last = model(x)
    state, outputs = None, []
    for t in range(5):
        y, state = model.step(x[:, t], state)
        outputs.append(y.numpy())
    np.testing.assert_allclose(np.stack(outputs, 1), whole.numpy(), rtol=0, atol=2e-6)
    for a, b in zip(values(state), values(last), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=2e-6)


@each_layer
def test_a_sequence_goes_on_from_its_state(layer):
    x, model = numbers(2, 7, 3), made(layer, 3, 4, layers=2)
    whole, last = model(x)
    first, state = model(x[:, :4])
    second, state = model(x[:, 4:], state)
    np.testing.assert_allclose(np.concatenate([first.numpy(), second.numpy()], 1), whole.numpy(), atol=1e-14)
    for a, b in zip(values(state), values(last), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-14)


@each_layer
@pytest.mark.parametrize("bidirectional", [False, True])
def test_padding_changes_nothing(layer, bidirectional):
    """Each sequence of a padded batch gives what it gives alone: outputs, last states, gradients."""
    lengths = [4, 1, 3]
    model = made(layer, 3, 2, layers=2, bidirectional=bidirectional)
    x, g = numbers(3, 4, 3), numbers(3, 4, model.directions * 2, seed=8)
    padded = np.where(np.arange(4)[:, None] < np.array(lengths)[:, None, None], x, 100.0)
    leaf = tensor(padded, requires_grad=True)
    y, state = model(leaf, lengths=lengths)
    real = (np.arange(4) < np.array(lengths)[:, None])[..., None]
    slopes = grad(ops.sum(y * np.where(real, g, 0)), [leaf, *model.parameters()])
    total = [np.zeros_like(p.numpy()) for p in model.parameters()]
    for k, length in enumerate(lengths):
        alone = tensor(x[k : k + 1, :length], requires_grad=True)
        expected, last = model(alone)
        np.testing.assert_allclose(y.numpy()[k, :length], expected.numpy()[0], atol=1e-14)
        for a, b in zip(values(state), values(last), strict=True):
            np.testing.assert_allclose(a[k], b[0], atol=1e-14)
        own = grad(ops.sum(expected * g[k : k + 1, :length]), [alone, *model.parameters()])
        np.testing.assert_allclose(slopes[0].numpy()[k, :length], own[0].numpy()[0], atol=1e-13)
        assert not slopes[0].numpy()[k, length:].any()
        total = [a + b.numpy() for a, b in zip(total, own[1:])]
    for a, b in zip(slopes[1:], total, strict=True):
        np.testing.assert_allclose(a.numpy(), b, atol=1e-12)


@each_layer
def test_two_directions_are_two_layers(layer):
    x, both = numbers(2, 5, 3), made(layer, 3, 4, bidirectional=True)
    y, state = both(x)
    for k, (cell, part) in enumerate(zip(both.cells, np.split(y.numpy(), 2, axis=2))):
        one = made(layer, 3, 4)
        one.load_state_dict({f"cells.0.{name}": a for name, a in cell.state_dict().items()})
        alone, last = one(x[:, ::-1] if k else x)
        np.testing.assert_allclose(part, alone.numpy()[:, ::-1] if k else alone.numpy(), atol=1e-14)
        np.testing.assert_allclose(state[k][0].numpy(), last[0][0].numpy(), atol=1e-14)


def test_dropout_lies_between_the_layers():
    x, model = numbers(2, 3, 4), made(nn.GRU, 4, 5, layers=2, dropout=0.5)
    with pytest.raises(ConfigError, match="pass the generator"):
        model(x)
    y, _ = model(x, rng=backend.generator(1))
    first, _ = model.cells[0](x, model.zero_state(x)[0], None)
    dropped = ops.dropout(first, 0.5, rng=backend.generator(1), training=True)
    expected, _ = model.cells[1](dropped, model.zero_state(x)[1], None)
    np.testing.assert_array_equal(y.numpy(), expected.numpy())
    model.eval()
    plain = made(nn.GRU, 4, 5, layers=2)
    np.testing.assert_array_equal(model(x)[0].numpy(), plain(x)[0].numpy())
    one = made(nn.GRU, 4, 5, dropout=0.5)
    one(x)  # nothing lies between the layers of one


@each_layer
def test_the_weights_start_within_their_bounds(layer):
    model = made(layer, 50, 400, dtype="float32")
    for name, p in model.named_parameters():
        a = p.numpy()
        assert a.dtype == np.float32 and np.abs(a).max() <= 0.05, name
        np.testing.assert_allclose(a.std(), 0.05 / np.sqrt(3), rtol=0.1, err_msg=name)


def test_a_bad_call_says_what_is_wrong():
    model, x = made(nn.LSTM, 3, 4, layers=2), numbers(2, 5, 3)
    for wrong in (numbers(2, 5, 4), numbers(5, 3), numbers(2, 0, 3)):
        with pytest.raises(ShapeError, match=r"LSTM\(3, 4, layers=2\).*\(N, T, 3\) with at least one step"):
            model(wrong)
    with pytest.raises(ShapeError, match=r"a state of 2 tuples of 2 arrays.*got \[1\]"):
        model(x, [(numbers(2, 4),)])
    with pytest.raises(ShapeError, match=r"h0 must have shape \(2, 4\), got \(3, 4\)"):
        model(x, [(numbers(3, 4), numbers(2, 4))] * 2)
    with pytest.raises(ShapeError, match=r"lengths of shape \(2,\), got \(3,\)"):
        model(x, lengths=[1, 2, 3])
    with pytest.raises(DtypeError, match="lengths that are integers, got float32"):
        model(x, lengths=[1.0, 2.0])
    with pytest.raises(DataError, match="lengths from 0 to the 5 steps of x, got 2 … 6"):
        model(x, lengths=[2, 6])
    with pytest.raises(ConfigError, match="reads the end first"):
        made(nn.RNN, 3, 4, bidirectional=True).step(x[:, 0])
    with pytest.raises(ConfigError, match="GRU: layers must be a whole number"):
        made(nn.GRU, 3, 4, layers=0)


# -- the documents' cells ---------------------------------------------------------------------------------------------


def test_formula_B6():
    """The cell as written: a_t = σ(W_a [h_{t−1}; x_t] + b_a), h_t = σ(W_h [a_t; h_{t−1}] + b_h)."""
    model, x = made(nn.TwoSigmoidRNN, 3, 4), numbers(1, 6, 3)
    w_a, b_a, w_h, b_h = (p.numpy() for p in model.parameters())
    h = np.zeros(4)
    y, _ = model(x)
    for t in range(6):
        a = sp.expit(w_a[:, :4] @ h + w_a[:, 4:] @ x[0, t] + b_a)
        h = sp.expit(w_h[:, :4] @ a + w_h[:, 4:] @ h + b_h)
        np.testing.assert_allclose(y.numpy()[0, t], h, atol=1e-14)


def test_formula_B6_forgets():
    """σ′ ≤ ¼: what reaches the first input from the last state is far less than through an LSTM that keeps its cell."""
    x = tensor(numbers(1, 20, 3), requires_grad=True)
    slope = {}
    for layer in (nn.TwoSigmoidRNN, nn.LSTM):
        model = made(layer, 3, 16)
        if layer is nn.LSTM:
            model.cells[0].bias.data[16:32] = 4.0  # the forget gate, open
        slope[layer] = np.abs(grad(ops.sum(model(x)[0][:, -1]), x).numpy()[0, 0]).max()
    assert slope[nn.TwoSigmoidRNN] < 1e-6 * slope[nn.LSTM]


def test_formula_LSTM():
    """The gate equations, and a cell that keeps what it holds where f = 1 and i = 0."""
    model, x = made(nn.LSTM, 3, 2), numbers(1, 5, 3)
    w, u, b = (p.numpy() for p in model.parameters())
    h, c = np.zeros(2), np.zeros(2)
    y, state = model(x)
    for t in range(5):
        i, f, g, o = np.split(w @ x[0, t] + u @ h + b, 4)
        c = sp.expit(f) * c + sp.expit(i) * np.tanh(g)
        h = sp.expit(o) * np.tanh(c)
        np.testing.assert_allclose(y.numpy()[0, t], h, atol=1e-14)
    np.testing.assert_allclose(state[0][1].numpy()[0], c, atol=1e-14)
    model.cells[0].bias.data[:] = np.repeat([-1e3, 1e3, 0, 0], 2)
    held = numbers(1, 2, seed=9)
    _, state = model(x, [(np.zeros((1, 2)), held)])
    np.testing.assert_array_equal(state[0][1].numpy(), held)


def test_formula_D6_cells_look_further_back_than_a_chain():
    """Markov model, RNN, LSTM, GRU: a chain of order 1 cannot tell what came two steps before; the others can."""
    from minigen.models.markov import MarkovChain

    ids = np.tile([0, 1, 1], 200)  # after a 1 comes 0 or 1, as the symbol before it says
    assert MarkovChain(1, 2).fit(ids).nats_per_symbol(ids) > 0.4
    x, labels = np.eye(2)[ids[None, :12]], ids[None, 1:13]
    for layer in (nn.RNN, nn.GRU, nn.LSTM):
        model, out = made(layer, 2, 8), nn.Linear(8, 2, rng=backend.generator(1), dtype="float64")
        parameters = [*model.parameters(), *out.parameters()]
        for _ in range(80):
            loss = ops.softmax_cross_entropy(out(model(x)[0]), labels)
            for p, g in zip(parameters, grad(loss, parameters)):
                p.data -= 1.0 * g.numpy()
        assert loss.item() < 0.2, layer.__name__


# -- PyTorch ----------------------------------------------------------------------------------------------------------


@pytest.mark.oracle
@pytest.mark.parametrize("dtype, close", [("float32", 1e-5), ("float64", 1e-12)])
@pytest.mark.parametrize("layers, bidirectional", [(1, False), (2, False), (2, True)])
@pytest.mark.parametrize("layer", LAYERS[:3], ids=lambda layer: layer.__name__)
def test_layers_as_torch_has_them(layer, layers, bidirectional, dtype, close, backend_name):
    """Outputs, last states and all gradients, from given states, with copied weights."""
    torch = pytest.importorskip("torch")
    ours = made(layer, 5, 7, layers=layers, bidirectional=bidirectional, dtype=dtype)
    theirs = getattr(torch.nn, layer.__name__)(5, 7, layers, bidirectional=bidirectional, batch_first=True)
    theirs = theirs.to(getattr(torch, dtype))
    suffixes = [f"l{k}{way}" for k in range(layers) for way in ("", "_reverse")[: ours.directions]]
    with torch.no_grad():
        for cell, suffix in zip(ours.cells, suffixes, strict=True):
            for name in ("weight_ih", "weight_hh"):
                getattr(theirs, f"{name}_{suffix}").copy_(torch.from_numpy(getattr(cell, name).numpy()))
            b_ih, b_hh = (getattr(theirs, f"bias_{kind}_{suffix}") for kind in ("ih", "hh"))
            b_ih.copy_(torch.from_numpy(cell.bias.numpy()))
            b_hh.zero_()
            if layer is nn.GRU:
                b_hh[14:] = torch.from_numpy(cell.bias_hn.numpy())
    x, g = numbers(3, 6, 5, dtype=dtype), numbers(3, 6, 7 * ours.directions, seed=4, dtype=dtype)
    count = ours.cells[0].states
    start = [numbers(len(suffixes), 3, 7, seed=6 + k, dtype=dtype) for k in range(count)]
    ends = [numbers(len(suffixes), 3, 7, seed=16 + k, dtype=dtype) for k in range(count)]

    leaf = torch.from_numpy(x).requires_grad_()
    given = [torch.from_numpy(s).requires_grad_() for s in start]
    y, last = theirs(leaf, tuple(given) if count == 2 else given[0])
    last = last if count == 2 else (last,)
    loss = (y * torch.from_numpy(g)).sum() + sum((s * torch.from_numpy(e)).sum() for s, e in zip(last, ends))
    loss.backward()

    mine = tensor(backend.asarray(x), requires_grad=True)
    states = [tuple(tensor(s[k], requires_grad=True) for s in start) for k in range(len(suffixes))]
    z, new = ours(mine, states)
    weights, final = backend.asarray(g), backend.asarray(np.stack(ends))
    value = ops.sum(z * weights) + sum(ops.sum(s[j] * final[j, k]) for k, s in enumerate(new) for j in range(count))
    slopes = grad(value, [mine, *ours.parameters(), *(s for state in states for s in state)])
    np.testing.assert_allclose(z.numpy(), y.detach().numpy(), rtol=0, atol=close)
    for k, state in enumerate(new):
        for j in range(count):
            np.testing.assert_allclose(state[j].numpy(), last[j][k].detach().numpy(), rtol=0, atol=close)
    expected = [leaf.grad]
    for suffix in suffixes:
        expected += [getattr(theirs, f"{name}_{suffix}").grad for name in ("weight_ih", "weight_hh", "bias_ih")]
        if layer is nn.GRU:
            expected.append(getattr(theirs, f"bias_hh_{suffix}").grad[14:])
    expected += [s.grad[k] for k in range(len(suffixes)) for s in given]
    for a, e in zip(slopes, expected, strict=True):
        np.testing.assert_allclose(a.numpy(), e.numpy(), rtol=0, atol=close * max(1.0, e.abs().max().item()))
