"""The variational auto-encoder's objective (Kingma & Welling 2013), in nats per example.

An encoder gives q(z|x) = N(z; μ(x), diag σ²(x)), a decoder gives p(x|z), the prior is p(z) = N(0, I). Then

    log p(x) = log ∫ p(z) p(x|z) dz  ≥  ELBO = E_q[log p(x|z)] − KL(q(z|x) ‖ p(z)),

and the gap is KL(q(z|x) ‖ p(z|x)): nobody can compute it, and the closer q comes to the posterior the smaller it is.
Networks give log σ², any real number, in place of σ². B, C, D and E number the articles' formulas.

What the articles write, and what is wrong with it:

====  =====================================================  =====================================================
B4    log p(x) = log ∫ q(z|x) p(x|z) dz                      the marginal integrates the prior, ∫ p(z) p(x|z) dz
B5    L = −Σ log p(x) + KL(q ‖ p(z))                         the first term is −E_q[log p(x|z)]; log p(x) is unknown
B9    z = sigmoid(Dense(…))                                  z = μ + σ ⊙ ε: a sample, differentiable in μ and σ
C4    ½‖x − E(D(x))‖² + ½‖x − μ‖² + ½σ² − λ ½ log det σ²     D(E(x)) and ½‖μ‖²; then it is ½‖x − x̂‖² + KL + d/2
E2    L_q = KL(q ‖ p(z|x))                                   KL(q ‖ p(z)); theirs is the gap log p(x) − ELBO
====  =====================================================  =====================================================
"""

from __future__ import annotations

import math

from .. import ops
from ..errors import ShapeError
from ..tensor import Tensor
from .likelihood import per_example


def reparameterise(mean: Tensor, log_variance: Tensor, noise: Tensor) -> Tensor:
    """z = μ + σ ⊙ ε, ε ~ N(0, I): a sample of N(μ, diag σ²) that is differentiable in μ and σ (B9 corrected)."""
    return mean + ops.exp(0.5 * log_variance) * noise


def kl_per_dimension(mean: Tensor, log_variance: Tensor) -> Tensor:
    """½ (μ² + σ² − log σ² − 1), whose sum is the KL divergence: (N, d), (N, d) -> (N, d) nats."""
    return 0.5 * (mean * mean + ops.exp(log_variance) - log_variance - 1)


def kl_standard_normal(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(μ, diag σ²) ‖ N(0, I)) = ½ Σ μ² + σ² − log σ² − 1: (N, d), (N, d) -> (N,) nats  (B5, E2)."""
    if mean.shape != log_variance.shape:
        raise ShapeError(
            f"kl_standard_normal: expected equal shapes (N, d), got mean {list(mean.shape)} "
            f"and log_variance {list(log_variance.shape)}."
        )
    return per_example(kl_per_dimension(mean, log_variance))


def negative_elbo(nll: Tensor, kl: Tensor, beta: float = 1.0) -> Tensor:
    """−ELBO = mean over examples of −log p(x|z) + β KL(q(z|x) ‖ p(z)): (N,), (N,) -> () nats  (B5, E2 corrected).

    β = 1 is the bound on −log p(x); another β weighs the code against the picture (Higgins et al. 2017).
    """
    return ops.mean(nll + beta * kl)


def log_normal(z: Tensor, mean: Tensor | float = 0.0, log_variance: Tensor | float = 0.0) -> Tensor:
    """log N(z; μ, diag σ²) over the last axis: (…, d) -> (…). The densities that the importance weights need."""
    error = z - mean
    variance = ops.exp(log_variance) if isinstance(log_variance, Tensor) else math.exp(log_variance)
    return ops.sum(-0.5 * (error * error / variance + log_variance + math.log(2 * math.pi)), axis=-1)


def importance_weighted_bound(log_weights: Tensor) -> Tensor:
    """log 1/K Σₖ wₖ, w = p(x|z) p(z) / q(z|x), z ~ q: (K, …) -> (…) nats (Burda et al. 2016).

    It lies between the ELBO (K = 1) and log p(x), and reaches the latter as K grows.
    """
    return ops.logsumexp(log_weights, axis=0) - math.log(log_weights.shape[0])
