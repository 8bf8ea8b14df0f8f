"""Exercises of lesson 16. Replace each your_turn(), then: python -m lessons check 16"""

from lessons.kit import your_turn


def lstm_step(a, U, h, c):
    """One step of an LSTM with H units: the pair h_t, c_t.

    a (4H,) is W x_t + b, U (4H, H) the recurrent weights, both with their rows in the order i, f, g, o; h and c (H,)
    are h_{t−1} and c_{t−1}. All are NumPy arrays.
    """
    your_turn()


def half_life(forget_bias):
    """After how many steps has Π f fallen to ½, if every f is σ(forget_bias)? It need not be a whole number."""
    your_turn()


def counter():
    """Weights with which one unit counts: its cell is, to within 0.01, the number of ones it has read.

    The input x_t is 0 or 1, all U are 0, and h and c start at 0. Return two lists, w and b, in the order i, f, g, o:
    the gates see w x_t + b. A sequence may be a hundred steps long.
    """
    your_turn()


def gru_step(a, u, b, h):
    """One step of a GRU with one unit: h_t.

    The gated recurrent unit has no cell. It keeps h itself, with one gate where the LSTM has two:

        r = σ(a_r + u_r h_{t−1})      z = σ(a_z + u_z h_{t−1})      n = tanh(a_n + r (u_n h_{t−1} + b))
        h_t = (1 − z) n + z h_{t−1}

    a and u are lists of three numbers, in the order r, z, n. Which letter plays the part of f?
    """
    your_turn()
