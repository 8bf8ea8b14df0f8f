"""PyTorch, eager."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from ..workloads.networks import Layer, deal

CHANNELS_LAST = False
tensor = torch.from_numpy
no_grad = torch.no_grad
mean, exp, softplus = torch.mean, torch.exp, F.softplus


def _module(layer: Layer) -> nn.Module:
    match layer:
        case ("linear", i, o):
            return nn.Linear(i, o)
        case ("conv", i, o, k, s):
            return nn.Conv2d(i, o, k, stride=s, padding=k // 2)
        case ("conv_transpose", i, o, k, s):
            return nn.ConvTranspose2d(i, o, k, stride=s, padding=k // 2, output_padding=s - 1)
        case ("batch_norm", c):
            return nn.BatchNorm1d(c)
        case ("batch_norm2d", c):
            return nn.BatchNorm2d(c)
        case ("leaky_relu", slope):
            return nn.LeakyReLU(slope)
        case ("relu",):
            return nn.ReLU()
        case ("tanh",):
            return nn.Tanh()
        case ("reshape", *shape):
            return nn.Unflatten(1, shape)
        case ("flatten", *_):
            return nn.Flatten()
    raise ValueError(layer)


def network(layers: list[Layer], arrays: Iterator[np.ndarray]) -> nn.Module:
    modules = []
    images = False
    for layer, own in deal(layers, arrays):
        images = layer[0] in ("reshape", "conv", "conv_transpose") or (images and layer[0] != "flatten")
        module = _module(("batch_norm2d", layer[1]) if layer[0] == "batch_norm" and images else layer)
        with torch.no_grad():
            for p, a in zip(module.parameters(), own, strict=True):
                p.copy_(torch.from_numpy(a))
        modules.append(module)
    net = nn.Sequential(*modules)
    return net.to(memory_format=torch.channels_last) if CHANNELS_LAST else net


def player(nets: list[nn.Module], lr: float, betas: tuple[float, float] = (0.9, 0.999)) -> Callable[[Callable], Any]:
    parameters = [p for net in nets for p in net.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=lr, betas=betas)

    def step(objective: Callable) -> Any:
        optimizer.zero_grad()
        loss = objective(*nets)
        loss.backward(inputs=parameters)
        optimizer.step()
        return loss

    return step


def number(loss: Any) -> float:
    return float(loss.detach())


def bernoulli_nll(logits: Any, x: Any) -> Any:
    """Σ over pixels, mean over examples"""
    return F.binary_cross_entropy_with_logits(logits, x, reduction="sum") / len(x)


def gaussian_code(both: Any, noise: Any) -> tuple[Any, Any]:
    """(z, KL) from [μ, log σ²]; the mean of the KL over examples"""
    mu, log_variance = both.chunk(2, dim=1)
    z = mu + torch.exp(0.5 * log_variance) * noise
    return z, 0.5 * (mu**2 + torch.exp(log_variance) - log_variance - 1).sum() / len(both)


def slope(f: Callable, x: Any) -> Any:
    """‖∇ f(x)‖ of each example, differentiable"""
    x = x.requires_grad_()
    (g,) = torch.autograd.grad(f(x).sum(), x, create_graph=True)
    return g.flatten(1).norm(dim=1)


# -- without a model --------------------------------------------------------------------------------------------------


def gradient_of_sum(f: Callable, start: np.ndarray, *rest: float) -> Callable[[], tuple[Any, Any]]:
    x = torch.tensor(start, requires_grad=True)

    def run() -> tuple[Any, Any]:
        x.grad = None
        loss = f(x, *rest).sum()
        loss.backward()
        return loss, x.grad

    return run


def images(a: np.ndarray) -> Any:
    """In the memory order in which one convolution gets what another has computed."""
    t = torch.from_numpy(a)
    return t.to(memory_format=torch.channels_last) if CHANNELS_LAST else t


def layer(net: nn.Module, x: Any, g: Any) -> tuple[Callable, Callable]:
    """Forward alone; forward and backward, from g to the gradients of input, weight and bias."""
    leaves = [x.requires_grad_(), *net.parameters()]

    def forward() -> Any:
        with torch.no_grad():
            return net(x)

    def both() -> Any:
        y = net(x)
        return y, torch.autograd.grad(y, leaves, g)

    return forward, both


def dot(a: Any, b: Any) -> float:
    return float((a.detach() * b).sum())
