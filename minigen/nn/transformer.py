"""The layers of a Transformer (Vaswani et al. 2017): attention, then two linear layers at each place for itself.

Both are branches beside the way of x. With LN layer normalisation, a branch f is joined to it by

    norm="pre"     x + f(LN(x))     Xiong et al. 2020; nothing stands in the way of x, which trains without warm-up
    norm="post"    LN(x + f(x))     the paper of 2017

Dropout acts on what a branch adds. Under norm="pre" the last layer is followed by a LayerNorm of the model's own.
"""

from __future__ import annotations

from typing import Any

from ..errors import ConfigError
from ..tensor import Tensor
from .activation import GELU
from .attention import KeysAndValues, MultiHeadAttention
from .container import Sequential
from .linear import Initialiser, Linear
from .module import Module
from .normalization import Dropout, LayerNorm

__all__ = ["TransformerDecoderLayer", "TransformerEncoderLayer"]


class _Layer(Module):
    """What both have in common: the settings, the branch at each place, and how branches are joined."""

    def __init__(self, features: int, heads: int, hidden: int | None, norm: str, dropout: float):
        if norm not in ("pre", "post"):
            raise ConfigError(f"{type(self).__name__}: norm must be 'pre' or 'post', got {norm!r}.")
        self.features, self.heads, self.hidden, self.norm = features, heads, hidden or 4 * features, norm
        self.dropout = Dropout(dropout)

    def _mlp(self, init: Initialiser | None, rng: Any, dtype: Any) -> Sequential:
        """W₂ GELU(W₁ x + b₁) + b₂"""
        return Sequential(
            Linear(self.features, self.hidden, init=init, rng=rng, dtype=dtype),
            GELU(),
            Linear(self.hidden, self.features, init=init, rng=rng, dtype=dtype),
        )

    def _in(self, norm: LayerNorm, x: Any) -> Any:
        """What a branch is given"""
        return norm(x) if self.norm == "pre" else x

    def _out(self, norm: LayerNorm, x: Any, y: Any, rng: Any) -> Any:
        """x joined by what its branch made"""
        x = x + self.dropout(y, rng=rng)
        return x if self.norm == "pre" else norm(x)

    def settings(self) -> str:
        return f"{self.features}, heads={self.heads}, hidden={self.hidden}, norm={self.norm!r}"


class TransformerEncoderLayer(_Layer):
    """Self-attention, then the MLP        (N, T, features), same shape

    With ``causal=True`` a place sees none behind it: so it is also the layer of a decoder without an encoder (GPT).
    """

    def __init__(
        self, features: int, heads: int, *, hidden: int | None = None, norm: str = "pre", dropout: float = 0.0,
        init: Initialiser | None = None, rng: Any, dtype: Any = None,
    ):  # fmt: skip
        super().__init__(features, heads, hidden, norm, dropout)
        self.attention = MultiHeadAttention(features, heads, init=init, rng=rng, dtype=dtype)
        self.norm1 = LayerNorm(features, dtype=dtype)
        self.mlp = self._mlp(init, rng, dtype)
        self.norm2 = LayerNorm(features, dtype=dtype)

    def forward(self, x: Any, *, mask: Any = None, causal: bool = False, rng: Any = None) -> Tensor:
        """`mask` and `causal` as in :class:`MultiHeadAttention`."""
        return self._rest(x, self.attention(self._in(self.norm1, x), mask=mask, causal=causal), rng)

    def step(self, x: Any, past: KeysAndValues | None = None, *, rng: Any = None) -> tuple[Tensor, KeysAndValues]:
        """The causal layer at the places after those of `past`, and the keys and values of all: the next `past`."""
        y, past = self.attention.step(self._in(self.norm1, x), past)
        return self._rest(x, y, rng), past

    def _rest(self, x: Any, y: Any, rng: Any) -> Tensor:
        """What follows attention, which made y of x"""
        x = self._out(self.norm1, x, y, rng)
        return self._out(self.norm2, x, self.mlp(self._in(self.norm2, x)), rng)


class TransformerDecoderLayer(_Layer):
    """Causal self-attention, attention to an encoder's output, then the MLP        (N, T, features), same shape"""

    def __init__(
        self, features: int, heads: int, *, hidden: int | None = None, norm: str = "pre", dropout: float = 0.0,
        init: Initialiser | None = None, rng: Any, dtype: Any = None,
    ):  # fmt: skip
        super().__init__(features, heads, hidden, norm, dropout)
        self.self_attention = MultiHeadAttention(features, heads, init=init, rng=rng, dtype=dtype)
        self.norm1 = LayerNorm(features, dtype=dtype)
        self.cross_attention = MultiHeadAttention(features, heads, init=init, rng=rng, dtype=dtype)
        self.norm2 = LayerNorm(features, dtype=dtype)
        self.mlp = self._mlp(init, rng, dtype)
        self.norm3 = LayerNorm(features, dtype=dtype)

    def forward(self, x: Any, memory: Any, *, memory_mask: Any = None, rng: Any = None) -> Tensor:
        """`memory` (N, U, features) is the encoder's output; `memory_mask` (N, 1, U) says where it is no padding."""
        return self._rest(x, self.self_attention(self._in(self.norm1, x), causal=True), memory, memory_mask, rng)

    def step(
        self, x: Any, memory: Any, past: KeysAndValues | None = None, *, memory_mask: Any = None, rng: Any = None
    ) -> tuple[Tensor, KeysAndValues]:
        """The layer at the places after those of `past`, and the keys and values of all.

        Instead of the memory its keys and values may be given, ``layer.cross_attention.keys_and_values(memory)``,
        which are the same in every step.
        """
        y, past = self.self_attention.step(self._in(self.norm1, x), past)
        return self._rest(x, y, memory, memory_mask, rng), past

    def _rest(self, x: Any, y: Any, memory: Any, memory_mask: Any, rng: Any) -> Tensor:
        """What follows self-attention, which made y of x"""
        x = self._out(self.norm1, x, y, rng)
        x = self._out(self.norm2, x, self.cross_attention(self._in(self.norm2, x), memory, mask=memory_mask), rng)
        return self._out(self.norm3, x, self.mlp(self._in(self.norm3, x)), rng)
