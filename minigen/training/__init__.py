"""Training: one loop for all models, its checkpoints, and what it writes into a run's folder."""

from .callbacks import Callback
from .loop import Model, Player, Trainer, generators

__all__ = ["Callback", "Model", "Player", "Trainer", "generators"]
