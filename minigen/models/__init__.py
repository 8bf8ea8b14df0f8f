"""The models by name. :func:`build` makes one from its preset's settings, some of them overridden::

    model = build("gan", {"lr": 1e-4}, rng=backend.generator(0))

A model's file ends with its PRESETS; here they come together.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import ConfigError
from . import cgan, charlm, gan, gpt, melody, pianoroll, ring, seq2seq, transformer, vae, wavenet, wgan
from .config import Config, Preset, no_such, override

__all__ = ["PRESETS", "Config", "Preset", "build", "config", "describe", "learn", "names"]

PRESETS: dict[str, Preset] = {
    name: preset
    for module in (gan, cgan, wgan, ring, vae, charlm, gpt, seq2seq, transformer, melody, pianoroll, wavenet)
    for name, preset in module.PRESETS.items()
}


def names() -> list[str]:
    """The names that :func:`build` knows."""
    return list(PRESETS)


def describe() -> dict[str, str]:
    """What each name stands for, in one line."""
    return {name: preset.title for name, preset in PRESETS.items()}


def config(name: str, overrides: Mapping[str, Any] | None = None) -> Config:
    """The settings of a model, some of them overridden.

    Raises ConfigError for an unknown name or setting, with the nearest known one, and for an impossible value.
    """
    if name not in PRESETS:
        raise ConfigError(no_such("model", name, PRESETS))
    return override(name, PRESETS[name].config, overrides or {})


def learn(name: str, settings: Config) -> Config:
    """The settings of a model, with what must be known of the data before it can be built: a vocabulary, say."""
    learn = getattr(PRESETS[name].model, "learn", None)
    return learn(settings) if learn else settings


def build(name: str, overrides: Mapping[str, Any] | None = None, *, rng: Any) -> Any:
    """The model of a name, its weights drawn from the generator `rng`. Errors as :func:`config`.

    What a model offers is written in :class:`minigen.training.loop.Model`.
    """
    settings = config(name, overrides)
    return PRESETS[name].model(settings, rng=rng)
