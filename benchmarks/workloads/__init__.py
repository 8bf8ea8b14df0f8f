"""What is measured: the same work, written for minigen and for its peers.

A workload is built twice, in two processes that share no memory. `ours` builds minigen's model, with weights of its
own; `theirs` builds the same model in another library from copies of those weights. Both draw the same batches and
noise from generators with the same seed.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from .networks import Cost

SEED = 20140610

FAMILIES = {
    "engine": ("small_ops",),
    "gan": ("mlp_gan", "dcgan", "wgan_gp"),
    "vae": ("mlp_vae", "conv_vae"),
    "convolution": ("conv_layers",),
    "language": ("char_lstm", "lstm2", "gpt", "sample_lstm", "sample_gpt"),
    "sound": ("wavenet", "sample_wavenet"),
}
NAMES = [name for names in FAMILIES.values() for name in names]


class Part(NamedTuple):
    """One thing to time.

    step     does it once: a training step, say; a device may not be done when it returns
    number   what a step returned, as a number: the loss, by which the two sides are seen to do the same work
    per      what one step counts for: its time is divided by this
    """

    step: Callable[[], Any]
    number: Callable[[Any], float]
    per: int = 1


class Workload(NamedTuple):
    """`ours()` gives the initial weights and the parts by name; `theirs(library, weights)` the same parts."""

    ours: Callable[[], tuple[list[np.ndarray], dict[str, Part]]]
    theirs: Callable[[ModuleType, list[np.ndarray]], dict[str, Part]]
    costs: dict[str, Cost]  # what each part costs at least, by its name
    peers: tuple[str, ...]  # those that can do it


def find(name: str) -> Workload:
    family = next(family for family, names in FAMILIES.items() if name in names)
    return importlib.import_module(f"{__name__}.{family}").WORKLOADS[name]
