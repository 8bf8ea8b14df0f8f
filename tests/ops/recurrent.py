"""Records of the recurrent operations. References follow the cells' equations one sequence and one step at a time."""

import numpy as np
import scipy.special as sp

from minigen import ops
from minigen.errors import DtypeError, ShapeError
from tests.opspec import Bad, OpSpec, Sample, layouts

# -- references -------------------------------------------------------------------------------------------------------


def rnn_step(a, h, u):
    return np.tanh(a + np.dot(u, h))


def gru_step(a, h, u, b):
    k = len(h)
    r = sp.expit(a[:k] + np.dot(u[:k], h))
    z = sp.expit(a[k : 2 * k] + np.dot(u[k : 2 * k], h))
    n = np.tanh(a[2 * k :] + r * (np.dot(u[2 * k :], h) + b))
    return (1 - z) * n + z * h


def lstm_step(a, h, c, u):
    k = len(h)
    i, f, g, o = (a[j : j + k] + np.dot(u[j : j + k], h) for j in range(0, 4 * k, k))
    c = sp.expit(f) * c + sp.expit(i) * np.tanh(g)
    return sp.expit(o) * np.tanh(c), c


def two_sigmoid_step(x, h, w_a, b_a, w_h, b_h):
    a = sp.expit(np.dot(w_a, np.append(h, x)) + b_a)
    return sp.expit(np.dot(w_h, np.append(a, h)) + b_h)


def unrolled(step, a, h, mask):
    """The states of one example (T, ·): step(a_t, state) where the mask is True, else the state as it was."""
    out = []
    for t in range(len(a)):
        h = step(a[t], h) if mask is None or mask[t] else h
        out.append(h)
    return out


def each(function, masks, *batched):
    """function(example, ..., mask) for each example of a batch"""
    return [function(*example, mask) for *example, mask in zip(*batched, masks)]


def rnn(a, u, h0, mask=None):
    masks = [None] * len(a) if mask is None else mask
    found = each(lambda a, h, m: unrolled(lambda a, h: rnn_step(a, h, u), a, h, m), masks, a, h0)
    return np.array(found).reshape(*a.shape[:2], u.shape[1])


def gru(a, u, b, h0, mask=None):
    masks = [None] * len(a) if mask is None else mask
    found = each(lambda a, h, m: unrolled(lambda a, h: gru_step(a, h, u, b), a, h, m), masks, a, h0)
    return np.array(found).reshape(*a.shape[:2], u.shape[1])


def lstm(a, u, h0, c0, mask=None):
    masks = [None] * len(a) if mask is None else mask
    run = lambda a, h, c, m: unrolled(lambda a, s: lstm_step(a, *s, u), a, (h, c), m)
    found = each(run, masks, a, h0, c0)
    h = np.array([[h for h, _ in states] for states in found]).reshape(*a.shape[:2], u.shape[1])
    return h, np.array([states[-1][1] for states in found]).reshape(c0.shape)


def two_sigmoid(x, h0, w_a, b_a, w_h, b_h, mask=None):
    masks = [None] * len(x) if mask is None else mask
    step = lambda x, h: two_sigmoid_step(x, h, w_a, b_a, w_h, b_h)
    return np.array(each(lambda x, h, m: unrolled(step, x, h, m), masks, x, h0)).reshape(*x.shape[:2], h0.shape[1])


def over_rows(step, states):
    """A cell on a batch from its step on one example; the first `states` + 1 arguments have a row for each example."""

    def cell(*args):
        rows, weights = args[: states + 1], args[states + 1 :]
        found = [step(*example, *weights) for example in zip(*rows)]
        if states == 1:
            return np.array(found).reshape(rows[1].shape)
        return tuple(np.array([state[k] for state in found]).reshape(rows[1].shape) for k in range(states))

    return cell


# -- samples ----------------------------------------------------------------------------------------------------------


def cell_samples(gates, states, bias=False):
    def samples(rng):
        def sample(a, u):
            size = u.shape[1]
            given = [rng.standard_normal((len(a), size)) for _ in range(states)]
            return Sample((a, *given, u, *([rng.standard_normal(size)] if bias else [])))

        draw = rng.standard_normal
        found = [sample(a, draw((gates * 3, 3))) for a in layouts(draw((2, gates * 3)))]
        found += [sample(draw((3, gates * 2)), u) for u in layouts(draw((gates * 2, 2)))[1:]]
        return [*found, sample(draw((1, gates)), draw((gates, 1))), sample(draw((0, gates)), draw((gates, 1)))]

    return samples


def sequence_samples(gates, states, bias=False):
    def samples(rng):
        def sample(a, size, *mask):
            u = rng.standard_normal((gates * size, size))
            given = [rng.standard_normal((len(a), size)) for _ in range(states)]
            return Sample((a, u, *([rng.standard_normal(size)] if bias else []), *given, *mask))

        draw = rng.standard_normal
        lengths = lambda *n: np.arange(max(n)) < np.array(n)[:, None]
        found = [sample(a, 2) for a in layouts(draw((2, 3, gates * 2)))]
        found += [
            sample(draw((3, 4, gates * 2)), 2, lengths(4, 1, 2)),
            sample(draw((2, 4, gates * 2)), 2, lengths(4, 2)[:, ::-1]),  # padding first
            sample(draw((2, 3, gates)), 1, np.array([[True, False, True], [False] * 3])),
            sample(draw((1, 1, gates * 3)), 3, None),
            sample(draw((0, 2, gates)), 1),
        ]
        return found

    return samples


def two_sigmoid_samples(rng):
    def sample(x, size, hidden, *mask):
        d, draw = x.shape[-1], rng.standard_normal
        return Sample((x, draw((len(x), size)), draw((hidden, size + d)), draw(hidden), draw((size, hidden + size)),
                       draw(size), *mask))  # fmt: skip

    found = [sample(x, 2, 3) for x in layouts(rng.standard_normal((2, 3, 2)))]
    return [*found, sample(rng.standard_normal((2, 3, 1)), 2, 1, np.array([[True, True, False], [False, True, True]])),
            sample(rng.standard_normal((0, 2, 1)), 1, 1)]  # fmt: skip


def two_sigmoid_cell_samples(rng):
    return [Sample((x[:, 0], *rest[:5])) for x, *rest in (sample.args for sample in two_sigmoid_samples(rng))]


# -- records ----------------------------------------------------------------------------------------------------------

Z = np.zeros
LONG, WRONG_MASK, NUMBERS = Z((2, 3, 4)), Z((2, 4), bool), Z((2, 3), int)


def torch_lstm(a, u, h0, c0, mask=None):
    """PyTorch's LSTM with an identity for W; where there is a mask, its cell, step by step."""
    import torch

    states, outputs = (h0, c0), []
    for t in range(a.shape[1]):
        new = torch.lstm_cell(a[:, t], states, torch.eye(a.shape[2], dtype=a.dtype), u)
        states = new if mask is None else tuple(torch.where(mask[:, t, None], s, o) for s, o in zip(new, states))
        outputs.append(states[0])
    return torch.stack(outputs, 1), states[1]


SPECS = [
    OpSpec(
        "rnn_cell",
        ops.rnn_cell,
        over_rows(rnn_step, 1),
        cell_samples(1, 1),
        differentiable=(0, 1, 2),
        bad=[
            Bad((Z((2, 3)), Z((2, 3)), Z((3, 4))), {}, ShapeError, r"u must have shape \(H, H\), got \(3, 4\)"),
            Bad((Z((2, 4)), Z((2, 3)), Z((3, 3))), {}, ShapeError, r"must end in 3 numbers.*got \(2, 4\)"),
            Bad((Z((2, 3)), Z((1, 3)), Z((3, 3))), {}, ShapeError, r"h must have shape \(2, 3\), got \(1, 3\)"),
        ],
    ),
    OpSpec(
        "gru_cell",
        ops.gru_cell,
        over_rows(gru_step, 1),
        cell_samples(3, 1, bias=True),
        differentiable=(0, 1, 2, 3),
        bad=[
            Bad((Z((2, 6)), Z((2, 2)), Z((4, 2)), Z(2)), {}, ShapeError, r"u must have shape \(3H, H\), got \(4, 2\)"),
            Bad((Z((2, 6)), Z((2, 2)), Z((6, 2)), Z(1)), {}, ShapeError, r"b must have shape \(2,\), got \(1,\)"),
        ],
    ),
    OpSpec(
        "lstm_cell",
        ops.lstm_cell,
        over_rows(lstm_step, 2),
        cell_samples(4, 2),
        differentiable=(0, 1, 2, 3),
        bad=[
            Bad((Z((2, 8)), Z((2, 2)), Z((2, 2)), Z((6, 2))), {}, ShapeError, r"shape \(4H, H\), got \(6, 2\)"),
            Bad((Z((2, 8)), Z((2, 2)), Z((2, 1)), Z((8, 2))), {}, ShapeError, r"c must have shape \(2, 2\), got"),
        ],
    ),
    OpSpec(
        "two_sigmoid_cell",
        ops.two_sigmoid_cell,
        over_rows(two_sigmoid_step, 1),
        two_sigmoid_cell_samples,
        differentiable=(0, 1, 2, 3, 4, 5),
        bad=[
            Bad((Z((2, 1)), Z((2, 2)), Z((3, 2)), Z(3), Z((2, 5)), Z(2)), {}, ShapeError,
                r"w_a must have shape \(3, 3\), got \(3, 2\)"),
            Bad((Z((2, 1)), Z((2, 2)), Z((3, 3)), Z(3), Z((2, 4)), Z(2)), {}, ShapeError,
                r"w_h must have shape \(2, 5\), got \(2, 4\)"),
        ],
    ),
    OpSpec(
        "rnn",
        ops.rnn,
        rnn,
        sequence_samples(1, 1),
        differentiable=(0, 1, 2),
        bad=[
            Bad((Z((2, 4)), Z((4, 4)), Z((2, 4))), {}, ShapeError, r"shape \(N, T, features\).*got \(2, 4\)"),
            Bad((Z((2, 0, 4)), Z((4, 4)), Z((2, 4))), {}, ShapeError, r"at least one step, got \(2, 0, 4\)"),
            Bad((LONG, Z((3, 3)), Z((2, 3))), {}, ShapeError, r"must end in 3 numbers.*got \(2, 3, 4\)"),
            Bad((LONG, Z((4, 4)), Z((3, 4))), {}, ShapeError, r"h0 must have shape \(2, 4\), got \(3, 4\)"),
            Bad((LONG, Z((4, 4)), Z((2, 4)), WRONG_MASK), {}, ShapeError, r"mask must have .* \(2, 3\), got \(2, 4\)"),
            Bad((LONG, Z((4, 4)), Z((2, 4)), NUMBERS), {}, DtypeError, "mask must hold truth values.*got int64"),
        ],
    ),
    OpSpec(
        "gru",
        ops.gru,
        gru,
        sequence_samples(3, 1, bias=True),
        differentiable=(0, 1, 2, 3),
        bad=[Bad((Z((2, 3, 6)), Z((6, 2)), Z(3), Z((2, 2))), {}, ShapeError, r"b must have shape \(2,\), got \(3,\)")],
    ),
    OpSpec(
        "lstm",
        ops.lstm,
        lstm,
        sequence_samples(4, 2),
        differentiable=(0, 1, 2, 3),
        torch=torch_lstm,
        bad=[Bad((LONG, Z((4, 1)), Z((2, 1)), Z((2, 2))), {}, ShapeError, r"c0 must have .* \(2, 1\), got \(2, 2\)")],
    ),
    OpSpec(
        "two_sigmoid",
        ops.two_sigmoid,
        two_sigmoid,
        two_sigmoid_samples,
        differentiable=(0, 1, 2, 3, 4, 5),
        bad=[
            Bad((Z((2, 1)), Z((2, 2)), Z((3, 3)), Z(3), Z((2, 5)), Z(2)), {}, ShapeError, r"got \(2, 1\)"),
            Bad((Z((2, 1, 1)), Z((2, 2)), Z((3, 3)), Z(3), Z((2, 5)), Z(2), WRONG_MASK), {}, ShapeError, "mask must"),
        ],
    ),
]  # fmt: skip
