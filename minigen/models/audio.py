"""What the models of sound share: μ-law codes, windows of recordings, nats per sample, and drawing sample by sample.

A sound is a sequence of codes c_1, c_2, … in {0, …, 255} [A10], and a model gives the distribution of each after those
before it, told the class y of the sound (van den Oord et al. 2016):

    L = −ln p(c_t | c_1, …, c_{t−1}, y)        in nats per sample

A model sees the last `context` codes; before a sound begins there is silence, so that the context is always filled.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from .. import backend, nn, ops
from ..backend import Array, xp
from ..datasets import AudioSet, load_audio_set, mu_law_encode
from ..datasets.audio import BUNDLED, RATE, SILENCE
from ..errors import ConfigError
from ..tensor import Tensor, no_grad
from .config import Scheduled

__all__ = ["AudioConfig", "AudioModel", "alike"]


@dataclass(frozen=True, kw_only=True)
class AudioConfig(Scheduled):
    """Settings of every model of sound, beside those of :class:`Scheduled`.

    block     samples of a window that are learnt from, each after all of its context
    classes   how many classes the data have, which :meth:`AudioModel.learn` fills in
    clip      the largest norm of the gradients
    """

    reads: ClassVar[str] = "audio"
    data: str = BUNDLED
    block: int = 3000
    classes: int = 10
    clip: float = 1.0


class AudioModel(nn.Module):
    """p(c_t | c_{t−context}, …, c_{t−1}, y)"""

    modality = "audio"
    config: AudioConfig
    context: int

    @classmethod
    def learn(cls, config: AudioConfig) -> AudioConfig:
        """The same settings with the number of classes of the data."""
        return dataclasses.replace(config, classes=len(load_audio_set(config.data).classes))

    @property
    def conditions(self) -> int:
        return self.config.classes

    @property
    def about(self) -> dict[str, str]:
        """What is worth printing before a training."""
        return {"context": f"{self.context:,} samples, {1000 * self.context / RATE:.0f} ms"}

    # -- what subclasses define -----------------------------------------------------------------------------------
    def forward(self, codes: Any, labels: Any) -> Tensor:
        """Logits of the code after each whose context is filled        (N, T), (N,) -> (N, T − context + 1, 256)"""
        raise NotImplementedError

    def generate(self, labels: np.ndarray, n: int, rng: np.random.Generator, *, temperature: float = 1.0
                 ) -> Iterator[np.ndarray]:  # fmt: skip
        """n codes of a sound of each class, piece by piece: uint8 arrays (N, m), the sum of whose m is n."""
        raise NotImplementedError

    # -- training -------------------------------------------------------------------------------------------------
    def prepare(self, dataset: AudioSet) -> tuple[np.ndarray, ...]:
        """Windows of context + block codes, int16, a quarter of a block apart, and the label of each.

        Each recording is preceded by silence. Behind its end there is −1, from which nothing is learnt: who had heard
        silence after silence would never begin.
        """
        block, hop, windows, labels = self.config.block, max(1, self.config.block // 4), [], []
        for sound, label in zip(dataset.sounds, dataset.labels, strict=True):
            length = max(block, -(-len(sound) // hop) * hop)
            codes = np.full(self.context + length, -1, np.int16)
            codes[: self.context] = SILENCE
            codes[self.context : self.context + len(sound)] = mu_law_encode(sound)
            found = np.lib.stride_tricks.sliding_window_view(codes, self.context + block)[::hop]
            windows.append(found)
            labels += [label] * len(found)
        labels = np.array(labels, np.int64)
        if labels.max() >= self.config.classes:
            raise ConfigError(
                f"{dataset.name}: expected labels below {self.config.classes}, came {labels.max()}; this model was "
                "made for other data."
            )
        return np.concatenate(windows), labels

    def objective(self, batch: tuple[Array, ...], rng: Any) -> tuple[Tensor, dict[str, Any]]:
        """The mean of −ln p over the codes, in nats, of the last `block` of the windows (N, context + block)."""
        codes = batch[0].astype("int64")
        counted = (codes[:, self.context :] >= 0).astype("float32")
        codes = xp.maximum(codes, 0)
        nll = ops.softmax_cross_entropy(self(codes[:, :-1], batch[1]), codes[:, self.context :], "none")
        return ops.sum(nll * (counted / counted.sum())), {}

    # -- measuring ------------------------------------------------------------------------------------------------
    def nll(self, codes: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """−ln p of every code of a sound after all before it, if it were of each class        (n,), (k,) -> (k, n)"""
        padded = np.concatenate([np.full(self.context, SILENCE), codes]).astype(np.int64)
        labels, found = backend.asarray(np.asarray(labels)), []
        with no_grad():
            for at in range(0, len(codes), 4 * self.config.block):
                window = padded[at : at + self.context + 4 * self.config.block]
                window = backend.asarray(np.repeat(window[None], len(labels), axis=0))
                logits = self(window[:, :-1], labels)
                found.append(ops.softmax_cross_entropy(logits, window[:, self.context :], "none").numpy())
        return np.concatenate(found, axis=1)


def alike(rng: Any, shape: tuple[int, ...], dtype: Any = None) -> Array:
    """Vectors of codes in which neighbours begin alike, as they sound: each number a random walk over the codes, with
    mean 0 and variance 1 (after 150 steps `wavenet` is 0.4 nats ahead of one with independent vectors)"""
    w = xp.cumsum(backend.normal(rng, shape, dtype), axis=0)
    w -= w.mean(axis=0)
    return w / w.std(axis=0)
