"""The differentiable operations, one family a file, and the operators and methods that a Tensor gets from them.

Names and argument order follow NumPy for operations on arrays and PyTorch for those of neural networks. Every
operation takes Tensors, arrays and numbers; given no Tensor it is plain array code and returns an array.
"""

from ..tensor import Tensor
from . import elementwise, indexing, linalg, shape
from .attention import *  # noqa: F403
from .convolution import *  # noqa: F403
from .elementwise import *  # noqa: F403
from .indexing import *  # noqa: F403
from .linalg import *  # noqa: F403
from .loss import *  # noqa: F403
from .normalization import *  # noqa: F403
from .recurrent import *  # noqa: F403
from .reduction import *  # noqa: F403
from .shape import *  # noqa: F403


def _reflected(operation):
    return lambda self, other: operation(other, self)


_OPERATORS = {
    "add": elementwise.add, "sub": elementwise.subtract, "mul": elementwise.multiply, "truediv": elementwise.divide,
    "pow": elementwise.power, "matmul": linalg.matmul,
}  # fmt: skip
for _name, _operation in _OPERATORS.items():
    setattr(Tensor, f"__{_name}__", _operation)
    setattr(Tensor, f"__r{_name}__", _reflected(_operation))

_COMPARISONS = {
    "eq": elementwise.equal, "ne": elementwise.not_equal, "lt": elementwise.less, "le": elementwise.less_equal,
    "gt": elementwise.greater, "ge": elementwise.greater_equal, "and": elementwise.logical_and,
    "or": elementwise.logical_or,
}  # fmt: skip
for _name, _operation in _COMPARISONS.items():
    setattr(Tensor, f"__{_name}__", _operation)

Tensor.__neg__ = elementwise.negative
Tensor.__abs__ = elementwise.abs
Tensor.__invert__ = elementwise.logical_not

_METHODS = [
    "exp", "log", "sqrt", "square", "abs", "sin", "cos", "tanh", "sigmoid", "relu", "clip", "sign",
    "sum", "mean", "var", "max", "min", "prod", "cumsum", "logsumexp", "softmax", "log_softmax",
    "squeeze", "swapaxes", "astype", "take",
]  # fmt: skip
for _name in _METHODS:
    setattr(Tensor, _name, globals()[_name])

Tensor.__getitem__ = indexing.getitem
Tensor.T = property(shape.transpose)
Tensor.transpose = lambda self, *axes: shape.transpose(self, _one_or_many(axes) if axes else None)
Tensor.reshape = lambda self, *sizes: shape.reshape(self, _one_or_many(sizes))
Tensor.flatten = lambda self: shape.reshape(self, -1)


def _one_or_many(numbers):
    """The numbers of a call f(2, 3), f((2, 3)) or f(None)."""
    return numbers[0] if len(numbers) == 1 else numbers
