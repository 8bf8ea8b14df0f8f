"""The ring of eight Gaussians: a GAN small enough to be seen whole, and what becomes of its modes [B14, C8].

G and D are fully connected, noise → width → width → point and point → width → width → number. The plain game loses
modes: G moves all that it makes to where D is not looking just now. A critic that measures a distance tells every
sample which way to go, so that the samples stay spread.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .. import nn
from ..backend import Array, xp
from ..datasets import PointSet
from .config import Preset
from .gan import GAN, GANConfig
from .wgan import WGAN, WGANConfig

__all__ = ["PRESETS", "RingConfig", "RingGAN", "RingWGAN", "RingWGANConfig"]

PLANE = 2


@dataclass(frozen=True, kw_only=True)
class RingConfig(GANConfig):
    """Settings of :class:`RingGAN`, beside those of every GAN: the widths of the hidden layers of both players."""

    reads = "points"
    data: str = "ring"
    latent: int = 2
    widths: tuple[int, ...] = (128, 128, 128)


@dataclass(frozen=True, kw_only=True)
class RingWGANConfig(WGANConfig):
    """Settings of :class:`RingWGAN`, beside those of every Wasserstein GAN: as in :class:`RingConfig`."""

    reads = "points"
    data: str = "ring"
    latent: int = 2
    widths: tuple[int, ...] = (128, 128, 128)


class _Plane:
    """Points of the plane in the place of images."""

    modality = "points"

    def networks(self, rng: Any) -> tuple[nn.Module, nn.Module]:
        return self._network(self.config.latent, PLANE, rng), self._network(PLANE, 1, rng)

    def _network(self, inputs: int, outputs: int, rng: Any) -> nn.Module:
        sizes = (inputs, *self.config.widths)
        layers = [
            layer for a, b in zip(sizes, sizes[1:], strict=False) for layer in (nn.Linear(a, b, rng=rng), nn.ReLU())
        ]
        return nn.Sequential(*layers, nn.Linear(sizes[-1], outputs, rng=rng))

    def prepare(self, dataset: PointSet) -> tuple[Array, ...]:
        """The points as they are: float32 (N, 2)."""
        return (dataset.points,)

    def sample(self, n: int, rng: Any, *, noise: Any = None) -> Array:
        """n points, an array (n, 2); of `noise` (n, latent) where that is given."""
        return self.generate(self.noise(n, rng) if noise is None else noise, n)

    def summary(self, *example: Any) -> str:
        """Both networks."""
        z, x = xp.zeros((1, self.config.latent), "float32"), xp.zeros((1, PLANE), "float32")
        return f"generator\n{self.generator.summary(z)}\n\ndiscriminator\n{self.discriminator.summary(x)}"


class RingGAN(_Plane, GAN):
    """The game of :class:`minigen.models.gan.GAN` in the plane."""

    config: RingConfig


class RingWGAN(_Plane, WGAN):
    """The game of :class:`minigen.models.wgan.WGAN` in the plane."""

    config: RingWGANConfig


PRESETS = {
    "ring-gan": Preset(
        "GAN on a ring of eight Gaussians: shows mode collapse",
        RingGAN,
        RingConfig(batch_size=128, lr=2e-3, steps=2000),
    ),
    "ring-wgan-gp": Preset(
        "Wasserstein GAN with gradient penalty on the same ring: finds all eight",
        RingWGAN,
        RingWGANConfig(batch_size=128, lr=2e-3, pace=0.2, schedule="cosine", steps=2000),
    ),
}
