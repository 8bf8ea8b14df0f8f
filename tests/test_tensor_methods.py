"""What a Tensor gets from the operations: methods, operators, Tensors as indices; and derivatives of high order."""

import numpy as np
import pytest

import minigen
from minigen import grad, ops, tensor
from minigen.errors import BackendError


@pytest.fixture
def x(rng, backend_name):
    return tensor(rng.standard_normal((2, 3, 4)), requires_grad=True)


def test_methods_are_those_of_an_array(x):
    a = x.numpy()
    for call in (
        lambda t: t.T, lambda t: t.transpose(), lambda t: t.transpose(1, 0, 2), lambda t: t.transpose((2, 0, 1)),
        lambda t: t.reshape(6, 4), lambda t: t.reshape((4, -1)), lambda t: t.reshape(-1), lambda t: t.flatten(),
        lambda t: t.swapaxes(0, -1), lambda t: t[:, :1].squeeze(1), lambda t: t.sum(), lambda t: t.mean(axis=(0, 2)),
        lambda t: t.var(1, keepdims=True), lambda t: t.max(axis=-1), lambda t: t.min(), lambda t: t.prod(0),
        lambda t: t.cumsum(1), lambda t: t.take([1, 1], axis=2), lambda t: t.astype("float32"),
        lambda t: t[0, ..., ::-1],
    ):  # fmt: skip
        theirs = call(a)
        ours = call(x)
        assert ours.requires_grad and ours.shape == theirs.shape and ours.dtype == theirs.dtype
        np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-6)


def test_matrix_products_with_arrays_on_either_side(x):
    w = minigen.backend.asarray(np.arange(8.0, dtype=np.float64).reshape(4, 2))
    np.testing.assert_allclose((x @ w).numpy(), x.numpy() @ minigen.backend.to_host(w))
    np.testing.assert_allclose((w.T @ x.T[:, :, 0]).numpy(), minigen.backend.to_host(w).T @ x.numpy().T[:, :, 0])


def test_indices_may_be_tensors(x):
    a = x.numpy()
    i, j = tensor(np.array([1, 0, 1])), tensor(np.array([2, 2, 0]))
    np.testing.assert_array_equal(x[i].numpy(), a[i.numpy()])
    np.testing.assert_array_equal(x[i, j, 1:].numpy(), a[i.numpy(), j.numpy(), 1:])
    np.testing.assert_array_equal(x[x > 0].numpy(), a[a > 0])
    (g,) = grad(x[i, j].sum(), [x])
    expected = np.zeros(a.shape)
    np.add.at(expected, (i.numpy(), j.numpy()), 1.0)
    np.testing.assert_array_equal(g.numpy(), expected)


def test_iteration_goes_along_the_first_axis(x):
    rows = list(x)
    np.testing.assert_array_equal(
        grad(rows[0].sum() + 3 * rows[1].sum(), x).numpy(), [[[1.0] * 4] * 3, [[3.0] * 4] * 3]
    )


def test_mixed_precision_to_second_order(backend_name):
    """y = Σ x² w with x in float32, w in float64: ∂y/∂x = 2 x w and ∂²y/∂x∂w = 2 x, each in its input's dtype."""
    x = tensor(np.array([1.0, -2.0], np.float32), requires_grad=True)
    w = tensor(np.array([3.0, 0.5]), requires_grad=True)
    gx, gw = grad(ops.einsum("i,i,i->", x, x, w), [x, w], create_graph=True)
    assert gx.dtype == np.float32 and gw.dtype == np.float64
    np.testing.assert_allclose(gx.numpy(), [6.0, -2.0])
    second = grad(gx.sum(), w)
    assert second.dtype == np.float64
    np.testing.assert_allclose(second.numpy(), [2.0, -4.0])


def test_a_product_with_zeros_to_third_order(backend_name):
    """y = abc at a = b = 0: ∂³y/∂a∂b∂c = 1, and all lower derivatives but ∂²y/∂a∂b = c are 0."""
    x = tensor(np.array([0.0, 0.0, 5.0]), requires_grad=True)
    first = grad(x.prod(), x, create_graph=True)
    np.testing.assert_array_equal(first.numpy(), [0, 0, 0])
    second = grad(first[0], x, create_graph=True)
    np.testing.assert_array_equal(second.numpy(), [0, 5, 0])
    np.testing.assert_array_equal(grad(second[1], x).numpy(), [0, 0, 1])


def test_many_rows_are_scattered_as_one_by_one(rng, backend_name):
    """The sparse product that replaces adding row by row gives the same sums, also for negative positions."""
    g, ids = rng.standard_normal((300, 20)), rng.integers(-11, 11, 300)
    assert g.size > 4096
    expected = np.zeros((11, 20))
    for row, i in zip(g, ids, strict=True):
        expected[i] += row
    y = ops.scatter(*map(minigen.backend.asarray, (g, ids)), (11, 20))
    np.testing.assert_allclose(minigen.backend.to_host(y), expected, rtol=1e-13)


def test_the_gradient_of_one_element(backend_name):
    """NumPy makes a scalar, not an array, of what comes back to it."""
    x = tensor(minigen.backend.asarray(np.arange(6.0).reshape(1, 2, 3)), requires_grad=True)
    g = grad(ops.tanh(0.5 * x[0, 1, 0]), x)
    expected = np.zeros((1, 2, 3))
    expected[0, 1, 0] = 0.5 / np.cosh(1.5) ** 2
    np.testing.assert_allclose(g.numpy(), expected, rtol=1e-12)


@pytest.mark.filterwarnings("ignore:divide by zero")
def test_logsumexp_of_nothing_but_minus_infinity(backend_name):
    y = ops.logsumexp(minigen.backend.asarray(np.full((2, 3), -np.inf)), axis=1)
    np.testing.assert_array_equal(minigen.backend.to_host(y), [-np.inf, -np.inf])


def test_a_host_index_does_not_reach_into_a_device_array(x, backend_name):
    if backend_name != "cupy":
        pytest.skip("needs arrays on two sides")
    for call in (
        lambda: x[np.array([0])],
        lambda: x.take(np.array([0]), 0),
        lambda: ops.embedding(np.array([0]), x[0]),
    ):
        with pytest.raises(BackendError, match="numpy"):
            call()
