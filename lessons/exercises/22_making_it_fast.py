"""Exercises of lesson 22. Replace each your_turn(), then: python -m lessons check 22"""

from lessons.kit import your_turn


def operations(sizes, batch):
    """How many operations the matrix products of a training step take.

    sizes are the widths of a network of linear layers, (784, 128, 10) say, batch the number of rows of its input. Its
    input needs no gradient.
    """
    your_turn()


def least_batch(i, o, rate, bandwidth):
    """The smallest batch whose product with an i × o matrix waits for arithmetic and not for memory.

    The product takes (batch, i) and (i, o) to (batch, o), all float32, each matrix read or written once. The machine
    does `rate` operations a second and moves `bandwidth` bytes a second. A whole number.
    """
    your_turn()


def alone(gain, n):
    """Amdahl's law, read backwards: the share s that one core must do alone, if n cores are `gain` times as fast."""
    your_turn()


def softmax_passes(K):
    """How many times as many numbers plain NumPy moves for a softmax as one fused pass.

    In plain NumPy, for a matrix of K columns and one row:

        m = l.max()      e = l − m      e = exp(e)      s = e.sum()      p = e / s

    Each line reads its inputs and writes its output, single numbers (m and s) counted, too. The fused pass reads l and
    writes p.
    """
    your_turn()
