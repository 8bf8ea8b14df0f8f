"""Solutions of lesson 10."""

import math

import numpy as np

from lessons.kit import expects

r = math.sqrt(1 + 1e-5)


@expects("batch_norm([[1], [3]], [1], [0])",
         lambda f: f(np.array([[1.0], [3.0]]), np.ones(1), np.zeros(1)), np.array([[-1 / r], [1 / r]]))  # fmt: skip
@expects("batch_norm([[1, 5], [3, 5]], [2, 7], [10, −1])",
         lambda f: f(np.array([[1.0, 5.0], [3.0, 5.0]]), np.array([2.0, 7.0]), np.array([10.0, -1.0])),
         np.array([[10 - 2 / r, -1.0], [10 + 2 / r, -1.0]]))  # fmt: skip
def batch_norm(x, scale, shift):
    mu, variance = x.mean(axis=0), x.var(axis=0)
    return scale * (x - mu) / np.sqrt(variance + 1e-5) + shift


@expects("parameters(100, 64)", lambda f: f(100, 64), 1_250_049)
@expects("parameters(32, 8)", lambda f: f(32, 8), 35_745)
def parameters(latent, width):
    dense = (latent + 1) * 49 * 2 * width
    first, second = (2 * width * 25 + 3) * 2 * width, (2 * width * 25 + 3) * width
    return dense + first + second + width * 25 + 1


@expects("sees([(5, 2)])", lambda f: f([(5, 2)]), 5)
@expects("sees([(5, 2), (5, 2)])", lambda f: f([(5, 2), (5, 2)]), 13)
@expects("sees([(3, 1), (4, 2), (5, 3)])", lambda f: f([(3, 1), (4, 2), (5, 3)]), 14)
def sees(layers):
    width = 1
    for kernel, stride in reversed(layers):
        width = (width - 1) * stride + kernel
    return width
