"""Networks: :class:`Module`, the layers, and how their weights start (:mod:`minigen.nn.init`)."""

from . import init
from .activation import ELU, GELU, LeakyReLU, ReLU, Sigmoid, SiLU, Softplus, Tanh
from .attention import LearnedPositions, MultiHeadAttention, SinusoidalPositions
from .average import MovingAverage
from .container import Flatten, Reshape, Sequential
from .convolution import Conv1d, Conv2d, ConvTranspose1d, ConvTranspose2d
from .linear import Embedding, Linear
from .module import Module
from .normalization import BatchNorm1d, BatchNorm2d, Dropout, LayerNorm
from .recurrent import GRU, LSTM, RNN, TwoSigmoidRNN
from .transformer import TransformerDecoderLayer, TransformerEncoderLayer

__all__ = [
    "ELU", "GELU", "GRU", "LSTM", "RNN", "BatchNorm1d", "BatchNorm2d", "Conv1d", "Conv2d", "ConvTranspose1d",
    "ConvTranspose2d", "Dropout", "Embedding", "Flatten", "LayerNorm", "LeakyReLU", "LearnedPositions", "Linear",
    "Module", "MovingAverage", "MultiHeadAttention", "ReLU", "Reshape", "Sequential", "SiLU", "Sigmoid",
    "SinusoidalPositions", "Softplus", "Tanh", "TransformerDecoderLayer", "TransformerEncoderLayer", "TwoSigmoidRNN",
    "init",
]  # fmt: skip
