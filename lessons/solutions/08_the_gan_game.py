"""Solutions of lesson 08."""

import numpy as np

from lessons.kit import expects

real, fake = np.array([2.0, -1.0, 0.5]), np.array([0.0, -3.0])


@expects("discriminator_loss([2, −1, ½], [0, −3])", lambda f: f(real, fake), 1.0089562, 1e-7)
@expects("discriminator_loss([1000], [−1000])", lambda f: f(np.array([1e3]), np.array([-1e3])), 0.0)
@expects("discriminator_loss([−1000], [1000])", lambda f: f(np.array([-1e3]), np.array([1e3])), 2000.0)
def discriminator_loss(real, fake):
    return np.logaddexp(0, -real).mean() + np.logaddexp(0, fake).mean()


@expects("generator_slope([0, −3], saturating=True)", lambda f: f(fake, True), np.array([-0.25, -0.02371293658878339]))
@expects("generator_slope([0, −3], saturating=False)", lambda f: f(fake, False), np.array([-0.25, -0.4762870634112166]))
def generator_slope(logits, saturating):
    d = 1 / (1 + np.exp(-logits))
    return (-d if saturating else d - 1) / len(logits)


p, q = np.array([0.5, 0.3, 0.2]), np.array([0.1, 0.3, 0.6])


@expects("best_discriminator([.5, .3, .2], [.1, .3, .6])", lambda f: f(p, q), np.array([5 / 6, 1 / 2, 1 / 4]))
def best_discriminator(p_data, p_g):
    return p_data / (p_data + p_g)


@expects("value_at_best(p, p)", lambda f: f(p, p), -np.log(4))
@expects("value_at_best([.5, .3, .2], [.1, .3, .6])", lambda f: f(p, q), -1.1360931, 1e-7)
def value_at_best(p_data, p_g):
    d = p_data / (p_data + p_g)
    return (p_data * np.log(d) + p_g * np.log(1 - d)).sum()
