"""In which order the examples are seen, and how to go on in that order after an interruption."""

import operator
from typing import Any

import numpy as np

from ..errors import ConfigError, DataError, DtypeError


class Batches:
    """An endless iterator over batches of indices into n examples: int64 (batch_size,).

    Each epoch visits the examples in a fresh permutation, drawn from ``generator`` when the epoch starts. The last
    n mod batch_size indices of a permutation make no full batch and are dropped.

    epoch     the epoch of the last batch, from 0
    position  how many indices of that epoch's permutation have been given out

    Raises ConfigError unless 1 <= batch_size <= n.
    """

    def __init__(self, n: int, batch_size: int, generator: np.random.Generator) -> None:
        if not isinstance(generator, np.random.Generator):
            raise DtypeError(
                f"Batches: generator is a {type(generator).__name__}, expected a numpy.random.Generator; "
                "make one with np.random.default_rng(seed)."
            )
        self.n, self.batch_size = _whole("n", n), _whole("batch_size", batch_size)
        if self.n < 1:
            raise ConfigError(f"Batches: expected at least one example, came n = {n}; check the data.")
        if not 1 <= self.batch_size <= self.n:
            raise ConfigError(
                f"Batches: expected a batch_size from 1 to the {n} examples there are, came {batch_size}; "
                "choose another batch_size."
            )
        self.generator = generator
        self.epoch = -1
        self._next_epoch()

    @property
    def batches_per_epoch(self) -> int:
        """⌊n / batch_size⌋"""
        return self.n // self.batch_size

    def __iter__(self) -> "Batches":
        return self

    def __next__(self) -> np.ndarray:
        if self.position + self.batch_size > self.n:
            self._next_epoch()
        batch = self._order[self.position : self.position + self.batch_size].copy()
        self.position += self.batch_size
        return batch

    def _next_epoch(self) -> None:
        self._epoch_start = _plain(self.generator.bit_generator.state)
        self._order = self.generator.permutation(self.n)
        self.epoch, self.position = self.epoch + 1, 0

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to go on from here, as JSON can hold it.

        The permutation is kept as the generator's state before it was drawn.
        """
        return {
            "n": self.n,
            "batch_size": self.batch_size,
            "epoch": self.epoch,
            "position": self.position,
            "epoch_start": self._epoch_start,
            "generator": _plain(self.generator.bit_generator.state),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where ``state`` was taken; the generator, which others may share, gets the state it had then.

        Raises ConfigError if n, batch_size or the kind of generator differ, DataError if ``state`` is not a state.
        """
        missing = self.state_dict().keys() - state.keys()
        if missing:
            raise DataError(f"Batches: the saved state lacks {', '.join(sorted(missing))}; take another checkpoint.")
        for name, mine in (("n", self.n), ("batch_size", self.batch_size)):
            if state[name] != mine:
                raise ConfigError(
                    f"Batches: expected the saved {name} = {state[name]}, came {mine}; "
                    "go on with the data and batch size of the saved run."
                )
        epoch, position = state["epoch"], state["position"]
        counts = isinstance(epoch, int) and isinstance(position, int)
        if not counts or epoch < 0 or not 0 <= position <= self.n or position % self.batch_size:
            raise DataError(f"Batches: no run can be at epoch {epoch}, position {position}; take another checkpoint.")
        bits = self.generator.bit_generator
        before = bits.state
        try:
            bits.state = state["epoch_start"]
            order = self.generator.permutation(self.n)
            bits.state = state["generator"]
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            bits.state = before
            raise ConfigError(
                f"Batches: the saved generator does not fit {type(bits).__name__} ({error}); "
                "go on with the kind of generator of the saved run."
            ) from error
        self._order, self._epoch_start = order, _plain(state["epoch_start"])
        self.epoch, self.position = epoch, position


def _whole(name: str, value: int) -> int:
    try:
        return operator.index(value)
    except TypeError as error:
        raise ConfigError(f"Batches: expected a whole number for {name}, came {value!r}; round it.") from error


def _plain(value: Any) -> Any:
    """The state of any bit generator in the types of JSON; its arrays become lists, which NumPy takes back."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value
