"""Exercises of lesson 00. Check them with: python -m lessons check 0"""

from lessons.kit import your_turn


def standardise(x):
    """The way back: from data x of shape (n, d) to noise, each column with mean 0 and standard deviation 1.

    In the lesson we went from noise to data with x = μ + σ ⊙ z. Solve for z.
    """
    your_turn()


def draw(mu, A, z):
    """A batch of pictures from noise: x = μ + A z for each row of z, of shape (n, k); A has the shape (d, k)."""
    your_turn()


def nearest(x, data):
    """For each row of x, the index of the row of data that is nearest to it (by the sum of squared differences)."""
    your_turn()
