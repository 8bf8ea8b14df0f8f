"""Does a gradient agree with differences of the function? :func:`gradcheck`, and :func:`gradgradcheck` one order up.

Let f have inputs x and outputs y, and let g be a random cotangent. A backward pass computes ∂φ/∂x of φ(x) = Σ g ⊙ f(x).
The check computes the slope of φ along a direction v a second time, from values of f alone:

* central differences:  Σ g ⊙ (f(x + hv) − f(x − hv)) / 2h,  wrong by O(h²), plus rounding of size ε|f|/h. With
  ε ≈ 2·10⁻¹⁶ the sum of both is smallest near h = ∛ε · max(1, |x|), where some ten digits are right. Where |x| > 1 and
  the slopes disagree, h = ∛ε is tried too: f may change over distances of 1 wherever x lies, as softmax does.
* the complex step:  Σ g ⊙ Im f(x + ihv) / h,  for an f that is analytic and accepts complex numbers. Nothing is
  subtracted, so h = 10⁻²⁰ does and all digits are right (Squire & Trapp 1998, SIAM Review 40, 110–112).

Small inputs are checked at every element (v = a unit vector), large ones along random directions. The cotangent is
random, never ones: with ones, Σᵢ softmax(x)ᵢ = 1 has gradient 0, and a rule that returns zeros would pass.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import backend
from .errors import ConfigError, DtypeError, GradientError, ShapeError
from .tensor import Tensor, grad, tensor

__all__ = ["Comparison", "GradientReport", "gradcheck", "gradgradcheck"]

METHODS = ("central", "complex")
COMPLEX_STEP = 1e-20
CENTRAL_STEP = float(np.cbrt(np.finfo(np.float64).eps))


@dataclass(frozen=True)
class Comparison:
    """One slope, computed twice. `index` is the element of the input, or "direction k" for a large input."""

    input: str
    index: tuple[int, ...] | str
    analytic: float
    numeric: float

    @property
    def error(self) -> float:
        return abs(self.analytic - self.numeric)

    def __str__(self) -> str:
        where = self.index if isinstance(self.index, str) else f"index {self.index}"
        return f"{self.input}, {where}: analytic {self.analytic:.10g}, numeric {self.numeric:.10g}"


@dataclass(frozen=True)
class GradientReport:
    """What a check that passed has compared."""

    comparisons: tuple[Comparison, ...]

    @property
    def worst(self) -> Comparison | None:
        """The comparison with the largest error; None where the inputs have no elements."""
        return max(self.comparisons, key=lambda c: c.error, default=None)

    @property
    def max_error(self) -> float:
        return self.worst.error if self.comparisons else 0.0

    def __str__(self) -> str:
        return f"{len(self.comparisons)} slopes agree; largest error {self.max_error:.2g} at {self.worst}"


def gradcheck(f: Callable[..., Any], inputs: Any, *, method: str = "central", rtol: float = 1e-5, atol: float = 1e-7,
              limit: int = 200, directions: int = 8, seed: int = 0) -> GradientReport:  # fmt: skip
    """Compare the gradients of `f` with differences of its values; raise :class:`GradientError` where they disagree.

    f: takes Tensors, one per input, and returns a Tensor or a tuple of Tensors; the same values for the same inputs.
    inputs: one input or a sequence. Checked are float64 arrays and Tensors with ``requires_grad``; the others
        (Tensors without, integers, numbers, …) are constants. float32 is refused: a difference of two float32 values
        that agree in six of seven digits says nothing.
    method: "central" or "complex" (see the top of this module).
    rtol, atol: slopes agree where |analytic − numeric| ≤ atol + rtol · max(|analytic|, |numeric|).
    limit, directions: an input of more than `limit` elements is checked along that many random directions.
    seed: of the cotangents and directions.
    """
    if method not in METHODS:
        raise ConfigError(f"gradcheck: expected method {' or '.join(METHODS)}, got {method!r}.")
    arguments = list(inputs) if isinstance(inputs, list | tuple) else [inputs]
    checked = [i for i, a in enumerate(arguments) if _is_checked(a, i)]
    names = {i: f"input {i}" + (f" ({a.name})" if isinstance(a, Tensor) and a.name else "")
             for i, a in enumerate(arguments)}  # fmt: skip
    points = {i: _host(arguments[i]) for i in checked}
    rng = np.random.default_rng(seed)

    def call(changed: dict[int, np.ndarray]) -> tuple[list[Tensor], list[Tensor]]:
        """f at the given points: its leaves and its outputs."""
        dtype = np.result_type(np.float64, *changed.values())  # complex for all where one is
        tensors = {i: tensor(x, requires_grad=True, dtype=dtype) for i, x in {**points, **changed}.items()}
        ys = f(*(tensors.get(i, _constant(a)) for i, a in enumerate(arguments)))
        ys = list(ys) if isinstance(ys, list | tuple) else [ys]
        for y in ys:
            if not isinstance(y, Tensor):
                raise DtypeError(f"gradcheck: f must return Tensors, got {type(y).__name__}.")
            if y.dtype.kind == "f" and y.dtype != np.float64:
                raise DtypeError(
                    f"gradcheck: f got float64 and returned {y.dtype}; it must keep the dtype of its inputs."
                )
        return list(tensors.values()), [y for y in ys if y.dtype.kind in "fc"]

    leaves, outputs = call({})
    cotangents = [rng.standard_normal(y.shape) for y in outputs]
    gradients = _gradients(outputs, leaves, cotangents)
    values = [y.numpy() for y in outputs]
    if not all(np.array_equal(a, b.numpy(), equal_nan=True) for a, b in zip(values, call({})[1], strict=True)):
        raise GradientError("gradcheck: f gave different values for the same inputs; give it a generator with a seed.")

    def change(i: int, step: np.ndarray, weight: float) -> float:
        """φ(x + step) − φ(x − step), over `weight`; with the complex step Im φ(x + i step) over `weight`."""
        if method == "complex":
            ys = call({i: points[i] + 1j * step})[1]
            if not any(y.dtype.kind == "c" for y in ys) and ys:
                raise DtypeError("gradcheck: f returned real numbers for a complex input; use method='central'.")
            changes = [y.numpy().imag for y in ys]
        else:
            pairs = zip(call({i: points[i] + step})[1], call({i: points[i] - step})[1], strict=True)
            changes = [above.numpy() - below.numpy() for above, below in pairs]
        return float(sum(np.sum(g * d) for g, d in zip(cotangents, changes, strict=True)) / weight)

    comparisons = []
    for i, gradient in zip(checked, gradients, strict=True):
        x = points[i]
        if gradient.shape != x.shape or gradient.dtype != x.dtype:
            came = f"{gradient.dtype}{list(gradient.shape)}"
            raise ShapeError(f"gradcheck: {names[i]} is {x.dtype}{list(x.shape)}, but its gradient is {came}.")
        mine, steps = [], []
        for index, tries in _directions(x, limit, directions, rng):
            found = []
            for v, h in tries if method == "central" else [(tries[0][0], COMPLEX_STEP)]:
                slope = change(i, h * v, 2 * h if method == "central" else h)
                found.append((Comparison(names[i], index, float(np.sum(gradient * v)), slope), h * v))
                if _agree(found[-1][0], rtol, atol):
                    break
            comparison, step = min(found, key=lambda pair: _relative_error(pair[0]))
            mine.append(comparison)
            steps.append(step)
        wrong = [k for k, c in enumerate(mine) if not _agree(c, rtol, atol)]
        if wrong:
            first = max(wrong, key=lambda k: np.nan_to_num(mine[k].error, nan=np.inf))
            kink = method == "central" and _has_kink(call, cotangents, values, i, x, steps[first])
            raise GradientError(_message(mine, mine[first], len(wrong), kink, rtol, atol))
        comparisons += mine
    return GradientReport(tuple(comparisons))


def gradgradcheck(f: Callable[..., Any], inputs: Any, *, method: str = "central", rtol: float = 1e-5,
                  atol: float = 1e-7, limit: int = 200, directions: int = 8, seed: int = 0,
                  ) -> GradientReport:  # fmt: skip
    """The same check of second derivatives: :func:`gradcheck` of G(x, g) = ∂/∂x Σ g ⊙ f(x), by `create_graph=True`.

    G is checked with respect to the inputs x and the cotangents g, which are counted after the inputs in a report:
    with n inputs, "input n" is the cotangent of the first output.
    """
    arguments = list(inputs) if isinstance(inputs, list | tuple) else [inputs]
    wanted = [i for i, a in enumerate(arguments) if _is_checked(a, i)]
    sample = f(
        *(tensor(_host(a), requires_grad=True) if i in wanted else _constant(a) for i, a in enumerate(arguments))
    )
    sample = sample if isinstance(sample, list | tuple) else [sample]
    useful = [k for k, y in enumerate(sample) if y.requires_grad]
    if not useful:
        return GradientReport(())
    rng = np.random.default_rng([seed, 1])
    cotangents = [rng.standard_normal(sample[k].shape) for k in useful]

    def first_order(*args: Any) -> tuple[Tensor, ...]:
        xs, gs = args[: len(arguments)], args[len(arguments) :]
        ys = f(*xs)
        ys = ys if isinstance(ys, list | tuple) else [ys]
        return tuple(grad([ys[k] for k in useful], [xs[i] for i in wanted], list(gs), create_graph=True))

    return gradcheck(first_order, [*arguments, *cotangents], method=method, rtol=rtol, atol=atol,
                     limit=limit, directions=directions, seed=seed)  # fmt: skip


def _is_checked(a: Any, position: int) -> bool:
    """Is this input to be differentiated? float32 is refused."""
    if isinstance(a, Tensor):
        a, wanted = a.data, a.requires_grad
    else:
        wanted = backend.is_array(a) and a.dtype.kind == "f"
    if wanted and a.dtype != np.float64:
        raise DtypeError(
            f"gradcheck: input {position} is {a.dtype}, whose rounding hides a wrong gradient; "
            "pass float64, or a Tensor without requires_grad if it is a constant."
        )
    return wanted


def _host(a: Any) -> np.ndarray:
    return np.array(a.numpy() if isinstance(a, Tensor) else backend.to_host(a))


def _constant(a: Any) -> Any:
    if isinstance(a, Tensor):
        return a.detach()
    return backend.asarray(a) if backend.is_array(a) else a


def _gradients(outputs: Sequence[Tensor], leaves: list[Tensor], cotangents: list[np.ndarray]) -> list[np.ndarray]:
    """∂φ/∂leaf by a backward pass; an output without a history contributes nothing."""
    used = [k for k, y in enumerate(outputs) if y.requires_grad]
    if not used:
        return [np.zeros(leaf.shape) for leaf in leaves]
    found = grad([outputs[k] for k in used], leaves, [cotangents[k] for k in used])
    return [g.numpy() for g in found]


def _directions(x: np.ndarray, limit: int, count: int, rng: np.random.Generator):
    """(index, [(v, h), …]): every unit vector of a small input, random directions for a large one; steps to try."""
    scale = np.maximum(1.0, np.abs(x))
    if x.size <= limit:
        for index in np.ndindex(x.shape):
            v = np.zeros(x.shape)
            v[index] = 1.0
            yield index, [(v, CENTRAL_STEP * scale[index]), (v, CENTRAL_STEP)]
    else:
        for k in range(count):
            v = rng.standard_normal(x.shape)
            yield f"direction {k}", [(v * scale, CENTRAL_STEP), (v, CENTRAL_STEP)]


def _relative_error(c: Comparison) -> float:
    return np.inf if np.isnan(c.error) else c.error / max(abs(c.analytic), abs(c.numeric), 1e-300)


def _agree(c: Comparison, rtol: float, atol: float) -> bool:
    return c.error <= atol + rtol * max(abs(c.analytic), abs(c.numeric))  # False for NaN


def _has_kink(call: Callable, cotangents: list, values: list, i: int, x: np.ndarray, step: np.ndarray) -> bool:
    """Do the slopes to the left and to the right differ? Then f has no derivative here."""
    right, left = (
        float(sum(np.sum(g * (y.numpy() - y0)) for g, y, y0 in zip(cotangents, call({i: x + s})[1], values)) * sign)
        for s, sign in ((step, 1.0), (-step, -1.0))
    )
    return abs(right - left) > 1e-2 * max(abs(right), abs(left), 1e-300)


def _message(all_: list[Comparison], worst: Comparison, wrong: int, kink: bool, rtol: float, atol: float) -> str:
    return (
        f"gradcheck: {worst}; {wrong} of {len(all_)} slopes of {worst.input} differ by more than "
        f"{atol:g} + {rtol:g}·|slope|. {_meaning(all_, wrong, kink)}"
    )


def _meaning(comparisons: list[Comparison], wrong: int, kink: bool) -> str:
    """What such a disagreement usually means."""
    a = np.array([c.analytic for c in comparisons])
    n = np.array([c.numeric for c in comparisons])

    def close(x: np.ndarray, y: np.ndarray) -> bool:
        return np.allclose(x, y, rtol=1e-3, atol=1e-5 * np.abs(n).max())

    if not np.isfinite(n).all():
        return "f itself is not finite near this point: move the input into f's domain."
    if not np.isfinite(a).all():
        return "The analytic gradient is not finite: a division by zero, or infinity times zero, in the rule."
    if kink:
        return "The slopes to the left and to the right differ: f has a kink here; move the input away from it."
    if not a.any():
        return "The analytic gradient is zero: a missing rule, a detach, or a dependency that was not recorded."
    if close(n, np.zeros_like(n)):
        return "f does not change with this input, but its gradient says so: is it the gradient of another input?"
    if close(a, -n):
        return "The analytic gradient has the wrong sign."
    ratio = float(a @ n / (n @ n))
    if len(a) > 1 and close(a, ratio * n):
        whole = next((f"{r:.0f}" for r in (ratio, 1 / ratio) if abs(r) > 1.5 and abs(r - round(r)) < 1e-2), None)
        return f"The analytic gradient is {ratio:.4g} times the numeric one" + (
            f": a sum, mean or factor {whole} too many or missing?" if whole else ": a constant factor?"
        )
    if len(a) > 1 and close(np.sort(a), np.sort(n)):
        return "The right numbers stand in the wrong places: a transposed, flipped or rolled axis?"
    if wrong < len(a):
        return f"{len(a) - wrong} slopes are right: look at what is special about the others (edges, repeats, options)."
    return "No simple factor: a wrong formula, a missing term, or a missing sum over repeated use."
