"""Exercises of lesson 04. Check them with: python -m lessons check 4"""

from lessons.kit import your_turn


def log_sum_exp(x):
    """log Σ eˣ over the last axis, for any array library and any scores, float32 in and float32 out.

    Use only functions of NumPy that a foreign array can answer (np.max, np.exp, np.sum, np.log and operators), so that
    the type of x decides. Scores of 1000 must not overflow.
    """
    your_turn()


def standard_normal_density(x):
    """The height of the bell curve at each x, e^(−x²/2) / √(2π), in the dtype of x.

    Mind which numbers insist on their type.
    """
    your_turn()


def traffic(size, itemsize, operations):
    """The bytes that array code moves: each operation reads its input arrays and writes one, all of this size.

    `operations` lists how many arrays each of them reads: [1, 2] is one operation on one array, then one on two.
    """
    your_turn()
