"""Exercises of lesson 02. Check them with: python -m lessons check 2"""

from lessons.kit import your_turn


def tanh(x, make):
    """Record one more operation: y = tanh x, whose slope is 1 − y².

    `make(value, parents)` makes the number, as `Number` does in the lesson, and `x.value` is the input. Return the
    number.
    """
    your_turn()


def paths(parents, start, end):
    """Count the paths from `end` back to `start`, without walking each one.

    `parents[i]` lists the numbers that number i was made from, all smaller than i; one that is used twice is listed
    twice. Hint: how many paths lead to `end` itself? To its parents?
    """
    your_turn()


def gradients(parents, slopes, output):
    """A backward pass of your own: ∂(number `output`)/∂(number i), as a list with one entry for each number.

    `parents` is as above, and `slopes[i][k]` is the slope of number i with respect to its k-th parent.
    """
    your_turn()
