"""A trained model, from the folder of its run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from . import models
from .errors import MinigenError
from .training import checkpoint, generators, runs, weights

__all__ = ["trained"]


def trained(folder: Path) -> tuple[str, Any]:
    """The model of a run, with the weights of its last checkpoint, in evaluation mode. Errors name what is damaged."""
    config = runs.read(folder)
    saved = checkpoint.load(folder)
    model = models.build(config["model"], config["config"], rng=generators(0)["weights"])
    try:
        model.load_state_dict(weights(saved))
    except MinigenError as error:
        raise type(error)(f"{saved.path}: {error}") from error
    return config["model"], model.eval()
