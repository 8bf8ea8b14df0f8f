"""Solutions of lesson 23."""

import math

from lessons.kit import expects


def _entropy(y):
    return -y * math.log(y) - (1 - y) * math.log(1 - y)


@expects("one_number([60, 67], [0.5, 0.5])", lambda f: f([60, 67], [0.5, 0.5]), (63.5, math.log(2)))
@expects("one_number([0, 127], [¾, ¼])", lambda f: f([0, 127], [0.75, 0.25]), (31.75, math.log(4) - 0.75 * math.log(3)))
def one_number(pitches, probabilities):
    mean = sum(pitch * p for pitch, p in zip(pitches, probabilities))
    return mean, _entropy(mean / 127)


@expects("transpose([60, 128, 129, 64, 128], 5)", lambda f: f([60, 128, 129, 64, 128], 5), [65, 128, 129, 69, 128])
@expects("transpose([72, 129, 129], -12)", lambda f: f([72, 129, 129], -12), [60, 129, 129])
def transpose(tokens, semitones):
    return [token + semitones if token < 128 else token for token in tokens]


@expects("to_the_bar_line(10, 3, 4)", lambda f: f(10, 3, 4), 2)
@expects("to_the_bar_line(32, 4, 4)", lambda f: f(32, 4, 4), 0)
@expects("to_the_bar_line(1, 6, 8)", lambda f: f(1, 6, 8), 11)
def to_the_bar_line(steps, n, d):
    return -steps % (16 * n // d)


@expects("a_chord_of_the_two({60, 64, 67}, {67, 71, 74})", lambda f: f({60, 64, 67}, {67, 71, 74}), 1 / 8)
@expects("a_chord_of_the_two({60, 64}, {60, 64})", lambda f: f({60, 64}, {60, 64}), 1.0)
@expects("a_chord_of_the_two({60}, {62})", lambda f: f({60}, {62}), 0.5)
def a_chord_of_the_two(a, b):
    differ = len(a ^ b)
    return 2 * 0.5**differ if differ else 1.0
