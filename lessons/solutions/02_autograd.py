"""Solutions of lesson 02, and what is asked of them."""

import math
from types import SimpleNamespace

from lessons.kit import expects


def _record(tanh, x):
    """(value, slope) of what tanh makes of x"""
    number = SimpleNamespace(value=x)
    y = tanh(number, lambda value, parents: SimpleNamespace(value=value, parents=parents))
    ((parent, slope),) = y.parents
    assert parent is number, "the parent must be x itself"
    return y.value, slope


@expects("the value and the slope at 0", lambda f: _record(f, 0.0), (0.0, 1.0))
@expects("the value and the slope at 0.5", lambda f: _record(f, 0.5), (0.46211715726000976, 0.7864477329659274))
def tanh(x, make):
    y = math.tanh(x.value)
    return make(y, [(x, 1 - y * y)])


DOUBLED = [[], *([i, i] for i in range(100))]


@expects("paths([[], [0], [0], [1, 2]], 0, 3)", lambda f: f([[], [0], [0], [1, 2]], 0, 3), 2)
@expects("paths([[], [0], [0, 1]], 1, 2)", lambda f: f([[], [0], [0, 1]], 1, 2), 1)
@expects("paths([[], []], 0, 1)", lambda f: f([[], []], 0, 1), 0)
@expects("the paths of a number doubled 100 times", lambda f: f(DOUBLED, 0, 100), 2**100)
def paths(parents, start, end):
    count = [0] * len(parents)
    count[end] = 1
    for i in reversed(range(end + 1)):
        for parent in parents[i]:
            count[parent] += count[i]
    return count[start]


@expects(
    "L = (x + w) x at x = 2, w = 3",
    lambda f: f([[], [], [0, 1], [2, 0]], [[], [], [1.0, 1.0], [2.0, 5.0]], 3),
    [7.0, 2.0, 2.0, 1.0],
)
@expects(
    "a number that does not lead to the output",
    lambda f: f([[], [0], [0]], [[], [3.0], [4.0]], 1),
    [3.0, 1.0, 0.0],
)
def gradients(parents, slopes, output):
    g = [0.0] * len(parents)
    g[output] = 1.0
    for i in reversed(range(output + 1)):
        for parent, slope in zip(parents[i], slopes[i]):
            g[parent] += g[i] * slope
    return g
