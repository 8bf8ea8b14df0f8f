"""The errors minigen raises for input it cannot use.

Each message is one sentence that names the operation or file, what was expected, what came and a likely fix.
The command lines print the message of any :class:`MinigenError` and leave with exit code 2.
"""


class MinigenError(Exception):
    """Root of every error that minigen raises on purpose."""


class ShapeError(MinigenError, ValueError):
    """Arrays whose shapes do not fit together, or an axis that does not exist."""


class DtypeError(MinigenError, TypeError):
    """An array or argument of the wrong type."""


class BackendError(MinigenError, RuntimeError):
    """An array library that is not there, or arrays of two libraries in one operation."""


class GraphError(MinigenError, RuntimeError):
    """A backward pass that cannot be run: freed graph, stale value, missing cotangent."""


class DataError(MinigenError, ValueError):
    """A file or folder that is missing, damaged or not what its name says."""


class ConfigError(MinigenError, ValueError):
    """A setting that does not exist or has an impossible value."""


class NonFiniteError(MinigenError, ArithmeticError):
    """A loss, parameter or gradient that became NaN or infinite during training."""


class GradientError(MinigenError, AssertionError):
    """An analytic gradient that disagrees with differences of the function."""
