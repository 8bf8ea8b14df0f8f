"""Exercises of lesson 07. Replace each your_turn(), then: python -m lessons check 7"""

from lessons.kit import your_turn


def nats(text, new):
    """The mean surprise, in nats, at the characters of `new` after the first, by a chain of order 1.

    The chain counts pairs in `text` and adds 1 to the count of every pair of characters of `text`, seen or not. Each
    character of `new` occurs in `text`; the last character of `text` begins no pair.
    """
    your_turn()


def forecast(past, phi, steps):
    """The expected next values of an AR(p) series, as a list: what was expected is the past of what comes after.

    `past` ends with the latest value, and phi[0] is the weight of the latest.
    """
    your_turn()


def spread(phi, sigma):
    """The standard deviation of x_t = φ x_{t−1} + σ ε_t once it has gone on for long, for |φ| < 1.

    Both sides have the same variance then.
    """
    your_turn()


def responsibilities(x, w, means, stds):
    """γ_k of one number x under a mixture of Gaussians on a line: a list.

    x may be so far off that all densities are 0 in float64.
    """
    your_turn()
