"""What a record of an operation does not say: running statistics, memory order, random masks, numbers at the edges."""

import numpy as np
import pytest

import minigen
from minigen import backend, kernels, ops


def image(rng, *shape):
    """(N, C, H, W) in channels-last memory, as convolutions return it."""
    n, c, h, w = shape
    return rng.standard_normal((n, h, w, c)).astype(np.float32).transpose(0, 3, 1, 2)


def test_running_statistics_follow_the_batches(backend_name, rng):
    x = rng.standard_normal((3, 6, 2, 4))
    mean, var = backend.asarray(np.zeros(2)), backend.asarray(np.ones(2))
    w = backend.asarray(np.ones(2))
    expected_mean, expected_var = np.zeros(2), np.ones(2)
    for batch in x:
        ops.batch_norm(backend.asarray(batch), w, w, mean, var, True, momentum=0.3)
        for c in range(2):
            values = batch[:, c].ravel()
            expected_mean[c] += 0.3 * (values.mean() - expected_mean[c])
            expected_var[c] += 0.3 * (((values - values.mean()) ** 2).sum() / 23 - expected_var[c])
    np.testing.assert_allclose(backend.to_host(mean), expected_mean, rtol=1e-12)
    np.testing.assert_allclose(backend.to_host(var), expected_var, rtol=1e-12)


def test_running_statistics_move_once_and_only_in_training(backend_name, rng):
    x = minigen.tensor(rng.standard_normal((5, 2)), requires_grad=True)
    w = minigen.tensor(np.ones(2), requires_grad=True)
    mean, var = minigen.tensor(np.zeros(2)), minigen.tensor(np.ones(2))
    ops.batch_norm(x, w, w, mean, var, False)
    np.testing.assert_array_equal(mean.numpy(), 0)
    y = ops.batch_norm(x, w, w, mean, var, True)
    moved = mean.numpy().copy(), var.numpy().copy()
    g = minigen.grad((y * y * y).sum(), x, create_graph=True)
    minigen.grad((g * g).sum(), x)
    np.testing.assert_array_equal(mean.numpy(), moved[0])
    np.testing.assert_array_equal(var.numpy(), moved[1])


@pytest.mark.oracle
def test_running_statistics_of_torch(backend_name, rng):
    torch = pytest.importorskip("torch")
    x = rng.standard_normal((4, 3, 5))
    ours = [backend.asarray(np.zeros(3)), backend.asarray(np.ones(3))]
    theirs = [torch.zeros(3, dtype=torch.float64), torch.ones(3, dtype=torch.float64)]
    w = backend.asarray(np.ones(3))
    for _ in range(3):
        ops.batch_norm(backend.asarray(x), w, w, *ours, True)
        torch.nn.functional.batch_norm(torch.tensor(x), *theirs, training=True)
    for a, b in zip(ours, theirs):
        np.testing.assert_allclose(backend.to_host(a), b.numpy(), rtol=1e-12)


def test_the_order_of_memory_stays(rng):
    x, g = image(rng, 4, 3, 5, 6), rng.standard_normal((4, 3, 5, 6)).astype(np.float32)
    w = np.ones(3, np.float32)
    for name in ("numpy", "numba"):
        with minigen.use(name):
            assert ops.batch_norm(x, w, w, None, None, True).strides == x.strides
            assert kernels.batch_norm_gradients(g, x, w, w, w)[0].strides == x.strides


def test_dropout_keeps_the_mean_and_repeats_with_its_seed(backend_name):
    x = minigen.tensor(np.ones((300, 400), np.float32), requires_grad=True)
    y, again = (ops.dropout(x, 0.25, np.random.default_rng(3), True).numpy() for _ in range(2))
    np.testing.assert_array_equal(y, again)
    assert set(np.unique(y)) == {np.float32(0), np.float32(1) / np.float32(0.75)}
    assert abs(y.mean() - 1) < 5 * np.sqrt(0.25 / 0.75 / y.size)
    assert ops.dropout(x, 0.25, None, False) is x


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_no_logit_is_too_large(dtype, backend_name):
    """Losses of ±10⁴ are the numbers of the formula, and their gradients are right."""
    logits = minigen.tensor(np.array([1e4, -1e4, 1e4, -1e4], dtype), requires_grad=True)
    targets = backend.asarray(np.array([1, 0, 0, 1], dtype))
    loss = ops.bce_with_logits(logits, targets, "none")
    np.testing.assert_array_equal(loss.numpy(), [0, 0, 1e4, 1e4])
    np.testing.assert_array_equal(minigen.grad(loss.sum(), logits).numpy(), [0, 0, 1, -1])
    rows = np.array([[1e4, -1e4, 0], [1e4, -1e4, 0], [-1e4, -1e4, -1e4], [-np.inf, 0, 0]], dtype)
    rows = minigen.tensor(rows, requires_grad=True)
    loss = ops.softmax_cross_entropy(rows, backend.asarray(np.array([0, 1, 2, 1])), "none")
    np.testing.assert_allclose(loss.numpy(), [0, 2e4, np.log(3), np.log(2)], rtol=1e-6)
    third = 1 / 3
    expected = [[0, 0, 0], [1, -1, 0], [third, third, third - 1], [0, -0.5, 0.5]]
    np.testing.assert_allclose(minigen.grad(loss.sum(), rows).numpy(), expected, atol=1e-6)


def test_the_mean_over_nothing_is_zero(backend_name):
    empty = minigen.tensor(np.ones((0, 3), np.float32), requires_grad=True)
    losses = (
        ops.bce_with_logits(empty, empty.detach()),
        ops.softmax_cross_entropy(empty, backend.asarray(np.ones(0, np.int64))),
        ops.mse(empty, empty.detach()),
    )
    for loss in losses:
        assert loss.item() == 0 and loss.dtype == np.float32
        assert minigen.grad(loss, empty).shape == (0, 3)
