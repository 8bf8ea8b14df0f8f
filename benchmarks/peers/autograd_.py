"""HIPS autograd: NumPy, differentiated. It has no strided convolution."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import autograd.numpy as np
from autograd import value_and_grad

from ..workloads.networks import Layer, deal

CHANNELS_LAST = False
mean, exp = np.mean, np.exp


def tensor(a: Any) -> Any:
    return a


def softplus(x: Any) -> Any:
    return np.logaddexp(x, np.float32(0))


class no_grad:
    def __enter__(self) -> None: ...
    def __exit__(self, *_: object) -> None: ...


def _apply(layer: Layer, own: list, x: Any) -> Any:
    match layer:
        case ("linear", _, _):
            return np.dot(x, own[0].T) + own[1]
        case ("batch_norm", _):
            centred = x - np.mean(x, axis=0)
            return centred / np.sqrt(np.mean(centred * centred, axis=0) + np.float32(1e-5)) * own[0] + own[1]
        case ("leaky_relu", slope):
            return np.maximum(x, np.float32(slope) * x)
        case ("relu",):
            return np.maximum(x, np.float32(0))
        case ("tanh",):
            return np.tanh(x)
        case ("reshape", *shape):
            return np.reshape(x, (len(x), *shape))
        case ("flatten", *_):
            return np.reshape(x, (len(x), -1))
    raise ValueError(layer)


class network:
    def __init__(self, layers: list[Layer], arrays: Iterator[Any]):
        self.layers = layers
        self.weights = [a.copy() for _, own in deal(layers, arrays) for a in own]

    def __call__(self, x: Any, weights: list | None = None) -> Any:
        for layer, own in deal(self.layers, iter(self.weights if weights is None else weights)):
            x = _apply(layer, own, x)
        return x


def player(nets: list[network], lr: float, betas: tuple[float, float] = (0.9, 0.999)) -> Callable[..., Any]:
    def call(objective: Callable, weights: list, data: tuple) -> Any:
        rest = iter(weights)
        own = [[next(rest) for _ in net.weights] for net in nets]
        return objective(*(lambda x, net=net, w=w: net(x, w) for net, w in zip(nets, own, strict=True)), *data)

    return trainer([w for net in nets for w in net.weights], call, lr, betas)


def trainer(weights: list, call: Callable, lr: float, betas: tuple[float, float] = (0.9, 0.999)) -> Callable[..., Any]:
    """Steps of Adam on a list of arrays; `call(objective, weights, data)` is the loss."""
    b1, b2 = betas
    m, v, t = [np.zeros_like(w) for w in weights], [np.zeros_like(w) for w in weights], 0

    def step(objective: Callable, *data: Any) -> Any:
        nonlocal t
        t += 1
        loss, gradients = value_and_grad(lambda weights: call(objective, weights, data))(weights)
        for w, g, mi, vi in zip(weights, gradients, m, v, strict=True):
            mi += (1 - b1) * (g - mi)
            vi += (1 - b2) * (g * g - vi)
            w -= lr / (1 - b1**t) * mi / (np.sqrt(vi / (1 - b2**t)) + 1e-8)
        return loss

    return step


def number(loss: Any) -> float:
    return float(loss)


def bernoulli_nll(logits: Any, x: Any) -> Any:
    return np.sum(softplus(logits) - x * logits) / len(x)


def gaussian_code(both: Any, noise: Any) -> tuple[Any, Any]:
    d = both.shape[1] // 2
    mu, log_variance = both[:, :d], both[:, d:]
    z = mu + np.exp(0.5 * log_variance) * noise
    return z, 0.5 * np.sum(mu**2 + np.exp(log_variance) - log_variance - 1) / len(both)


def gradient_of_sum(f: Callable, start: Any, *rest: float) -> Callable[[], tuple[Any, Any]]:
    run = value_and_grad(lambda x: np.sum(f(x, *rest)))
    return lambda: run(start)
