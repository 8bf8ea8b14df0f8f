"""A recurrent network that reads a text symbol by symbol and gives the distribution of the next one [B11, D6].

    e_t = E[x_t],   h_t = cell(e_t, h_{t−1}) in one or several layers,   p(x_{t+1} | x_1, …, x_t) = softmax(W h_t + b)

The state h is all that it keeps of what it has read, so that a symbol more costs the same after ten symbols and after
a million. It is trained on windows, each from the state zero; reading on from window to window, it remembers further
than that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import backend, kernels, nn, ops
from ..backend import Array, xp
from ..optim import Adam, Player, RMSprop
from ..tensor import Tensor, no_grad
from .config import DEEPEST, Preset, Scheduled, at_most, choice, fraction
from .language import LanguageModel, TextConfig

__all__ = ["PRESETS", "CharLM", "CharLMConfig"]

CELLS = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN, "two_sigmoid": nn.TwoSigmoidRNN}
OPTIMIZERS = {"adam": Adam, "rmsprop": RMSprop}
STREAMS = 64  # parts of a text that are read side by side when it is measured


@dataclass(frozen=True, kw_only=True)
class CharLMConfig(TextConfig, Scheduled):
    """Settings of a recurrent language model, beside those of :class:`TextConfig` and :class:`Scheduled`.

    cell        lstm, gru, rnn, or two_sigmoid, the articles' own [B6]
    layers      over each other
    embedding   length of a symbol's vector
    width       length of h
    dropout     of the vectors, between layers and before the softmax
    optimizer   adam or rmsprop
    clip        the largest norm of the gradients
    learn_from  all symbols of a window, or only the last [B11]
    """

    cell: str = choice("lstm", tuple(CELLS))
    layers: int = at_most(2, DEEPEST)
    embedding: int = 64
    width: int = 256
    dropout: float = fraction(0.2)
    optimizer: str = choice("adam", tuple(OPTIMIZERS))
    clip: float = 1.0
    learn_from: str = choice("all", ("all", "last"))


class CharLM(LanguageModel):
    """Embedding → dropout → layers of a recurrent cell → dropout → Linear

    With the settings of `charlm-b11` it is the network of article B's text project: windows of 40 symbols in lower
    case, Embedding 50 → LSTM 128 → softmax over the symbol behind the window, RMSprop 0.01, batches of 128, 10 epochs
    [B11]. Its code hands one-hot vectors to the embedding, which wants ids; and while writing it forgets the window
    but for the last symbol, and always takes the likeliest one. Here the state goes on, and symbols are drawn. That
    gradients are clipped is added.
    """

    config: CharLMConfig

    def __init__(self, config: CharLMConfig, *, rng: Any):
        super().__init__(config)
        c, symbols = config, self.tokenizer.vocab_size
        self.embedding = nn.Embedding(symbols, c.embedding, rng=rng)
        self.cell = CELLS[c.cell](c.embedding, c.width, layers=c.layers, dropout=c.dropout, rng=rng)
        self.dropout = nn.Dropout(c.dropout)
        self.output = nn.Linear(c.width, symbols, rng=rng)
        parameters = self.parameters()
        optimizer = OPTIMIZERS[c.optimizer](parameters, c.lr)
        self.players = [Player("charlm", parameters, self.objective, optimizer, schedule=c.rates(), clip=c.clip)]

    def forward(self, ids: Any, rng: Any = None) -> Tensor:
        """Logits of the symbol after each        (N, T) -> (N, T, V); `rng` for dropout in training"""
        return self.output(self.dropout(self._read(ids, rng=rng)[0], rng=rng))

    def _read(self, ids: Any, state: Any = None, rng: Any = None) -> tuple[Tensor, Any]:
        """h of the last layer after each symbol, and the state after the last        (N, T) -> (N, T, width), state"""
        return self.cell(self.dropout(self.embedding(ids), rng=rng), state, rng=rng)

    def objective(self, batch: tuple[Array, ...], rng: Any) -> tuple[Tensor, dict[str, Any]]:
        """The mean of −ln p over the symbols of the windows (N, block + 1) that are learnt from, in nats."""
        if self.config.learn_from == "all":
            return super().objective(batch, rng)
        ids = batch[0].astype("int64")
        h, _ = self._read(ids[:, :-1], rng=rng)
        return ops.softmax_cross_entropy(self.output(self.dropout(h[:, -1], rng=rng)), ids[:, -1]), {}

    def begin(self, ids: Any) -> tuple[Array, Any]:
        """Read a prompt        (N, T) -> logits (N, V), what :meth:`step` goes on from"""
        h, state = self._read(ids)
        if self.config.cell == "lstm":
            state = *(xp.stack([a.data for a in arrays]) for arrays in zip(*state, strict=True)), self._weights()
        return self.output(h[:, -1]).data, state

    def step(self, ids: Any, state: Any) -> tuple[Array, Any]:
        """Read one symbol more        (N,), state -> (N, V), state, which takes the place of the one that is given"""
        if self.config.cell == "lstm":
            h, c, weights = state
            return kernels.lstm_symbol(ids, h, c, **weights), state
        h, state = self._read(ids[:, None], state)
        return self.output(h[:, -1]).data, state

    def _weights(self) -> dict[str, Any]:
        """What :func:`kernels.lstm_symbol` multiplies with"""
        cells = self.cell.cells
        return {
            "tokens": self.embedding.weight.data,
            "weights": [cell.weight_ih.data for cell in cells],
            "recurrent": xp.stack([cell.weight_hh.data for cell in cells]),
            "biases": xp.stack([cell.bias.data for cell in cells]),
            "output": self.output.weight.data,
            "output_bias": self.output.bias.data,
        }

    def nll(self, ids: np.ndarray) -> np.ndarray:
        """−ln p of every symbol of a text but the first, after all that precedes it        (n,) -> (n − 1,)

        A long text is cut into up to 64 parts that are read side by side, each from the state zero to its end.
        """
        n, block = len(ids) - 1, self.config.block
        parts = max(1, min(STREAMS, n // (8 * block)))
        length = -(-n // parts)
        x, y = (np.resize(a, parts * length).reshape(parts, length) for a in (ids[:-1], ids[1:]))
        found, state = [], None
        with no_grad():
            for t in range(0, length, block):
                h, state = self._read(backend.asarray(x[:, t : t + block]), state)
                nll = ops.softmax_cross_entropy(self.output(h), backend.asarray(y[:, t : t + block]), "none")
                found.append(nll.numpy())
        return np.concatenate(found, axis=1).reshape(-1)[:n]


PRESETS = {
    "charlm": Preset(
        "LSTM of two layers, width 256, over windows of 64 characters",
        CharLM,
        CharLMConfig(steps=3000, batch_size=64, lr=4e-3, schedule="cosine"),
    ),
    "charlm-b11": Preset(  # 32,690 steps are 10 epochs of the default text
        "LSTM with the sizes of article B: windows of 40, Embedding 50, LSTM 128, RMSprop",
        CharLM,
        CharLMConfig(
            lower=True,
            block=40,
            embedding=50,
            width=128,
            layers=1,
            dropout=0.0,
            optimizer="rmsprop",
            lr=0.01,
            batch_size=128,
            steps=32_690,
            clip=5.0,
            learn_from="last",
        ),
    ),  # fmt: skip
}
