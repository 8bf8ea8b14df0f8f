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

from .. import backend, kernels, nn, ops
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

    def begin(self, ids: Any) -> tuple[Array, Any]:
        """Read the last `block` symbols of a prompt        (N, T) -> logits (N, V), what :meth:`step` goes on from"""
        return self._begin(ids, self._weights())

    def _begin(self, ids: Any, weights: dict[str, Array]) -> tuple[Array, Any]:
        c, window = self.config, ids[:, -self.config.block :]
        x, (n, t) = self.positions(self.tokens(window)), window.shape
        past = xp.empty((c.layers, 2, n, c.heads, c.block, c.width // c.heads), x.dtype, like=x.data)
        for layer, of_layer in zip(self.layers, past, strict=True):
            x, read = layer.step(x)
            for kept, a in zip(of_layer, read, strict=True):
                kept[:, :, :t] = a.data
        return self._logits(x).data[:, -1], (window, past, weights)

    def step(self, ids: Any, state: Any) -> tuple[Array, Any]:
        """Read one symbol more        (N,), state -> (N, V), state, which takes the place of the one that is given

        While the window grows, only the new symbol is computed. A full window moves on: every symbol in it then stands
        one place earlier, so that no key or value is what it was, and the window is read anew.
        """
        window, past, weights = state
        t = window.shape[1]
        window = xp.concatenate([window, ids[:, None]], axis=1)
        if t == self.config.block:
            return self._begin(window, weights)
        return kernels.gpt_step(ids, past, t, self.norm.eps, **weights), (window, past, weights)

    def _weights(self) -> dict[str, Array]:
        """What :func:`kernels.gpt_step` multiplies with"""
        norm = lambda layer: xp.stack([layer.weight.data, layer.bias.data])
        stack = lambda arrays: xp.stack(list(arrays))
        linear = {
            "qkv": [layer.attention.query_key_value for layer in self.layers],
            "out": [layer.attention.output for layer in self.layers],
            "up": [layer.mlp[0] for layer in self.layers],
            "down": [layer.mlp[2] for layer in self.layers],
        }
        return {
            **{name: stack(layer.weight.data for layer in layers) for name, layers in linear.items()},
            **{f"{name}_bias": stack(layer.bias.data for layer in layers) for name, layers in linear.items()},
            "norm1": stack(norm(layer.norm1) for layer in self.layers),
            "norm2": stack(norm(layer.norm2) for layer in self.layers),
            "norm": norm(self.norm),
            "tokens": self.tokens.weight.data,
            "positions": self.positions.weight.data,
        }


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
