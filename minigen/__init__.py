"""minigen: every generative model of five articles, from explicit formulas, on NumPy, Numba or CuPy."""

from . import backend, errors, ops
from .backend import use
from .tensor import Tensor, grad, no_grad, tensor

__version__ = "0.1.0"
__all__ = ["Tensor", "backend", "errors", "grad", "no_grad", "ops", "tensor", "use"]
