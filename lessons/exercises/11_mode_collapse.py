"""Exercises of lesson 11. Check them with: python -m lessons check 11"""

from lessons.kit import your_turn


def total_variation(p, q):
    """The best value of B2's objective for two discrete distributions, arrays of probabilities over the same outcomes.

    D may be anything in [0, 1] at each outcome.
    """
    your_turn()


def wasserstein(x, y):
    """W between two sets of equally many numbers, NumPy arrays, each number with the same mass.

    On a line nobody gains by letting two loads cross on their way.
    """
    your_turn()


def steepest(weights):
    """An upper bound on the slope of a network: `weights` are its layers' matrices, with leaky ReLU 0.2 between them.

    A layer stretches a vector by at most its largest singular value. What does the leaky ReLU do?
    """
    your_turn()


def chance(a, b):
    """How surely could it be chance? `a` and `b` are lists of modes covered, one number per seed, of two games.

    If the game made no difference, every way to deal all these numbers into two hands of these sizes is equally likely.
    Return the share of deals in which mean(b) − mean(a) is at least as large as it came out (within 1e-12).
    """
    your_turn()
