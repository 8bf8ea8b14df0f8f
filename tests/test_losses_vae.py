"""The VAE's objective against integrals and densities that SciPy computes, and the articles' forms beside it.

The model of these tests is small enough to integrate: z ~ N(0, 1), x|z ~ N(w z, s²), so that x ~ N(0, w² + s²) and
z|x ~ N(w x / (w² + s²), s² / (w² + s²)) exactly.
"""

import math

import numpy as np
import pytest
from scipy import integrate, stats

import minigen
from minigen.errors import ShapeError
from minigen.gradcheck import gradcheck
from minigen.losses import likelihood, vae

W, S = 1.3, 0.7  # the model's weight and noise


def nats(t):
    return t.numpy()


def posterior(x):
    variance = W * W + S * S
    return W * x / variance, S * S / variance


def log_marginal(x):
    return stats.norm(0, math.sqrt(W * W + S * S)).logpdf(x)


def elbo(x, mean, variance):
    """E_q log p(x|z) − KL(q ‖ N(0, 1)) by quadrature of the definitions, for one number x."""
    q = stats.norm(mean, math.sqrt(variance))
    inside = lambda z: q.pdf(z) * (stats.norm(W * z, S).logpdf(x) + stats.norm.logpdf(z) - q.logpdf(z))
    return integrate.quad(inside, mean - 12 * q.std(), mean + 12 * q.std())[0]


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def test_formula_B3_gaussian_likelihood(rng):
    mean, x, log_variance = (rng.standard_normal((5, 2, 3)) for _ in range(3))
    expected = -stats.norm(mean, np.exp(log_variance / 2)).logpdf(x).sum(axis=(1, 2))
    ours = likelihood.gaussian_nll(*map(minigen.tensor, (mean, x, log_variance)))
    np.testing.assert_allclose(nats(ours), expected, rtol=1e-12)
    fixed = likelihood.gaussian_nll(minigen.tensor(mean), minigen.tensor(x), math.log(0.25))
    np.testing.assert_allclose(nats(fixed), -stats.norm(mean, 0.5).logpdf(x).sum(axis=(1, 2)), rtol=1e-12)


def test_formula_B3_bernoulli_likelihood(rng):
    logits, bits = rng.standard_normal((6, 4)) * 3, rng.integers(0, 2, (6, 4)).astype(float)
    expected = -stats.bernoulli(1 / (1 + np.exp(-logits))).logpmf(bits).sum(axis=1)
    ours = likelihood.bernoulli_nll(minigen.tensor(logits), minigen.tensor(bits))
    np.testing.assert_allclose(nats(ours), expected, rtol=1e-12)
    sure = likelihood.bernoulli_nll(minigen.tensor([[1e4, -1e4]]), minigen.tensor([[1.0, 0.0]]))
    wrong = likelihood.bernoulli_nll(minigen.tensor([[1e4, -1e4]]), minigen.tensor([[0.0, 1.0]]))
    assert sure.item() == 0 and wrong.item() == 2e4  # no clipping: certain and wrong costs its full price


def test_grey_pixels_are_the_mean_over_binary_draws(rng):
    logits, grey = rng.standard_normal((1, 3)), np.array([[0.25, 0.5, 1.0]])
    both = [
        likelihood.bernoulli_nll(minigen.tensor(logits), minigen.tensor(np.array([[a, b, 1.0]]))).item()
        for a, b in [(1, 0), (1, 1), (0, 0), (0, 1)]
    ]
    weights = [0.25 * 0.5, 0.25 * 0.5, 0.75 * 0.5, 0.75 * 0.5]
    ours = likelihood.bernoulli_nll(minigen.tensor(logits), minigen.tensor(grey)).item()
    assert ours == pytest.approx(np.dot(both, weights), rel=1e-12)


def test_formula_B4_the_elbo_is_below_log_p_and_the_articles_integral_is_another_number():
    x = 0.8
    by_integral = math.log(integrate.quad(lambda z: stats.norm.pdf(z) * stats.norm(W * z, S).pdf(x), -12, 12)[0])
    assert by_integral == pytest.approx(log_marginal(x), abs=1e-9)  # ∫ p(z) p(x|z) dz is the marginal
    mean, variance = posterior(x)
    q = stats.norm(mean, math.sqrt(variance))
    as_written = math.log(integrate.quad(lambda z: q.pdf(z) * stats.norm(W * z, S).pdf(x), -12, 12)[0])
    assert as_written > log_marginal(x) + 0.5  # B4 puts q in place of the prior and claims too much likelihood
    for m, v in [(0.0, 1.0), (0.5, 0.3), (-1.0, 0.1)]:
        assert elbo(x, m, v) < log_marginal(x)
    assert elbo(x, mean, variance) == pytest.approx(log_marginal(x), abs=1e-8)  # equality at the posterior


def test_formula_B5_negative_elbo(rng):
    """One long Monte-Carlo estimate of minigen's −ELBO meets the quadrature; B5's own form does not."""
    x, mean, log_variance, draws = 0.8, 0.5, math.log(0.3), 400_000
    column = lambda value: minigen.tensor(np.full((draws, 1), value))
    noise = minigen.tensor(rng.standard_normal((draws, 1)))
    z = vae.reparameterise(column(mean), column(log_variance), noise)
    nll = likelihood.gaussian_nll(W * z, column(x), 2 * math.log(S))
    ours = vae.negative_elbo(nll, vae.kl_standard_normal(column(mean), column(log_variance)))
    standard_error = nats(nll).std() / math.sqrt(draws)
    exact = -elbo(x, mean, 0.3)
    assert abs(ours.item() - exact) < 4 * standard_error
    kl = nats(vae.kl_standard_normal(column(mean), column(log_variance)))[0]
    as_written = -log_marginal(x) + kl
    assert abs(as_written - exact) > 100 * standard_error


def test_beta_weighs_the_code():
    nll, kl = minigen.tensor(np.array([3.0, 5.0])), minigen.tensor(np.array([1.0, 2.0]))
    assert vae.negative_elbo(nll, kl, beta=4.0).item() == pytest.approx(((3 + 4) + (5 + 8)) / 2)


def test_formula_B9_the_sample_is_differentiable_and_has_its_moments(rng):
    mean, log_variance = rng.standard_normal((4, 3)), rng.standard_normal((4, 3))
    noise = rng.standard_normal((4, 3))
    gradcheck(lambda m, v: vae.reparameterise(m, v, minigen.tensor(noise)), [mean, log_variance])
    many = rng.standard_normal((200_000, 3))
    z = nats(vae.reparameterise(minigen.tensor(mean[:1]), minigen.tensor(log_variance[:1]), minigen.tensor(many)))
    sigma = np.exp(log_variance[0] / 2)
    assert np.all(np.abs(z.mean(axis=0) - mean[0]) < 5 * sigma / math.sqrt(len(many)))
    assert np.all(np.abs(z.std(axis=0) / sigma - 1) < 5 / math.sqrt(2 * len(many)))
    as_written = 1 / (1 + np.exp(-mean))  # a sigmoid is one number in (0, 1): no noise, and no prior N(0, I) to meet
    assert as_written.min() > 0 and as_written.max() < 1 and z.min() < 0 < 1 < z.max()


def test_formula_C4_regrouped(rng):
    """½‖x − x̂‖² + ½‖μ‖² + ½ Σ σ² − ½ log det σ² = ½‖x − x̂‖² + KL + d/2, to 1e-12."""
    n, d = 6, 5
    x, decoded = rng.standard_normal((n, 9)), rng.standard_normal((n, 9))
    mean, log_variance = rng.standard_normal((n, d)), rng.standard_normal((n, d))
    variance = np.exp(log_variance)
    log_det = np.array([np.linalg.slogdet(np.diag(v))[1] for v in variance])
    article = 0.5 * ((x - decoded) ** 2).sum(1) + 0.5 * (mean**2).sum(1) + 0.5 * variance.sum(1) - 0.5 * log_det
    nll = likelihood.gaussian_nll(minigen.tensor(decoded), minigen.tensor(x))  # unit variance
    kl = vae.kl_standard_normal(minigen.tensor(mean), minigen.tensor(log_variance))
    ours = nats(nll) - 9 / 2 * math.log(2 * math.pi) + nats(kl) + d / 2
    np.testing.assert_allclose(ours, article, rtol=1e-12, atol=1e-12)


def test_formula_D1_cross_entropy_is_not_the_kl_divergence(rng):
    p, model = rng.dirichlet(np.ones(6)), rng.dirichlet(np.ones(6))
    cross_entropy = -(p * np.log(model)).sum()  # what D1 calls the KL divergence
    kl, entropy = stats.entropy(p, model), stats.entropy(p)
    assert cross_entropy == pytest.approx(kl + entropy, rel=1e-12)
    assert -(p * np.log(p)).sum() > 0.1 and stats.entropy(p, p) == 0  # where the model is right, only one is 0


def test_formula_E2_closed_form_kl_and_the_gap(rng):
    mean, log_variance = rng.standard_normal((1, 4)), rng.standard_normal((1, 4))
    closed = vae.kl_standard_normal(minigen.tensor(mean), minigen.tensor(log_variance)).item()
    sigma = np.exp(log_variance / 2)
    z = mean + sigma * rng.standard_normal((400_000, 4))
    ratio = (stats.norm(mean, sigma).logpdf(z) - stats.norm.logpdf(z)).sum(axis=1)
    assert abs(closed - ratio.mean()) < 4 * ratio.std() / math.sqrt(len(ratio))
    x, m, v = 0.8, 0.5, 0.3  # E2 has the posterior where the prior belongs: that divergence is the gap
    post_mean, post_variance = posterior(x)
    as_written = 0.5 * (math.log(post_variance / v) + (v + (m - post_mean) ** 2) / post_variance - 1)
    assert as_written == pytest.approx(log_marginal(x) - elbo(x, m, v), abs=1e-8)
    right = vae.kl_standard_normal(minigen.tensor(np.array([[m]])), minigen.tensor(np.array([[math.log(v)]]))).item()
    assert abs(right - as_written) > 0.1


def test_formula_E2_squared_error_is_a_gaussian_likelihood(rng):
    x, decoded = rng.standard_normal((3, 7)), rng.standard_normal((3, 7))
    nll = nats(likelihood.gaussian_nll(minigen.tensor(decoded), minigen.tensor(x), math.log(0.5)))
    np.testing.assert_allclose(nll - 7 / 2 * math.log(math.pi), ((x - decoded) ** 2).sum(axis=1), rtol=1e-12)


def test_importance_weighted_bound_rises_to_log_p(rng):
    x, mean, log_variance, n = 0.8, 0.0, 0.0, 20_000
    bounds = []
    for k in (1, 5, 50):
        z = rng.standard_normal((k, n, 1)) * math.exp(log_variance / 2) + mean
        z = minigen.tensor(z)
        log_weights = (
            vae.log_normal(minigen.tensor(np.full((k, n, 1), x)), W * z, 2 * math.log(S))
            + vae.log_normal(z)
            - vae.log_normal(z, mean, log_variance)
        )
        bounds.append(nats(vae.importance_weighted_bound(log_weights)).mean())
    assert bounds[0] == pytest.approx(elbo(x, mean, 1.0), abs=0.05)
    assert bounds[0] < bounds[1] < bounds[2] < log_marginal(x) + 0.01
    assert log_marginal(x) - bounds[2] < 0.02


def test_log_normal_against_scipy(rng):
    z, mean, log_variance = (rng.standard_normal((3, 4)) for _ in range(3))
    expected = stats.norm(mean, np.exp(log_variance / 2)).logpdf(z).sum(axis=-1)
    ours = vae.log_normal(*map(minigen.tensor, (z, mean, log_variance)))
    np.testing.assert_allclose(nats(ours), expected, rtol=1e-12)


def test_every_term_has_the_right_gradient(rng):
    mean, log_variance, x = (rng.standard_normal((3, 4)) for _ in range(3))
    gradcheck(vae.kl_standard_normal, [mean, log_variance])
    gradcheck(likelihood.gaussian_nll, [mean, x, log_variance])
    gradcheck(likelihood.bernoulli_nll, [mean, rng.random((3, 4))])
    gradcheck(vae.importance_weighted_bound, [rng.standard_normal((5, 3))])


@pytest.mark.parametrize("loss", [likelihood.bernoulli_nll, likelihood.gaussian_nll, vae.kl_standard_normal])
def test_unequal_shapes_are_named(loss):
    with pytest.raises(ShapeError, match=rf"{loss.__name__}: expected equal shapes .*\[2, 3\].*\[2, 4\]"):
        loss(minigen.tensor(np.zeros((2, 3))), minigen.tensor(np.zeros((2, 4))))
