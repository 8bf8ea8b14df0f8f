"""What the command lines of this package have in common: lists, and what is checked before anything is measured."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

from minigen import backend
from minigen.errors import BackendError, ConfigError


def listed(text: str) -> list[str]:
    """The words of a comma list."""
    return [word for word in text.split(",") if word]


def check_known(option: str, came: Iterable[str], known: Collection[str]) -> None:
    for name in came:
        if name not in known:
            raise ConfigError(f"--{option}: expected some of {', '.join(known)}, got {name!r}.")


def check_device(backends: Collection[str]) -> None:
    if "cupy" in backends and (reason := backend.no_device_reason()):
        raise BackendError(f"--backend cupy: {reason}; there is nothing to measure.")


def check_folders(*files: Path | None) -> None:
    for file in filter(None, files):
        if not file.resolve().parent.is_dir():
            raise ConfigError(f"{file}: its folder does not exist; make it first.")
