"""Exercises of lesson 17. Replace each your_turn(), then: python -m lessons check 17"""

from lessons.kit import your_turn


def with_temperature(p, τ):
    """Temperature without logits: the probabilities p, a NumPy array, at the temperature τ > 0.

    Some of them may be 0, and stay so. τ may be as small as 0.001, and nothing may become nan.
    """
    your_turn()


def nucleus(p, top_p):
    """How many characters top-p keeps of the probabilities p, in any order, with top_p between 0 and 1."""
    your_turn()


def loop(likeliest, start):
    """Where does argmax end? The pair (characters before the loop, length of the loop).

    likeliest[i] is the likeliest character after i, as in a Markov chain of order 1. The text begins with `start`,
    which counts as its first character. Why must there be a loop, and how long can it be at most?
    """
    your_turn()


def surprises(p):
    """The pair: the surprise −ln p of the likeliest character, and the mean surprise of one that is drawn from p.

    None of p is 0. When are the two equal?
    """
    your_turn()
