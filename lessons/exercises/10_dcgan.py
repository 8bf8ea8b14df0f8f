"""Exercises of lesson 10. Check them with: python -m lessons check 10"""

from lessons.kit import your_turn


def batch_norm(x, scale, shift):
    """y = γ (x − μ) / √(σ² + 10⁻⁵) + β for x of shape (N, features): one μ, σ², γ and β for each feature.

    σ² is the mean of the squares, with 1/N.
    """
    your_turn()


def parameters(latent, width):
    """Count the numbers of the lesson's G for a latent size and a width, without making them.

    Each batch normalisation has a scale and a shift for each channel. What is counted, for width 64 and latent 100, is
    printed at the lesson's end.
    """
    your_turn()


def sees(layers):
    """How many pixels wide is the patch of the picture that one output of a discriminator sees?

    `layers` is a list of (kernel, stride), the first layer first; padding does not count. Hint: begin with one output
    of the last layer and go back.
    """
    your_turn()
