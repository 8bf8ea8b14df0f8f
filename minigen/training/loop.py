"""The training loop: one for all models.

A model says who minimises what over which parameters (its `players`); the loop does the rest. One step is

    for each player, `repeats` times:
        batch      = the next items of the data
        L, metrics = objective(batch, rng)
        g          = ∂L/∂θ        for this player's own parameters θ, and only along the paths that lead to them
        θ          = optimizer(θ, g)

Nothing in a step waits for the device. Losses and metrics stay where they were computed until a line is logged; then
they are read, and with them whether anything has become infinite or NaN. A metric that is costly is a function, which
is called only then. On the CPU, where there is nothing to wait for, each loss is looked at before it changes a
parameter.

Several processes (:mod:`minigen.distributed`) each take their shard of a batch; L and g are then means over them all.
So L must be a mean over the items of a batch, and what is drawn for them have them on axis 0; a mean over something
else asks how much of it the whole batch has, as in :mod:`minigen.models.translation`. The first process has the
callbacks and the folder.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from .. import backend, distributed
from ..backend import Array, xp
from ..datasets import Batches
from ..errors import ConfigError, DataError, MinigenError, NonFiniteError, ShapeError
from ..optim import clip_grad_norm
from ..tensor import Tensor, grad, no_grad
from . import checkpoint
from .stop import Interrupt

# -- what the loop asks of a model ------------------------------------------------------------------------------------


class Optimizer(Protocol):
    """Changes the parameters from their gradients, in place."""

    lr: float

    def step(self, gradients: Sequence[Tensor]) -> None: ...
    def state_dict(self) -> dict[str, dict[str, Any]]: ...
    def load_state_dict(self, state: dict[str, dict[str, Any]]) -> None: ...


class Player(Protocol):
    """Who minimises what over which parameters: :class:`minigen.optim.Player`.

    Two more attributes are used where a player has them: ``clip``, the largest norm that its gradients may have
    together, and ``schedule``, the learning rate as a function of the step, counted from 0.
    """

    name: str
    parameters: Sequence[Tensor]
    objective: Callable[[tuple[Array, ...], Any], tuple[Tensor, dict[str, Any]]]
    optimizer: Optimizer
    repeats: int


class Model(Protocol):
    """What can be trained: an `nn.Module` with a configuration, players, data and samples.

    modality   what it makes: "image", "points", "text", "pairs" (one text from another), "music", "audio"
    config     a dataclass of all its settings, which JSON can hold; `config.reads` is the kind of its data
    prepare    a data set -> arrays that batches are cut from, all with one entry per item on axis 0
    about      where a model has it: {what: in words}, printed before a training

    What it makes is drawn by methods that depend on the modality:

    image   ``noise(n, rng)``: n latent points; ``sample(n, rng, noise=z)``: an array (n, C, H, W) in [0, 1], with
            noise a function of the parameters alone
    points  the same, with arrays (n, 2)
    text    ``write(prompt, n, rng)``: pieces of text, one by one (:class:`minigen.models.language.LanguageModel`)
    pairs   ``translate(texts)``: as many texts
    music   ``compose(primer, bars, rng)``: a :class:`minigen.datasets.Score`
    audio   ``generate(labels, n, rng)``: pieces of sound, one by one (:class:`minigen.models.audio.AudioModel`)
    """

    modality: str
    config: Any
    players: Sequence[Player]

    def prepare(self, dataset: Any) -> tuple[np.ndarray, ...]: ...
    def named_parameters(self) -> Iterator[tuple[str, Tensor]]: ...
    def named_buffers(self) -> Iterator[tuple[str, Tensor]]: ...
    def state_dict(self) -> dict[str, Array]: ...
    def load_state_dict(self, state: dict[str, Array]) -> None: ...
    def train(self) -> Any: ...
    def eval(self) -> Any: ...


HELD_OUT = 128  # items that a model is measured on before each checkpoint

# -- what else happens ------------------------------------------------------------------------------------------------

Record = dict[str, Any]  # {"step": …, "epoch": …, "seconds": …, then each metric: a number or None}


class Callback:
    """Told by the loop what happens, in the order of the callbacks; does nothing here.

    ========  ===========================================================================================
    start     before the first step of this process, also when a run goes on
    step      after every step; must not wait for the device, nor change the model
    log       after every `log_every` steps and the last, with the values that were read
    save      before a checkpoint is written
    complete  when all steps are done or the time is over, but not after Ctrl-C
    close     at the end, whatever happened
    ========  ===========================================================================================
    """

    def start(self, trainer: Trainer) -> None: ...
    def step(self, trainer: Trainer) -> None: ...
    def log(self, trainer: Trainer, record: Record) -> None: ...
    def save(self, trainer: Trainer) -> None: ...
    def complete(self, trainer: Trainer) -> None: ...
    def close(self, trainer: Trainer) -> None: ...


# -- random numbers ---------------------------------------------------------------------------------------------------


def generators(seed: int) -> dict[str, np.random.Generator]:
    """One independent generator for each purpose, so that, say, more samples never change the training."""
    purposes = ("weights", "order", "training", "samples")
    return dict(zip(purposes, np.random.default_rng(seed).spawn(len(purposes)), strict=True))


# -- the loop ---------------------------------------------------------------------------------------------------------


class Trainer:
    """Trains a model on prepared arrays.

    model, data   see :class:`Model`; the arrays of `data` are what ``model.prepare`` returned
    seed          decides the order of the data and every draw of the objectives
    folder        where checkpoints go; None keeps none
    log_every     steps from one line of the log to the next
    save_every    seconds from one checkpoint to the next; the end of training is always saved
    keep          how many of the newest checkpoints are kept, beside the best
    held_out      prepared arrays that are not trained on: each checkpoint says how good the model is on them
    callbacks     see :class:`Callback`

    step counts the steps done, seconds the time they took, `run` and earlier runs together.
    """

    def __init__(self, model: Model, data: Sequence[np.ndarray], *, batch_size: int, seed: int = 0,
                 folder: Path | None = None, log_every: int = 50, save_every: float = 60.0,
                 keep: int = checkpoint.KEPT, held_out: Sequence[np.ndarray] | None = None,
                 callbacks: Sequence[Callback] = ()):  # fmt: skip
        if log_every < 1:
            raise ConfigError(f"log_every: expected at least 1 step, came {log_every}.")
        lengths = [len(a) for a in data]
        if not lengths or min(lengths) != max(lengths):
            raise DataError(f"prepare: expected arrays with one entry per item, came lengths {lengths}.")
        if not model.players or len({p.name for p in model.players}) < len(model.players):
            names = [p.name for p in model.players]
            raise ConfigError(f"{type(model).__name__}: expected players with names of their own, came {names}.")
        rng = generators(seed)
        self.model, self.rng = model, rng["training"]
        self.batches = Batches(lengths[0], batch_size, rng["order"])
        self.shard = distributed.Shard(batch_size)
        self.data = tuple(map(backend.asarray, data))
        self.folder, self.log_every, self.save_every, self.keep = folder, log_every, save_every, keep
        self.held_out = held_out
        self.callbacks = list(callbacks)
        self.step, self.end = 0, 0
        self.saved: int | None = None  # the step of the last checkpoint
        self.last: dict[str, Any] = {}  # the values of the last step, still on the device
        self._logged = 0
        self._losses: list[tuple[int, str, Array]] = []  # since the last look at them
        self._seconds, self._since = 0.0, None

    @property
    def seconds(self) -> float:
        return self._seconds + (time.perf_counter() - self._since if self._since is not None else 0.0)

    @property
    def epoch(self) -> float:
        """How often the data have been seen, on average."""
        return self.batches.epoch + self.batches.position / self.batches.n

    def run(self, steps: int, budget: float = math.inf) -> int | None:
        """Train until `steps` steps are done in all, or the time is `budget` seconds, or a signal asks for an end.

        Then log, save, and return the signal's number, or None. Raises NonFiniteError when a loss, gradient,
        parameter or average of an optimizer has become infinite or NaN, DataError when a file cannot be written; the
        last checkpoint stays as it was.
        """
        self.end = steps
        self.model.train()
        self._since = time.perf_counter()
        saved_at = self.seconds
        try:
            with Interrupt() as interrupt, np.errstate(all="ignore"):  # we look for ourselves
                if self.folder is not None and self.saved is None:
                    self.save()  # so that whatever happens, there is something to go on from
                self._tell("start")
                # The clocks of several processes differ, and one may get a signal: they end together.
                while self.step < steps and not any(distributed.most(interrupt.signal or 0, self.seconds >= budget)):
                    self._one_step()
                    if self.step % self.log_every == 0:
                        self._log()
                    self._tell("step")
                    if self.folder is not None and self.seconds - saved_at >= self.save_every:
                        self.save()
                        saved_at = self.seconds
                signal = int(*distributed.most(interrupt.signal or 0)) or None
                if self.step > self._logged and self.last:
                    self._log()
                if self.folder is not None and self.saved != self.step:
                    self.save()
                if signal is None:
                    self._tell("complete")
        except BaseException as error:
            self._seconds, self._since = self.seconds, None
            with suppress(DataError):  # what went wrong first is what is told
                self._tell("close")
            if isinstance(error, DataError) and self.folder and self.saved in checkpoint.steps(self.folder):
                sentence = f"{str(error).rstrip('.')}; the checkpoint of step {self.saved} is untouched"
                raise DataError(f"{sentence}, and --resume goes on from it.") from error
            raise
        self._seconds, self._since = self.seconds, None
        self._tell("close")
        return signal

    def _one_step(self) -> None:
        look = (self.step + 1) % self.log_every == 0
        values: dict[str, Any] = {}
        for player in self.model.players:
            prefix = f"{player.name}." if len(self.model.players) > 1 else ""
            if (schedule := getattr(player, "schedule", None)) is not None:
                player.optimizer.lr = schedule(self.step)
            for _ in range(player.repeats):
                index = backend.asarray(next(self.batches)[self.shard.rows])
                with self.shard:
                    loss, metrics = player.objective(tuple(a[index] for a in self.data), self.shard.draws(self.rng))
                    if loss.shape != ():
                        came = f"came {loss.shape}; take its mean."
                        raise ShapeError(f"{player.name}: expected a loss of shape (), {came}")
                    found = grad(loss, player.parameters)
                    loss, *gradients = distributed.mean(loss.data, *(g.data for g in found))
                self._losses.append((self.step + 1, player.name, loss))
                if look or _at_hand(loss):
                    self._check_losses()
                if look:
                    self._check_gradients(player, gradients)
                if (clip := getattr(player, "clip", None)) is not None:
                    clip_grad_norm(gradients, clip)
                player.optimizer.step(gradients)
            values[f"{prefix}loss"] = loss
            values |= {f"{prefix}{k}": v.data if isinstance(v, Tensor) else v for k, v in metrics.items()}
        self.step, self.last = self.step + 1, values

    # -- what is written ------------------------------------------------------------------------------------------
    def _log(self) -> None:
        self._check_losses()
        record: Record = {"step": self.step, "epoch": round(self.epoch, 4), "seconds": round(self.seconds, 3)}
        numbers = [float(value() if callable(value) else value) for value in self.last.values()]
        with self.shard:
            (numbers,) = distributed.mean(np.array(numbers))
        record |= {name: _number(value) for name, value in zip(self.last, numbers)}
        self._logged = self.step
        self._tell("log", record)

    def save(self) -> None:
        """Write a checkpoint, if everything in it is a number; otherwise NonFiniteError."""
        self._check_losses()
        if (culprit := self._first_non_finite()) is not None:
            raise self._stopped(f"{culprit} at step {self.step}")
        self._tell("save")
        arrays, record = self.state()
        if (validation := self.validation()) is not None and math.isfinite(validation):
            record["validation"] = validation
        checkpoint.save(self.folder, self.step, arrays, record, keep=self.keep)
        self.saved = self.step

    def validation(self) -> float | None:
        """The loss on HELD_OUT of the held-out items in evaluation mode, or None without any, or with several players.

        The losses of players who play against each other do not say how good a model is.
        """
        if self.held_out is None or len(self.model.players) > 1:
            return None
        n = len(self.held_out[0])
        chosen = np.linspace(0, n - 1, min(n, HELD_OUT)).astype(np.int64)
        rng, total = generators(0)["samples"], 0.0
        self.model.eval()
        try:
            with no_grad():
                for i in range(0, len(chosen), 64):
                    index = chosen[i : i + 64]
                    batch = tuple(backend.asarray(a[index]) for a in self.held_out)
                    total += len(index) * self.model.players[0].objective(batch, rng)[0].item()
        finally:
            self.model.train()
        return total / len(chosen)

    def state(self) -> tuple[dict[str, Array], dict[str, Any]]:
        """All that a run needs to go on bit for bit: arrays, and what JSON can hold."""
        arrays = {f"model/{name}": a for name, a in self.model.state_dict().items()}
        optimizers = {}
        for player in self.model.players:
            state = player.optimizer.state_dict()
            arrays |= {f"optimizer/{player.name}/{name}": a for name, a in state["arrays"].items()}
            optimizers[player.name] = state["scalars"]
        record = {
            "seconds": self.seconds,
            "optimizers": optimizers,
            "data": self.batches.state_dict(),
            "rng": self.rng.bit_generator.state,
        }
        return arrays, record

    def restore(self, saved: checkpoint.Checkpoint) -> None:
        """Go on from a checkpoint. Raises an error that says what does not fit this model or these data."""
        for name, kind in {"seconds": float, "optimizers": dict, "data": dict, "rng": dict}.items():
            if not isinstance(saved.record.get(name), kind):
                raise DataError(f"{saved.path}: expected an entry {name}, a {kind.__name__}; the file is damaged.")
        if not 0 <= saved.record["seconds"] < math.inf:
            raise DataError(
                f"{saved.path}: no run can have taken {saved.record['seconds']} seconds; the file is damaged."
            )
        names = [player.name for player in self.model.players]
        if sorted(saved.record["optimizers"]) != sorted(names):
            theirs = ", ".join(saved.record["optimizers"])
            raise DataError(f"{saved.path}: it was saved with the players {theirs}; this model has {', '.join(names)}.")
        try:
            self.model.load_state_dict(weights(saved))
            for player in self.model.players:
                arrays = _below(saved.arrays, f"optimizer/{player.name}/")
                player.optimizer.load_state_dict({"arrays": arrays, "scalars": saved.record["optimizers"][player.name]})
            self.batches.load_state_dict(saved.record["data"])
        except MinigenError as error:
            raise type(error)(f"{saved.path}: {error}") from error
        try:
            self.rng.bit_generator.state = saved.record["rng"]
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            raise DataError(
                f"{saved.path}: expected the state of a generator ({error}); the file is damaged."
            ) from error
        self.step = self.saved = self._logged = saved.step
        self._seconds = saved.record["seconds"]

    def _tell(self, event: str, *what: Any) -> None:
        for callback in self.callbacks:
            getattr(callback, event)(self, *what)

    # -- numbers that are none ------------------------------------------------------------------------------------
    def _check_gradients(self, player: Player, gradients: Sequence[Array]) -> None:
        """Before an update that will be logged: are the gradients that it comes from finite?"""
        names = {id(t): name for name, t in self.model.named_parameters()}
        for i, (p, g) in enumerate(zip(player.parameters, gradients, strict=True)):
            if not _finite(g):
                name = names.get(id(p), f"number {i}")
                raise self._stopped(
                    f"the gradient of {name!r} with respect to the loss of {player.name!r} became "
                    f"{_kind(g)} at step {self.step + 1}"
                )

    def _check_losses(self) -> None:
        """Read the losses since the last look, all at once."""
        losses, self._losses = self._losses, []
        if not losses:
            return
        if len(losses) == 1:
            finite = [bool(xp.isfinite(losses[0][2]))]
        else:
            finite = backend.to_host(xp.isfinite(xp.stack([loss for _, _, loss in losses]))).tolist()
        if all(finite):
            return
        step, player, loss = losses[finite.index(False)]
        culprit = self._first_non_finite()
        origin = f"found at step {max(step, self.step)}: {culprit}" if culprit else "the parameters are still finite"
        raise self._stopped(f"the loss of {player!r} became {_kind(loss)} at step {step} ({origin})")

    def _first_non_finite(self) -> str | None:
        """The first tensor of the state that holds NaN or an infinity, in words. A buffer may hold infinities."""
        for name, t in self.model.named_parameters():
            if not _finite(t.data):
                return f"the parameter {name!r} is {_kind(t.data)}"
        for name, t in self.model.named_buffers():
            if bool(xp.isnan(t.data).any()):
                return f"the buffer {name!r} is nan"
        for player in self.model.players:
            for name, a in player.optimizer.state_dict()["arrays"].items():
                if not _finite(a):
                    return f"the average {name!r} of the optimizer of {player.name!r} is {_kind(a)}"
        return None

    def _stopped(self, what: str) -> NonFiniteError:
        kept = f"the checkpoint of step {self.saved} is untouched" if self.saved is not None else "nothing was saved"
        return NonFiniteError(f"training stopped: {what}; {kept}. A smaller --lr often helps.")


def weights(saved: checkpoint.Checkpoint) -> dict[str, np.ndarray]:
    """A checkpoint's parameters and buffers, for ``model.load_state_dict``."""
    return _below(saved.arrays, "model/")


def _below(arrays: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): a for name, a in arrays.items() if name.startswith(prefix)}


def _at_hand(a: Array) -> bool:
    """Can the value be read without waiting for a device?"""
    return backend.name_of(a) == "numpy"


def _finite(a: Array) -> bool:
    return a.dtype.kind not in "fc" or bool(xp.isfinite(a).all())


def _kind(a: Array) -> str:
    return "nan" if bool(xp.isnan(a).any()) else "infinite"


def _number(value: float) -> float | None:
    """A logged value as JSON has it: a metric that is no number is null."""
    return float(value) if math.isfinite(value) else None
