"""Training: one loop for all models, its checkpoints, and what it writes into a run's folder."""

from .loop import Callback, Model, Player, Trainer, generators, weights

__all__ = ["Callback", "Model", "Player", "Trainer", "generators", "weights"]
