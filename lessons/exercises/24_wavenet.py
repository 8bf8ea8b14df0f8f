"""Exercises of lesson 24. Replace each your_turn(), then: python -m lessons check 24"""

from lessons.kit import your_turn


def field(dilations, taps):
    """How many inputs does the last output of these causal layers see, if each has so many taps, d apart?"""
    your_turn()


def encode(x):
    """The μ-law code of one sample from −1 to 1: a whole number from 0 to 255."""
    your_turn()


def causal(x, w, d):
    """A causal convolution of any number of taps, d apart, as long as its input: silence is before the beginning.

    y_t = w[0] x_t + w[1] x_{t−d} + w[2] x_{t−2d} + …        x and w are lists of numbers; return a list.
    """
    your_turn()


def step(queue, h, w0, w1):
    """One time step of a layer y_t = w0 h_{t−d} + w1 h_t, in numbers: return y_t, and change the queue for the next.

    The queue is a list of the last d inputs, the oldest first.
    """
    your_turn()
