"""Solutions of lesson 21."""

import math
from collections import Counter

import numpy as np

from lessons.kit import expects

zero, one = np.zeros(2), np.ones(2)


@expects("frechet_diagonal of two equal ones", lambda f: f(one, 4 * one, one, 4 * one), 0.0)
@expects("frechet_diagonal(0, 1, [3, 0], [4, 9])",
         lambda f: f(zero, one, np.array([3.0, 0.0]), np.array([4.0, 9.0])), 14.0)  # fmt: skip
def frechet_diagonal(mean, variance, other_mean, other_variance):
    return ((mean - other_mean) ** 2).sum() + ((np.sqrt(variance) - np.sqrt(other_variance)) ** 2).sum()


points = np.array([[0.0], [1.0], [3.0], [10.0]])  # with k = 1 the radii are 1, 1, 2, 7


@expects("coverage of 0, 1, 3, 10 by one sample at 4, k = 1", lambda f: f(points, np.array([[4.0]]), 1), 0.5)
@expects(
    "coverage of 0, 1, 3, 10 by samples at −1 and 20, k = 1", lambda f: f(points, np.array([[-1.0], [20]]), 1), 0.25
)
@expects("coverage of 0, 1, 3, 10 by one sample at 4, k = 2", lambda f: f(points, np.array([[4.0]]), 2), 0.5)
def coverage(real, made, k):
    distance = lambda x, y: np.sqrt(((x[:, None] - y[None]) ** 2).sum(2))
    radius = np.sort(distance(real, real), axis=1)[:, k]
    return (distance(real, made) <= radius[:, None]).any(1).mean()


@expects("mixture_loss(1)", lambda f: f(1.0), 0.0)
@expects("mixture_loss(0.5)", lambda f: f(0.5), 0.6931471805599453)
@expects("mixture_loss(1 / e²)", lambda f: f(math.exp(-2)), 2.0)
def mixture_loss(share):
    return -math.log(share)


def _grams(words, n):
    return Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))


@expects("a sentence that is its reference", lambda f: f(["a b c d e"], "a b c d e"), 100.0)
@expects("a b c d e f, half in each of two references",
         lambda f: f(["a b c d z z", "q c d e f q"], "a b c d e f"), 100 * (2 / 3) ** 0.25)  # fmt: skip
@expects("a b c d, references of 8 and 5 words",
         lambda f: f(["a b c d e f g h", "a b c d e"], "a b c d"), 100 * math.exp(-0.25))  # fmt: skip
@expects("a b c d e, references of 6 and 4 words", lambda f: f(["a b c d e f", "w x y z"], "a b c d e"), 100.0)
def bleu_with(references, sentence):
    s, rs = sentence.split(), [reference.split() for reference in references]
    r = min((abs(len(r) - len(s)), len(r)) for r in rs)[1]
    product = 1.0
    for n in (1, 2, 3, 4):
        allowed = Counter()
        for words in rs:
            allowed |= _grams(words, n)
        product *= (_grams(s, n) & allowed).total() / max(1, len(s) - n + 1)
    return 100 * min(1, math.exp(1 - r / len(s))) * product**0.25
