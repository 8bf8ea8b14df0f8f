"""Solutions of lesson 18."""

import math
from collections import Counter
from itertools import product

import numpy as np

from lessons.kit import expects


@expects("teacher_forcing([7, 8, 9], 1, 2)", lambda f: f([7, 8, 9], 1, 2), ([1, 7, 8, 9], [7, 8, 9, 2]))
@expects("teacher_forcing([], 1, 2)", lambda f: f([], 1, 2), ([1], [2]))
def teacher_forcing(target, bos, eos):
    return [bos, *target], [*target, eos]


@expects('constant_loss("aaaa")', lambda f: f("aaaa"), 0.0)
@expects('constant_loss("abcd")', lambda f: f("abcd"), math.log(4))
@expects('constant_loss("11-21")', lambda f: f("11-21"), 0.6 * math.log(5 / 3) + 0.4 * math.log(5))
def constant_loss(text):
    p = np.array(list(Counter(text).values())) / len(text)
    return -(p * np.log(p)).sum()


def _drawn(answers):
    """All that can be drawn, with the right ones counted"""
    columns = list(zip(*answers))
    made = ["".join(characters) for characters in product(*columns)]  # each column holds one character for each answer
    return sum(text in answers for text in made) / len(made)


@expects('place_by_place(["11-21"])', lambda f: f(["11-21"]), 1.0)
@expects('place_by_place(["03-06", "06-03"])', lambda f: f(["03-06", "06-03"]), 0.5)
@expects('place_by_place(["03-12", "12-03"])', lambda f: f(["03-12", "12-03"]), 0.125)
@expects('place_by_place(["abc", "abd", "bbd"])', lambda f: f(["abc", "abd", "bbd"]), _drawn(["abc", "abd", "bbd"]))
def place_by_place(answers):
    columns = [Counter(column) for column in zip(*answers)]
    return sum(math.prod(column[c] / len(answers) for column, c in zip(columns, answer)) for answer in answers)


FIRST = np.array([0.6, 0.4])
THEN = np.array([[0.5, 0.5, 0.0], [0.05, 0.05, 0.9]])


@expects("greedy_and_best([0.6, 0.4], …)", lambda f: f(FIRST, THEN), ((0, 0), (1, 2)))
@expects("the same with 0.9, 0.1", lambda f: f(np.array([0.9, 0.1]), THEN), ((0, 0), (0, 0)))
def greedy_and_best(first, then):
    i = int(first.argmax())
    best = np.unravel_index((first[:, None] * then).argmax(), then.shape)
    return (i, int(then[i].argmax())), (int(best[0]), int(best[1]))
