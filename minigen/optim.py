"""Optimizers, gradient clipping, learning-rate schedules, and who plays: :class:`Player`.

Letters: θ a parameter, g = ∂L/∂θ its gradient, η the learning rate, λ the weight decay. Updates give the numbers that
PyTorch's optimizers of the same name give.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from . import backend, kernels
from .backend import Array, xp
from .errors import BackendError, ConfigError, GraphError, ShapeError
from .tensor import Tensor

__all__ = ["SGD", "Adam", "AdamW", "Optimizer", "Player", "RMSprop", "clip_grad_norm", "cosine", "warmup"]


class Optimizer:
    """Changes leaf tensors in place, step by step, against their gradients.

    parameters: the leaves, in an order that stays the same (states are saved by position).
    lr: the learning rate η; assign ``optimizer.lr`` before a step to follow a schedule.
    after_step: called at the end of every step, where one is assigned: to clip weights, say.
    """

    after_step: Callable[[], None] | None = None

    averages: tuple[str, ...] = ()  # the arrays of θ's shape that a rule carries from step to step, zero at first

    def __init__(self, parameters: Sequence[Tensor], lr: float):
        self.name = type(self).__name__
        self.parameters = list(parameters)
        self.lr = self._positive("lr", lr)
        if not self.parameters:
            raise ConfigError(f"{self.name}: expected parameters to optimise, got an empty list.")
        for i, p in enumerate(self.parameters):
            if not isinstance(p, Tensor) or not p.is_leaf or not p.requires_grad:
                raise ConfigError(
                    f"{self.name}: parameter {i} must be a leaf tensor, got {_describe(p)}; "
                    "make it with minigen.tensor(..., requires_grad=True)."
                )
        if len(set(map(id, self.parameters))) < len(self.parameters):
            raise ConfigError(f"{self.name}: a parameter is listed twice and would be updated twice a step.")
        self.steps = [0] * len(self.parameters)
        self.state = {name: [xp.zeros_like(p.data) for p in self.parameters] for name in self.averages}

    def step(self, gradients: Sequence[Tensor | Array | None] | None = None) -> None:
        """One update of every parameter: from `gradients`, in the order of the parameters, or else from each `.grad`.

        A parameter whose gradient is None stays as it is. Errors: no gradient at all, a wrong number or shape.
        """
        if gradients is None:
            gradients = [p.grad for p in self.parameters]
        if len(gradients) != len(self.parameters):
            raise ShapeError(
                f"{self.name}.step: expected {len(self.parameters)} gradients, one per parameter, got {len(gradients)}."
            )
        if all(g is None for g in gradients):
            raise GraphError(f"{self.name}.step: no parameter has a gradient; call backward() on the loss first.")
        moving = []
        for i, (p, g) in enumerate(zip(self.parameters, gradients, strict=True)):
            if g is None:
                continue
            if isinstance(g, Tensor):
                g = g.data
            if g.shape != p.shape:
                raise ShapeError(
                    f"{self.name}.step: gradient {i} must have the shape {p.shape} of its parameter, got {g.shape}."
                )
            if backend.name_of(g) != backend.name_of(p.data):
                raise BackendError(
                    f"{self.name}.step: parameter {i} is a {backend.name_of(p.data)} array, its gradient a "
                    f"{backend.name_of(g)} array; move one with .to(...)."
                )
            moving.append((i, g))
        for i, _ in moving:
            self.steps[i] += 1
            self.parameters[i].mark_updated()
        self._update(
            [self.parameters[i].data for i, _ in moving], [g for _, g in moving],
            *([arrays[i] for i, _ in moving] for arrays in self.state.values()), ts=[self.steps[i] for i, _ in moving],
        )  # fmt: skip
        if self.after_step is not None:
            self.after_step()

    def _update(self, ps: list[Array], gs: list[Array], *averages: list[Array], ts: list[int]) -> None:
        """Change the arrays ps and their averages in place; t = 1, 2, … counts the updates of a parameter."""
        raise NotImplementedError

    def zero_grad(self) -> None:
        """Forget the gradients that backward passes have added up."""
        for p in self.parameters:
            p.grad = None

    def state_dict(self) -> dict[str, dict]:
        """What a resumed run needs: {"arrays": {"m.0": copy, …}, "scalars": {…}}, the scalars fit for JSON."""
        arrays = {f"{name}.{i}": a.copy() for name, of in self.state.items() for i, a in enumerate(of)}
        return {"arrays": arrays, "scalars": {"optimizer": self.name, "lr": self.lr, "steps": list(self.steps)}}

    def load_state_dict(self, state: dict[str, dict]) -> None:
        """Go on where the optimizer that gave `state` stood. Nothing is changed if `state` does not fit."""
        arrays, scalars = state["arrays"], state["scalars"]
        if not isinstance(scalars, dict):
            raise ConfigError(f"{self.name}: expected the scalars of a state, a dict, got a {type(scalars).__name__}.")
        for name in ("optimizer", "lr", "steps"):
            if name not in scalars:
                raise ConfigError(f"{self.name}: the state lacks {name!r}.")
        if scalars["optimizer"] != self.name:
            raise ConfigError(f"{self.name}: the state was saved by {scalars['optimizer']}; use that optimizer.")
        lr, steps = scalars["lr"], scalars["steps"]
        counted = isinstance(steps, list) and all(isinstance(t, int) and t >= 0 for t in steps)
        if not counted or not isinstance(lr, int | float) or not 0 <= lr < math.inf:
            raise ConfigError(
                f"{self.name}: no optimizer can have the steps {steps!r} and lr {lr!r}; take another state."
            )
        if len(steps) != len(self.steps):
            raise ConfigError(f"{self.name}: the state is of {len(steps)} parameters, but there are {len(self.steps)}.")
        targets = {f"{name}.{i}": a for name, of in self.state.items() for i, a in enumerate(of)}
        for name in sorted(targets.keys() ^ arrays.keys()):
            raise ConfigError(f"{self.name}: the state {'lacks' if name in targets else 'has an unknown'} {name!r}.")
        for name, target in targets.items():
            if arrays[name].shape != target.shape or arrays[name].dtype != target.dtype:
                raise ConfigError(
                    f"{self.name}: state {name!r} must be {target.dtype}{list(target.shape)}, "
                    f"got {arrays[name].dtype}{list(arrays[name].shape)}."
                )
        for name, target in targets.items():
            target[...] = backend.to(arrays[name], backend.backend_of(target))
        self.lr, self.steps = lr, list(steps)

    def _positive(self, name: str, value: float) -> float:
        if not 0 < value < math.inf:
            raise ConfigError(f"{self.name}: {name} must be a positive number, got {value}.")
        return value

    def _fraction(self, name: str, value: float) -> float:
        if not 0 <= value < 1:
            raise ConfigError(f"{self.name}: {name} must lie in [0, 1), got {value}.")
        return value

    def _decay(self, value: float) -> float:
        if not 0 <= value < math.inf:
            raise ConfigError(f"{self.name}: weight_decay must not be negative, got {value}.")
        return value


class SGD(Optimizer):
    """m ← μ m + g,   θ ← θ − η m        stochastic gradient descent with momentum μ (Polyak 1964)

    With `nesterov`: θ ← θ − η (g + μ m), the gradient where the momentum is about to go (Nesterov 1983; in this form
    Sutskever et al. 2013). μ = 0: θ ← θ − η g. `weight_decay` λ: g ← g + λ θ first.
    """

    def __init__(self, parameters: Sequence[Tensor], lr: float, momentum: float = 0.0, nesterov: bool = False,
                 weight_decay: float = 0.0):  # fmt: skip
        self.averages = ("m",) if momentum else ()
        super().__init__(parameters, lr)
        self.momentum = self._fraction("momentum", momentum)
        self.weight_decay = self._decay(weight_decay)
        self.nesterov = nesterov
        if nesterov and not momentum:
            raise ConfigError("SGD: nesterov needs a momentum above 0; pass momentum=0.9.")

    def _update(self, ps, gs, ms=None, *, ts):
        for p, g, m in zip(ps, gs, ms or [None] * len(ps)):
            kernels.sgd_step(p, g, m, self.lr, self.momentum, self.nesterov, self.weight_decay)


class RMSprop(Optimizer):
    """v ← α v + (1 − α) g²,   θ ← θ − η g / (√v + ε)        (Hinton 2012, lecture 6e of Neural Networks)"""

    averages = ("v",)

    def __init__(self, parameters: Sequence[Tensor], lr: float = 0.01, alpha: float = 0.99, eps: float = 1e-8):
        super().__init__(parameters, lr)
        self.alpha = self._fraction("alpha", alpha)
        self.eps = self._positive("eps", eps)

    def _update(self, ps, gs, vs, *, ts):
        for p, g, v in zip(ps, gs, vs):
            kernels.rmsprop_step(p, g, v, self.lr, self.alpha, self.eps)


class Adam(Optimizer):
    """θ ← θ − η m̂ / (√v̂ + ε)        (Kingma & Ba 2015, algorithm 1)

    m ← β₁ m + (1 − β₁) g,    m̂ = m / (1 − β₁ᵗ)        the mean of the gradients
    v ← β₂ v + (1 − β₂) g²,   v̂ = v / (1 − β₂ᵗ)        the mean of their squares

    Both averages start at 0; dividing by 1 − βᵗ takes that start out of them. t = 1, 2, … counts the steps.
    """

    averages = ("m", "v")

    def __init__(self, parameters: Sequence[Tensor], lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999),
                 eps: float = 1e-8):  # fmt: skip
        super().__init__(parameters, lr)
        self.betas = (self._fraction("betas[0]", betas[0]), self._fraction("betas[1]", betas[1]))
        self.eps = self._positive("eps", eps)

    def _update(self, ps, gs, ms, vs, *, ts):
        kernels.adam_steps(ps, gs, ms, vs, ts, self.lr, *self.betas, self.eps, [self._decay_of(p) for p in ps])

    def _decay_of(self, p: Array) -> float:
        """λ"""
        return 0.0


class AdamW(Adam):
    """θ ← (1 − η λ) θ − η m̂ / (√v̂ + ε)        Adam with decoupled weight decay λ (Loshchilov & Hutter 2019)

    The decay acts on θ alone and not, as L2 regularisation does, on the gradient that the averages m and v see. With
    `matrices_only` parameters of one axis, biases and the scales of normalisation, do not decay.
    """

    def __init__(self, parameters: Sequence[Tensor], lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999),
                 eps: float = 1e-8, weight_decay: float = 0.01, matrices_only: bool = False):  # fmt: skip
        super().__init__(parameters, lr, betas, eps)
        self.weight_decay = self._decay(weight_decay)
        self.matrices_only = matrices_only

    def _decay_of(self, p):
        return 0.0 if self.matrices_only and p.ndim < 2 else self.weight_decay


def clip_grad_norm(gradients: Sequence[Tensor | Array | None], max_norm: float) -> Tensor:
    """g ← g · min(1, max_norm / ‖g‖) in place, where ‖g‖ = √(Σ g²) over all gradients together (Pascanu et al. 2013).

    Returns the norm before clipping, a tensor of shape () (on a device nothing waits for it). None entries are skipped;
    as in PyTorch 10⁻⁶ is added to the norm that divides. A NaN in any gradient makes the norm and all of them NaN.
    """
    if not max_norm > 0:
        raise ConfigError(f"clip_grad_norm: max_norm must be positive, got {max_norm}.")
    for i, g in enumerate(gradients):
        if isinstance(g, Tensor) and g.node is not None:
            raise GraphError(
                f"clip_grad_norm: gradient {i} is a recorded computation and cannot be changed in place; "
                "compute it without create_graph=True."
            )
    arrays = [g.data if isinstance(g, Tensor) else g for g in gradients if g is not None]
    if not arrays:
        raise GraphError("clip_grad_norm: there is no gradient to clip; call backward() on the loss first.")
    norm = kernels.clip_norm(arrays, max_norm)
    return Tensor(norm if backend.is_array(norm) else xp.asarray(norm))


# -- schedules: the learning rate of a step, counted from 0 ------------------------------------------------------------


def warmup(step: int, steps: int, lr: float) -> float:
    """η · min(1, (step + 1) / steps)        from small to full learning rate in a straight line (Goyal et al. 2017)"""
    return lr * min(1.0, (step + 1) / steps) if steps > 0 else lr


def cosine(step: int, total: int, warmup: int, lr: float, min_lr: float = 0.0) -> float:
    """η_min + ½ (η − η_min) (1 + cos(π s))        half a cosine wave from η to η_min (Loshchilov & Hutter 2017)

    s goes from 0 to 1 between the steps `warmup` and `total`. Before, η · (step + 1) / warmup; after, η_min.
    """
    if step < warmup:
        return lr * (step + 1) / warmup
    s = min(1.0, (step - warmup) / max(1, total - warmup))
    return min_lr + 0.5 * (lr - min_lr) * (1 + math.cos(math.pi * s))


# -- who trains -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Player:
    """Who minimises what over which parameters.

    A VAE has one player. A GAN has two, whose objectives pull against each other: the discriminator minimises its
    loss over its own parameters, the generator another over its own. In every round the training loop lets each
    player in turn, `repeats` times, draw a batch, compute ``loss, metrics = objective(batch, rng)``, differentiate
    the loss with respect to `parameters` alone, and step its optimizer.

    objective: from a batch and a random generator to a scalar Tensor and {name: value, or a function that gives it} to
        be logged.
    schedule: the learning rate as a function of the step, counted from 0; None leaves the optimizer's own.
    clip: the largest norm that the gradients may have together, see :func:`clip_grad_norm`.
    """

    name: str
    parameters: list[Tensor]
    objective: Callable[[Any, Any], tuple[Tensor, dict[str, Any]]]
    optimizer: Optimizer
    repeats: int = 1
    schedule: Callable[[int], float] | None = None
    clip: float | None = None

    def __post_init__(self) -> None:
        if self.repeats < 1:
            raise ConfigError(f"player {self.name!r}: repeats must be at least 1, got {self.repeats}.")


def _describe(p: object) -> str:
    if not isinstance(p, Tensor):
        return type(p).__name__
    return f"the result of {p.node.op.name!r}" if p.node is not None else "a tensor that requires no gradient"
