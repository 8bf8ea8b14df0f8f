"""Exercises of lesson 21. Check them with: python -m lessons check 21"""

from lessons.kit import your_turn


def frechet_diagonal(mean, variance, other_mean, other_variance):
    """The Fréchet distance d² of two Gaussians whose dimensions are independent: four NumPy arrays of one length.

    The root of a product of diagonal matrices is an easy one.
    """
    your_turn()


def coverage(real, made, k):
    """The share of real points whose ball, up to their k-th nearest neighbour, has a sample inside: (n, D), (m, D).

    A point is not its own neighbour. The edge of a ball belongs to it.
    """
    your_turn()


def mixture_loss(share):
    """A model is replaced by noise except in a `share` of all draws. At most how many nats does log p(x) lose?

    With a share of 1 % it was 4.6 in the lesson.
    """
    your_turn()


def bleu_with(references, sentence):
    """BLEU of a sentence against *several* references, a list; words are separated by spaces.

    An n-gram counts at most as often as it stands in the reference that has it most often. r is the length of the
    reference nearest in length to the sentence, the shorter one of two.
    """
    your_turn()
