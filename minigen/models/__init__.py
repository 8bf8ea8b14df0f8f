"""The models by name. :func:`build` makes one from its preset's settings, some of them overridden::

model = build("gan", {"lr": 1e-4}, rng=backend.generator(0))
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .. import nn
from ..errors import ConfigError
from .config import Config, no_such, override
from .gan import B8GAN, DCGAN, MLPGAN, GANConfig, MLPGANConfig
from .vae import VAE, ConditionalVAE, VAEConfig

__all__ = ["Config", "Preset", "build", "config", "describe", "names"]


@dataclass(frozen=True)
class Preset:
    """A model under a name: what it is in one line, its class, its settings."""

    title: str
    model: Callable[..., nn.Module]
    config: Config


PRESETS = {
    "gan": Preset(
        "GAN of fully connected layers: digits within two minutes",
        MLPGAN,
        MLPGANConfig(generator=(256, 512), discriminator=(512, 256), batch_norm=True, steps=4000),
    ),
    "gan-c6": Preset(
        "GAN with the layers of article C: 100-256-128-784 against 784-128-256-1",
        MLPGAN,
        MLPGANConfig(generator=(256, 128), discriminator=(128, 256), batch_size=128, steps=10_000),
    ),
    "gan-b8": Preset(
        "GAN with the layers of article B: 100-128-784 against one convolution",
        B8GAN,
        GANConfig(steps=3000),
    ),
    "dcgan": Preset(
        "GAN of transposed convolutions, with the layers of article A",
        DCGAN,
        GANConfig(lr=1e-4, steps=2000),
    ),
    "vae": Preset(
        "variational auto-encoder, 784-400-20-400-784",
        VAE,
        VAEConfig(steps=4690),
    ),
    "vae-conv": Preset(
        "variational auto-encoder of convolutions, with the latent space of article B",
        VAE,
        VAEConfig(network="conv", hidden=(32, 64), steps=4690),
    ),
    "cvae": Preset(
        "variational auto-encoder that is told the digit",
        ConditionalVAE,
        VAEConfig(steps=4690),
    ),
}


def names() -> list[str]:
    """The names that :func:`build` knows."""
    return list(PRESETS)


def describe() -> dict[str, str]:
    """What each name stands for, in one line."""
    return {name: preset.title for name, preset in PRESETS.items()}


def config(name: str, overrides: Mapping[str, Any] | None = None) -> Config:
    """The settings of a model. Raises ConfigError for an unknown name or setting, naming the nearest, and for a value
    that cannot be."""
    if name not in PRESETS:
        raise ConfigError(no_such("model", name, PRESETS))
    return override(name, PRESETS[name].config, overrides or {})


def build(name: str, overrides: Mapping[str, Any] | None = None, *, rng: Any) -> nn.Module:
    """The model of a name, its weights drawn from the generator `rng`. Errors as :func:`config`."""
    settings = config(name, overrides)
    return PRESETS[name].model(settings, rng=rng)
