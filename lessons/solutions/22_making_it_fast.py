"""Solutions of lesson 22, and what is asked of them."""

import math

from lessons.kit import expects


@expects("operations((2, 3), 1): 6 terms forward, 6 for the matrix", lambda f: f((2, 3), 1), 24)
@expects("operations((2, 3, 1), 10)", lambda f: f((2, 3, 1), 10), 420)
@expects("operations((784, 128, 10), 64)", lambda f: f((784, 128, 10), 64), 26_181_632)
def operations(sizes, batch):
    products = [i * o for i, o in zip(sizes, sizes[1:])]
    return 2 * batch * (3 * sum(products) - products[0])


def _waits(i, o, rate, bandwidth, batch):
    """Does the product of such a batch wait for memory?"""
    return 2 * batch * i * o / rate < 4 * (batch * i + i * o + batch * o) / bandwidth


@expects("where 10 operations take as long as a byte, with 100 × 100", lambda f: f(100, 100, 1e11, 1e10), 34)
@expects(
    "does the batch before it wait for memory, and it itself? 784 × 512, 100 · 10⁹ operations and 12 · 10⁹ bytes",
    lambda f: [_waits(784, 512, 1e11, 1.2e10, f(784, 512, 1e11, 1.2e10) - 1),
               _waits(784, 512, 1e11, 1.2e10, f(784, 512, 1e11, 1.2e10))],
    [True, False],
)  # fmt: skip
def least_batch(i, o, rate, bandwidth):
    return math.ceil(4 * i * o / bandwidth / (2 * i * o / rate - 4 * (i + o) / bandwidth))


@expects("alone(1, 8): nothing gained", lambda f: f(1, 8), 1.0)
@expects("alone(8, 8): all shared out", lambda f: f(8, 8), 0.0)
@expects("alone(1.6, 2)", lambda f: f(1.6, 2), 0.25)
def alone(gain, n):
    return (n / gain - 1) / (n - 1)


@expects("softmax_passes(1)", lambda f: f(1), 6.0)
@expects("softmax_passes(1_000_000)", lambda f: f(1_000_000), 4.0, 1e-5)
def softmax_passes(K):
    moved = (K + 1) + (K + 1 + K) + (K + K) + (K + 1) + (K + 1 + K)
    return moved / (2 * K)
