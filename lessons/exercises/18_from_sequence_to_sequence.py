"""Exercises of lesson 18. Replace each your_turn(), then: python -m lessons check 18"""

from lessons.kit import your_turn


def teacher_forcing(target, bos, eos):
    """What the decoder reads and what it must answer, for a target given as a list of ids without begin and end.

    Return the two lists.
    """
    your_turn()


def constant_loss(text):
    """The least mean of −ln p per symbol that A3 can reach on this text, having learnt nothing else, in nats.

    The text is a string, each character a symbol, and its end is left aside. Which distribution reaches it?
    """
    your_turn()


def place_by_place(answers):
    """A decoder that does not read what it writes: how probable is it that it writes one of the right answers?

    `answers` are different strings of the same length, each equally often the right one. The decoder knows, for each
    place, how often each character stands there, and draws the places one by one, each for itself.
    """
    your_turn()


def greedy_and_best(first, then):
    """Two symbols are written. Return the greedy pair, and the pair that is the most probable: two tuples (i, j).

    first[i] is the probability that the first is i, then[i][j] that j follows it. All are NumPy arrays.
    """
    your_turn()
