"""The kernels in plain array code: the documentation of what they compute and the oracle for their faster twins."""

from types import ModuleType

from . import (
    activation,
    attention,
    convolution,
    elementwise,
    gpt,
    indexing,
    loss,
    normalization,
    optimizer,
    product,
    recurrent,
    reduction,
    shape,
    wavenet,
)  # fmt: skip

FAMILIES: list[ModuleType] = [
    activation, attention, convolution, elementwise, gpt, indexing, loss, normalization, optimizer, product, recurrent,
    reduction, shape, wavenet,
]  # fmt: skip
