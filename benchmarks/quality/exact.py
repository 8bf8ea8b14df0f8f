"""Formulas that can be computed to the last digit: where the GAN's game ends, what a VAE minimises."""

from __future__ import annotations

import numpy as np

from minigen import tensor
from minigen.losses.gan import optimal_discriminator, value
from minigen.losses.likelihood import gaussian_nll
from minigen.losses.vae import kl_standard_normal

from .rows import Bench, Figures, Row


def end_of_the_game(bench: Bench) -> Figures:
    """D* and V(D*, G) in one dimension, where p_g is p_data and where it is not: V = −log 4 + 2 JSD."""
    x = np.linspace(-15, 15, 30_001)
    normal = lambda m, s: np.exp(-0.5 * ((x - m) / s) ** 2) / (s * np.sqrt(2 * np.pi))
    integral = lambda f: float(f.sum() * (x[1] - x[0]))
    p, q = 0.5 * normal(-2, 0.7) + 0.5 * normal(2, 0.7), normal(0.5, 1.5)
    d = optimal_discriminator(p, p)
    logits = tensor(np.zeros(10))
    other, middle = optimal_discriminator(p, q), (p + q) / 2
    v = integral(p * np.log(other) + q * np.log1p(-other))
    jsd = 0.5 * integral(p * np.log(p / middle)) + 0.5 * integral(q * np.log(q / middle))
    return {
        "error of D*": float(np.abs(d - 0.5).max()),
        "error of V": abs(value(logits, logits).item() + np.log(4)),
        "error of V + log 4 - 2 JSD": abs(v + np.log(4) - 2 * jsd),
    }


def what_a_vae_minimises(bench: Bench) -> Figures:
    """z ∈ {0, 1, 2}, x ∈ {0, … 3}: H(p, p_θ) = H(p) + KL(p ‖ p_θ), and log p(x) − ELBO = KL(q(z|x) ‖ p(z|x))."""
    rng = np.random.default_rng(bench.seed)
    p, prior = rng.dirichlet(np.ones(4)), rng.dirichlet(np.ones(3))
    decoder, q = rng.dirichlet(np.ones(4), size=3), rng.dirichlet(np.ones(3), size=4)  # p(x|z), q(z|x)
    p_model = prior @ decoder
    cross, entropy = -(p * np.log(p_model)).sum(), -(p * np.log(p)).sum()
    kl = (p * np.log(p / p_model)).sum()
    posterior = (prior[:, None] * decoder / p_model).T
    elbo = (q * np.log(decoder.T)).sum(1) - (q * np.log(q / prior)).sum(1)
    gap = (q * np.log(q / posterior)).sum(1)
    return {
        "error of H + KL": float(abs(cross - entropy - kl)),
        "error of the gap": float(np.abs(np.log(p_model) - elbo - gap).max()),
    }


def regrouped(bench: Bench) -> Figures:
    """C4: ½‖x − x̂‖² + ½‖μ‖² + ½ Σ σ² − ½ log det σ² = −log N(x; x̂, I) + KL(q ‖ p) + d/2 − ½ D log 2π"""
    rng = np.random.default_rng(bench.seed)
    n, pixels, latent = 50, 784, 20
    x, made = rng.uniform(size=(n, pixels)), rng.uniform(size=(n, pixels))
    mean, log_variance = rng.standard_normal((2, n, latent))
    written = 0.5 * ((x - made) ** 2).sum(1) + 0.5 * (mean**2 + np.exp(log_variance) - log_variance).sum(1)
    nll = gaussian_nll(tensor(made), tensor(x)).numpy()
    kl = kl_standard_normal(tensor(mean), tensor(log_variance)).numpy()
    ours = nll + kl + latent / 2 - pixels / 2 * np.log(2 * np.pi)
    return {"relative error": float(np.abs(ours / written - 1).max())}


def below(limit: float):
    return lambda figures: max(figures.values()) <= limit


ROWS = [
    Row("gan-balance", "D* and V in one dimension, on a grid [B7]", "D* = 1/2, V = -log 4 to 1e-12", end_of_the_game,
        below(1e-12), 0.1),
    Row("elbo-gap", "H, KL and the ELBO's gap on a model that can be summed exactly [D1]", "equal to 1e-12",
        what_a_vae_minimises, below(1e-12), 0.1),
    Row("c4-regrouped", "the terms of C's VAE loss, regrouped [C4]", "equal to 1e-12", regrouped, below(1e-12), 0.1),
]  # fmt: skip
