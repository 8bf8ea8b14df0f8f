"""AR(p), the linear autoregressive model (formula E3; Yule 1927):

    x_t = Σ_{i=1..p} φ_i x_{t−i} + ε_t,   ε_t ~ N(0, σ²)        x̂_t = Σ_{i=1..p} φ_i x_{t−i}
    L(φ) = 1/(n − p) Σ_{t=p+1..n} (x_t − x̂_t)²                  of a series with its mean taken off

The sum begins at p + 1, the first place with p values before it; the article writes 1/n Σ_t over all t. L is
quadratic, and least squares would minimise it in one line. Here gradients do, as for every larger model, and the two
must agree: see :meth:`AutoRegressive.fit`.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike

from .. import ops
from ..backend import xp
from ..errors import ConfigError, DataError, DtypeError, MinigenError, NonFiniteError
from ..nn import Module
from ..tensor import Tensor, grad, tensor

__all__ = ["AutoRegressive", "lagged", "load_eeg", "simulate"]


class AutoRegressive(Module):
    """AR(p) of one series, in float64. `phi` (p,) is what is learnt; `mean` and `sigma` are set by :meth:`fit`."""

    def __init__(self, order: int):
        self.order = _order(order)
        self.phi = tensor(np.zeros(self.order), requires_grad=True)
        self.mean = tensor(np.zeros(()))
        self.sigma = tensor(np.ones(()))

    def settings(self) -> str:
        return str(self.order)

    def forward(self, lags: ArrayLike | Tensor) -> Tensor:
        """x̂_t = Σ_i φ_i x_{t−i}        (n − p, p) -> (n − p,), the rows as `lagged` gives them"""
        return ops.matmul(lags, self.phi)

    def loss(self, lags: ArrayLike | Tensor, x: ArrayLike | Tensor) -> Tensor:
        """L = 1/(n − p) Σ_t (x_t − x̂_t)²"""
        return ops.mean(ops.square(x - self(lags)))

    def fit(self, series: ArrayLike, *, tolerance: float = 1e-12) -> list[float]:
        """Minimise L(φ) from φ = 0 by gradient descent along conjugate directions; returns L step by step.

        The steps of plain descent, d = −∇L, undo each other where L is a narrow valley, and it is one where
        neighbouring values are alike: their number grows with λ_max/λ_min, the largest over the smallest eigenvalue of
        the Hessian H. Conjugate directions (Hestenes & Stiefel 1952) do not, and in exact arithmetic p of them suffice:

            α = −gᵀd / dᵀHd,   φ ← φ + α d,   g′ = ∇L(φ),   β = max(0, g′ᵀ(g′ − g) / gᵀg),   d ← −g′ + β d

        g is one backward pass; H d = ∂(gᵀd)/∂φ is a second one, through the first (Pearlmutter 1994). The series is
        put on the scale of its standard deviation, which leaves φ as it is and gives `tolerance` a meaning: descent
        ends at ‖g‖ ≤ tolerance, and then ‖φ − φ*‖ ≤ tolerance / λ_min.
        """
        x = _series("AutoRegressive.fit", series, least=2 * self.order + 1)
        mean, scale = x.mean(), x.std()
        if not scale > 1e-12 * abs(mean):
            raise DataError("AutoRegressive.fit: the series is constant, so nothing predicts it; use another.")
        z = (x - mean) / scale
        lags, now = tensor(lagged(z, self.order)), tensor(z[self.order :])
        self.phi.data = xp.zeros_like(self.phi.data)
        history, g, d = [], None, None
        for _ in range(100 + 20 * self.order):
            loss = self.loss(lags, now)
            history.append(loss.item() * scale**2)
            recorded = grad(loss, self.phi, create_graph=True)
            before, g = g, recorded.data
            if float(g @ g) <= tolerance**2:
                self.mean, self.sigma = tensor(mean), tensor(np.sqrt(history[-1]))
                return history
            if before is None:
                d = -g
            else:
                d = -g + max(0.0, float(g @ (g - before)) / float(before @ before)) * d
                if float(g @ d) >= 0:  # rounding has turned it uphill
                    d = -g
            Hd = grad(recorded, self.phi, grad_outputs=tensor(d)).data
            self.phi.data = self.phi.data - float(g @ d) / float(d @ Hd) * d
        raise MinigenError(
            f"AutoRegressive.fit: the gradient is still {math.sqrt(float(g @ g)):.1e} after {len(history)} steps, "
            f"expected {tolerance:.1e}; use a smaller order or a larger tolerance."
        )

    def standard_errors(self, series: ArrayLike) -> np.ndarray:
        """√diag(σ² (XᵀX)⁻¹), X the lags of the series        the spread of φ̂ over series of this length"""
        x = _series("AutoRegressive.standard_errors", series, least=2 * self.order + 1)
        X = lagged(x - self.mean.numpy(), self.order)
        return float(self.sigma) * np.sqrt(np.diag(np.linalg.inv(X.T @ X)))

    def roots(self) -> np.ndarray:
        """The roots of zᵖ − Σ φ_i zᵖ⁻ⁱ, complex (p,), the largest first: how the memory of a shock changes a step."""
        roots = np.roots(np.append(1.0, -self.phi.numpy())).astype(np.complex128)
        roots = np.append(roots, np.zeros(self.order - len(roots)))  # numpy leaves out what is 0 for trailing φ = 0
        return roots[np.argsort(-np.abs(roots), kind="stable")]

    def is_stationary(self) -> bool:
        """Whether all roots lie inside the unit circle, so that a shock dies out and the variance stays finite."""
        return bool(np.abs(self.roots()).max() < 1)

    def forecast(self, series: ArrayLike, steps: int) -> tuple[np.ndarray, np.ndarray]:
        """The expectation and standard deviation of the next values, given the series: (steps,), (steps,)

        x̂_{n+h} = Σ_i φ_i x̂_{n+h−i}, with x̂ = x up to n;   var = σ² Σ_{j<h} ψ_j², with ψ_0 = 1, ψ_j = Σ_i φ_i ψ_{j−i}
        """
        expected = self._continue("forecast", series, np.zeros(_steps("forecast", steps)))
        psi = self._driven(np.zeros(self.order), np.eye(1, steps)[0])  # what one shock does to the values after it
        return expected, float(self.sigma) * np.sqrt(np.cumsum(psi**2))

    def sample(self, series: ArrayLike, n: int, rng: np.random.Generator) -> np.ndarray:
        """One way that the series may go on: x_t = Σ_i φ_i x_{t−i} + σ ε_t,   ε_t ~ N(0, 1)        -> (n,)"""
        noise = float(self.sigma) * _generator("sample", rng).standard_normal(_steps("sample", n))
        return self._continue("sample", series, noise)

    def _continue(self, method: str, series: ArrayLike, noise: np.ndarray) -> np.ndarray:
        x = _series(f"AutoRegressive.{method}", series, least=self.order) - float(self.mean)
        return self._driven(x[len(x) - self.order :], noise) + float(self.mean)

    def _driven(self, past: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """x_t = Σ_i φ_i x_{t−i} + noise_t        from the p values before"""
        x, backwards = np.append(past, noise), self.phi.numpy()[::-1]
        for t in range(self.order, len(x)):
            x[t] += backwards @ x[t - self.order : t]
        return x[self.order :]


def lagged(x: np.ndarray, order: int) -> np.ndarray:
    """X[t, i] = x_{t−i} for t = p + 1, …, n and i = 1, …, p        (n,) -> (n − p, p)"""
    return np.ascontiguousarray(sliding_window_view(x[:-1], order)[:, ::-1])


def simulate(phi: ArrayLike, n: int, rng: np.random.Generator, *, sigma: float = 1.0) -> np.ndarray:
    """n values of the AR(p) process with these φ, begun so long before that its start is forgotten        -> (n,)

    Raises ConfigError where the process is not stationary and so never forgets.
    """
    phi = np.atleast_1d(np.asarray(phi, np.float64))
    model = AutoRegressive(len(phi))
    model.phi, model.sigma = tensor(phi, requires_grad=True), tensor(np.float64(sigma))
    largest = float(np.abs(model.roots()).max())
    if not largest < 1:
        raise ConfigError(
            f"simulate: expected the roots of a stationary process, inside the unit circle, got one of modulus "
            f"{largest:.4f}; use smaller φ."
        )
    forget = len(phi) + (math.ceil(math.log(1e-12) / math.log(largest)) if largest > 0 else 0)
    return model.sample(np.zeros(len(phi)), forget + _steps("simulate", n), rng)[forget:]


def load_eeg() -> np.ndarray:
    """Four channels of an electroencephalogram, 800 values each: float64 (800, 4), from Matplotlib's sample data."""
    from matplotlib import cbook

    try:
        with cbook.get_sample_data("eeg.dat") as file:
            content = file.read()
    except OSError as error:
        raise DataError(
            "load_eeg: this Matplotlib was installed without its sample data; install it with pip."
        ) from error
    return np.frombuffer(content, "<f8").astype(np.float64).reshape(800, 4)


def _order(order: int) -> int:
    if not (isinstance(order, int | np.integer) and order >= 1):
        raise ConfigError(f"AutoRegressive: expected an order of at least 1, a whole number, got {order!r}.")
    return int(order)


def _steps(function: str, n: int) -> int:
    if not (isinstance(n, int | np.integer) and n >= 0):
        raise ConfigError(f"{function}: expected a number of steps of at least 0, got {n!r}.")
    return int(n)


def _generator(function: str, rng: np.random.Generator) -> np.random.Generator:
    if not isinstance(rng, np.random.Generator):
        raise DtypeError(
            f"{function}: rng is a {type(rng).__name__}, expected a numpy.random.Generator; "
            "make one with np.random.default_rng(seed)."
        )
    return rng


def _series(function: str, series: ArrayLike, least: int) -> np.ndarray:
    x = np.asarray(series)
    if x.ndim != 1 or x.dtype.kind not in "iuf":
        raise DtypeError(f"{function}: expected one series of real numbers (n,), got {x.dtype} of shape {x.shape}.")
    if len(x) < least:
        raise DataError(
            f"{function}: expected at least {least} values for this order, got {len(x)}; use a longer series."
        )
    if not np.isfinite(x).all():
        raise NonFiniteError(f"{function}: expected finite values, got NaN or ∞ at {int(np.argmin(np.isfinite(x)))}.")
    return x.astype(np.float64)
