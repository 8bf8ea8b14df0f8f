"""The kernels in plain array code: the documentation of what they compute and the oracle for their faster twins."""

from types import ModuleType

from . import activation, convolution, loss, normalization, optimizer

FAMILIES: list[ModuleType] = [activation, convolution, loss, normalization, optimizer]
