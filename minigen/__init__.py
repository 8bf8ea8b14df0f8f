"""minigen: every generative model of five articles, from explicit formulas, on NumPy, Numba or CuPy."""

import ctypes
import os
from contextlib import suppress

# OpenBLAS's own threads wait for each other in a busy loop: beside one other busy process a training step took ten
# times as long as with one thread, which costs a quarter on an idle machine. Set the variable yourself to choose
# otherwise; it counts when NumPy is first imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# Memory that is freed stays with the process, for the next step. The system clears every page that it hands out anew:
# that took a sixth of a training step of GPT. -3 and -1 are M_MMAP_THRESHOLD and M_TRIM_THRESHOLD of glibc's malloc.h;
# other libraries are left as they are.
with suppress(AttributeError, OSError, TypeError):
    for _limit in (-3, -1):
        ctypes.CDLL(None).mallopt(_limit, 1 << 30)

from . import backend, errors, ops
from .backend import use
from .tensor import Tensor, grad, no_grad, tensor
from .viz import trace

__version__ = "0.1.0"
__all__ = ["Tensor", "backend", "errors", "grad", "no_grad", "ops", "tensor", "trace", "use"]
