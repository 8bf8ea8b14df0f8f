"""Exercises of lesson 06. Replace each your_turn(), then: python -m lessons check 6"""

from lessons.kit import your_turn


def size_after(n, layers):
    """The length of a row of n numbers after several transposed convolutions.

    `layers` are (k, s, p₀, p₁, output padding), in order; the output padding adds that many places at the end.
    """
    your_turn()


def hits(k, s):
    """How many kernels hit each of the s kinds of places, far from the edges: a list, sorted.

    With kernel 5 and stride 2 it is [2, 3]. Without a loop over a row?
    """
    your_turn()


def weight_gradient(x, g, k, s):
    """∂L/∂w for y = conv(x, w) without padding, with g = ∂L/∂y: NumPy arrays of one axis, k numbers come out.

    It is the third of a family: ⟨conv(x, w), g⟩ = ⟨x, conv_transpose(g, w)⟩ = ⟨w, weight_gradient(x, g)⟩.
    """
    your_turn()
