"""The libraries that minigen is compared with, all behind the same few functions, so that a workload is written once.

``network(layers, arrays)``      a callable network with copies of the weights
``player(network, lr, betas)``   called with an objective, a function of the network: one step of Adam, returns the loss
``tensor(array)``                a constant
``number(loss)``                 a Python float
``flat, mean, softplus, …``      what the objectives need

A module imports its library when it is imported itself; a child process has one of them only.
"""

from __future__ import annotations

import importlib
import importlib.util
from types import ModuleType

PEERS = {
    "torch": "torch",
    "torch-channels-last": "torch",
    "autograd": "autograd",
    "dezero": "dezero",
}  # name on the command line -> the library


def missing(peer: str) -> str | None:
    """Why a peer cannot take part, or None."""
    if importlib.util.find_spec(PEERS[peer]) is None:
        return f"{PEERS[peer]} is not installed: pip install -e '.[bench]'"
    return None


def load(peer: str) -> ModuleType:
    module = importlib.import_module(f"{__name__}.{PEERS[peer]}_")
    module.CHANNELS_LAST = peer.endswith("channels-last")
    return module
