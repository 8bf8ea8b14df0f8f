"""Exercises of lesson 08. Replace each your_turn(), then: python -m lessons check 8"""

from lessons.kit import your_turn


def discriminator_loss(real, fake):
    """L_D = −mean log D(x) − mean log(1 − D(G(z))) from logits, NumPy arrays.

    A logit may be 1000 or −1000, and the loss must not become inf or nan: np.logaddexp(a, b) = ln(eᵃ + eᵇ).
    """
    your_turn()


def generator_slope(logits, saturating):
    """∂L_G/∂l of the *mean* over the logits, for L_G = mean log(1 − D) if `saturating`, else −mean log D."""
    your_turn()


def best_discriminator(p_data, p_g):
    """D*(x) for two discrete distributions, arrays of probabilities over the same outcomes, none of them 0."""
    your_turn()


def value_at_best(p_data, p_g):
    """V(D*, G) for the same two distributions. At which p_g is it smallest, and how small?"""
    your_turn()
