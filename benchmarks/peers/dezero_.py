"""DeZero: a framework to be read, over NumPy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

setattr(np, "int", int)  # noqa: B010 - DeZero 0.0.13 asks for a name that NumPy has dropped

import dezero  # noqa: E402
import dezero.functions as F  # noqa: E402
from dezero import Parameter, Variable, optimizers  # noqa: E402

from ..workloads.networks import Layer, deal  # noqa: E402

CHANNELS_LAST = False
no_grad, exp, tensor = dezero.no_grad, F.exp, Variable
_ONE, _HALF = np.float32(1), np.float32(0.5)  # a Python number would turn float32 into float64


def mean(x: Any) -> Any:
    return F.sum(x) * np.float32(1 / x.size)


def softplus(x: Any) -> Any:
    """ln(1 + eˣ) = −ln σ(−x)"""
    return -F.log(F.sigmoid(-x))


def _apply(layer: Layer, own: list, x: Any) -> Any:
    match layer:
        case ("linear", _, _):
            return F.linear(x, F.transpose(own[0]), own[1])
        case ("conv", _, _, k, s):
            return F.conv2d(x, own[0], own[1], s, k // 2)
        case ("conv_transpose", _, _, k, s):
            return F.deconv2d(x, own[0], own[1], s, k // 2, outsize=(x.shape[2] * s, x.shape[3] * s))
        case ("batch_norm", c):
            moving = np.zeros(c, np.float32), np.ones(c, np.float32)
            return F.batch_nrom(x, own[0], own[1], *moving, eps=1e-5)
        case ("leaky_relu", slope):
            return F.leaky_relu(x, slope)
        case ("relu",):
            return F.relu(x)
        case ("tanh",):
            return F.tanh(x)
        case ("reshape", *shape):
            return F.reshape(x, (len(x), *shape))
        case ("flatten", *_):
            return F.reshape(x, (len(x), -1))
    raise ValueError(layer)


class network:
    def __init__(self, layers: list[Layer], arrays: Iterator[np.ndarray]):
        self.layers = [(layer, [Parameter(a.copy()) for a in own]) for layer, own in deal(layers, arrays)]

    def params(self) -> list[Parameter]:
        return [p for _, own in self.layers for p in own]

    def __call__(self, x: Any) -> Any:
        for layer, own in self.layers:
            x = _apply(layer, own, x)
        return x


class _All:
    def __init__(self, nets: list[network]):
        self.nets = nets

    def params(self) -> list[Parameter]:
        return [p for net in self.nets for p in net.params()]


def player(nets: list[network], lr: float, betas: tuple[float, float] = (0.9, 0.999)) -> Callable[..., Any]:
    target = _All(nets)
    optimizer = optimizers.Adam(lr, *betas).setup(target)

    def step(objective: Callable, *data: Any) -> Any:
        for p in target.params():
            p.cleargrad()
        loss = objective(*nets, *data)
        loss.backward()
        optimizer.update()
        return loss

    return step


def number(loss: Any) -> float:
    return float(loss.data)


def bernoulli_nll(logits: Any, x: Any) -> Any:
    return F.sum(softplus(logits) - x * logits) * np.float32(1 / len(x))


def gaussian_code(both: Any, noise: Any) -> tuple[Any, Any]:
    d = both.shape[1] // 2
    mu, log_variance = both[:, :d], both[:, d:]
    z = mu + F.exp(log_variance * _HALF) * noise
    kl = F.sum(mu * mu + F.exp(log_variance) - log_variance - _ONE) * np.float32(0.5 / len(both))
    return z, kl


# -- without a model --------------------------------------------------------------------------------------------------


def gradient_of_sum(f: Callable, start: np.ndarray, *rest: float) -> Callable[[], tuple[Any, Any]]:
    x, rest = Variable(start), [np.array(a, np.float32) for a in rest]

    def run() -> tuple[Any, Any]:
        x.cleargrad()
        loss = F.sum(f(x, *rest))
        loss.backward()
        return loss.data, x.grad.data

    return run


images = Variable


def layer(net: network, x: Any, g: Any) -> tuple[Callable, Callable]:
    leaves = [x, *net.params()]

    def forward() -> Any:
        with dezero.no_grad():
            return net(x)

    def both() -> Any:
        for a in leaves:
            a.cleargrad()
        y = net(x)
        y.grad = g
        y.backward()
        return y, [a.grad for a in leaves]

    return forward, both


def dot(a: Any, b: Any) -> float:
    return float((a.data * b.data).sum())
