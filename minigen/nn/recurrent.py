"""Recurrent layers: RNN, GRU, LSTM, and the articles' cell of two sigmoids.

All are called alike, ``y, state = layer(x)``, with the examples first: x (N, T, in_features) -> y (N, T, features),
the hidden states of the last layer. `state` is a list with a tuple for each layer (and direction): (h,), of an LSTM
(h, c), each (N, features). Given back, ``layer(more, state)`` goes on where the sequence ended, and :meth:`step` reads
one symbol at a time.

Weights are laid out as in PyTorch: weight_ih (gates · features, in_features), weight_hh (gates · features, features),
with the gates in the order i, f, g, o (LSTM) and r, z, n (GRU). There is one bias where PyTorch has two, because only
their sum counts; the GRU has a second one, bias_hn, where it does not. All start as U(−a, a), a = 1/√features.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

from .. import backend, ops
from ..backend import Array, xp
from ..errors import ConfigError, DataError, DtypeError, ShapeError
from ..tensor import Tensor
from .linear import _at, check_sizes, parameter
from .module import Module
from .normalization import Dropout

__all__ = ["GRU", "LSTM", "RNN", "TwoSigmoidRNN"]

State = tuple[Any, ...]  # (h,) or (h, c)


# -- one layer in one direction ---------------------------------------------------------------------------------------


class _Cell(Module):
    """One layer: :meth:`forward` reads a sequence. `states` is how many arrays its state has, `gates` how many parts
    its weights."""

    gates: ClassVar[int] = 1
    states: ClassVar[int] = 1

    def __init__(self, in_features: int, features: int, *, rng: Any, dtype: Any = None):
        self.in_features, self.features = in_features, features
        self.weight_ih, self.weight_hh, self.bias = (
            self._start(rng, (self.gates * features, *rest), dtype) for rest in ((in_features,), (features,), ())
        )

    def _start(self, rng: Any, shape: tuple[int, ...], dtype: Any) -> Tensor:
        return parameter((2 * backend.uniform(rng, shape, dtype) - 1) / math.sqrt(self.features))

    def forward(self, x: Any, state: State, mask: Any) -> tuple[Tensor, State]:
        y = self._sequence(ops.linear(x, self.weight_ih, self.bias), *state, mask)
        return y, (y[:, -1],)

    def _sequence(self, a: Any, h: Any, mask: Any) -> Tensor:
        raise NotImplementedError

    def settings(self) -> str:
        return f"{self.in_features}, {self.features}"


class _RNNCell(_Cell):
    def _sequence(self, a: Any, h: Any, mask: Any) -> Tensor:
        return ops.rnn(a, self.weight_hh, h, mask)


class _GRUCell(_Cell):
    gates = 3

    def __init__(self, in_features: int, features: int, *, rng: Any, dtype: Any = None):
        super().__init__(in_features, features, rng=rng, dtype=dtype)
        self.bias_hn = self._start(rng, (features,), dtype)

    def _sequence(self, a: Any, h: Any, mask: Any) -> Tensor:
        return ops.gru(a, self.weight_hh, self.bias_hn, h, mask)


class _LSTMCell(_Cell):
    gates, states = 4, 2

    def forward(self, x: Any, state: State, mask: Any) -> tuple[Tensor, State]:
        y, c = ops.lstm(ops.linear(x, self.weight_ih, self.bias), self.weight_hh, *state, mask)
        return y, (y[:, -1], c)


class _TwoSigmoidCell(_Cell):
    def __init__(self, in_features: int, features: int, *, rng: Any, dtype: Any = None):
        self.in_features, self.features = in_features, features
        self.weight_a, self.bias_a, self.weight_h, self.bias_h = (
            self._start(rng, (features, *rest), dtype) for rest in ((features + in_features,), (), (2 * features,), ())
        )

    def forward(self, x: Any, state: State, mask: Any) -> tuple[Tensor, State]:
        y = ops.two_sigmoid(x, *state, self.weight_a, self.bias_a, self.weight_h, self.bias_h, mask)
        return y, (y[:, -1],)


# -- layers over each other, in one direction or both -----------------------------------------------------------------


class _Recurrent(Module):
    cell: ClassVar[type[_Cell]]

    def __init__(
        self, in_features: int, features: int, *, layers: int = 1, bidirectional: bool = False, dropout: float = 0.0,
        rng: Any, dtype: Any = None,
    ):  # fmt: skip
        check_sizes(type(self).__name__, in_features=in_features, features=features, layers=layers)
        self.in_features, self.features = in_features, features
        self.layers, self.directions = layers, 2 if bidirectional else 1
        self.dropout = Dropout(dropout)
        widths = [in_features] + [self.directions * features] * (layers - 1)
        self.cells = [
            self.cell(width, features, rng=rng, dtype=dtype) for width in widths for _ in range(self.directions)
        ]

    def forward(
        self, x: Any, state: list[State] | None = None, *, lengths: Any = None, rng: Any = None
    ) -> tuple[Tensor, list[State]]:
        """(N, T, in_features) -> (N, T, directions · features), state

        state     to start from, as returned before; None is zeros
        lengths   integers (N,): how many steps of each example count. Behind them the states stay what they were, so
                  that `state` is that of the last step that counts, and so is y (PyTorch's is 0 there)
        rng       draws the masks of dropout between layers, in training
        """
        if len(x.shape) != 3 or x.shape[2] != self.in_features or not x.shape[1]:
            raise ShapeError(
                f"{self!r}{_at(self)}: expected an input of shape (N, T, {self.in_features}) with at least one step, "
                f"got {tuple(x.shape)}."
            )
        state = self.zero_state(x) if state is None else state
        if len(state) != len(self.cells) or any(len(s) != self.cell.states for s in state):
            raise ShapeError(
                f"{self!r}{_at(self)}: expected a state of {len(self.cells)} tuples of {self.cell.states} arrays, one "
                f"for each layer and direction, got {[len(s) for s in state]}; pass what an earlier call returned."
            )
        mask = None if lengths is None else self._mask(x, lengths)
        new: list[State] = []
        for layer in range(self.layers):
            if layer:
                x = self.dropout(x, rng=rng)
            outputs = []
            for direction in range(self.directions):
                k = layer * self.directions + direction
                y, last = self._run(self.cells[k], x, state[k], mask, backward=direction == 1)
                outputs.append(y)
                new.append(last)
            x = outputs[0] if self.directions == 1 else ops.concatenate(outputs, axis=2)
        return x, new

    def step(self, x: Any, state: list[State] | None = None) -> tuple[Tensor, list[State]]:
        """One step more: (N, in_features), state -> (N, features), state. Errors: a layer of both directions."""
        if self.directions == 2:
            raise ConfigError(f"{self!r}{_at(self)}: a bidirectional layer reads the end first; give it all steps.")
        y, state = self(ops.expand_dims(x, 1), state)
        return y[:, 0], state

    def zero_state(self, x: Any) -> list[State]:
        """The state before the first step of the inputs x (N, …)"""
        zeros = lambda: xp.zeros((x.shape[0], self.features), x.dtype, like=_array(x))
        return [tuple(zeros() for _ in range(self.cell.states)) for _ in self.cells]

    def _run(self, cell: _Cell, x: Any, state: State, mask: Any, backward: bool) -> tuple[Tensor, State]:
        if not backward:
            return cell(x, state, mask)
        y, state = cell(ops.flip(x, 1), state, None if mask is None else mask[:, ::-1])
        return ops.flip(y, 1), state

    def _mask(self, x: Any, lengths: Any) -> Array:
        """True for the first `lengths` steps of each example        (N,) -> (N, T)"""
        n, steps = x.shape[:2]
        lengths = backend.asarray(lengths)
        if lengths.shape != (n,):
            raise ShapeError(f"{self!r}{_at(self)}: expected lengths of shape ({n},), got {lengths.shape}.")
        if lengths.dtype.kind not in "iu":
            raise DtypeError(f"{self!r}{_at(self)}: expected lengths that are integers, got {lengths.dtype}.")
        if backend.name_of(lengths) == "numpy" and n and not 0 <= lengths.min() <= lengths.max() <= steps:
            raise DataError(
                f"{self!r}{_at(self)}: expected lengths from 0 to the {steps} steps of x, "
                f"got {lengths.min()} … {lengths.max()}."
            )
        return xp.arange(steps, like=lengths) < lengths[:, None]

    def settings(self) -> str:
        more = f", layers={self.layers}" if self.layers > 1 else ""
        more += ", bidirectional=True" if self.directions == 2 else ""
        return f"{self.in_features}, {self.features}{more}" + (f", dropout={self.dropout.p}" if self.dropout.p else "")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.settings()})"


class RNN(_Recurrent):
    """h_t = tanh(W x_t + U h_{t−1} + b)        (N, T, in_features) -> (N, T, features)        Elman 1990

    `layers` are put over each other, each reading the hidden states of the one below, with `dropout` between them.
    A bidirectional layer is two: one reads from the end, and their states stand side by side (Schuster & Paliwal 1997).
    """

    cell = _RNNCell


class GRU(_Recurrent):
    """h_t = (1 − z) ⊙ n + z ⊙ h_{t−1}        (N, T, in_features) -> (N, T, features)        Cho et al. 2014

    r, z = σ(W x_t + U h_{t−1} + b) and n = tanh(W_n x_t + b_n + r ⊙ (U_n h_{t−1} + bias_hn)): see
    :func:`minigen.ops.gru_cell`. Layers and directions as :class:`RNN`.
    """

    cell = _GRUCell


class LSTM(_Recurrent):
    """c_t = f ⊙ c_{t−1} + i ⊙ g,   h_t = o ⊙ tanh(c_t)        (N, T, in_features) -> (N, T, features)

    i, f, o = σ(W x_t + U h_{t−1} + b) and g = tanh(W_g x_t + U_g h_{t−1} + b_g): see :func:`minigen.ops.lstm_cell`
    (Hochreiter & Schmidhuber 1997). Layers and directions as :class:`RNN`.
    """

    cell = _LSTMCell


class TwoSigmoidRNN(_Recurrent):
    """a_t = σ(W_a [h_{t−1}; x_t] + b_a),   h_t = σ(W_h [a_t; h_{t−1}] + b_h)        as the article writes it [B6]

    (N, T, in_features) -> (N, T, features). The article calls it WaveNet, which it is not: it is a recurrent network
    whose step has two layers of sigmoids. As σ′ ≤ ¼, what it remembers fades from step to step unless its weights are
    large. Layers and directions as :class:`RNN`.
    """

    cell = _TwoSigmoidCell


def _array(x: Any) -> Array:
    return x.data if isinstance(x, Tensor) else x
