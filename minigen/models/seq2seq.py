"""Sequence to sequence: one LSTM reads a text, another writes one (Sutskever, Vinyals & Le 2014) [A1, A7].

    E_X = the state after the last symbol of x,        h_t = LSTM(y_{t−1}, h_{t−1}),  h_0 = E_X
    p(y_t | y_1, …, y_{t−1}, x) = softmax(W h_t + b)        [A3, corrected: see `a3_output_as_written`]

With attention, h_t also looks back at all states k_1, …, k_S of the encoder, not only at the last (Bahdanau, Cho &
Bengio 2015):

    α_t = softmax_s(v · tanh(W_q h_t + W_k k_s)),   z_t = Σ_s α_ts k_s,   p = softmax(W [h_t; z_t] + b)

The score is Bahdanau's; that the states h_t look back after the recurrence, as in Luong, Pham & Manning 2015, and not
before it, lets all steps of a known target be computed at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import backend, nn, ops
from ..backend import Array, xp
from ..optim import Adam, Player, RMSprop
from ..tensor import Tensor, no_grad
from .config import Preset, Scheduled, choice, fraction
from .translation import PairConfig, TranslationModel

__all__ = ["PRESETS", "Seq2Seq", "Seq2SeqConfig", "a3_output_as_written"]

OPTIMIZERS = {"adam": Adam, "rmsprop": RMSprop}


@dataclass(frozen=True, kw_only=True)
class Seq2SeqConfig(PairConfig, Scheduled):
    """Settings of a :class:`Seq2Seq`, beside those of :class:`PairConfig` and :class:`Scheduled`.

    embedding   length of a symbol's vector
    width       of the states of both LSTMs
    attention   whether the decoder looks back at all states of the encoder
    dropout     of the vectors and before the softmax
    optimizer   adam or rmsprop
    clip        the largest norm of the gradients
    """

    embedding: int = 64
    width: int = 128
    attention: bool = True
    dropout: float = fraction(0.0)
    optimizer: str = choice("adam", tuple(OPTIMIZERS))
    clip: float = 1.0


class Seq2Seq(TranslationModel):
    """encoder: Embedding → LSTM        decoder: Embedding → LSTM from the encoder's last state → Linear

    `seq2seq-plain` has the sizes of article A [A7], whose code needs two corrections: its decoder embeds the encoder's
    input instead of the target, and the target is handed over as a third input.
    """

    config: Seq2SeqConfig

    def __init__(self, config: Seq2SeqConfig, *, rng: Any):
        super().__init__(config)
        c = config
        self.source_embedding = nn.Embedding(self.source.vocab_size, c.embedding, rng=rng)
        self.target_embedding = nn.Embedding(self.target.vocab_size, c.embedding, rng=rng)
        self.encoder = nn.LSTM(c.embedding, c.width, rng=rng)
        self.decoder = nn.LSTM(c.embedding, c.width, rng=rng)
        if c.attention:
            self.query = nn.Linear(c.width, c.width, rng=rng)
            self.key = nn.Linear(c.width, c.width, bias=False, rng=rng)
            self.score = nn.Linear(c.width, 1, bias=False, rng=rng)
        self.dropout = nn.Dropout(c.dropout)
        self.output = nn.Linear((2 if c.attention else 1) * c.width, self.target.vocab_size, rng=rng)
        parameters = self.parameters()
        optimizer = OPTIMIZERS[c.optimizer](parameters, c.lr)
        self.players = [Player("seq2seq", parameters, self.objective, optimizer, schedule=c.rates(), clip=c.clip)]

    def forward(self, source: Any, lengths: Any, target: Any, rng: Any = None) -> Tensor:
        return self._write(target, self.read(source, lengths, rng), rng)[0]

    def read(self, source: Any, lengths: Any, rng: Any = None) -> tuple:
        """(E_X, what attention looks at: the states of the encoder, their keys, which of them are real)"""
        states, last = self.encoder(self.dropout(self.source_embedding(source), rng=rng), lengths=lengths)
        if not self.config.attention:
            return last, None
        real = xp.arange(source.shape[1], like=lengths) < lengths[:, None]
        return last, (states, self.key(states), real)

    def step(self, ids: Any, state: tuple) -> tuple[Array, tuple]:
        logits, state, _ = self._write(ids[:, None], state)
        return logits.data[:, -1], state

    def _write(self, ids: Any, state: tuple, rng: Any = None) -> tuple[Tensor, tuple, Any]:
        """Logits after each symbol of a target, the state after the last, and α (N, T, S)        (N, T) -> (N, T, V)"""
        last, memory = state
        h, last = self.decoder(self.dropout(self.target_embedding(ids), rng=rng), last)
        weights = None
        if memory is not None:
            states, keys, real = memory
            z, weights = ops.additive_attention(self.query(h), keys, states, self.score.weight[0], real[:, None])
            h = ops.concatenate([h, z], axis=2)
        return self.output(self.dropout(h, rng=rng)), (last, memory), weights

    def attention(self, source: str, target: str | None = None) -> tuple[str, np.ndarray]:
        """The text made of a source (or a given target), and α: how much each of its symbols and the end looked at each
        of the source        -> target, (symbols of the target + 1, symbols of the source)"""
        made = self.translate([source])[0] if target is None else target
        ids, lengths = map(backend.asarray, self.source.encode_batch([source]))
        written, _ = self.target.encode_batch([made])
        with no_grad():
            _, _, weights = self._write(backend.asarray(written[:, :-1]), self.read(ids, lengths))
        return made, weights.numpy()[0, :, 1:-1]


def a3_output_as_written(summary: Any, weight: Any, bias: Any, steps: int) -> Any:
    """[A3] y_s = softmax(W_G E_X + b_G) for s = 1, …, steps        (N, H), (V, H), (V,) -> (N, steps, V)

    Nothing on the right depends on s, so that every step has the same distribution, and the best that it can be is how
    often each symbol occurs in the target. Right: the state h_s of a decoder takes the place of E_X.
    """
    y = ops.softmax(ops.linear(summary, weight, bias), -1)
    return ops.stack([y] * steps, axis=1)


PRESETS = {
    "seq2seq": Preset(
        "LSTM encoder and decoder with attention: dates as people write them to 2026-11-21",
        Seq2Seq,
        Seq2SeqConfig(steps=1000, batch_size=64, lr=4e-3, schedule="cosine"),
    ),
    "seq2seq-plain": Preset(
        "LSTM encoder and decoder without attention, with the sizes of article A",
        Seq2Seq,
        Seq2SeqConfig(attention=False, optimizer="rmsprop", steps=4000, batch_size=64, lr=2e-3, schedule="cosine"),
    ),
}
