"""A trained model, from the folder of its run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from . import models
from .errors import ConfigError, MinigenError
from .training import checkpoint, generators, runs, weights

__all__ = ["trained"]


def trained(folder: Path, *, best: bool = False) -> tuple[str, Any]:
    """The model of a run, in evaluation mode, with the weights of its last checkpoint, or of the best on held-out data.

    Errors name what is damaged.
    """
    config = runs.read(folder)
    found = checkpoint.best(folder) if best else None
    if best and found is None:
        raise ConfigError(f"--best: no checkpoint in {folder} was measured on held-out data; leave the option out.")
    saved = checkpoint.load(folder, step=found[0] if found else None)
    model = models.build(config["model"], config["config"], rng=generators(0)["weights"])
    try:
        model.load_state_dict(weights(saved))
    except MinigenError as error:
        raise type(error)(f"{saved.path}: {error}") from error
    return config["model"], model.eval()
