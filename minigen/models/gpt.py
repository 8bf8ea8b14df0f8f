"""GPT: a Transformer that reads a text from left to right and gives the distribution of the next symbol [C5].

    h₀ = tokens[x] + positions,   h_l = layer_l(h_{l−1}) with a causal mask,   logits = LN(h_L) tokensᵀ

with pre-norm layers (Radford et al. 2019). One matrix is embedding and output: a symbol is likely where the state
points in the direction of its vector (Press & Wolf 2017). Weights start as N(0, 0.02²), those that end a branch
divided by √(2 L), so that the sum over the 2 L branches does not grow with their number.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from .. import backend, nn, ops
from ..backend import Array, xp
from ..optim import AdamW, Player, cosine
from ..tensor import Tensor
from .config import DEEPEST, Preset, at_most, fraction
from .language import LanguageModel, TextConfig

__all__ = ["GPT", "PRESETS", "GPTConfig"]


@dataclass(frozen=True, kw_only=True)
class GPTConfig(TextConfig):
    """Settings of a GPT, beside those of :class:`TextConfig`. The learning rate falls to a tenth along half a cosine.

    layers        L
    heads         of each layer
    width         length of the vectors h
    dropout       of the embedding and of what each branch adds
    warmup        steps in which the learning rate rises to lr
    beta2         AdamW's β₂
    weight_decay  of the matrices, not of biases and normalisation
    clip          the largest norm of the gradients
    """

    layers: int = at_most(4, DEEPEST)
    heads: int = 4
    width: int = 128
    dropout: float = fraction(0.0)
    warmup: int = 100
    beta2: float = fraction(0.99)
    weight_decay: float = fraction(0.1)
    clip: float = 1.0


class GPT(LanguageModel):
    """Decoder-only Transformer over windows of at most `block` symbols."""

    config: GPTConfig

    def __init__(self, config: GPTConfig, *, rng: Any):
        super().__init__(config)
        c = config
        self.tokens = nn.Embedding(self.tokenizer.vocab_size, c.width, init=_small, rng=rng)
        self.positions = nn.LearnedPositions(c.block, c.width, init=_small, rng=rng)
        self.dropout = nn.Dropout(c.dropout)
        self.layers = [
            nn.TransformerEncoderLayer(c.width, c.heads, norm="pre", dropout=c.dropout, init=_small, rng=rng)
            for _ in range(c.layers)
        ]
        for layer in self.layers:
            for last in (layer.attention.output, layer.mlp[2]):
                last.weight.data /= math.sqrt(2 * c.layers)
        self.norm = nn.LayerNorm(c.width)
        parameters = self.parameters()
        optimizer = AdamW(parameters, c.lr, (0.9, c.beta2), weight_decay=c.weight_decay, matrices_only=True)
        schedule = lambda step: cosine(step, c.steps, c.warmup, c.lr, c.lr / 10)
        self.players = [Player("gpt", parameters, self.objective, optimizer, schedule=schedule, clip=c.clip)]

    def forward(self, ids: Any, rng: Any = None) -> Tensor:
        """Logits of the symbol after each        (N, T) -> (N, T, V), T ≤ block; `rng` for dropout in training"""
        x = self.dropout(self.positions(self.tokens(ids)), rng=rng)
        for layer in self.layers:
            x = layer(x, causal=True, rng=rng)
        return self._logits(x)

    def _logits(self, x: Tensor) -> Tensor:
        return ops.linear(self.norm(x), self.tokens.weight)

    def _read(self, ids: Any, pasts: list) -> tuple[Tensor, list]:
        """Logits after the symbols (N, T) that follow those of `pasts`: keys and values of each layer, then of all."""
        x, read = self.positions(self.tokens(ids), pasts[0][0].shape[2] if pasts[0] else 0), []
        for layer, past in zip(self.layers, pasts, strict=True):
            x, past = layer.step(x, past)
            read.append(past)
        return self._logits(x), read

    def begin(self, ids: Any) -> tuple[Array, Any]:
        """Read the last `block` symbols of a prompt        (N, T) -> logits (N, V), (these symbols, keys and values)"""
        window = ids[:, -self.config.block :]
        logits, pasts = self._read(window, [None] * len(self.layers))
        return logits.data[:, -1], (window, pasts)

    def step(self, ids: Any, state: Any) -> tuple[Array, Any]:
        """Read one symbol more        (N,), state -> (N, V), state

        While the window grows, only the new symbol is computed. A full window moves on: every symbol in it then stands
        one place earlier, so that no key or value is what it was, and the window is read anew.
        """
        window, pasts = state
        window = xp.concatenate([window, ids[:, None]], axis=1)
        if window.shape[1] > self.config.block:
            return self.begin(window)
        logits, pasts = self._read(ids[:, None], pasts)
        return logits.data[:, -1], (window, pasts)


def _small(rng: Any, shape: tuple[int, ...], dtype: Any = None) -> Array:
    """N(0, 0.02²)"""
    return 0.02 * backend.normal(rng, shape, dtype)


PRESETS = {
    "gpt": Preset(
        "GPT of 4 layers, width 128, windows of 64 characters",
        GPT,
        GPTConfig(steps=2000, batch_size=12, lr=2e-3),
    ),
    "gpt-long": Preset(
        "GPT of 4 layers, width 192, windows of 128 characters",
        GPT,
        GPTConfig(steps=3600, batch_size=16, block=128, heads=6, width=192, dropout=0.1, lr=2e-3),
    ),
}
