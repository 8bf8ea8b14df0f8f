"""Networks: :class:`Module`, the layers, and how their weights start (:mod:`minigen.nn.init`)."""

from . import init
from .activation import ELU, GELU, LeakyReLU, ReLU, Sigmoid, SiLU, Softplus, Tanh
from .container import Flatten, Reshape, Sequential
from .convolution import Conv1d, Conv2d, ConvTranspose1d, ConvTranspose2d
from .linear import Embedding, Linear
from .module import Module
from .normalization import BatchNorm1d, BatchNorm2d, Dropout, LayerNorm

__all__ = [
    "ELU", "GELU", "BatchNorm1d", "BatchNorm2d", "Conv1d", "Conv2d", "ConvTranspose1d", "ConvTranspose2d", "Dropout",
    "Embedding", "Flatten", "LayerNorm", "LeakyReLU", "Linear", "Module", "ReLU", "Reshape", "Sequential", "SiLU",
    "Sigmoid", "Softplus", "Tanh", "init",
]  # fmt: skip
