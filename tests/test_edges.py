"""Numbers at the edge: far logits, no variance, no keys to look at, no examples, subnormals. None of them gives NaN.

The expected numbers follow from the formulas by hand; each test runs on every backend.
"""

import numpy as np
import pytest

import minigen
from minigen import backend, nn, no_grad, ops
from minigen.errors import ConfigError, DataError, ShapeError
from minigen.losses import gan, likelihood, vae, wasserstein

FAR = 1e4
TINY = {"float32": [1e-40, 1.4e-45], "float64": [1e-310, 5e-324]}  # subnormal, and the smallest
both = pytest.mark.parametrize("dtype", ["float32", "float64"])


def leaf(a, dtype="float32"):
    return minigen.tensor(backend.asarray(np.asarray(a, dtype)), requires_grad=True)


def derivatives(f, *leaves):
    """y, ∂Σy/∂x and ∂Σ(∂Σy/∂x)²/∂x on the host; all of them must be finite."""
    with np.errstate(over="ignore", under="ignore", divide="raise", invalid="raise"):
        y = f(*leaves)
        first = minigen.grad(y.sum() if y.shape else y, leaves, create_graph=True)
        square = sum(((g * g).sum() for g in first[1:]), (first[0] * first[0]).sum())
        second = minigen.grad(square, leaves) if square.node is not None else []
    found = y.numpy(), [g.numpy() for g in first], [g.numpy() for g in second]
    assert all(np.isfinite(a).all() for a in (found[0], *found[1], *found[2]))
    assert all(a.dtype == x.dtype for a, x in zip(found[1], leaves))
    return found


def close(got, expected, dtype="float32"):
    np.testing.assert_allclose(got, expected, rtol=1e-6 if dtype == "float32" else 1e-14, atol=0)


# -- logits of ±10,000 -------------------------------------------------------------------------------------------------


@both
@pytest.mark.parametrize("target", [0.0, 0.25, 1.0])
def test_binary_cross_entropy_of_far_logits(backend_name, dtype, target):
    """softplus(l) − t l is −t l on the left and (1 − t) l on the right; its slope −t and 1 − t."""
    logits = leaf([-FAR, FAR], dtype)
    targets = backend.asarray(np.full(2, target, dtype))
    y, (g,), _ = derivatives(lambda l: ops.bce_with_logits(l, targets, "none"), logits)
    close(y, [target * FAR, (1 - target) * FAR], dtype)
    close(g, [-target, 1 - target], dtype)


@both
def test_cross_entropy_of_far_logits(backend_name, dtype):
    logits = leaf([[-FAR, FAR, 0.0], [FAR, FAR, -FAR]], dtype)
    for labels, losses, slope in (
        ((0, 2), (2 * FAR, 2 * FAR + np.log(2)), ((-1, 1, 0), (0.5, 0.5, -1))),
        ((1, 0), (0, np.log(2)), ((0, 0, 0), (-0.5, 0.5, 0))),
    ):
        of = backend.asarray(np.array(labels))
        y, (g,), _ = derivatives(lambda l, of=of: ops.softmax_cross_entropy(l, of, "none"), logits)
        close(y, losses, dtype)
        close(g, slope, dtype)
    y, _, _ = derivatives(lambda l: ops.softmax(l, -1), logits)
    np.testing.assert_array_equal(y, [[0, 1, 0], [0.5, 0.5, 0]])
    y, _, _ = derivatives(lambda l: ops.log_softmax(l, -1), logits)
    close(y, [[-2 * FAR, 0, -FAR], [-np.log(2), -np.log(2), -2 * FAR - np.log(2)]], dtype)
    y, _, _ = derivatives(lambda l: ops.logsumexp(l, -1), logits)
    close(y, [FAR, FAR + np.log(2)], dtype)


@both
@pytest.mark.parametrize(
    "name, expected, slope",
    [
        *((name, [-1, 1], [0, 0]) for name in ("tanh", "erf")),
        *((name, [0, FAR], [0, 1]) for name in ("softplus", "relu", "gelu", "silu")),
        ("sigmoid", [0, 1], [0, 0]),
        ("elu", [-1, FAR], [0, 1]),
    ],
)
def test_functions_far_out(backend_name, dtype, name, expected, slope):
    y, (g,), h = derivatives(getattr(ops, name), leaf([-FAR, FAR], dtype))
    np.testing.assert_array_equal(y, np.array(expected, dtype))
    np.testing.assert_array_equal(g, np.array(slope, dtype))
    assert not any(a.any() for a in h)


@both
@pytest.mark.parametrize("kind, of_fake", [("nonsaturating", FAR / 2), ("saturating", -FAR / 2), ("hinge", 0.0)])
def test_gan_losses_of_far_logits(backend_name, dtype, kind, of_fake):
    """One image that the discriminator is sure of and wrong about, and one that it is right about."""
    real, fake = leaf([[-FAR], [FAR]], dtype), leaf([[-FAR], [FAR]], dtype)
    y, _, _ = derivatives(lambda f: gan.generator_loss(f, kind), fake)
    close(y, of_fake, dtype)
    y, _, _ = derivatives(lambda r, f: gan.discriminator_loss(r, f, kind), real, fake)
    close(y, FAR + (1 if kind == "hinge" else 0), dtype)


def test_pixels_of_far_logits(backend_name):
    """Σ over the pixels of t = 1/2: |l| / 2 each"""
    x = minigen.tensor(backend.asarray(np.full((1, 4), 0.5, np.float32)))
    y, _, _ = derivatives(lambda l: likelihood.bernoulli_nll(l, x), leaf([[-FAR, FAR, FAR, -FAR]]))
    close(y, [2 * FAR])


# -- no variance -------------------------------------------------------------------------------------------------------


@both
@pytest.mark.parametrize("value", [0.0, 7.0, -FAR])
def test_normalisation_of_what_does_not_vary(backend_name, dtype, value):
    """x − μ = 0, so y = b; and ∂L/∂x is 0 for a loss that weights all numbers alike."""
    x, w, b = leaf(np.full((6, 4), value), dtype), leaf(np.full(4, 2.0), dtype), leaf(np.arange(4.0), dtype)
    for f in (lambda x, w, b: ops.batch_norm(x, w, b, None, None, True), lambda x, w, b: ops.layer_norm(x, 4, w, b)):
        y, (gx, gw, gb), _ = derivatives(f, x, w, b)
        np.testing.assert_allclose(y, np.tile(np.arange(4.0), (6, 1)), atol=1e-12 if dtype == "float64" else 1e-3)
        assert np.abs(gx).max() < 1e-3 and np.abs(gw).max() < 1e-2
        close(gb, np.full(4, 6.0), dtype)
    np.testing.assert_array_equal(ops.var(x, 0).numpy(), 0)


def test_one_sample_in_batch_norm(backend_name):
    layer = nn.BatchNorm1d(3)
    x = backend.asarray(np.ones((1, 3), np.float32))
    with pytest.raises(
        ShapeError, match=r"more than one value to have a variance, got x of shape \(1, 3\); use a larger"
    ):
        layer(minigen.tensor(x))
    np.testing.assert_array_equal(layer.running_mean.numpy(), 0)  # nothing has moved
    assert np.isfinite(layer.eval()(minigen.tensor(x)).numpy()).all()
    assert np.isfinite(
        nn.BatchNorm2d(3)(minigen.tensor(backend.asarray(np.ones((1, 3, 1, 2), np.float32)))).numpy()
    ).all()


def test_a_slope_of_nothing(backend_name):
    """‖∇f‖ = 0 has no derivative; it gets 0, and the penalty (0 − 1)² stays finite."""
    flat = lambda z: (z * z * z).sum(axis=1)
    norm = wasserstein.gradient_norm(flat, backend.asarray(np.zeros((3, 4), np.float32)))
    np.testing.assert_array_equal(norm.numpy(), 0)
    w = leaf(np.zeros(4))
    zero = backend.asarray(np.zeros((3, 4), np.float32))
    penalty, _ = wasserstein.gradient_penalty(lambda z: (z * z * w).sum(axis=1), zero, zero, np.random.default_rng(0))
    assert penalty.item() == 10 and not minigen.grad(penalty, w).numpy().any()


# -- lengths of 0 and 1, masks -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", [nn.RNN, nn.GRU, nn.LSTM])
def test_sequences_of_no_and_of_one_step(backend_name, cell):
    layer = cell(3, 5, rng=np.random.default_rng(0))
    read = lambda *shape: layer(minigen.tensor(backend.asarray(np.ones(shape, np.float32))))[0]
    with pytest.raises(ShapeError, match="at least one step"):
        read(2, 0, 3)
    assert read(2, 1, 3).shape == (2, 1, 5) and np.isfinite(read(2, 1, 3).numpy()).all()
    assert read(0, 4, 3).shape == (0, 4, 5)


@both
def test_attention_to_one_key_and_of_no_query(backend_name, dtype):
    v = np.arange(8.0).reshape(2, 1, 4)
    q, k, v = leaf(FAR * np.ones((2, 3, 4)), dtype), leaf(FAR * np.ones((2, 1, 4)), dtype), leaf(v, dtype)
    y, (gq, gk, _), _ = derivatives(ops.scaled_dot_product_attention, q, k, v)
    np.testing.assert_array_equal(y, np.broadcast_to(v.numpy(), (2, 3, 4)))  # the only key has all the weight
    assert not gq.any() and not gk.any()
    y, grads, _ = derivatives(ops.scaled_dot_product_attention, leaf(np.ones((2, 0, 4)), dtype), k, v)
    assert y.shape == (2, 0, 4) and not any(g.any() for g in grads)
    with pytest.raises(ShapeError, match="at least one key"):
        ops.scaled_dot_product_attention(q, leaf(np.ones((2, 0, 4)), dtype), leaf(np.ones((2, 0, 4)), dtype))


@both
@pytest.mark.parametrize("scale", [1.0, FAR, -FAR])
@pytest.mark.parametrize("causal", [False, True])
def test_a_query_that_may_look_nowhere(backend_name, dtype, scale, causal):
    """Its row is 0 and sends no gradient, whatever the scores; the other rows are as without it."""
    rng = np.random.default_rng(3)
    q, k, v = (leaf(s * rng.standard_normal((2, 3, 4)), dtype) for s in (scale, 1.0, 1.0))
    mask = backend.asarray(np.array([[True, False, True], [False] * 3, [True] * 3]))
    attend = lambda q, k, v: ops.scaled_dot_product_attention(q, k, v, mask=mask, causal=causal)
    y, (gq, _, _), _ = derivatives(attend, q, k, v)
    assert not y[:, 1].any() and not gq[:, 1].any() and y[:, 0].any() and y[:, 2].any()
    assert not ops.attention_weights(q, k, mask, causal).numpy()[:, 1].any()
    y, (gq, *_), _ = derivatives(lambda *a: ops.additive_attention(*a, mask=mask)[0], q, k, v, leaf(np.ones(4), dtype))
    assert not y[:, 1].any() and not gq[:, 1].any()
    nowhere = backend.asarray(np.zeros((3, 3), bool))
    y, grads, _ = derivatives(lambda q, k, v: ops.scaled_dot_product_attention(q, k, v, mask=nowhere), q, k, v)
    assert not y.any() and not any(g.any() for g in grads)


# -- no examples -------------------------------------------------------------------------------------------------------

NONE = {
    "linear": (lambda x: ops.linear(x, leaf(np.ones((3, 4))), leaf(np.ones(3))), (0, 4), (0, 3)),
    "conv2d": (lambda x: ops.conv2d(x, leaf(np.ones((3, 2, 3, 3))), padding=1), (0, 2, 5, 5), (0, 3, 5, 5)),
    "conv_transpose2d": (lambda x: ops.conv_transpose2d(x, leaf(np.ones((2, 3, 2, 2)))), (0, 2, 5, 5), (0, 3, 6, 6)),
    "max_pool2d": (lambda x: ops.max_pool2d(x, 2), (0, 2, 4, 4), (0, 2, 2, 2)),
    "layer_norm": (lambda x: ops.layer_norm(x, 4, leaf(np.ones(4)), leaf(np.ones(4))), (0, 4), (0, 4)),
    "softmax": (lambda x: ops.softmax(x, -1), (0, 4), (0, 4)),
    "logsumexp": (lambda x: ops.logsumexp(x, -1), (0, 4), (0,)),
    "mean of each": (lambda x: ops.mean(x, 1), (0, 4), (0,)),
    "attention": (lambda x: ops.scaled_dot_product_attention(x, x, x), (0, 3, 4), (0, 3, 4)),
}  # fmt: skip


@pytest.mark.parametrize("name", NONE)
def test_an_empty_batch_gives_an_empty_batch(backend_name, name):
    f, shape, expected = NONE[name]
    y, (g,), _ = derivatives(f, leaf(np.zeros(shape)))
    assert y.shape == expected and g.shape == shape


def test_losses_of_no_examples(backend_name):
    """The mean loss of nothing is 0, and so is the gradient of the weights that were not used."""
    w = leaf(np.ones((3, 4)))
    x = backend.asarray(np.zeros((0, 4), np.float32))
    labels, targets = backend.asarray(np.zeros(0, np.int64)), backend.asarray(np.zeros((0, 3), np.float32))
    for loss, of in ((ops.softmax_cross_entropy, labels), (ops.bce_with_logits, targets), (ops.mse, targets)):
        y, (g,), _ = derivatives(lambda w, loss=loss, of=of: loss(ops.linear(x, w), of), w)
        assert y == 0 and not g.any()


def test_a_mean_of_nothing_is_an_error(backend_name):
    none, one = leaf(np.zeros((0, 3))), leaf(np.ones((1, 3)))
    for f in (
        lambda: ops.mean(none), lambda: ops.mean(none, 0), lambda: ops.var(none, 0), lambda: ops.var(one, 0, ddof=1),
        lambda: ops.max(none, 0), lambda: ops.softmax(none, 0), lambda: ops.logsumexp(none, 0),
        lambda: gan.generator_loss(leaf(np.zeros((0, 1)))), lambda: vae.kl_standard_normal(none, none).mean(),
        lambda: ops.batch_norm(none, leaf(np.ones(3)), leaf(np.ones(3)), None, None, True),
    ):  # fmt: skip
        with pytest.raises(ShapeError), np.errstate(all="raise"):
            f()


def test_texts_of_nothing():
    from minigen.datasets import CharTokenizer, random_windows, strided_windows
    from minigen.models.charlm import CharLM, CharLMConfig

    vocabulary = CharTokenizer("ab\n").to_dict()
    config = CharLMConfig(block=1, embedding=2, width=4, layers=1, vocabulary=vocabulary)
    model = CharLM(config, rng=np.random.default_rng(0)).eval()
    assert len("".join(model.write("", 5, np.random.default_rng(0)))) == 5
    with no_grad(), pytest.raises(ShapeError, match="at least one step"):
        model(backend.asarray(np.zeros((1, 0), np.int64)))
    assert model.encode("").shape == (0,)
    for ids in (np.zeros(0, np.int64), np.zeros(1, np.int64)):
        with pytest.raises(DataError):
            strided_windows(ids, 1)
        with pytest.raises(DataError):
            random_windows(ids, 1, 1, np.random.default_rng(0))
    with pytest.raises(ConfigError, match="at least one symbol"):
        list(model.generate(np.zeros(0, np.int64), 1, np.random.default_rng(0)))


# -- subnormals --------------------------------------------------------------------------------------------------------


@both
def test_subnormal_numbers(backend_name, dtype):
    """They are numbers like others: not flushed to 0 (but by CuPy, on a device, in float32), not the cause of a NaN."""
    x = np.array(TINY[dtype], dtype)
    assert (x > 0).all()
    a = backend.asarray(x)
    host = lambda y: backend.to_host(y.data if isinstance(y, minigen.Tensor) else y)
    twice = host(ops.add(a, a))
    if backend_name == "cupy" and dtype == "float32" and not twice.any():  # CuPy has its kernels flush them on a device
        assert ((host(ops.relu(a)) == 0) | (host(ops.relu(a)) == x)).all()
    else:
        np.testing.assert_array_equal(twice, x + x)
        np.testing.assert_array_equal(host(ops.divide(a, a)), 1)
        np.testing.assert_array_equal(host(ops.maximum(a, 0.0)), x)
        np.testing.assert_array_equal(host(ops.relu(a)), x)
        np.testing.assert_allclose(host(ops.log(a)), np.log(x.astype(np.longdouble)).astype(dtype), rtol=1e-6)
        root = host(ops.sqrt(a)) ** 2
        np.testing.assert_allclose(root, x.astype(np.float64), rtol=1e-2 if dtype == "float64" else 1e-6)
    for name, value in (("sigmoid", 0.5), ("softplus", np.log(2)), ("softmax", 0.5), ("exp", 1.0), ("tanh", 0.0)):
        y, (g,), _ = derivatives(getattr(ops, name), leaf(x, dtype))
        np.testing.assert_allclose(y, value, atol=1e-6)
    w, b = leaf([1.0, 1.0], dtype), leaf([3.0, 3.0], dtype)
    y, _, _ = derivatives(lambda x, w, b: ops.layer_norm(x, 2, w, b), leaf(x[None], dtype), w, b)
    np.testing.assert_allclose(y, 3)


@pytest.mark.parametrize("name", ["SGD", "Adam", "RMSprop"])
@pytest.mark.parametrize("size", [0.0, 1.4e-45, 1e-30, 1e18])
def test_optimizers_with_gradients_of_any_size(backend_name, name, size):
    from minigen import optim

    p = leaf([1.0, -1.0])
    optimizer = getattr(optim, name)([p], lr=1e-3)
    for _ in range(3):
        optimizer.step([backend.asarray(np.array([size, -size], np.float32))])
    assert np.isfinite(p.numpy()).all() and (size > 0 or (p.numpy() == [1, -1]).all())
