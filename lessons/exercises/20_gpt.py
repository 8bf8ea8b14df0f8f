"""Exercises of lesson 20. Replace each your_turn(), then: python -m lessons check 20"""

from lessons.kit import your_turn


def log_p(logits, ids):
    """The log-probability of a text after its first symbol, in nats.

    ids (T,) are the symbols, logits (T, V) what the model gave after each of them, both NumPy arrays. Which row guesses
    which symbol, and which row guesses none?
    """
    your_turn()


def head(q, k, v, keys, values):
    """One head that writes with a cache: its output for one new place.

    q, k, v (d,) are the new place's query, key and value, keys and values (U, d) those of the places before it, all
    NumPy arrays. Return y (d,), and keys and values with the new ones behind them.
    """
    your_turn()


def parameters(V, T, C, layers):
    """How many numbers a GPT learns.

    V symbols and T places have C numbers each; the MLP is four times as wide; the last matrix is that of the symbols.
    GPT-2 has V = 50,257, T = 1,024, C = 768 and 12 layers.
    """
    your_turn()


def reach(layers, window):
    """How many places back a network sees whose attention looks at itself and at the window − 1 places before it.

    With one layer and a window of 1 it is 0: each place sees itself alone.
    """
    your_turn()
