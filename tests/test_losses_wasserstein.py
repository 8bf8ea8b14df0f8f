"""The Wasserstein game: its value against SciPy's distance, its penalty against formulas and differences."""

import numpy as np
import pytest
from scipy import stats

import minigen
from minigen import nn, ops
from minigen.errors import ConfigError, ShapeError
from minigen.losses import wasserstein
from minigen.tensor import grad, tensor


def test_formula_B2_the_best_critic_gives_the_wasserstein_distance(rng):
    """In one dimension two shifted clouds have f(x) = x for a best critic, and W = the shift."""
    x = rng.standard_normal(2000)
    for shift in (0.5, 3.0, 20.0):
        fake = x - shift
        value = -wasserstein.critic_loss(tensor(x), tensor(fake)).item()
        assert value == pytest.approx(stats.wasserstein_distance(x, fake), rel=1e-10) == pytest.approx(shift)


def test_formula_B2_as_written_is_the_total_variation_and_has_no_slope(rng):
    """With D in [0, 1] no D does better than total variation: 1 for disjoint clouds, however far apart they are."""
    edges = np.linspace(-40, 40, 801)
    values = []
    for shift in (20.0, 21.0):
        p, q = (
            np.histogram(c, edges)[0] / 5000 for c in (rng.standard_normal(5000), rng.standard_normal(5000) - shift)
        )
        best = (p > q).astype(float)  # the D that maximises Σ D (p − q) with 0 ≤ D ≤ 1
        values.append((best * (p - q)).sum())
        assert values[-1] == pytest.approx(0.5 * np.abs(p - q).sum())
    assert values == pytest.approx([1.0, 1.0])  # B2's value does not see that the second is further away
    x = rng.standard_normal(5000)
    right = [-wasserstein.critic_loss(tensor(x), tensor(x - shift)).item() for shift in (20.0, 21.0)]
    assert right == pytest.approx([20.0, 21.0])


def test_generator_loss_is_the_part_that_depends_on_the_generator(rng):
    fake = tensor(rng.standard_normal(50), requires_grad=True)
    real = tensor(rng.standard_normal(50))
    ours = grad(wasserstein.generator_loss(fake), fake).numpy()
    np.testing.assert_allclose(ours, -grad(wasserstein.critic_loss(real, fake), fake).numpy())


def test_gradient_norm_of_known_functions(rng):
    x, w = rng.standard_normal((6, 3)), rng.standard_normal(3)
    linear = wasserstein.gradient_norm(lambda t: ops.matmul(t, w), x)
    np.testing.assert_allclose(linear.numpy(), np.full(6, np.linalg.norm(w)), rtol=1e-12)
    square = wasserstein.gradient_norm(lambda t: ops.sum(t * t, axis=1), x)
    np.testing.assert_allclose(square.numpy(), 2 * np.linalg.norm(x, axis=1), rtol=1e-12)


def test_the_norm_is_safe_where_the_gradient_is_zero():
    w = tensor(np.ones(3), requires_grad=True)
    x = np.array([[0.0, 0, 0], [1, 2, 3]])
    norms = wasserstein.gradient_norm(lambda t: ops.sum(t * t * w, axis=1), x)
    assert norms.numpy()[0] == 0
    assert np.isfinite(grad(ops.sum(norms), w).numpy()).all()


@pytest.mark.parametrize("network", ["mlp", "conv"])
def test_the_penalty_s_own_gradient_against_differences(network, rng):
    """∂/∂w of λ E (‖∇ₓ f‖ − 1)²: the engine differentiates its own gradient; differences know nothing of that."""
    if network == "mlp":
        f = nn.Sequential(nn.Linear(4, 5, rng=rng), nn.Tanh(), nn.Linear(5, 1, rng=rng))
        real, fake = rng.standard_normal((2, 6, 4))
    else:
        f = nn.Sequential(nn.Conv2d(1, 2, 3, stride=2, padding=1, rng=rng), nn.Tanh(), nn.Flatten(),
                          nn.Linear(8, 1, rng=rng))  # fmt: skip
        real, fake = rng.standard_normal((2, 3, 1, 4, 4))
    for module in f.modules():
        for name, t in list(vars(module).items()):
            if isinstance(t, minigen.Tensor):
                setattr(module, name, tensor(t.numpy(), requires_grad=True, dtype=np.float64))
    penalty = lambda: wasserstein.gradient_penalty(f, real, fake, np.random.default_rng(3))[0]
    parameters = [p for p in f.parameters() if p.ndim > 1]
    for p, g in zip(parameters, grad(penalty(), parameters)):
        flat = p.data.reshape(-1)
        for i in rng.integers(0, flat.size, 4):
            value, h = flat[i], 1e-6
            flat[i] = value + h
            above = penalty().item()
            flat[i] = value - h
            below = penalty().item()
            flat[i] = value
            assert g.numpy().reshape(-1)[i] == pytest.approx((above - below) / (2 * h), rel=1e-5, abs=1e-7)


def test_points_lie_on_the_lines_with_one_epsilon_each(rng):
    seen = []

    def f(t):
        seen.append(t.numpy())
        return ops.sum(t, axis=(1, 2))

    real, fake = np.ones((200, 2, 3)), np.zeros((200, 2, 3))
    wasserstein.gradient_penalty(f, real, fake, rng)
    epsilon = seen[0].reshape(200, -1)
    assert (epsilon == epsilon[:, :1]).all() and 0 <= epsilon.min() < 0.05 and 0.95 < epsilon.max() <= 1


def test_clipping_is_in_place_and_seen_by_the_engine(rng):
    w = tensor(rng.standard_normal(100), requires_grad=True)
    array, y = w.data, w * w
    wasserstein.clip_weights([w], 0.01)
    assert w.data is array and np.abs(array).max() <= 0.01
    with pytest.raises(minigen.errors.GraphError, match="updated in place"):
        y.backward(np.ones(100))
    with pytest.raises(ConfigError, match="c must be positive, got 0"):
        wasserstein.clip_weights([w], 0)


def test_bad_shapes(rng):
    with pytest.raises(ShapeError, match="equal shapes"):
        wasserstein.gradient_penalty(lambda t: t, np.zeros((2, 3)), np.zeros((3, 3)), rng)
    with pytest.raises(ShapeError, match="one score per example, 4, got shape"):
        wasserstein.gradient_norm(lambda t: ops.sum(t), np.zeros((4, 3)))
