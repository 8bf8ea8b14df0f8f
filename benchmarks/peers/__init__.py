"""The libraries that minigen is compared with, all behind the same few functions, so that a workload is written once.

``network(layers, arrays)``      a callable network with copies of the weights
``player(networks, lr, betas)``  called with an objective, a function of the networks and of data, and with the data:
                                 one step of Adam, returns the loss
``tensor(array)``                a constant
``number(loss)``                 a Python float
``flat, mean, softplus, …``      what the objectives need

A module imports its library when it is imported itself; a child process has one of them only. `torch-cuda` is PyTorch
on the device: it meets minigen's `cupy`, the others its backends on the CPU.
"""

from __future__ import annotations

import importlib
import importlib.util
from types import ModuleType

PEERS = {
    "torch": "torch",
    "torch-channels-last": "torch",
    "torch-cuda": "torch",
    "autograd": "autograd",
    "dezero": "dezero",
    "jax": "jax",
}  # name on the command line -> the library


def on_device(peer: str) -> bool:
    return peer.endswith("-cuda")


def meet(peer: str, backend: str) -> bool:
    """Do a peer and a backend compute in the same place?"""
    return on_device(peer) == (backend == "cupy")


def missing(peer: str) -> str | None:
    """Why a peer cannot take part, or None."""
    if importlib.util.find_spec(PEERS[peer]) is None:
        return f"{PEERS[peer]} is not installed: pip install -e '.[bench]'"
    if on_device(peer):
        import torch

        if not torch.cuda.is_available():
            return "PyTorch finds no CUDA device"
    return None


def load(peer: str) -> ModuleType:
    module = importlib.import_module(f"{__name__}.{PEERS[peer]}_")
    module.CHANNELS_LAST = peer.endswith("channels-last")
    module.DEVICE = "cuda" if on_device(peer) else "cpu"
    return module
