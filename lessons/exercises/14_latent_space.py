"""Exercises of lesson 14. Check them with: python -m lessons check 14"""

from lessons.kit import your_turn


def turn(a, b, t):
    """Spherical interpolation between two NumPy vectors for one t in [0, 1].

    Where a and b point the same way, sin ω is 0: take the straight line there.
    """
    your_turn()


def middle_length(d, n):
    """√E[length²] of the mean of n independent codes, each d numbers from N(0, 1): how long is a middle of n codes?

    The middle of two codes of a hundred numbers is in the lesson.
    """
    your_turn()


def stretched(mean, d):
    """Give a mean of two independent codes, a NumPy vector of d numbers, the length √d that codes have. Return it.

    Only its length may change, not its direction.
    """
    your_turn()


def analogy(a, b, c, encode, decode):
    """a is to b as c is to what? Walk in the codes: add to c's code what leads from a's to b's, and decode.

    `encode` maps a picture to its code, `decode` a code to a picture.
    """
    your_turn()
