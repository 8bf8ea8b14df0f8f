"""A piano roll step by step: which of the 88 keys are down, each a coin of its own given the past [A9].

    h_t = LSTM(x_{t−1}, h_{t−1}),   l_t = W h_t + b,   x_t ∈ {0, 1}⁸⁸
    p(x_t | x_1, …, x_{t−1}) = Π_k σ(l_tk)^x_tk (1 − σ(l_tk))^(1 − x_tk)
    L = mean over t of −ln p(x_t | …) = mean over t of Σ_k softplus(l_tk) − x_tk l_tk        in nats a step

x_0 = 0. Several notes at once are not one class but one Bernoulli for each key. Given the past they are independent,
so that a chord is drawn note by note without its notes knowing of each other (Boulanger-Lewandowski et al. 2012).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from .. import backend, distributed, nn, ops
from ..backend import Array, xp
from ..datasets import MusicSet, Score, decode_roll, encode_roll, transpositions
from ..datasets.music import GRID, KEYS
from ..optim import Adam, Player
from ..tensor import Tensor, no_grad
from .config import DEEPEST, Preset, Scheduled, at_most, fraction

__all__ = ["PRESETS", "PianoRoll", "PianoRollConfig"]


@dataclass(frozen=True, kw_only=True)
class PianoRollConfig(Scheduled):
    """Settings of a :class:`PianoRoll`, beside those of :class:`Scheduled`.

    grid     sixteenth notes in a time step
    keys     in how many keys each piece is learnt: 12, or 1 for its own
    block    steps in the parts that longer pieces are cut into for training
    width    of each LSTM layer
    layers   over each other
    dropout  between layers and before the logits
    clip     the largest norm of the gradients
    """

    reads: ClassVar[str] = "music"
    data: str = "folk"
    grid: int = GRID
    keys: int = 12
    block: int = 64
    width: int = 256
    layers: int = at_most(1, DEEPEST)
    dropout: float = fraction(0.0)
    clip: float = 1.0


class PianoRoll(nn.Module):
    """LSTM → dropout → Linear to a logit for each key"""

    modality = "music"
    config: PianoRollConfig

    def __init__(self, config: PianoRollConfig, *, rng: Any):
        self.config = c = config
        self.cell = nn.LSTM(KEYS, c.width, layers=c.layers, dropout=c.dropout, rng=rng)
        self.dropout = nn.Dropout(c.dropout)
        self.output = nn.Linear(c.width, KEYS, rng=rng)
        parameters = self.parameters()
        optimizer = Adam(parameters, c.lr)
        self.players = [Player("pianoroll", parameters, self.objective, optimizer, schedule=c.rates(), clip=c.clip)]

    def forward(self, x: Any, state: Any = None, rng: Any = None) -> tuple[Tensor, Any]:
        """Logits of the step after each, and the state after the last        (N, T, 88) -> (N, T, 88), state"""
        h, state = self.cell(x, state, rng=rng)
        return self.output(self.dropout(h, rng=rng)), state

    # -- training -------------------------------------------------------------------------------------------------
    def prepare(self, dataset: MusicSet) -> tuple[np.ndarray, ...]:
        """Rolls in all keys, cut into parts of at most `block` steps: uint8 (N, T, 88), and their lengths (N,)"""
        block = self.config.block
        rolls = [encode_roll(score, self.config.grid) for score in transpositions(dataset.scores, self.config.keys)]
        parts = [roll[t : t + block] for roll in rolls for t in range(0, len(roll), block)]
        lengths = np.array([len(part) for part in parts], np.int64)
        x = np.zeros((len(parts), lengths.max(), KEYS), np.uint8)
        for i, part in enumerate(parts):
            x[i, : len(part)] = part
        return x, lengths

    def objective(self, batch: tuple[Array, ...], rng: Any) -> tuple[Tensor, dict[str, Any]]:
        """The mean over the steps of all parts of the sum over keys, in nats."""
        x, lengths = batch
        x = x.astype("float32")
        nll = ops.sum(self._nll(x, rng), axis=2)
        counts = xp.arange(x.shape[1], like=x) < lengths[:, None]
        (steps,) = distributed.mean((counts.sum() / len(counts)).astype(nll.dtype))  # of the whole batch, per part
        return ops.sum(nll * counts) / len(counts) / steps, {}

    def _nll(self, x: Array, rng: Any = None) -> Tensor:
        """−ln p of each key at each step, given the steps before        (N, T, 88) -> (N, T, 88)"""
        before = xp.concatenate([xp.zeros_like(x[:, :1]), x[:, :-1]], axis=1)
        logits, _ = self(before, rng=rng)
        return ops.bce_with_logits(logits, x, "none")

    # -- measuring ------------------------------------------------------------------------------------------------
    def nll(self, score: Score) -> np.ndarray:
        """−ln p of each step of a piece given all before it, summed over the keys        -> (T,)"""
        x = backend.asarray(encode_roll(score, self.config.grid)[None].astype(np.float32))
        with no_grad():
            return self._nll(x).numpy()[0].sum(-1)

    # -- writing --------------------------------------------------------------------------------------------------
    def compose(self, primer: Score | None, bars: int, rng: np.random.Generator, *, temperature: float = 1.0) -> Score:
        """The primer, its last bar filled, and so many bars more; without one, as many bars of 4/4.

        Each key is drawn with σ(l / τ); temperature τ = 0 takes those that are down rather than not.
        """
        primer, grid = Score((), 0) if primer is None else primer, self.config.grid
        rows, state = list(encode_roll(primer, grid)), None
        steps = -(-(bars * primer.bar + primer.steps + -primer.steps % primer.bar) // grid)
        x = np.array([np.zeros(KEYS, bool), *rows])
        with no_grad():
            while len(rows) < steps:
                logits, state = self(backend.asarray(x[None].astype(np.float32)), state)
                l = backend.to_host(logits.data)[0, -1]
                x = temperature * rng.logistic(size=(1, KEYS)) < l  # the logistic distribution is σ
                rows.append(x[0])
        return decode_roll(np.array(rows[:steps]), grid, primer.metre, primer.title)


PRESETS = {
    "pianoroll": Preset(
        "LSTM over a piano roll, one Bernoulli for each of 88 keys",
        PianoRoll,
        PianoRollConfig(steps=4000, batch_size=16, lr=5e-3, schedule="cosine", dropout=0.3),
    ),
}
