"""minigen: every generative model of five articles, from explicit formulas, on NumPy, Numba or CuPy."""

import os

# OpenBLAS's own threads wait for each other in a busy loop: beside one other busy process a training step took ten
# times as long as with one thread, which costs a quarter on an idle machine. Set the variable yourself to choose
# otherwise; it counts when NumPy is first imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from . import backend, errors, ops
from .backend import use
from .tensor import Tensor, grad, no_grad, tensor
from .viz import trace

__version__ = "0.1.0"
__all__ = ["Tensor", "backend", "errors", "grad", "no_grad", "ops", "tensor", "trace", "use"]
