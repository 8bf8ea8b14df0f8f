"""The Transformer (Vaswani et al. 2017): an encoder reads a text, a decoder writes another while looking at it [C5].

    m = LN(encoder(x + positions)),   h = LN(decoder(y + positions, m)),   p(y_t | y_1, …, y_{t−1}, x) = softmax(W h_t)

Every place of the source may look at every other; a place of the target sees only those before it, and all of m. Layers
are pre-norm (Xiong et al. 2020), so that training needs little warm-up; positions are sinusoids; W is the matrix of
the target's vectors (Press & Wolf 2017).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from .. import backend, nn, ops
from ..backend import Array, xp
from ..optim import Adam, Player, cosine
from ..tensor import Tensor
from .config import DEEPEST, Preset, at_most, fraction
from .translation import PairConfig, TranslationModel

__all__ = ["PRESETS", "Transformer", "TransformerConfig"]

PLACES = 1024  # of the table of sinusoids: more symbols than that no text may have


@dataclass(frozen=True, kw_only=True)
class TransformerConfig(PairConfig):
    """Settings of a :class:`Transformer`, beside those of :class:`PairConfig`. The learning rate falls along a cosine.

    layers    of the encoder, and of the decoder
    heads     of each attention
    width     length of the vectors
    dropout   of the vectors and of what each branch adds
    warmup    steps in which the learning rate rises to lr
    clip      the largest norm of the gradients
    """

    layers: int = at_most(2, DEEPEST)
    heads: int = 4
    width: int = 64
    dropout: float = fraction(0.0)
    warmup: int = 50
    clip: float = 1.0


class Transformer(TranslationModel):
    """Encoder and decoder of `layers` layers each."""

    config: TransformerConfig

    def __init__(self, config: TransformerConfig, *, rng: Any):
        super().__init__(config)
        c = config
        self.source_embedding = nn.Embedding(self.source.vocab_size, c.width, init=_scaled, rng=rng)
        self.target_embedding = nn.Embedding(self.target.vocab_size, c.width, init=_scaled, rng=rng)
        self.positions = nn.SinusoidalPositions(PLACES, c.width)
        self.dropout = nn.Dropout(c.dropout)
        options = {"norm": "pre", "dropout": c.dropout, "rng": rng}
        self.encoder = [nn.TransformerEncoderLayer(c.width, c.heads, **options) for _ in range(c.layers)]
        self.encoder_norm = nn.LayerNorm(c.width)
        self.decoder = [nn.TransformerDecoderLayer(c.width, c.heads, **options) for _ in range(c.layers)]
        self.decoder_norm = nn.LayerNorm(c.width)
        parameters = self.parameters()
        schedule = lambda step: cosine(step, c.steps, c.warmup, c.lr)
        self.players = [
            Player("transformer", parameters, self.objective, Adam(parameters, c.lr, (0.9, 0.98)), schedule=schedule,
                   clip=c.clip)
        ]  # fmt: skip

    def forward(self, source: Any, lengths: Any, target: Any, rng: Any = None) -> Tensor:
        mask = _real(source, lengths)
        memory = self._encode(source, mask, rng)
        h = self._vectors(self.target_embedding, target, 0, rng)
        for layer in self.decoder:
            h = layer(h, memory, memory_mask=mask, rng=rng)
        return self._logits(h)

    def read(self, source: Any, lengths: Any) -> tuple:
        """(keys and values of the memory for each layer of the decoder, which of its places are real, those of the
        target so far: none)"""
        mask = _real(source, lengths)
        memory = self._encode(source, mask)
        return (
            [layer.cross_attention.keys_and_values(memory) for layer in self.decoder],
            mask,
            [None] * len(self.decoder),
        )

    def step(self, ids: Any, state: tuple) -> tuple[Array, tuple]:
        memories, mask, pasts = state
        h, written = self._vectors(self.target_embedding, ids[:, None], pasts[0][0].shape[2] if pasts[0] else 0), []
        for layer, memory, past in zip(self.decoder, memories, pasts, strict=True):
            h, past = layer.step(h, memory, past, memory_mask=mask)
            written.append(past)
        return self._logits(h).data[:, -1], (memories, mask, written)

    def _logits(self, h: Tensor) -> Tensor:
        return ops.linear(self.decoder_norm(h), self.target_embedding.weight)

    def _encode(self, ids: Any, mask: Any, rng: Any = None) -> Tensor:
        """m (N, S, width)"""
        x = self._vectors(self.source_embedding, ids, 0, rng)
        for layer in self.encoder:
            x = layer(x, mask=mask, rng=rng)
        return self.encoder_norm(x)

    def _vectors(self, embedding: nn.Embedding, ids: Any, start: int, rng: Any = None) -> Tensor:
        """√width · vectors + positions: both are then of size 1"""
        return self.dropout(self.positions(math.sqrt(self.config.width) * embedding(ids), start), rng=rng)


def _real(source: Any, lengths: Any) -> Array:
    """(N, 1, S): which places of the sources are no padding"""
    return (xp.arange(source.shape[1], like=lengths) < lengths[:, None])[:, None]


def _scaled(rng: Any, shape: tuple[int, ...], dtype: Any = None) -> Array:
    """N(0, 1/width)"""
    return backend.normal(rng, shape, dtype) / math.sqrt(shape[1])


PRESETS = {
    "transformer": Preset(
        "Transformer of 2 + 2 layers, width 64: dates as people write them to 2026-11-21",
        Transformer,
        TransformerConfig(steps=1000, batch_size=64, lr=3e-3),
    ),
}
