"""Exercises of lesson 12. Replace each your_turn(), then: python -m lessons check 12"""

from lessons.kit import your_turn


def total_variation(p, q):
    """The best value of E_p D − E_q D over all D between 0 and 1, for two discrete distributions, arrays.

    Which D is best? Over the same outcomes, the probabilities of each sum to 1.
    """
    your_turn()


def wasserstein(p, q):
    """The Wasserstein distance of two discrete distributions over the places 0, 1, 2, …, arrays of probabilities.

    To move sand from the first places on, this much must be carried over each gap between neighbours.
    """
    your_turn()


def penalty_slope(W, x):
    """dP/dW for the critic f(x) = x · W (one example x, W (n,)) and P = (‖∇f‖ − 1)²: an array (n,).

    x is of no consequence; why? Where W is 0 return zeros.
    """
    your_turn()


def slope_of_slope(w, v, b, x):
    """d/dw of f′(x), for f(x) = v tanh(w x + b): numbers. It is what create_graph computes for you."""
    your_turn()
