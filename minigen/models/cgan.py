"""A GAN that is told the digit (Mirza & Osindero 2014) [D3, D4].

Both players see the label y: G makes an image of z and y, D says whether x is a real image of a y. G has a learnt
vector e(y) beside z. D is told in one of two ways:

    embedding    l = f(x, e(y))                 a learnt vector beside the image
    projection   l = w·h(x) + b + v(y)·h(x)     with h the last hidden layer (Miyato & Koyama 2018)

The projection is what log p(x, y) / p_g(x, y) looks like where log p(y | x) is linear in h: the label asks one linear
question of what D has seen, and cannot be passed over.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .. import nn
from ..backend import Array
from ..datasets import ImageSet
from ..ops import concatenate, sum
from ..tensor import Tensor
from .config import Preset, choice
from .gan import IMAGE, MLPGAN, PIXELS, MLPGANConfig, hidden
from .labelled import CLASSES, asked_for, labels_of

__all__ = ["CGAN", "PRESETS", "CGANConfig"]


@dataclass(frozen=True, kw_only=True)
class CGANConfig(MLPGANConfig):
    """Settings of :class:`CGAN`, beside those of :class:`MLPGANConfig`.

    told        how D is told the label: projection or embedding
    embedding   length of the learnt vectors e(y)
    """

    told: str = choice("projection", ("projection", "embedding"))
    embedding: int = 50


class CGAN(MLPGAN):
    """Fully connected layers, as in :class:`MLPGAN`, that are told the label."""

    config: CGANConfig
    conditions = CLASSES

    def networks(self, rng: Any) -> tuple[nn.Module, nn.Module]:
        c = self.config
        discriminator = Projection if c.told == "projection" else Embedded
        return Generator(c, rng), discriminator(c, rng)

    def prepare(self, dataset: ImageSet) -> tuple[Array, ...]:
        """(images (N, 1, 28, 28), labels (N,))"""
        return (*super().prepare(dataset), labels_of(dataset))

    def sample(self, n: int, rng: Any, *, noise: Any = None, labels: Any = None) -> Array:
        """n images of the given classes, labels (n,); 0, 1, … 9, 0, … without."""
        z = self.noise(n, rng) if noise is None else noise
        return self.pixels(self.generate(z, n, asked_for(n, labels)))

    def forward(self, z: Any, labels: Any) -> Tensor:
        """G(z, y)        (N, latent), (N,) -> (N, 1, 28, 28)"""
        return self.generator(z, labels)

    def summary(self, *example: Any) -> str:
        """Both networks and their sizes."""
        return f"generator\n{self.generator.summary()}\n\ndiscriminator\n{self.discriminator.summary()}"


class Generator(nn.Module):
    """[z, e(y)] → hidden → 784 tanh        (N, latent), (N,) -> (N, 1, 28, 28)"""

    def __init__(self, c: CGANConfig, rng: Any):
        self.label = nn.Embedding(CLASSES, c.embedding, rng=rng)
        self.body = nn.Sequential(
            *hidden(c.latent + c.embedding, c.generator, rng, c.batch_norm),
            nn.Linear(c.generator[-1], PIXELS, rng=rng),
            nn.Tanh(),
            nn.Reshape(*IMAGE),
        )

    def forward(self, z: Any, labels: Any) -> Tensor:
        return self.body(concatenate([z, self.label(labels)], axis=1))


class Embedded(nn.Module):
    """l = f(x, e(y))        (N, 1, 28, 28), (N,) -> (N, 1)"""

    def __init__(self, c: CGANConfig, rng: Any):
        self.label = nn.Embedding(CLASSES, c.embedding, rng=rng)
        self.flatten = nn.Flatten()
        self.body = nn.Sequential(
            *hidden(PIXELS + c.embedding, c.discriminator, rng), nn.Linear(c.discriminator[-1], 1, rng=rng)
        )

    def forward(self, x: Any, labels: Any) -> Tensor:
        return self.body(concatenate([self.flatten(x), self.label(labels)], axis=1))


class Projection(nn.Module):
    """l = w·h(x) + b + v(y)·h(x)        (N, 1, 28, 28), (N,) -> (N, 1)"""

    def __init__(self, c: CGANConfig, rng: Any):
        self.body = nn.Sequential(nn.Flatten(), *hidden(PIXELS, c.discriminator, rng))
        self.head = nn.Linear(c.discriminator[-1], 1, rng=rng)
        self.label = nn.Embedding(CLASSES, c.discriminator[-1], init=nn.init.zeros, rng=rng)

    def forward(self, x: Any, labels: Any) -> Tensor:
        h = self.body(x)
        return self.head(h) + sum(self.label(labels) * h, axis=1, keepdims=True)


PRESETS = {
    "cgan": Preset(
        "GAN that is told the digit",
        CGAN,
        CGANConfig(generator=(256, 512), discriminator=(512, 256), batch_norm=True, lr=1e-3, steps=4000),
    ),
}
