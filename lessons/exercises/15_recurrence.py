"""Exercises of lesson 15. Replace each your_turn(), then: python -m lessons check 15"""

from lessons.kit import your_turn


def slope_of_u(x, w, u, b):
    """∂h_T/∂u of one unit, h_t = tanh(w x_t + u h_{t−1} + b), by backpropagation through time.

    x is a list of the T inputs, and h_0 = 0.
    """
    your_turn()


def weight_that_keeps():
    """The weight at which the article's cell of two sigmoids can, at best, keep a slope: 1 a step.

    Take one unit of each kind, whose three weights W_ha, W_hh and W_ah have the same positive value. A sigmoid's slope
    is ¼ at best. Which value makes ∂h_t/∂h_{t−1} equal to 1 there?
    """
    your_turn()


def clip(gradients, most):
    """Gradient clipping: a list of NumPy arrays, scaled together so that their joint length is at most `most`.

    The length is the root of the sum of all squares, of all arrays. Shorter ones stay as they are.
    """
    your_turn()
