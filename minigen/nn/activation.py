"""The activations of :mod:`minigen.ops.elementwise` as layers: (…) -> (…), one element at a time, no parameters."""

from __future__ import annotations

from typing import Any

from .. import ops
from ..tensor import Tensor
from .module import Module

__all__ = ["ELU", "GELU", "LeakyReLU", "ReLU", "SiLU", "Sigmoid", "Softplus", "Tanh"]


class ReLU(Module):
    """y = max(x, 0)        Nair & Hinton 2010"""

    def forward(self, x: Any) -> Tensor:
        return ops.relu(x)


class LeakyReLU(Module):
    """y = x where x > 0, else a x        Maas et al. 2013

    a = negative_slope must be given: the papers differ (0.01 in Maas et al., 0.2 in DCGAN).
    """

    def __init__(self, negative_slope: float):
        self.negative_slope = negative_slope

    def forward(self, x: Any) -> Tensor:
        return ops.leaky_relu(x, negative_slope=self.negative_slope)

    def settings(self) -> str:
        return str(self.negative_slope)


class ELU(Module):
    """y = x where x > 0, else α (eˣ − 1)        Clevert et al. 2016"""

    def __init__(self, alpha: float = 1.0):
        self.alpha = alpha

    def forward(self, x: Any) -> Tensor:
        return ops.elu(x, alpha=self.alpha)

    def settings(self) -> str:
        return str(self.alpha)


class Tanh(Module):
    """y = tanh x ∈ (−1, 1)"""

    def forward(self, x: Any) -> Tensor:
        return ops.tanh(x)


class Sigmoid(Module):
    """y = 1 / (1 + e⁻ˣ) ∈ (0, 1)

    Not before a loss: the losses take logits (:mod:`minigen.losses`).
    """

    def forward(self, x: Any) -> Tensor:
        return ops.sigmoid(x)


class Softplus(Module):
    """y = ln(1 + eˣ) > 0        Dugas et al. 2001"""

    def forward(self, x: Any) -> Tensor:
        return ops.softplus(x)


class GELU(Module):
    """y = x Φ(x)        Hendrycks & Gimpel 2016"""

    def forward(self, x: Any) -> Tensor:
        return ops.gelu(x)


class SiLU(Module):
    """y = x σ(x)        Elfwing et al. 2018"""

    def forward(self, x: Any) -> Tensor:
        return ops.silu(x)
