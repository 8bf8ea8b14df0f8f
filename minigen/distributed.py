"""Several processes that train one model together, on MPI: each computes its shard of every batch.

Let process i have nᵢ of the n items of a batch, and let Lᵢ be the mean loss of these. Then

    L = Σᵢ wᵢ Lᵢ,   ∂L/∂θ = Σᵢ wᵢ ∂Lᵢ/∂θ,   wᵢ = nᵢ / n

and this weighted mean, :func:`mean`, is all that the processes tell each other about a step: of the loss with the
gradients of a player, in one message; of the moments of batch normalisation; of what is logged. All else is the same in
every process: parameters, optimizers, the order of the data and the random generators, from which each process draws
as for the whole batch, to take its own rows (:meth:`Shard.draws`). So N processes compute what one would, up to the
rounding of sums, and a checkpoint does not know how many have made it.

Before :func:`start` there is one process, to which all this costs nothing. This is the only module that imports mpi4py.
"""

from __future__ import annotations

import math
import os
import sys
import time
from typing import Any

import numpy as np

from . import backend
from .backend import Array, xp
from .errors import BackendError, ConfigError

__all__ = ["Shard", "abort", "alone", "failing", "mean", "most", "rank", "size", "start", "wait", "whole"]

LAUNCHERS = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE")  # where MPICH's and Open MPI's mpirun say how many they have started
SPIN = 1e-4  # seconds for which a process looks for an answer all the time; then it looks now and then
RATE = 1e9  # of a large message it looks for so many bytes a second longer
PATIENCE = 5.0  # seconds that one process waits for the others to fail as it does

_mpi: Any = None  # mpi4py.MPI, once it has been asked for
_failures: Any = None  # a communicator of its own for processes that fail, while others wait in the world's
_shard: Shard | None = None  # the shard of the step that is being computed


def start() -> None:
    """Join the processes that mpirun has started; without mpirun there is one. Raises BackendError where MPI lacks."""
    global _mpi, _failures
    if _mpi is not None:
        return
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:  # no mpi4py, or no MPI library for it
        raise BackendError(f"--distributed needs MPI: pip install 'minigen[mpi]' ({error}).") from error
    started = max(int(os.environ.get(name, 1)) for name in LAUNCHERS)
    if started > 1 and MPI.COMM_WORLD.size == 1:
        raise BackendError(
            f"mpirun has started {started} processes that do not see each other, as mpi4py uses another MPI library, "
            f"{MPI.Get_library_version().split(',')[0].split()[0]}; start them with the mpirun of that library."
        )
    _mpi, _failures = MPI, MPI.COMM_WORLD.Dup()
    if size() > 1:
        sys.excepthook = _abort_after(sys.excepthook)


def rank() -> int:
    """The number of this process, from 0. The first one logs and saves."""
    return 0 if _mpi is None else _mpi.COMM_WORLD.rank


def size() -> int:
    """How many processes there are."""
    return 1 if _mpi is None else _mpi.COMM_WORLD.size


class Shard:
    """The rows that this process computes of a batch of n. ``with shard:`` the functions below mean that batch.

    Raises ConfigError if there are fewer items than processes.
    """

    def __init__(self, n: int):
        if n < size():
            raise ConfigError(
                f"batch_size: {n} items cannot be shared out to {size()} processes; choose a larger batch_size, or "
                "fewer processes."
            )
        self.n = n
        self.rows = slice(n * rank() // size(), n * (rank() + 1) // size())
        self.length = self.rows.stop - self.rows.start

    def __enter__(self) -> Shard:
        global _shard
        _shard = self if size() > 1 else None
        return self

    def __exit__(self, *_: object) -> None:
        global _shard
        _shard = None

    def draws(self, rng: np.random.Generator) -> Any:
        """What an objective gets as its generator: it asks for its own rows, and `rng` draws as for the whole batch."""
        return rng if size() == 1 else _Draws(self, rng)


def alone() -> bool:
    """Is the batch of this step in one piece?"""
    return _shard is None


def whole(count: int) -> int:
    """How many values the whole batch has, where this process has `count`."""
    return count if _shard is None else count * _shard.n // _shard.length


def mean(*arrays: Array) -> list[Array]:
    """Σᵢ wᵢ aᵢ over the processes, of each array a; all arrays in one message.

    Every process gets the same bits, as MPI's standard advises and its libraries do. Arrays of a device go by way of
    the host. One process gets its own arrays back.
    """
    if _shard is None:
        return list(arrays)
    flat = xp.concatenate([a.reshape(-1) for a in arrays])
    message = backend.to_host(flat)
    message *= _shard.length / _shard.n
    _finish(_mpi.COMM_WORLD.Iallreduce(_mpi.IN_PLACE, message), message.nbytes)
    flat = backend.to(message, backend.name_of(flat))
    ends = np.cumsum([a.size for a in arrays]).tolist()
    parts = (flat[end - a.size : end].reshape(a.shape) for a, end in zip(arrays, ends))
    return [part.astype(a.dtype, copy=False) for part, a in zip(parts, arrays)]


def most(*values: float) -> list[float]:
    """The largest of each value over the processes, the same for all of them."""
    if size() == 1:
        return list(values)
    message = np.array(values, np.float64)
    _finish(_mpi.COMM_WORLD.Iallreduce(_mpi.IN_PLACE, message, op=_mpi.MAX))
    return message.tolist()


def wait() -> None:
    """Go on when all processes have come here."""
    if size() > 1:
        _finish(_mpi.COMM_WORLD.Ibarrier())


def _finish(request: Any, size: int = 0, patience: float = math.inf) -> bool:
    """Wait for the other processes, and for `size` bytes to pass: has all arrived, before patience ends?

    MPI's own waiting never lets go of a core. Where there are more processes than cores, the one that is waited for
    needs it: an average of a few numbers took six times as long. But while bytes pass, MPI must be asked to go on.
    """
    begin = time.monotonic()
    end, busy = begin + patience, begin + SPIN + size / RATE
    while not request.Test():
        if time.monotonic() > end:
            return False
        if time.monotonic() > busy:
            time.sleep(2e-5)
    return True


# -- random numbers ---------------------------------------------------------------------------------------------------


class _Draws:
    """The numbers that `rng` draws for the rows of a whole batch; those of the shard are handed out.

    A uniform float32 takes 32 bits, so that those of other rows can be jumped over. How many bits a normal number takes
    is known only when it has been drawn: each process draws all of them.
    """

    def __init__(self, shard: Shard, rng: np.random.Generator):
        self.shard, self.rng = shard, rng

    def standard_normal(self, shape: tuple[int, ...], dtype: Any = np.float64) -> np.ndarray:
        return self.rng.standard_normal(self._whole(shape), dtype=dtype)[self.shard.rows]

    def random(self, shape: tuple[int, ...], dtype: Any = np.float64) -> np.ndarray:
        n, rows = self._whole(shape)[0], self.shard.rows
        if dtype != np.float32:
            return self.rng.random((n, *shape[1:]), dtype=dtype)[rows]
        row = math.prod(shape[1:])
        _jump(self.rng, rows.start * row)
        draws = self.rng.random(shape, dtype=dtype)
        _jump(self.rng, (n - rows.stop) * row)
        return draws

    def _whole(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        if not shape or shape[0] != self.shard.length:
            raise ConfigError(
                f"an objective drew random numbers of shape {shape} for {self.shard.length} of the {self.shard.n} "
                "items of a batch; with several processes axis 0 must be that of the items."
            )
        return (self.shard.n, *shape[1:])


def _jump(rng: np.random.Generator, count: int) -> None:
    """Bring the generator, a PCG64, to where it is after `count` uniform float32.

    It makes 64 bits at once and keeps the second half for the next number. It jumps over pairs of numbers, but not over
    the last one, so that what it keeps is the same, too.
    """
    if count > 4:
        half = rng.bit_generator.state["has_uint32"]
        pairs = (count - half) // 2 - 1
        rng.random(half, dtype=np.float32)
        rng.bit_generator.advance(pairs)
        count -= half + 2 * pairs
    rng.random(count, dtype=np.float32)


# -- when a process fails ---------------------------------------------------------------------------------------------


def failing() -> bool:
    """Asked by a process that is about to end with an error: do all of them fail? It waits a moment for the others."""
    if size() == 1:
        return True
    return _finish(_failures.Ibarrier(), patience=PATIENCE)


def abort(code: int) -> None:
    """End all processes, which may be waiting for this one; mpirun leaves with `code`."""
    sys.stderr.flush()
    time.sleep(0.1)  # in which mpirun passes on what was said
    _mpi.COMM_WORLD.Abort(code)


def _abort_after(hook: Any) -> Any:
    """What Python does with an error that nobody has caught, and then the end of all processes."""

    def excepthook(*error: Any) -> None:
        hook(*error)
        abort(1)

    return excepthook
