"""A melody as a sequence of classes: which pitch begins, or does the last one hold, or is there a rest [A9, B10].

    e_t = E[x_t],   h_t = LSTM layers over each other(e_t, h_{t−1}),   p(x_{t+1} | x_1, …, x_t) = softmax(W h_t + b)

x_t is one of 128 pitches, HOLD or REST, a token for each sixteenth note; before the first stands the length of the bar
(:mod:`minigen.datasets.music`). A melody is learnt in all twelve keys, in windows of `block` tokens.

A primer is gone on from by reading it: the state after it is where the continuation begins [A11]. Article A has two
LSTMs for that, one which reads and one which writes; `melody-a9` is that, corrected. As written it ends in a single
sigmoid, see :func:`minigen.losses.documents.a9_loss_as_written`.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from .. import backend, nn, ops
from ..backend import Array
from ..datasets import MusicSet, Score, decode_melody, encode_melody, transpositions
from ..datasets.music import BEGIN, VOCABULARY
from ..errors import ConfigError, DataError
from ..optim import Adam, Player
from ..tensor import Tensor, no_grad
from .config import Preset, Scheduled, fraction
from .language import TokenModel

__all__ = ["PRESETS", "Continuation", "ContinuationConfig", "Melody", "MelodyConfig"]

CHUNK = 1024  # tokens that are read at once when a melody is measured


@dataclass(frozen=True, kw_only=True)
class MelodyConfig(Scheduled):
    """Settings of a :class:`Melody`, beside those of :class:`Scheduled`.

    keys       in how many keys each melody is learnt: 12, or 1 for its own
    block      tokens in a window of training
    embedding  length of a token's vector
    widths     of the LSTM layers, from the lowest
    dropout    of the vectors, between layers and before the softmax
    clip       the largest norm of the gradients
    """

    reads: ClassVar[str] = "music"
    data: str = "folk"
    keys: int = 12
    block: int = 128
    embedding: int = 64
    widths: tuple[int, ...] = (192,)
    dropout: float = fraction(0.0)
    clip: float = 1.0


class Melody(TokenModel):
    """Embedding → LSTM → … → LSTM → Linear, with dropout between them

    `melody-b10` is article B's network, LSTM 256 → 512 → 512 → softmax, to whose 128 pitches are added what a melody
    has besides: HOLD, REST and the length of the bar. Without HOLD a long note and a repeated one would be the same.
    """

    modality = "music"
    config: MelodyConfig
    unseen = 1  # tokens of a melody that are not predicted: the length of the bar

    def __init__(self, config: MelodyConfig, *, rng: Any):
        self.config = c = config
        self.embedding = nn.Embedding(VOCABULARY, c.embedding, rng=rng)
        self._make_layers(rng)
        self.dropout = nn.Dropout(c.dropout)
        self.output = nn.Linear(c.widths[-1], VOCABULARY, rng=rng)
        parameters = self.parameters()
        optimizer = Adam(parameters, c.lr)
        self.players = [Player("melody", parameters, self.objective, optimizer, schedule=c.rates(), clip=c.clip)]

    def _make_layers(self, rng: Any) -> None:
        self.layers = self._stack(rng)

    def _stack(self, rng: Any) -> list[nn.LSTM]:
        return [nn.LSTM(a, b, rng=rng) for a, b in itertools.pairwise((self.config.embedding, *self.config.widths))]

    def forward(self, ids: Any, rng: Any = None) -> Tensor:
        return self.output(self._read(self.layers, ids, rng=rng)[0])

    def _read(self, layers: list[nn.LSTM], ids: Any, states: Any = None, rng: Any = None) -> tuple[Tensor, list]:
        """h of the last layer after each token, and the states after the last        (N, T) -> (N, T, width), states"""
        h, new = self.dropout(self.embedding(ids), rng=rng), []
        for layer, state in zip(layers, states or [None] * len(layers), strict=True):
            h, state = layer(h, state)
            h = self.dropout(h, rng=rng)
            new.append(state)
        return h, new

    def begin(self, ids: Any, state: Any = None) -> tuple[Array, Any]:
        h, state = self._read(self.layers, ids, state)
        return self.output(h[:, -1]).data, state

    def step(self, ids: Any, state: Any) -> tuple[Array, Any]:
        h, state = self._read(self.layers, ids[:, None], state)
        return self.output(h[:, -1]).data, state

    # -- training -------------------------------------------------------------------------------------------------
    def prepare(self, dataset: MusicSet) -> tuple[np.ndarray, ...]:
        """Every window of block + 1 tokens, of all melodies in all keys one after the other."""
        stream = self.stream(dataset)
        length = self.config.block + 1
        if len(stream) < length:
            raise DataError(
                f"{dataset.name}: expected at least {length} tokens for a window, came {len(stream)}; "
                "use more music or a smaller block."
            )
        return (np.lib.stride_tricks.sliding_window_view(stream.astype(np.uint8), length),)

    def stream(self, dataset: MusicSet) -> np.ndarray:
        """The tokens of all melodies in all keys, one after the other        -> (n,), int64"""
        return np.concatenate([encode_melody(score) for score in transpositions(dataset.scores, self.config.keys)])

    # -- measuring ------------------------------------------------------------------------------------------------
    def nll(self, score: Score) -> np.ndarray:
        """−ln p of each token but the first `unseen`, given all before it        -> (steps + 1 − unseen,)"""
        with no_grad():
            return self._nll(encode_melody(score), None)

    def _nll(self, ids: np.ndarray, states: Any) -> np.ndarray:
        """−ln p of each token but the first, given those before it and the states        (n,) -> (n − 1,)"""
        found = [np.zeros(0, np.float32)]
        for t in range(0, len(ids) - 1, CHUNK):
            x, y = ids[None, t : t + CHUNK + 1][:, :-1], ids[None, t + 1 : t + CHUNK + 1]
            h, states = self._read(self.layers, backend.asarray(x), states)
            found.append(ops.softmax_cross_entropy(self.output(h), backend.asarray(y), "none").numpy()[0])
        return np.concatenate(found)

    # -- writing --------------------------------------------------------------------------------------------------
    def compose(self, primer: Score | None, bars: int, rng: np.random.Generator, **settings: Any) -> Score:
        """The primer, its last bar filled, and so many bars more; without one, as many bars of 4/4.

        Of a primer of several voices the melody is read, which is the highest. Settings as :meth:`generate`.
        """
        primer = Score((), 0) if primer is None else primer
        ids = encode_melody(primer)
        steps = bars * primer.bar + -primer.steps % primer.bar
        written = list(self.generate(ids, steps, rng, never=range(BEGIN, VOCABULARY), **settings))
        return decode_melody(np.append(ids, written), primer.metre, primer.title)


# -- an encoder and a decoder [A9] ------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class ContinuationConfig(MelodyConfig):
    """Settings of a :class:`Continuation`, beside those of :class:`MelodyConfig`.

    primer   tokens of a window that the encoder reads; the others are learnt
    """

    primer: int = 65

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.primer > self.block:
            raise ConfigError(f"primer: expected at most block = {self.block}, got {self.primer}; a window has both.")


class Continuation(Melody):
    """encoder: LSTM over the primer        decoder: LSTM from the encoder's last state → softmax        [A9]

    Article A's code, whose Dense(1, sigmoid) with binary cross-entropy becomes a softmax over pitches with the
    cross-entropy. The decoder reads the last token of the primer first, then what it has written.
    """

    config: ContinuationConfig

    def _make_layers(self, rng: Any) -> None:
        self.encoder = self._stack(rng)
        super()._make_layers(rng)

    @property
    def unseen(self) -> int:
        return self.config.primer

    def begin(self, ids: Any, state: Any = None) -> tuple[Array, Any]:
        if state is None and ids.shape[1] > 1:
            _, state = self._read(self.encoder, ids[:, :-1])
            ids = ids[:, -1:]
        return super().begin(ids, state)

    def objective(self, batch: tuple[Array, ...], rng: Any) -> tuple[Tensor, dict[str, Any]]:
        """The mean of −ln p over the tokens of the windows (N, block + 1) behind the primer, in nats."""
        ids, m = batch[0].astype("int64"), self.config.primer
        _, state = self._read(self.encoder, ids[:, : m - 1], rng=rng) if m > 1 else (None, None)
        h, _ = self._read(self.layers, ids[:, m - 1 : -1], state, rng=rng)
        return ops.softmax_cross_entropy(self.output(h), ids[:, m:]), {}

    def nll(self, score: Score) -> np.ndarray:
        ids, m = encode_melody(score), self.config.primer
        with no_grad():
            _, state = self._read(self.encoder, backend.asarray(ids[None, : m - 1])) if m > 1 else (None, None)
            return self._nll(ids[m - 1 :], state)


PRESETS = {
    "melody": Preset(
        "LSTM over the notes and rests of a melody, a token for each sixteenth",
        Melody,
        MelodyConfig(steps=1500, batch_size=16, lr=4e-3, schedule="cosine", dropout=0.4),
    ),
    "melody-b10": Preset(
        "LSTM with the sizes of article B: 256, 512, 512 over each other",
        Melody,
        MelodyConfig(widths=(256, 512, 512), steps=1000, batch_size=16, lr=1e-3, schedule="cosine", dropout=0.4),
    ),
    "melody-a9": Preset(
        "LSTM encoder of a primer and decoder of its continuation, with the sizes of article A",
        Continuation,
        ContinuationConfig(widths=(128,), steps=1500, batch_size=16, lr=4e-3, schedule="cosine", dropout=0.4),
    ),
}
