"""A figure together with how far it can be trusted."""

from typing import Any, NamedTuple

import numpy as np

from . import checks


class Estimate(NamedTuple):
    """A mean over repetitions and its standard error; prints as ``105.21 ± 0.08``."""

    mean: float
    standard_error: float

    def __str__(self) -> str:
        return f"{self.mean:.4g} ± {self.standard_error:.2g}"


def estimate(values: Any) -> Estimate:
    """x̄ = Σ xᵢ / n,   s.e. = √(Σ (xᵢ − x̄)² / (n (n − 1)))        (n,) -> two numbers

    The error is that of the mean of n independent repetitions, for instance of runs with n seeds. Needs n >= 2.
    """
    x = checks.array("estimate", "values", values, 1, "(n,)")
    checks.enough("estimate", "values", len(x), 2)
    return Estimate(float(x.mean()), float(x.std(ddof=1) / np.sqrt(len(x))))
