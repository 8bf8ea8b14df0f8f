"""Exercises of lesson 09. Replace each your_turn(), then: python -m lessons check 9"""

from lessons.kit import your_turn


def score_after(s, t, steps, rate):
    """The score s after gradient descent on BCE(s, t) as the article computes it, on the score itself.

    BCE(s, t) = −t log s − (1 − t) log(1 − s), with t = 1 for real and 0 for forged. Its slope is defined where the
    loss is not. In which places do a real digit and a forgery go the wrong way?
    """
    your_turn()


def gradient_check(f, gradient, x, h=1e-5):
    """The largest difference between gradient(x) and central differences of f, over all elements of x.

    f takes a NumPy array of one axis and gives a number, gradient(x) has the shape of x. Leave x as it was. Where a
    difference is not a number, return math.inf.
    """
    your_turn()


def diagnose(analytic, numeric):
    """Name the bug from two arrays of slopes, those of the backward pass and those from shaking.

    Return "not finite" where f itself is not, judged by the numeric slopes; else "right" where they agree within 1e-6;
    else "not recorded" where the backward pass says 0 for all; else "wrong sign"; else "wrong".
    """
    your_turn()
