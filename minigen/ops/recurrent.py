"""Recurrent networks: one step of a cell, and a cell over a whole sequence.

Letters: x_t an input, h_t the hidden state, c_t the cell state; σ the logistic function. What the inputs contribute,
a_t = W x_t + b, is one matrix product for all steps and is computed before, so that an operation over a sequence takes
a (N, T, ·), the recurrent weights U and the initial states, and returns h_1, …, h_T (N, T, H).

`mask` (N, T) is True where a step counts. Elsewhere, in the padding of a shorter sequence, the states stay what they
were, so that the last ones are those of the last step that counts, on whichever side the padding lies.

The gradients are computed backward through time in closed form: :mod:`minigen.kernels.reference.recurrent`.
"""

from __future__ import annotations

from typing import Any

from .. import kernels
from ..errors import DtypeError, ShapeError
from ..tensor import primitive
from .elementwise import sigmoid, tanh, where
from .linalg import matmul
from .shape import concatenate, reshape, split, stack, transpose

# -- one step ---------------------------------------------------------------------------------------------------------


def rnn_cell(a, h, u):
    """h_t = tanh(a_t + U h_{t−1})        (N, H), (N, H), (H, H) -> (N, H)        (Elman 1990)"""
    _check_cell("rnn_cell", 1, a, u, h=h)
    return tanh(a + matmul(h, transpose(u)))


def gru_cell(a, h, u, b):
    """h_t = (1 − z) ⊙ n + z ⊙ h_{t−1}        (N, 3H), (N, H), (3H, H), (H,) -> (N, H)        (Cho et al. 2014)

    r = σ(a_r + U_r h_{t−1})        reset gate
    z = σ(a_z + U_z h_{t−1})        update gate
    n = tanh(a_n + r ⊙ (U_n h_{t−1} + b))

    in the order r, z, n of the rows of a and U. This is PyTorch's and cuDNN's variant; in the paper's, r multiplies
    h_{t−1} before U_n does.
    """
    _check_cell("gru_cell", 3, a, u, h=h)
    _check_shape("gru_cell", "b", b, u.shape[1:])
    a_r, a_z, a_n = split(a, 3, axis=1)
    u_r, u_z, u_n = split(matmul(h, transpose(u)), 3, axis=1)
    r, z = sigmoid(a_r + u_r), sigmoid(a_z + u_z)
    n = tanh(a_n + r * (u_n + b))
    return (1 - z) * n + z * h


def lstm_cell(a, h, c, u):
    """c_t = f ⊙ c_{t−1} + i ⊙ g,   h_t = o ⊙ tanh(c_t)        (N, 4H), (N, H), (N, H), (4H, H) -> h_t, c_t

    i = σ(a_i + U_i h_{t−1})        input gate
    f = σ(a_f + U_f h_{t−1})        forget gate
    g = tanh(a_g + U_g h_{t−1})     what is new
    o = σ(a_o + U_o h_{t−1})        output gate

    in the order i, f, g, o of the rows of a and U (Hochreiter & Schmidhuber 1997; forget gate Gers et al. 2000).
    """
    _check_cell("lstm_cell", 4, a, u, h=h, c=c)
    i, f, g, o = split(a + matmul(h, transpose(u)), 4, axis=1)
    c = sigmoid(f) * c + sigmoid(i) * tanh(g)
    return sigmoid(o) * tanh(c), c


def two_sigmoid_cell(x, h, w_a, b_a, w_h, b_h):
    """a_t = σ(W_a [h_{t−1}; x_t] + b_a),   h_t = σ(W_h [a_t; h_{t−1}] + b_h)        two sigmoid layers in turn [B6]

    (N, D), (N, H), (A, H + D), (A,), (H, A + H), (H,) -> (N, H)
    """
    _check_shape("two_sigmoid_cell", "w_a", w_a, (w_a.shape[0], h.shape[1] + x.shape[1]))
    _check_shape("two_sigmoid_cell", "w_h", w_h, (h.shape[1], w_a.shape[0] + h.shape[1]))
    a = sigmoid(matmul(concatenate([h, x], axis=1), transpose(w_a)) + b_a)
    return sigmoid(matmul(concatenate([a, h], axis=1), transpose(w_h)) + b_h)


# -- a whole sequence -------------------------------------------------------------------------------------------------


def _unrolled(cell, a, states, mask):
    """cell(a_t, *states) -> states for each t: the first state of every step, and all of the last."""
    n, steps, features = a.shape
    outputs = []
    for t, a_t in enumerate(split(a, steps, axis=1)):
        new = cell(reshape(a_t, (n, features)), *states)
        states = new if mask is None else [where(mask[:, t, None], s, old) for s, old in zip(new, states)]
        outputs.append(states[0])
    return stack(outputs, axis=1), states


def _composed_rnn(a, u, h0, *, mask):
    return _unrolled(lambda a, h: [rnn_cell(a, h, u)], a, [h0], mask)[0]


@primitive(
    joint=lambda g, y, a, u, h0, mask: kernels.rnn_gradients(g, u, h0, mask, y),
    composed=_composed_rnn,
)
def _rnn(a, u, h0, *, mask):
    """h_t = tanh(a_t + U h_{t−1})"""
    return kernels.rnn(a, u, h0, mask)


def rnn(a, u, h0, mask=None):
    """h_t = tanh(a_t + U h_{t−1}) for all t        (N, T, H), (H, H), (N, H) -> (N, T, H)        as :func:`rnn_cell`"""
    _check("rnn", 1, a, u, mask, h0=h0)
    return _rnn(a, u, h0, mask=mask)


def _composed_gru(a, u, b, h0, *, mask):
    return _unrolled(lambda a, h: [gru_cell(a, h, u, b)], a, [h0], mask)[0]


@primitive(
    joint=lambda g, y, a, u, b, h0, r, mask: kernels.gru_gradients(g, u, h0, mask, y, *r),
    composed=_composed_gru,
    residual=True,
)
def _gru(a, u, b, h0, *, mask):
    """h_t = (1 − z) ⊙ n + z ⊙ h_{t−1}"""
    h, *r = kernels.gru(a, u, b, h0, mask)
    return h, r


def gru(a, u, b, h0, mask=None):
    """h_t = (1 − z) ⊙ n + z ⊙ h_{t−1} for all t        (N, T, 3H), (3H, H), (H,), (N, H) -> (N, T, H)

    Gates as in :func:`gru_cell`.
    """
    _check("gru", 3, a, u, mask, h0=h0)
    _check_shape("gru", "b", b, u.shape[1:])
    return _gru(a, u, b, h0, mask=mask)


def _composed_lstm(a, u, h0, c0, *, mask):
    h, (_, c) = _unrolled(lambda a, h, c: lstm_cell(a, h, c, u), a, [h0, c0], mask)
    return h, c


@primitive(
    joint=lambda g, y, a, u, h0, c0, r, mask: kernels.lstm_gradients(*g, u, h0, c0, mask, y[0], *r),
    composed=_composed_lstm,
    residual=True,
)
def _lstm(a, u, h0, c0, *, mask):
    """c_t = f ⊙ c_{t−1} + i ⊙ g,   h_t = o ⊙ tanh(c_t)"""
    h, c, gates = kernels.lstm(a, u, h0, c0, mask)
    return (h, c[:, -1].copy()), (c, gates)


def lstm(a, u, h0, c0, mask=None):
    """c_t = f ⊙ c_{t−1} + i ⊙ g,   h_t = o ⊙ tanh(c_t) for all t; returns h_1, …, h_T and c_T

    (N, T, 4H), (4H, H), (N, H), (N, H) -> (N, T, H), (N, H)        gates as in :func:`lstm_cell`
    """
    _check("lstm", 4, a, u, mask, h0=h0, c0=c0)
    return _lstm(a, u, h0, c0, mask=mask)


def two_sigmoid(x, h0, w_a, b_a, w_h, b_h, mask=None):
    """h_t = σ(W_h [a_t; h_{t−1}] + b_h), a_t = σ(W_a [h_{t−1}; x_t] + b_a) for all t        [B6]

    (N, T, D), (N, H), (A, H + D), (A,), (H, A + H), (H,) -> (N, T, H)        step by step, :func:`two_sigmoid_cell`
    """
    _check_steps("two_sigmoid", "x", x, mask)
    return _unrolled(lambda x, h: [two_sigmoid_cell(x, h, w_a, b_a, w_h, b_h)], x, [h0], mask)[0]


# -- checks -----------------------------------------------------------------------------------------------------------


def _check_cell(op: str, gates: int, a: Any, u: Any, **states: Any) -> None:
    if u.ndim != 2 or u.shape[0] != gates * u.shape[1]:
        rows = f"{gates}H" if gates > 1 else "H"
        raise ShapeError(f"{op}: the recurrent weights u must have shape ({rows}, H), got {u.shape}.")
    if a.shape[-1:] != u.shape[:1]:
        raise ShapeError(f"{op}: a = W x + b must end in {u.shape[0]} numbers, as u has rows, got {a.shape}.")
    for name, s in states.items():
        _check_shape(op, name, s, (a.shape[0], u.shape[1]))


def _check(op: str, gates: int, a: Any, u: Any, mask: Any, **states: Any) -> None:
    _check_steps(op, "a", a, mask)
    _check_cell(op, gates, a, u, **states)


def _check_steps(op: str, name: str, x: Any, mask: Any) -> None:
    if x.ndim != 3 or not x.shape[1]:
        raise ShapeError(f"{op}: {name} must have shape (N, T, features) with at least one step, got {x.shape}.")
    if mask is not None:
        _check_shape(op, "mask", mask, x.shape[:2])
        if mask.dtype != bool:
            raise DtypeError(f"{op}: mask must hold truth values, True where a step counts, got {mask.dtype}.")


def _check_shape(op: str, name: str, a: Any, expected: tuple[int, ...]) -> None:
    if a.shape != expected:
        raise ShapeError(f"{op}: {name} must have shape {expected}, got {a.shape}.")
