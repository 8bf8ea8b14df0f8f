"""Exercises of lesson 19. Replace each your_turn(), then: python -m lessons check 19"""

from lessons.kit import your_turn


def look_up(q, keys, values):
    """Scaled dot-product attention of one query: z.

    q (d,), keys (U, d) and values (U, e) are NumPy arrays. Scores may be as large as 1000.
    """
    your_turn()


def slope_of_scores(α, dα):
    """∂L/∂s for the weights α = softmax(s), a NumPy array, given dα = ∂L/∂α. Why does it always sum to 0?"""
    your_turn()


def scale(d, a, b):
    """By what must q · k be divided to have the variance 1?

    The d numbers of q are independent with mean 0 and standard deviation a, those of k with b.
    """
    your_turn()


def window(T, width):
    """A causal mask (T, T) of truth values: place i sees itself and what is before it, `width` places in all at most.

    What can the last place of a text of 100 still know of the first, through three layers of such attention?
    """
    your_turn()
