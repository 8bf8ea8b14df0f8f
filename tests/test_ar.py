"""minigen.models.autoregressive against least squares, known processes and enumeration."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import linalg, optimize, stats

from minigen.errors import ConfigError, DataError, DtypeError, MinigenError, NonFiniteError
from minigen.models.autoregressive import AutoRegressive, lagged, load_eeg, simulate
from minigen.nn import Module
from minigen.tensor import grad, tensor


def least_squares(series, p):
    x = np.asarray(series, np.float64) - np.mean(series)
    X = np.array([[x[t - i] for i in range(1, p + 1)] for t in range(p, len(x))])
    return np.linalg.lstsq(X, x[p:], rcond=None)[0]


def written_out(x, phi):
    """1/(n − p) Σ_{t>p} (x_t − Σ_i φ_i x_{t−i})², one term at a time."""
    p, total = len(phi), 0.0
    for t in range(p, len(x)):
        total += (x[t] - sum(phi[i - 1] * x[t - i] for i in range(1, p + 1))) ** 2
    return total / (len(x) - p)


@pytest.fixture(scope="module")
def eeg():
    return load_eeg()


def test_formula_E3(eeg):
    """The loss is the formula, its gradient that of differences, and its minimum by descent that of least squares."""
    x = eeg[:120, 1]
    model, phi = AutoRegressive(3), np.array([0.5, -0.3, 0.2])
    model.phi = tensor(phi, requires_grad=True)
    loss = model.loss(lagged(x, 3), x[3:])
    np.testing.assert_allclose(loss.item(), written_out(x, phi), rtol=1e-12)
    differences = optimize.approx_fprime(phi, lambda f: written_out(x, f), 1e-7)
    np.testing.assert_allclose(grad(loss, model.phi).numpy(), differences, rtol=1e-4, atol=1e-6)

    history = model.fit(x)
    centred = x - x.mean()
    best = optimize.minimize(lambda f: written_out(centred, f), np.zeros(3), method="BFGS").x
    np.testing.assert_allclose(model.phi.numpy(), best, atol=1e-4)
    np.testing.assert_allclose(model.phi.numpy(), least_squares(x, 3), atol=1e-6, rtol=0)
    np.testing.assert_allclose(history[-1], written_out(centred, model.phi.numpy()), rtol=1e-9)
    np.testing.assert_allclose(float(model.sigma) ** 2, history[-1])
    assert (np.diff(history) < 1e-12).all() and history[0] > 2 * history[-1]


@pytest.mark.parametrize("p", [1, 2, 5, 16])
@pytest.mark.parametrize("channel", range(4))
def test_real_series_equal_least_squares(eeg, p, channel):
    model = AutoRegressive(p)
    history = model.fit(eeg[:, channel])
    np.testing.assert_allclose(model.phi.numpy(), least_squares(eeg[:, channel], p), rtol=0, atol=1e-6)
    assert len(history) <= 2 * p + 2 and model.is_stationary()
    assert model.phi.dtype == np.float64 and isinstance(model, Module)


@settings(deadline=None, max_examples=40)
@given(
    st.integers(1, 6),
    st.integers(0, 2**31),
    st.floats(1e-4, 1e4),
    st.floats(-1e3, 1e3),
    st.sampled_from([20, 100, 700]),
)
def test_any_series_equals_least_squares(p, seed, scale, shift, n):
    """Random walks, which are nearly not stationary, of any scale and around any level (rounding grows with it)."""
    x = np.random.default_rng(seed).standard_normal(n).cumsum() * scale + shift * scale
    model = AutoRegressive(p)
    model.fit(x)
    np.testing.assert_allclose(model.phi.numpy(), least_squares(x, p), rtol=0, atol=1e-6)


def test_descent_straight_down_is_slower():
    """The claim of `fit`: where neighbours are alike, plain steps with the best step size are still far away."""
    x = np.sin(np.arange(2000) / 12) + 0.05 * np.random.default_rng(0).standard_normal(2000)
    model, best = AutoRegressive(6), least_squares(x, 6)
    steps = len(model.fit(x))
    np.testing.assert_allclose(model.phi.numpy(), best, rtol=0, atol=1e-6)
    z = (x - x.mean()) / x.std()
    X, y = lagged(z, 6), z[6:]
    H = 2 * X.T @ X / len(X)
    eigenvalues = np.linalg.eigvalsh(H)
    assert eigenvalues[-1] / eigenvalues[0] > 1000 and steps < 40
    phi = np.zeros(6)
    for _ in range(50 * steps):
        phi -= 2 / (eigenvalues[-1] + eigenvalues[0]) * (H @ phi - 2 * X.T @ y / len(X))
    assert np.abs(phi - best).max() > 1e-3


@pytest.mark.parametrize("phi", [[0.8], [1.5, -0.75], [0.5, 0.2, -0.4, 0.1]])
def test_known_coefficients_are_recovered(phi):
    x = simulate(phi, 5000, np.random.default_rng(4), sigma=2.5) + 30
    model = AutoRegressive(len(phi))
    model.fit(x)
    errors = model.standard_errors(x)
    assert (np.abs(model.phi.numpy() - phi) < 3 * errors).all() and (errors < 0.02).all()
    assert abs(float(model.sigma) - 2.5) < 3 * 2.5 / np.sqrt(2 * 5000)
    assert model.is_stationary() and abs(float(model.mean) - 30) < 3


def test_standard_errors_are_the_spread_over_series():
    rng, phi = np.random.default_rng(5), [1.2, -0.5]
    estimates, errors = [], []
    for _ in range(200):
        x = simulate(phi, 400, rng)
        model = AutoRegressive(2)
        model.fit(x)
        estimates.append(model.phi.numpy().copy())
        errors.append(model.standard_errors(x))
    np.testing.assert_allclose(np.std(estimates, axis=0), np.mean(errors, axis=0), rtol=0.2)


def test_a_simulated_process_has_the_autocovariance_of_yule_and_walker():
    phi = np.array([1.3, -0.6])
    x = simulate(phi, 200_000, np.random.default_rng(6))
    covariance = np.array([np.mean(x[k:] * x[: len(x) - k]) for k in range(3)])
    # γ_k = φ₁ γ_{k−1} + φ₂ γ_{k−2} for k > 0, γ_0 = φ₁ γ₁ + φ₂ γ₂ + σ²
    expected = np.linalg.solve([[1, -1.3, 0.6], [-1.3, 1.6, 0], [0.6, -1.3, 1]], [1, 0, 0])
    np.testing.assert_allclose(covariance, expected, rtol=0.05)
    np.testing.assert_allclose(linalg.solve_toeplitz(covariance[:2], covariance[1:]), phi, atol=0.02)
    first = [simulate(phi, 1, np.random.default_rng(seed))[0] for seed in range(1500)]  # and from the first value on
    assert stats.kstest(first, stats.norm(scale=np.sqrt(expected[0])).cdf).pvalue > 1e-3


@settings(deadline=None)
@given(st.lists(st.floats(0.05, 0.95), min_size=1, max_size=3), st.floats(0.1, 0.9), st.floats(0.1, 3))
def test_roots(real, radius, angle):
    """From roots to φ (the coefficients of the product) and back."""
    roots = [*real, radius * np.exp(1j * angle), radius * np.exp(-1j * angle)]
    model = AutoRegressive(len(roots))
    model.phi = tensor(-np.poly(roots).real[1:], requires_grad=True)
    found = model.roots()
    assert (np.diff(np.abs(found)) <= 1e-9).all() and model.is_stationary()
    np.testing.assert_allclose(np.poly(found).real, np.poly(roots).real, atol=1e-8)
    np.testing.assert_allclose(np.abs(found[0]), max(np.abs(roots)), atol=1e-3)


@pytest.mark.parametrize(
    "phi, stationary",
    [([0.99], True), ([1.0], False), ([-1.01], False), ([0.5, 0.6], False), ([0.5, 0, 0], True), ([0, 0], True)],
)
def test_stationarity(phi, stationary):
    model = AutoRegressive(len(phi))
    model.phi = tensor(np.array(phi, np.float64), requires_grad=True)
    assert model.is_stationary() is stationary and model.roots().shape == (len(phi),)
    if stationary:
        assert np.isfinite(simulate(phi, 10, np.random.default_rng(0))).all()
    else:
        with pytest.raises(ConfigError, match="expected the roots of a stationary process, inside the unit circle"):
            simulate(phi, 10, np.random.default_rng(0))


def fitted(phi, mean, sigma):
    model = AutoRegressive(len(phi))
    model.phi = tensor(np.array(phi, np.float64), requires_grad=True)
    model.mean, model.sigma = tensor(np.float64(mean)), tensor(np.float64(sigma))
    return model


def test_forecast_by_hand():
    """AR(1): x̂_{n+h} = μ + φʰ (x_n − μ), var = σ² (1 − φ²ʰ) / (1 − φ²)."""
    model = fitted([0.7], 3, 2)
    expected, spread = model.forecast([1.0, 5.0], 6)
    h = np.arange(1, 7)
    np.testing.assert_allclose(expected, 3 + 0.7**h * 2)
    np.testing.assert_allclose(spread, 2 * np.sqrt((1 - 0.49**h) / (1 - 0.49)))
    assert all(len(a) == 0 for a in model.forecast([1.0], 0))


def test_samples_are_spread_around_the_forecast():
    model = fitted([1.1, -0.4, 0.2], -7, 0.5)
    past, rng = np.array([-6.0, -7.5, -6.2, -6.9]), np.random.default_rng(7)
    expected, spread = model.forecast(past, 5)
    draws = np.array([model.sample(past, 5, rng) for _ in range(4000)])
    for h in range(5):
        assert stats.kstest(draws[:, h], stats.norm(expected[h], spread[h]).cdf).pvalue > 1e-3
    again = model.sample(past, 5, np.random.default_rng(1))
    np.testing.assert_array_equal(again, model.sample(past, 5, np.random.default_rng(1)))


def test_forecasts_of_a_real_series_beat_its_mean_and_last_value(eeg):
    """One step ahead on the last quarter, fitted on the rest."""
    train, held_out = eeg[:600, 0], eeg[600:, 0]
    model = AutoRegressive(8)
    model.fit(train)
    errors = {"mean": held_out[8:] - train.mean(), "last": held_out[8:] - held_out[7:-1]}
    model_error = [held_out[t] - model.forecast(held_out[:t], 1)[0][0] for t in range(8, len(held_out))]
    assert np.mean(np.square(model_error)) < 0.9 * min(np.mean(e**2) for e in errors.values())


def test_state_and_refit(eeg):
    model, other = AutoRegressive(2), AutoRegressive(2)
    model.fit(eeg[:, 0])
    other.load_state_dict(model.state_dict())
    np.testing.assert_array_equal(other.forecast(eeg[:, 0], 9), model.forecast(eeg[:, 0], 9))
    other.fit(eeg[:, 1])
    other.fit(eeg[:, 0])  # from the beginning, whatever was there
    np.testing.assert_array_equal(other.phi.numpy(), model.phi.numpy())
    assert dict(model.named_parameters()).keys() == {"phi"}


def test_the_series_is_left_as_it_is(eeg):
    assert eeg.shape == (800, 4) and eeg.dtype == np.float64 and np.isfinite(eeg).all()
    x = eeg[:, 0].copy()
    AutoRegressive(3).fit(x)
    np.testing.assert_array_equal(x, eeg[:, 0])
    model = AutoRegressive(2)
    model.fit(np.array([1, 3, 2, 5, 4, 6, 3, 2, 5]))  # integers, and single precision, are computed in double
    np.testing.assert_allclose(model.phi.numpy(), least_squares([1, 3, 2, 5, 4, 6, 3, 2, 5], 2), atol=1e-9)


def test_it_refuses():
    model, rng = fitted([0.5, 0.1], 0, 1), np.random.default_rng(0)
    for call, kind, message in [
        (lambda: AutoRegressive(0), ConfigError, "order of at least 1, a whole number, got 0"),
        (lambda: AutoRegressive(1.5), ConfigError, "got 1.5"),
        (lambda: AutoRegressive(3).fit(np.arange(6.0)), DataError, "at least 7 values for this order, got 6"),
        (lambda: AutoRegressive(1).fit(np.full(9, 0.1)), DataError, "the series is constant"),
        (lambda: AutoRegressive(1).fit([1, 2, np.nan, 4]), NonFiniteError, "got NaN or ∞ at 2"),
        (lambda: AutoRegressive(1).fit(np.zeros((9, 2))), DtypeError, r"one series .* got float64 of shape \(9, 2\)"),
        (lambda: AutoRegressive(1).fit(["a", "b", "c"]), DtypeError, "one series of real numbers"),
        (lambda: AutoRegressive(2).fit(rng.normal(size=50), tolerance=1e-30), MinigenError, "the gradient is still"),
        (lambda: model.forecast([1.0], 3), DataError, "at least 2 values"),
        (lambda: model.forecast([1.0, 2], -1), ConfigError, "steps of at least 0, got -1"),
        (lambda: model.sample([1.0, 2], 3, 0), DtypeError, "rng is a int"),
    ]:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(kind, match=message) as error:
                call()
        assert "\n" not in str(error.value) and str(error.value).endswith("."), error.value
