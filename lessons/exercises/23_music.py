"""Exercises of lesson 23. Replace each your_turn(), then: python -m lessons check 23"""

from lessons.kit import your_turn


def one_number(pitches, probabilities):
    """Article A's answer and its loss: the pair (the pitch that costs least, what it costs).

    The next pitch is one of the list `pitches`, with these probabilities, which sum to 1. The pitch is 127 σ(l), the
    cost the mean binary cross-entropy.
    """
    your_turn()


def transpose(tokens, semitones):
    """The tokens of the same melody, so many semitones higher. 128 is HOLD, 129 REST; the tokens are a list."""
    your_turn()


def to_the_bar_line(steps, n, d):
    """How many sixteenths are missing after so many steps, until a bar of n/d is full; 0 at a bar line."""
    your_turn()


def a_chord_of_the_two(a, b):
    """Two chords, sets of pitches, come equally often: how probable is it that the best coins give one of the two?

    There is a coin for each key, with the right probability, and they are independent. The chords may be the same.
    """
    your_turn()
