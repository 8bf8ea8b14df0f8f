"""Exercises of lesson 13. Check them with: python -m lessons check 13"""

from lessons.kit import your_turn


def kl_of_two(mean, deviation, other_mean, other_deviation):
    """KL(N(m, s²) ‖ N(m', s'²)) for numbers, in closed form.

    Hint: both logarithms are quadratic in z, and E[(z − m')²] = s² + (m − m')².
    """
    your_turn()


def kl_slopes(mean, log_variance):
    """The slopes of KL(N(μ, σ²) ‖ N(0, 1)) along μ and along log σ²: a pair of numbers.

    Where are both 0? That is where B9's two idle layers would end.
    """
    your_turn()


def linear_story(x, w, s):
    """The VAE that needs no encoder: for z ~ N(0, 1), x ~ N(w z, s²), return (posterior mean, its variance, log p(x)).

    With this posterior as q the gap is 0, and −ELBO is −log p(x).
    """
    your_turn()


def log_average(log_weights):
    """log(1/K Σₖ wₖ) from log w, a NumPy array of K numbers that may be 1000 or −1000.

    With w = p(x|z) p(z) / q(z|x) and K draws of q its mean lies between the ELBO (K = 1) and log p(x).
    """
    your_turn()
