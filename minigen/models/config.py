"""Settings of models: frozen dataclasses that check what they are given, and presets of them under a name."""

from __future__ import annotations

import dataclasses
import difflib
import math
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

from ..errors import ConfigError
from ..optim import cosine

__all__ = ["DEEPEST", "Config", "Preset", "Scheduled", "at_most", "choice", "fraction", "no_such", "override"]

LARGEST = 1 << 24  # a size in a model: the product of several is still a number that memory can be asked for
DEEPEST = 1000  # layers


def choice(default: str, options: tuple[str, ...]) -> Any:
    """A setting that is one of several words."""
    return field(default=default, metadata={"options": options})


def at_most(default: int, most: int) -> Any:
    """A whole number with a limit of its own."""
    return field(default=default, metadata={"most": most})


def fraction(default: float) -> Any:
    """A setting in [0, 1)."""
    return field(default=default, metadata={"fraction": True})


@dataclass(frozen=True, kw_only=True)
class Config:
    """What every model needs to be trained. Whole numbers are from 1 to LARGEST, other numbers positive, unless they
    say else.

    data         a data set by name, or a folder
    steps        length of the training
    batch_size   examples in a batch
    lr           learning rate

    Raises ConfigError for an impossible value.
    """

    reads: ClassVar[str] = "images"  # the kind of data, see datasets.load_set
    data: str = "digits"
    steps: int = at_most(1000, 1 << 53)
    batch_size: int = 64
    lr: float = 1e-3

    def __post_init__(self) -> None:
        kinds = typing.get_type_hints(type(self))
        for setting in dataclasses.fields(self):
            value = getattr(self, setting.name)
            object.__setattr__(self, setting.name, _checked(setting, kinds[setting.name], value))
        if getattr(self, "batch_norm", False) and self.batch_size < 2:
            raise ConfigError("batch_size: expected at least 2 with batch_norm = true; one example has no variance.")


@dataclass(frozen=True, kw_only=True)
class Scheduled(Config):
    """Settings of a model whose learning rate may change, beside those of :class:`Config`.

    schedule     constant; cosine: from lr at the first step to 0 at the last, along half a wave; cooldown: the same
                 over the last fifth of the steps, after lr
    """

    schedule: str = choice("constant", ("constant", "cosine", "cooldown"))

    def rates(self, scale: float = 1.0) -> Callable[[int], float] | None:
        """`scale` · the learning rate of each step, for a :class:`minigen.optim.Player`; None where it is constant."""
        if self.schedule == "constant":
            return None
        start, lr = 0 if self.schedule == "cosine" else self.steps * 4 // 5, scale * self.lr
        return lambda step: cosine(max(0, step - start), self.steps - start, 0, lr)


@dataclass(frozen=True)
class Preset:
    """A model under a name: what it is in one line; what makes it, called ``model(config, rng=rng)``; its settings."""

    title: str
    model: Callable[..., Any]
    config: Config


C = TypeVar("C", bound=Config)


def override(name: str, config: C, overrides: Mapping[str, Any]) -> C:
    """`config` with some settings replaced. Raises ConfigError for one that it has not, naming the nearest."""
    known = [setting.name for setting in dataclasses.fields(config)]
    for key in overrides:
        if key not in known:
            raise ConfigError(no_such(f"{name}: setting", key, known))
    return dataclasses.replace(config, **overrides)


def no_such(what: str, came: str, known: Iterable[str]) -> str:
    """The sentence for a name that does not exist."""
    known = list(known)
    close = difflib.get_close_matches(came, known, n=1)
    return f"{what}: expected one of {', '.join(known)}, got {came!r}" + (
        f"; did you mean {close[0]}?" if close else "."
    )


def _checked(setting: dataclasses.Field, kind: Any, value: Any) -> Any:
    """The value in its type: a whole number may stand for a float, a list (from JSON or TOML) for a tuple."""
    name, options = setting.name, setting.metadata.get("options")
    if options is not None and value not in options:
        raise ConfigError(no_such(name, str(value), options))
    if kind is str:
        if not isinstance(value, str):
            raise ConfigError(f"{name}: expected a word, got {value!r}.")
        return value
    if kind == dict | None:
        if not isinstance(value, dict | None):
            raise ConfigError(f"{name}: expected a table, got {value!r}.")
        return value
    if kind is bool:
        if not isinstance(value, bool):
            raise ConfigError(f"{name}: expected true or false, got {value!r}.")
        return value
    if typing.get_origin(kind) is tuple:
        if not isinstance(value, list | tuple) or not 1 <= len(value) <= DEEPEST or not all(map(_is_size, value)):
            raise ConfigError(f"{name}: expected a list of whole numbers from 1, got {value!r}.")
        return tuple(value)
    if kind is int:
        if not _is_size(value, most := setting.metadata.get("most", LARGEST)):
            to = f" to {most}" if isinstance(value, int) and value > 1 else ""
            raise ConfigError(f"{name}: expected a whole number from 1{to}, got {value!r}.")
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigError(f"{name}: expected a number, got {value!r}.")
    if setting.metadata.get("fraction"):
        if not 0 <= value < 1:
            raise ConfigError(f"{name}: expected a number from 0 to below 1, got {value!r}.")
    elif not 0 < value < math.inf:
        raise ConfigError(f"{name}: expected a positive number, got {value!r}.")
    return float(value)


def _is_size(value: Any, most: int = LARGEST) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most
