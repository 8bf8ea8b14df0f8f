"""A second set of weights that follows a module's own: :class:`MovingAverage`."""

from __future__ import annotations

import copy
from typing import Any

from ..errors import ConfigError
from ..tensor import tensor
from .module import Module

__all__ = ["MovingAverage"]


class MovingAverage(Module):
    """θ̄ₜ = (βᵗ⁻¹ θ₁ + … + β θₜ₋₁ + θₜ) (1 − β) / (1 − βᵗ)        the exponential moving average of a module's weights

    Noisy steps circle about a place that their average lies nearer to (Polyak & Juditsky 1992); so do the players of
    a GAN (Yazıcı et al. 2019). As in Adam, dividing by 1 − βᵗ leaves out what there was before the first step. About
    1 / (1 − β) steps count.

    Called, it is the module with the weights θ̄. Its tensors are buffers: no optimizer moves them and a checkpoint
    keeps them. The module's own buffers are averaged with its parameters: the running statistics of batch
    normalisation, averaged, are nearly those that θ̄ itself would gather.
    """

    def __init__(self, module: Module, beta: float):
        if not 0 <= beta < 1:
            raise ConfigError(f"MovingAverage: beta must lie in [0, 1), got {beta}.")
        self.beta = beta
        self._pairs = [(tensor(t.data.copy()), t) for _, t in module._tensors()]
        self.module = copy.deepcopy(module, {id(t): average for average, t in self._pairs})

    def update(self, t: int) -> None:
        """θ̄ ← θ̄ + (θ − θ̄) (1 − β) / (1 − βᵗ)        after step t = 1, 2, … of the module"""
        weight = (1 - self.beta) / (1 - self.beta**t)
        for average, now in self._pairs:
            average.data += weight * (now.data - average.data)

    def forward(self, *inputs: Any, **options: Any) -> Any:
        return self.module(*inputs, **options)

    def settings(self) -> str:
        return f"{self.beta:g}"
