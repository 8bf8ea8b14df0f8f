"""The kernels in plain array code: the documentation of what they compute and the oracle for their faster twins."""

from types import ModuleType

from . import convolution, loss, normalization, optimizer

FAMILIES: list[ModuleType] = [convolution, loss, normalization, optimizer]
