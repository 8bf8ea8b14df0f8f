"""Multi-head attention, and where in a sequence a symbol stands."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import backend, ops
from ..errors import ConfigError, ShapeError
from ..tensor import Tensor, tensor
from .linear import Initialiser, Linear, _at, check_sizes, parameter
from .module import Module

__all__ = ["LearnedPositions", "MultiHeadAttention", "SinusoidalPositions"]

KeysAndValues = tuple[Any, Any]  # (N, heads, U, d) twice


class MultiHeadAttention(Module):
    """y = (Y₁ | … | Y_h) W_oᵀ + b_o,   Y_i = softmax(Q_i K_iᵀ / √d) V_i        Vaswani et al. 2017, §3.2.2

    Q = x W_qᵀ + b_q is cut into h heads of width d = features / h, and so are K and V, made of the memory m. m is x
    itself unless it is given. One matrix holds W_q over W_k over W_v: of x itself one product makes all three. Shapes
    (N, T, features), (N, U, features) -> (N, T, features); weights and biases start as those of :class:`Linear`.
    """

    def __init__(
        self, features: int, heads: int, *, init: Initialiser | None = None, rng: Any, dtype: Any = None
    ):  # fmt: skip
        check_sizes("MultiHeadAttention", features=features, heads=heads)
        if features % heads:
            raise ConfigError(
                f"MultiHeadAttention: heads must divide features, got {features} features, {heads} heads."
            )
        self.features, self.heads = features, heads
        self.query_key_value = Linear(features, 3 * features, init=init, rng=rng, dtype=dtype)
        self.output = Linear(features, features, init=init, rng=rng, dtype=dtype)

    def forward(self, x: Any, memory: Any = None, *, mask: Any = None, causal: bool = False) -> Tensor:
        """`memory` (N, U, features), or the pair that :meth:`keys_and_values` made of it.

        mask     truth values (N or 1, T or 1, U): which places of the memory a place of x may look at
        causal   place i of x may look at place j of the memory only if j ≤ i + U − T
        """
        if mask is not None:
            mask = ops.expand_dims(mask, -3)  # one mask for all heads
        if memory is None:
            return self.output(ops.self_attention(self.query_key_value(x), self.heads, mask, causal))
        (q,) = self._cut(self._some(x, 0, 1))
        k, v = memory if isinstance(memory, tuple) else self.keys_and_values(memory)
        return self._joined(ops.scaled_dot_product_attention(q, k, v, mask, causal))

    def step(self, x: Any, past: KeysAndValues | None = None) -> tuple[Tensor, KeysAndValues]:
        """Causal self-attention at the places after those of `past`, and the keys and values of all: the next `past`"""
        q, k, v = self._cut(self.query_key_value(x))
        if past is not None:
            k, v = ops.concatenate([past[0], k], 2), ops.concatenate([past[1], v], 2)
        return self._joined(ops.scaled_dot_product_attention(q, k, v, causal=True)), (k, v)

    def keys_and_values(self, memory: Any) -> KeysAndValues:
        """K and V (N, heads, U, d) of a memory (N, U, features)"""
        return tuple(self._cut(self._some(memory, 1, 3)))

    def _some(self, x: Any, first: int, last: int) -> Tensor:
        """x times some of W_q, W_k, W_v        (N, T, features) -> (N, T, (last − first) · features)"""
        weight, bias = self.query_key_value.weight, self.query_key_value.bias
        rows = slice(first * self.features, last * self.features)
        return ops.linear(x, weight[rows], bias[rows])

    def _cut(self, x: Any) -> list:
        """(N, T, k · features) -> k times (N, heads, T, d)"""
        n, t, width = x.shape
        heads = (n, t, self.heads, self.features // self.heads)
        parts = ops.split(x, width // self.features, axis=-1)
        return [ops.transpose(ops.reshape(part, heads), (0, 2, 1, 3)) for part in parts]

    def _joined(self, y: Any) -> Tensor:
        """(N, heads, T, d) -> (N, T, features), through W_o"""
        n, _, t, _ = y.shape
        return self.output(ops.reshape(ops.transpose(y, (0, 2, 1, 3)), (n, t, self.features)))

    def settings(self) -> str:
        return f"{self.features}, heads={self.heads}"


# -- positions --------------------------------------------------------------------------------------------------------


class _Positions(Module):
    weight: Tensor

    def __init__(self, length: int, features: int):
        check_sizes(type(self).__name__, length=length, features=features)
        self.length, self.features = length, features

    def forward(self, x: Any, start: int = 0) -> Tensor:
        """x + P[start : start + T]        (…, T, features), same shape"""
        if x.ndim < 2 or x.shape[-1] != self.features or start + x.shape[-2] > self.length:
            raise ShapeError(
                f"{self!r}{_at(self)}: expected an input of shape (…, T, {self.features}) with T of at most "
                f"{self.length - start} after place {start}, got {tuple(x.shape)}."
            )
        return x + self.weight[start : start + x.shape[-2]]

    def settings(self) -> str:
        return f"{self.length}, {self.features}"


class SinusoidalPositions(_Positions):
    """y = x + P,   P[t, 2i] = sin(t / 10000^(2i/features)),   P[t, 2i + 1] = cos(t / 10000^(2i/features))

    Vaswani et al. 2017, §3.5. P[t + s] is a rotation of P[t] that depends on s alone; nothing of it is learnt.
    """

    def __init__(self, length: int, features: int, *, dtype: Any = None):
        super().__init__(length, features)
        angles = np.arange(length)[:, None] / 10000 ** (np.arange(features) // 2 * 2 / features)
        table = np.where(np.arange(features) % 2 == 0, np.sin(angles), np.cos(angles))
        self.weight = tensor(backend.asarray(table, dtype or backend.default_dtype))


class LearnedPositions(_Positions):
    """y = x + P, one learnt vector for each of `length` places; P starts as N(0, 1)        Gehring et al. 2017"""

    def __init__(self, length: int, features: int, *, init: Initialiser | None = None, rng: Any, dtype: Any = None):
        super().__init__(length, features)
        self.weight = parameter((init or backend.normal)(rng, (length, features), dtype))
