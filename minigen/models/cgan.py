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
from ..errors import ConfigError
from ..ops import concatenate, sum
from ..tensor import Tensor
from .config import Preset, choice
from .gan import GAN, IMAGE, PIXELS, GANConfig
from .labelled import CLASSES, asked_for, labels_of

__all__ = ["CGAN", "PRESETS", "CGANConfig"]


@dataclass(frozen=True, kw_only=True)
class CGANConfig(GANConfig):
    """Settings of :class:`CGAN`, beside those of every GAN.

    told        how D is told the label: projection or embedding
    embedding   length of the learnt vector e(y) that G has
    channels    of the two convolutions, the finer image's first
    width       of D's last hidden layer
    """

    latent: int = 16
    told: str = choice("projection", ("projection", "embedding"))
    embedding: int = 10
    channels: tuple[int, ...] = (16, 32)
    width: int = 256

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.channels) != 2:
            raise ConfigError(f"channels: there are two convolutions, got {len(self.channels)} numbers.")


class CGAN(GAN):
    """Two convolutions on each side, as in :class:`minigen.models.gan.DCGAN` but narrower, told the label."""

    config: CGANConfig
    conditions = CLASSES

    def networks(self, rng: Any) -> tuple[nn.Module, nn.Module]:
        discriminator = Projection if self.config.told == "projection" else Embedded
        return Generator(self.config, rng), discriminator(self.config, rng)

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
    """[z, e(y)] → (c₂, 7, 7) → (c₁, 14, 14) → (1, 28, 28) tanh        (N, latent), (N,) -> (N, 1, 28, 28)"""

    def __init__(self, c: CGANConfig, rng: Any):
        fine, coarse = c.channels
        self.label = nn.Embedding(CLASSES, c.embedding, rng=rng)
        self.body = nn.Sequential(
            nn.Linear(c.latent + c.embedding, 49 * coarse, rng=rng),
            nn.Reshape(coarse, 7, 7),
            nn.BatchNorm2d(coarse),
            nn.LeakyReLU(0.2),
            nn.ConvTranspose2d(coarse, fine, 5, stride=2, padding="same", rng=rng),
            nn.BatchNorm2d(fine),
            nn.LeakyReLU(0.2),
            nn.ConvTranspose2d(fine, 1, 5, stride=2, padding="same", rng=rng),
            nn.Tanh(),
        )

    def forward(self, z: Any, labels: Any) -> Tensor:
        return self.body(concatenate([z, self.label(labels)], axis=1))


def features(inputs: int, c: CGANConfig, rng: Any) -> nn.Module:
    """h(x): two strided convolutions and a layer that sees the whole        (N, inputs, 28, 28) -> (N, width)"""
    fine, coarse = c.channels
    return nn.Sequential(
        nn.Conv2d(inputs, fine, 5, stride=2, padding="same", rng=rng),
        nn.LeakyReLU(0.2),
        nn.Conv2d(fine, coarse, 5, stride=2, padding="same", rng=rng),
        nn.LeakyReLU(0.2),
        nn.Flatten(),
        nn.Linear(49 * coarse, c.width, rng=rng),
        nn.LeakyReLU(0.2),
    )


class Embedded(nn.Module):
    """l = f(x, e(y)), e(y) a learnt second channel        (N, 1, 28, 28), (N,) -> (N, 1)"""

    def __init__(self, c: CGANConfig, rng: Any):
        self.label = nn.Embedding(CLASSES, PIXELS, rng=rng)
        self.plane = nn.Reshape(*IMAGE)
        self.body = features(2, c, rng)
        self.head = nn.Linear(c.width, 1, rng=rng)

    def forward(self, x: Any, labels: Any) -> Tensor:
        return self.head(self.body(concatenate([x, self.plane(self.label(labels))], axis=1)))


class Projection(nn.Module):
    """l = w·h(x) + b + v(y)·h(x)        (N, 1, 28, 28), (N,) -> (N, 1)"""

    def __init__(self, c: CGANConfig, rng: Any):
        self.body = features(1, c, rng)
        self.head = nn.Linear(c.width, 1, rng=rng)
        self.label = nn.Embedding(CLASSES, c.width, init=nn.init.dcgan, rng=rng)

    def forward(self, x: Any, labels: Any) -> Tensor:
        h = self.body(x)
        return self.head(h) + sum(self.label(labels) * h, axis=1, keepdims=True)


PRESETS = {
    "cgan": Preset(
        "GAN that is told the digit",
        CGAN,
        CGANConfig(lr=1e-3, steps=2000),
    ),
}
