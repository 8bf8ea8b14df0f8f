"""Exercises of lesson 01. Check them with: python -m lessons check 1"""

from lessons.kit import your_turn


def second_derivative(f, x, h=1e-4):
    """The bend of f at x: its second derivative, from three values of f.

    Add the two expansions of f(x + h) and f(x − h), and see what is left when 2 f(x) is taken away.
    """
    your_turn()


def directional_derivative(f, x, v, h=1e-5):
    """The slope of f at the array x along the array v, from two values of f, however long x is."""
    your_turn()


def descend(f, x, rate, steps):
    """Gradient descent on a function of one number: where you are after so many steps.

    Each step goes from x to x − rate · slope; find the slope with a central difference.
    """
    your_turn()


def fourth_order(f, x, h):
    """A slope whose error goes with h⁴: combine the central differences of step h and of step 2h.

    Both have an error of c h², with the same c: for the second it is c (2h)². Weigh them so that it cancels.
    """
    your_turn()
