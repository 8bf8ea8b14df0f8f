"""The settings of a run: where they come from, and which of them belong to the training rather than to the model."""

from __future__ import annotations

import argparse
import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..backend import BACKENDS
from ..datasets.files import read_file
from ..errors import ConfigError, DataError
from .checkpoint import KEPT
from .command import closest, seconds, whole

MOST_TOML = 1 << 15  # bytes; deep tables take time that grows with the square


@dataclass(frozen=True)
class Settings:
    """What a run needs to know beside its model.

    seed          decides the weights, the order of the data and every random draw
    backend       None: what MINIGEN_BACKEND or the machine offers
    budget        seconds after which to stop, None for no limit; a run that goes on counts its earlier time
    log_every     steps from one line of metrics.jsonl to the next, None for about 200 lines
    sample_every  steps from one picture of samples to the next, None for about 20 pictures
    save_every    seconds from one checkpoint to the next
    keep          how many of the newest checkpoints are kept, beside the best on held-out data
    """

    seed: int = 0
    backend: str | None = None
    budget: float | None = None
    log_every: int | None = None
    sample_every: int | None = None
    save_every: float = 60.0
    keep: int = KEPT

    def spaced(self, steps: int) -> Settings:
        """The same, with numbers where None asked for what suits so many steps."""
        values = vars(self) | {
            "log_every": self.log_every or max(1, steps // 200),
            "sample_every": self.sample_every or max(1, steps // 20),
        }
        return Settings(**values)


def _one_of_the_backends(text: str) -> str:
    if text not in ("auto", *BACKENDS):
        raise argparse.ArgumentTypeError(f"expected one of auto, {', '.join(BACKENDS)}, came {text!r}")
    return text


PARSERS = {
    "seed": whole(0),
    "backend": _one_of_the_backends,
    "budget": seconds,
    "log_every": whole(1),
    "sample_every": whole(1),
    "save_every": seconds,
    "keep": whole(1),
}


def settle(values: Mapping[str, Any], model_settings: Iterable[str]) -> tuple[Settings, dict[str, Any]]:
    """Part named values into the settings of the training, checked, and those of the model.

    Raises ConfigError for a name that is neither, with the nearest, and for an impossible value.
    """
    known = [*model_settings, *PARSERS]
    ours, theirs = {}, {}
    for name, value in values.items():
        if name not in known:
            raise closest("setting", name, known)
        if name not in PARSERS:
            theirs[name] = value
        elif value is not None:
            try:
                ours[name] = PARSERS[name](str(value))
            except argparse.ArgumentTypeError as error:
                raise ConfigError(f"{name}: {error}.") from None
    return Settings(**ours), theirs


def read_toml(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The settings in a TOML file. Raises DataError if it cannot be read or is no TOML."""
    try:
        content = read_file(os.path.expanduser(path), "a TOML file", MOST_TOML)
    except DataError as error:
        raise DataError(f"--config {error}") from error
    try:
        return tomllib.loads(content.decode())
    except (ValueError, RecursionError) as error:
        raise DataError(f"--config {path}: expected TOML, lines such as steps = 100, but: {error}.") from error
