"""What the modalities are given: a trained model, and where it came from."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ConfigError


@dataclass(frozen=True)
class Run:
    """A trained model with its name and folder, and the generator that everything is drawn from."""

    name: str
    model: Any
    folder: Path
    rng: np.random.Generator

    def offers(self, method: str, option: str) -> Any:
        """A method of the model that an option needs. Raises ConfigError where the model has none."""
        found = getattr(self.model, method, None)
        if found is None:
            raise ConfigError(f"--{option}: {self.name!r} cannot {method}; leave the option out.")
        return found


def given(asked: Namespace, names: tuple[str, ...]) -> dict[str, Any]:
    """Those of the options that the command line has."""
    return {name: getattr(asked, name) for name in names if hasattr(asked, name)}
