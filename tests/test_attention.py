"""Attention and Transformer layers: masks, caches, and PyTorch's layers with the same weights."""

from __future__ import annotations

import importlib
import math

import numba
import numpy as np
import pytest

import minigen
from minigen import backend, nn, no_grad, ops
from minigen.errors import ConfigError, ShapeError
from minigen.kernels import KERNELS

twins = importlib.import_module("minigen.kernels.cpu.attention")


def rng(seed: int = 0) -> np.random.Generator:
    return backend.generator(seed)


def normal(*shape: int, seed: int = 5, dtype: str = "float64") -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def leaf(a: np.ndarray) -> minigen.Tensor:
    return minigen.tensor(a, requires_grad=True)


# -- who looks at whom ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_causal_attention_does_not_see_the_future(backend_name, dtype):
    """Other keys and values behind place t leave the results up to t as they were, bit for bit; and their gradients."""
    t = 70  # in the second block of the compiled loop
    q, k, v, g = (normal(2, 3, 100, 8, seed=i, dtype=dtype) for i in range(4))
    other_k, other_v = k.copy(), v.copy()
    other_k[:, :, t + 1 :] = 9 * normal(2, 3, 99 - t, 8, seed=7)
    other_v[:, :, t + 1 :] = 9 * normal(2, 3, 99 - t, 8, seed=8)
    g[:, :, t + 1 :] = 0

    def run(k, v):
        inputs = [leaf(backend.asarray(a)) for a in (q, k, v)]
        y = ops.scaled_dot_product_attention(*inputs, causal=True)
        return y, minigen.grad((y * backend.asarray(g)).sum(), inputs)

    first, dfirst = run(k, v)
    second = ops.scaled_dot_product_attention(*map(backend.asarray, (q, other_k, other_v)), causal=True)
    np.testing.assert_array_equal(first.numpy()[:, :, : t + 1], backend.to_host(second)[:, :, : t + 1])
    assert np.abs(first.numpy()[:, :, t + 1 :] - backend.to_host(second)[:, :, t + 1 :]).min() > 0
    _, dsecond = run(other_k, v)
    for a, b in zip(dfirst, dsecond):
        np.testing.assert_array_equal(a.numpy()[:, :, : t + 1], b.numpy()[:, :, : t + 1])
    assert not dsecond[1].numpy()[:, :, t + 1 :].any() and not dsecond[2].numpy()[:, :, t + 1 :].any()


def test_padding_is_as_if_it_were_not_there(backend_name):
    q, k, v = (normal(2, 3, n, 4, seed=i, dtype="float32") for i, n in enumerate((5, 7, 7)))
    mask = np.arange(7) < np.array([7, 4])[:, None, None, None]
    y = ops.scaled_dot_product_attention(*map(backend.asarray, (q, k, v, mask)))
    short = ops.scaled_dot_product_attention(*map(backend.asarray, (q[1:], k[1:, :, :4], v[1:, :, :4])))
    np.testing.assert_allclose(backend.to_host(y)[1:], backend.to_host(short), rtol=1e-5, atol=1e-6)


def test_the_last_queries_alone(backend_name):
    """What generation with cached keys computes: the last T queries of U places see what they see among all queries."""
    q, k, v = (normal(2, 9, 4, seed=i) for i in range(3))
    whole = ops.scaled_dot_product_attention(*map(backend.asarray, (q, k, v)), causal=True)
    last = ops.scaled_dot_product_attention(*map(backend.asarray, (q[:, 6:], k, v)), causal=True)
    np.testing.assert_allclose(backend.to_host(last), backend.to_host(whole)[:, 6:], rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_self_attention_is_attention_of_each_head(backend_name, dtype, causal, masked):
    """In one array or in three: the same values, gradients, and gradients of gradients."""
    x, g = normal(2, 6, 3 * 8, dtype=dtype), normal(2, 6, 8, seed=6, dtype=dtype)
    mask = backend.asarray(np.arange(6) < np.array([6, 4])[:, None, None, None]) if masked else None

    def in_three(qkv):
        q, k, v = (a.reshape(2, 6, 4, 2).transpose(0, 2, 1, 3) for a in ops.split(qkv, 3, -1))
        return ops.scaled_dot_product_attention(q, k, v, mask, causal).transpose(0, 2, 1, 3).reshape(2, 6, 8)

    found = []
    for attend in (lambda qkv: ops.self_attention(qkv, 4, mask, causal), in_three):
        qkv = leaf(backend.asarray(x))
        y = attend(qkv)
        first = minigen.grad(y, qkv, backend.asarray(g))
        recorded = minigen.grad(attend(qkv), qkv, backend.asarray(g), create_graph=True)
        found.append([a.numpy() for a in (y, first, recorded, minigen.grad((recorded * recorded).sum(), qkv))])
    for a, b in zip(*found):
        np.testing.assert_allclose(a, b, rtol=0, atol=4e-6 if dtype == "float32" else 1e-13)
        assert np.abs(b).max() > 0.1


def test_self_attention_wants_three_parts():
    with pytest.raises(ShapeError, match=r"self_attention: expected .* 3 · 4 heads · d\), got \(2, 6, 16\)"):
        ops.self_attention(minigen.tensor(normal(2, 6, 16)), 4)


def test_nan_is_not_swallowed(backend_name):
    q, k, v = (normal(1, 5, 4, seed=i, dtype="float32") for i in range(3))
    k[0, 4] = np.nan
    with np.errstate(invalid="ignore"):
        y = backend.to_host(ops.scaled_dot_product_attention(*map(backend.asarray, (q, k, v)), causal=True))
    assert np.isnan(y[0, 4]).all() and np.isfinite(y[0, :4]).all()


# -- the compiled loops -----------------------------------------------------------------------------------------------

SHAPES = [
    ((2, 3), 5, 7, 4, 6), ((1, 1), 1, 1, 1, 1), ((2,), 64, 64, 8, 8), ((3,), 65, 130, 3, 1), ((), 129, 70, 2, 5),
    ((2, 1, 2), 3, 9, 1, 2),
]  # fmt: skip


@pytest.fixture(params=[1, 2], ids=lambda n: f"{n} threads")
def threads(request):
    if request.param > numba.config.NUMBA_NUM_THREADS:
        pytest.skip("fewer threads on this machine")
    before = numba.get_num_threads()
    numba.set_num_threads(request.param)
    yield request.param
    numba.set_num_threads(before)


def close(ours, expected):
    assert ours.dtype == np.float32 and ours.shape == expected.shape
    np.testing.assert_allclose(ours, expected, rtol=0, atol=4e-6 * max(1, np.abs(expected).max(initial=0)))


@pytest.mark.parametrize("lead, t, u, d, e", SHAPES, ids=str)
def test_twins_agree_with_their_reference(lead, t, u, d, e, threads):
    """Any lengths and memory orders, with and without masks, and the gradients from the same P."""
    draw = np.random.default_rng(1)
    for causal in (False, True):
        for mask in (None, draw.random((t, u)) < 0.6, draw.random((*lead, 1, u)) < 0.6):
            for order in ("C", "heads inside", "strided", "reversed"):
                q, k, v, g = (laid_out(draw, (*lead, n, w), order) for n, w in ((t, d), (u, d), (u, e), (t, e)))
                wide = [a.astype(np.float64) for a in (q, k, v, g)]
                kept = [a.copy() for a in (q, k, v, g)]
                y, p = twins.attention(q, k, v, mask, causal)
                expected_y, expected_p = KERNELS["attention"](*wide[:3], mask, causal)
                close(y, expected_y), close(p, expected_p)
                found = twins.attention_gradients(g, q, k, v, p, causal)
                expected = KERNELS["attention_gradients"](wide[3], *wide[:3], p.astype(np.float64), causal)
                for a, b in zip(found, expected, strict=True):
                    close(a, b)
                for a, b in zip((q, k, v, g), kept):
                    np.testing.assert_array_equal(a, b)


def laid_out(draw, shape, order):
    """Random numbers in some order of memory: as in a model, where the heads lie inside the places, for example."""
    a = draw.standard_normal(shape).astype(np.float32)
    if order == "heads inside" and len(shape) > 2:
        return np.ascontiguousarray(a.swapaxes(-2, -3)).swapaxes(-2, -3)
    if order == "strided":
        return np.repeat(a, 2, axis=-1)[..., ::2]
    return np.ascontiguousarray(a[..., ::-1, :])[..., ::-1, :] if order == "reversed" else a


def test_results_do_not_depend_on_the_number_of_threads():
    if numba.config.NUMBA_NUM_THREADS < 2:
        pytest.skip("one thread on this machine")
    q, k, v, g = (normal(3, 5, 70, 8, seed=i, dtype="float32") for i in range(4))
    found, before = [], numba.get_num_threads()
    for n in (1, 2):
        numba.set_num_threads(n)
        y, p = twins.attention(q, k, v, None, True)
        found.append([a.tobytes() for a in (y, p, *twins.attention_gradients(g, q, k, v, p, True))])
    numba.set_num_threads(before)
    assert found[0] == found[1]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gelu_twin(dtype):
    x = np.concatenate([np.linspace(-12, 12, 4001), [0.0, -0.0, 1e-30, 1e4, -1e4]]).astype(dtype)
    activation, g = importlib.import_module("minigen.kernels.cpu.activation"), normal(x.size, dtype=dtype)
    exact = x.astype(np.float64)
    phi = np.array([0.5 * math.erfc(-v / math.sqrt(2)) for v in exact])
    density = np.exp(-0.5 * exact**2) / math.sqrt(2 * math.pi)
    np.testing.assert_allclose(activation.gelu(x), exact * phi, rtol=2e-7, atol=4e-7)
    np.testing.assert_allclose(activation.gelu_gradient(g, x), g * (phi + exact * density), rtol=4e-7, atol=1e-6)
    for bad in (np.nan, np.inf):
        x[7] = bad
        with np.errstate(invalid="ignore"):
            assert not np.isfinite(activation.gelu(x)[7]) and np.isfinite(np.delete(activation.gelu(x), 7)).all()
    assert np.isnan(activation.gelu_gradient(g, np.full_like(x, np.nan))).all()


# -- layers -----------------------------------------------------------------------------------------------------------


def encoder_layer(norm="pre", dtype="float64", **options):
    return nn.TransformerEncoderLayer(12, 3, hidden=20, norm=norm, rng=rng(), dtype=dtype, **options)


def decoder_layer(norm="pre", dtype="float64", **options):
    return nn.TransformerDecoderLayer(12, 3, hidden=20, norm=norm, rng=rng(), dtype=dtype, **options)


def test_one_head_by_hand():
    layer = nn.MultiHeadAttention(4, 2, rng=rng(), dtype="float64")
    x, memory = normal(1, 3, 4), normal(1, 5, 4, seed=6)
    by_name = {name: p.numpy() for name, p in layer.named_parameters()}
    weights, biases = (np.split(by_name[f"query_key_value.{name}"], 3) for name in ("weight", "bias"))
    q, k, v = (a[0] @ w.T + b for a, w, b in zip((x, memory, memory), weights, biases))
    joined = np.empty((3, 4))
    for head in (slice(0, 2), slice(2, 4)):
        for i in range(3):
            e = np.exp(k[:, head] @ q[i, head] / math.sqrt(2))
            joined[i, head] = e @ v[:, head] / e.sum()
    expected = joined @ by_name["output.weight"].T + by_name["output.bias"]
    np.testing.assert_allclose(layer(minigen.tensor(x), minigen.tensor(memory)).numpy()[0], expected, rtol=1e-12)


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_cached_keys_and_values(norm):
    """Place after place, or some places at a time, equals all at once."""
    x, memory = minigen.tensor(normal(2, 7, 12)), minigen.tensor(normal(2, 5, 12, seed=6))
    mask = minigen.tensor(np.arange(5) < np.array([5, 3])[:, None, None])
    encoder, decoder = encoder_layer(norm), decoder_layer(norm)
    pair = decoder.cross_attention.keys_and_values(memory)
    with no_grad():
        whole = encoder(x, causal=True).numpy(), decoder(x, memory, memory_mask=mask).numpy()
        past, cross, start = None, None, 0
        for stop in (3, 4, 5, 7):
            y, past = encoder.step(x[:, start:stop], past)
            z, cross = decoder.step(x[:, start:stop], pair, cross, memory_mask=mask)
            np.testing.assert_allclose(y.numpy(), whole[0][:, start:stop], rtol=1e-12, atol=1e-13)
            np.testing.assert_allclose(z.numpy(), whole[1][:, start:stop], rtol=1e-12, atol=1e-13)
            start = stop


def test_pre_norm_leaves_the_way_of_x_free():
    """With branches that add nothing the layer is the identity if norm="pre", and layer norm if norm="post"."""
    x = normal(2, 4, 12)
    normalised = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    for layer in (encoder_layer("pre"), encoder_layer("post")):
        for last in (layer.attention.output, layer.mlp[2]):
            last.weight.data[:], last.bias.data[:] = 0, 0
        expected = x if layer.norm == "pre" else normalised
        np.testing.assert_allclose(layer(minigen.tensor(x)).numpy(), expected, rtol=2e-5, atol=1e-12)


def test_dropout_acts_on_what_the_branches_add():
    layer, x = encoder_layer(dropout=0.5), minigen.tensor(np.ones((400, 3, 12)))
    y = layer(x, rng=rng(1)).numpy()
    assert not np.array_equal(y, layer(x, rng=rng(2)).numpy())
    np.testing.assert_array_equal(y, layer(x, rng=rng(1)).numpy())
    unchanged = (y == 1).mean()  # both branches dropped
    assert abs(unchanged - 0.25) < 0.02
    layer.eval()
    np.testing.assert_array_equal(layer(x).numpy(), layer(x, rng=rng(1)).numpy())


def test_positions():
    length, features = 50, 6
    sinusoids = nn.SinusoidalPositions(length, features, dtype="float64")
    p = sinusoids(minigen.tensor(np.zeros((length, features)))).numpy()
    for t in (0, 1, 17, 49):
        for i in range(features // 2):
            angle = t / 10000 ** (2 * i / features)
            assert p[t, 2 * i] == pytest.approx(math.sin(angle)) and p[t, 2 * i + 1] == pytest.approx(math.cos(angle))
    turn = np.linalg.lstsq(p[:-3], p[3:], rcond=None)[0]  # one matrix moves every place three on
    np.testing.assert_allclose(p[:-3] @ turn, p[3:], atol=1e-12)
    np.testing.assert_allclose(turn @ turn.T, np.eye(features), atol=1e-9)
    assert not sinusoids.parameters()
    learned, x = nn.LearnedPositions(8, 3, rng=rng(), dtype="float64"), minigen.tensor(normal(2, 5, 3))
    np.testing.assert_array_equal(learned(x, 2).numpy(), x.numpy() + learned.weight.numpy()[2:7])
    g = minigen.grad(learned(x, 2).sum(), learned.weight).numpy()
    np.testing.assert_array_equal(g, np.repeat([0, 2, 0], [2, 5, 1])[:, None] * np.ones(3))
    with pytest.raises(ShapeError, match=r"T of at most 4 after place 4, got \(2, 5, 3\)"):
        learned(x, 4)


def test_impossible_settings():
    with pytest.raises(ConfigError, match="heads must divide features, got 10 features, 4 heads"):
        nn.MultiHeadAttention(10, 4, rng=rng())
    with pytest.raises(ConfigError, match="norm must be 'pre' or 'post', got 'rms'"):
        nn.TransformerEncoderLayer(8, 2, norm="rms", rng=rng())
    layer = nn.MultiHeadAttention(8, 2, rng=rng())
    with pytest.raises(ShapeError, match=r"linear: expected x .* got \(1, 2, 6\) and \(16, 8\)"):
        layer(minigen.tensor(np.ones((1, 2, 8), "f4")), minigen.tensor(np.ones((1, 2, 6), "f4")))


# -- PyTorch's layers with the same weights ---------------------------------------------------------------------------


def copy_attention(theirs, mine):
    """The weights of our attention into PyTorch's"""
    import torch

    for name in ("weight", "bias"):
        getattr(theirs, f"in_proj_{name}").data = torch.tensor(getattr(mine.query_key_value, name).numpy().copy())
        getattr(theirs.out_proj, name).data = torch.tensor(getattr(mine.output, name).numpy().copy())


def copy_layer(theirs, mine):
    import torch

    copy_attention(theirs.self_attn, getattr(mine, "attention", None) or mine.self_attention)
    if hasattr(mine, "cross_attention"):
        copy_attention(theirs.multihead_attn, mine.cross_attention)
    pairs = {theirs.linear1: mine.mlp[0], theirs.linear2: mine.mlp[2], theirs.norm1: mine.norm1,
             theirs.norm2: mine.norm2}  # fmt: skip
    if hasattr(mine, "norm3"):
        pairs[theirs.norm3] = mine.norm3
    for a, b in pairs.items():
        a.weight.data, a.bias.data = torch.tensor(b.weight.numpy().copy()), torch.tensor(b.bias.numpy().copy())


def gradients_of_attention(theirs, mine, found):
    """(ours, theirs) of each parameter"""
    for name in ("weight", "bias"):
        yield found[id(getattr(mine.query_key_value, name))], getattr(theirs, f"in_proj_{name}").grad.numpy()
        yield found[id(getattr(mine.output, name))], getattr(theirs.out_proj, name).grad.numpy()


DTYPES = [("float32", 1e-5), ("float64", 1e-10)]


@pytest.mark.oracle
@pytest.mark.parametrize("dtype, tolerance", DTYPES)
@pytest.mark.parametrize("causal", [False, True])
def test_multi_head_attention_as_torch_has_it(dtype, tolerance, causal):
    torch = pytest.importorskip("torch")
    mine = nn.MultiHeadAttention(12, 3, rng=rng(), dtype=dtype)
    theirs = torch.nn.MultiheadAttention(12, 3, batch_first=True, dtype=getattr(torch, dtype))
    copy_attention(theirs, mine)
    x, memory, g = (normal(2, n, 12, seed=i, dtype=dtype) for i, n in enumerate((5, 5, 5)))
    padded = np.arange(5) >= np.array([5, 3])[:, None]
    future = torch.ones(5, 5, dtype=torch.bool).triu(1) if causal else None
    ours = [leaf(x), leaf(memory)]
    y = mine(*ours, mask=~padded[:, None], causal=causal)
    found = minigen.grad(y, [*ours, *mine.parameters()], g)
    their_x, their_memory = (torch.tensor(a, requires_grad=True) for a in (x, memory))
    their_y, weights = theirs(their_x, their_memory, their_memory, torch.tensor(padded), attn_mask=future,
                              average_attn_weights=False)  # fmt: skip
    their_y.backward(torch.tensor(g))
    pairs = [(y.numpy(), their_y.detach().numpy()), (found[0].numpy(), their_x.grad.numpy()),
             (found[1].numpy(), their_memory.grad.numpy())]  # fmt: skip
    by_id = {id(p): a.numpy() for p, a in zip(mine.parameters(), found[2:])}
    for a, b in [*pairs, *gradients_of_attention(theirs, mine, by_id)]:
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)
    q = ops.linear(x, mine.query_key_value.weight[:12], mine.query_key_value.bias[:12])
    heads = q.reshape(2, 5, 3, 4).swapaxes(1, 2), mine.keys_and_values(minigen.tensor(memory))[0]
    shown = ops.attention_weights(*heads, mask=~padded[:, None, None], causal=causal)
    np.testing.assert_allclose(shown.numpy(), weights.detach().numpy(), rtol=tolerance, atol=tolerance)


@pytest.mark.oracle
@pytest.mark.parametrize("dtype, tolerance", DTYPES)
@pytest.mark.parametrize("norm", ["pre", "post"])
@pytest.mark.parametrize("kind", ["encoder", "decoder"])
def test_transformer_layers_as_torch_has_them(kind, norm, dtype, tolerance):
    torch = pytest.importorskip("torch")
    mine = (encoder_layer if kind == "encoder" else decoder_layer)(norm, dtype)
    make = torch.nn.TransformerEncoderLayer if kind == "encoder" else torch.nn.TransformerDecoderLayer
    theirs = make(12, 3, 20, dropout=0.0, activation="gelu", batch_first=True, norm_first=norm == "pre",
                  dtype=getattr(torch, dtype))  # fmt: skip
    copy_layer(theirs, mine)
    x, memory, g = normal(2, 6, 12, dtype=dtype), normal(2, 4, 12, seed=6, dtype=dtype), normal(2, 6, 12, dtype=dtype)
    future = torch.ones(6, 6, dtype=torch.bool).triu(1)
    padded = np.arange(4) >= np.array([4, 2])[:, None]
    their_x, their_memory = torch.tensor(x, requires_grad=True), torch.tensor(memory, requires_grad=True)
    ours = [leaf(x), leaf(memory)]
    if kind == "encoder":
        ours.pop()
        y, their_y = mine(*ours, causal=True), theirs(their_x, src_mask=future)
    else:
        y = mine(*ours, memory_mask=~padded[:, None])
        their_y = theirs(their_x, their_memory, tgt_mask=future, memory_key_padding_mask=torch.tensor(padded))
    found = minigen.grad(y, [*ours, *mine.parameters()], g)
    their_y.backward(torch.tensor(g))
    pairs = [(y.numpy(), their_y.detach().numpy()), (found[0].numpy(), their_x.grad.numpy())]
    if kind == "decoder":
        pairs.append((found[1].numpy(), their_memory.grad.numpy()))
    by_id = {id(p): a.numpy() for p, a in zip(mine.parameters(), found[len(ours) :], strict=True)}
    attentions = [(theirs.self_attn, mine.attention if kind == "encoder" else mine.self_attention)]
    if kind == "decoder":
        attentions.append((theirs.multihead_attn, mine.cross_attention))
    for a, b in attentions:
        pairs += gradients_of_attention(a, b, by_id)
    for a, b in ((theirs.linear1, mine.mlp[0]), (theirs.linear2, mine.mlp[2]), (theirs.norm1, mine.norm1)):
        pairs += [(by_id[id(b.weight)], a.weight.grad.numpy()), (by_id[id(b.bias)], a.bias.grad.numpy())]
    for a, b in pairs:
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * max(1, np.abs(b).max()))
