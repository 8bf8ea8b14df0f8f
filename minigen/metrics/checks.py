"""What every measure demands of its input, and the sentences for input that it cannot use."""

from typing import Any

import numpy as np

from ..errors import ConfigError, DataError, DtypeError, NonFiniteError, ShapeError


def array(function: str, name: str, values: Any, ndim: int, shape: str) -> np.ndarray:
    """`values` as float64 with `ndim` axes, all finite. `shape` is how the expected shape reads in a message."""
    values = np.asarray(values)
    if values.dtype.kind not in "biuf":
        raise DtypeError(f"{function}: expected {name} to be a NumPy array of numbers, got dtype {values.dtype}.")
    if values.ndim != ndim:
        raise ShapeError(f"{function}: expected {name} of shape {shape}, got {values.shape}.")
    values = values.astype(np.float64, copy=False)
    bad = values.size - np.isfinite(values).sum()
    if bad:
        raise NonFiniteError(f"{function}: {name} holds NaN or infinity in {bad} of {values.size} numbers.")
    return values


def features(function: str, name: str, values: Any, least: int = 2) -> np.ndarray:
    """Feature vectors of at least `least` samples, (N, D) with D >= 1, as float64."""
    values = array(function, name, values, 2, "(N, D)")
    if not values.shape[1]:
        raise ShapeError(f"{function}: expected {name} with at least one feature, got shape {values.shape}.")
    enough(function, name, len(values), least)
    return values


def pair(function: str, real: Any, generated: Any, least: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Two sets of feature vectors of the same length, (N, D) and (M, D), as float64."""
    real, generated = features(function, "real", real, least), features(function, "generated", generated, least)
    if real.shape[1] != generated.shape[1]:
        raise ShapeError(
            f"{function}: expected both sets to have the same features, got {real.shape[1]} for real and "
            f"{generated.shape[1]} for generated samples."
        )
    return real, generated


def probabilities(function: str, values: Any) -> np.ndarray:
    """Class probabilities (N, K), at least one row; each row is non-negative and sums to 1 within 10⁻³."""
    values = features(function, "probabilities", values, least=1)
    if values.min() < 0 or np.abs(values.sum(axis=1) - 1).max() > 1e-3:
        raise DataError(f"{function}: expected rows of probabilities, which sum to 1; pass logits through softmax.")
    return values


def enough(function: str, name: str, count: int, least: int) -> None:
    if count < least:
        raise DataError(f"{function}: expected at least {least} samples in {name}, got {count}.")


def whole(function: str, name: str, value: Any, least: int, most: int | None = None) -> int:
    """A whole number from `least` to `most`."""
    fits = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not fits or value < least or (most is not None and value > most):
        span = f"from {least}" if most is None else f"from {least} to {most}"
        raise ConfigError(f"{function}: {name} must be a whole number {span}, got {value!r}.")
    return int(value)


def share(function: str, value: float) -> float:
    if not 0 <= value <= 1:
        raise ConfigError(f"{function}: share must lie in [0, 1], got {value}.")
    return value


def generator(function: str, rng: Any) -> np.random.Generator:
    if not isinstance(rng, np.random.Generator):
        raise DtypeError(
            f"{function}: rng must be a numpy.random.Generator, got {type(rng).__name__}; "
            "make one with np.random.default_rng(seed)."
        )
    return rng
