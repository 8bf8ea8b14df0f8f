"""JAX on the CPU, as it is meant to be used: a whole training step is traced once and compiled by XLA.

Images have their channels last, as in JAX's own libraries; those that come in and go out have a single one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ..workloads.networks import Layer, deal, shapes

no_grad, mean, softplus, tensor, number = nullcontext, jnp.mean, jax.nn.softplus, jnp.asarray, float


@jax.tree_util.register_pytree_node_class
class Model:
    """`run(weights, *inputs)` with its weights; JAX takes it apart into these and puts it together again"""

    def __init__(self, run: Callable, weights: list):
        self.run, self.weights = run, weights

    def tree_flatten(self) -> tuple[list, Callable]:
        return self.weights, self.run

    @classmethod
    def tree_unflatten(cls, run: Callable, weights: Any) -> Model:
        return cls(run, list(weights))

    def __call__(self, *inputs: Any) -> Any:
        return _run(self, *inputs)


_run = jax.jit(lambda model, *inputs: model.run(model.weights, *inputs))


def _taken(arrays: Iterator[np.ndarray], count: int) -> list:
    return [jnp.array(next(arrays)) for _ in range(count)]


def _linear(x: Any, w: Any, b: Any) -> Any:
    return x @ w.T + b


# -- convolutions: left to itself, XLA takes up to twenty times as long for their gradients on a CPU ------------------


def _plain_conv(x: Any, w: Any, s: int) -> Any:
    around = [(k // 2, k // 2) for k in w.shape[2:]]
    return lax.conv_general_dilated(x, w, (s, s), around, dimension_numbers=("NHWC", "OIHW", "NHWC"))


# The three are one form ⟨conv(x, w), y⟩ = ⟨x, conv_transpose(y, w)⟩ = ⟨w, weight_grad(x, y)⟩: each gradient is another.


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def _conv(x: Any, w: Any, s: int) -> Any:
    return _plain_conv(x, w, s)


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _conv_transpose(y: Any, w: Any, s: int, size: int) -> Any:
    x = jax.ShapeDtypeStruct((len(y), size, size, w.shape[1]), y.dtype)
    return jax.linear_transpose(lambda x: _plain_conv(x, w, s), x)(y)[0]


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _weight_grad(x: Any, y: Any, s: int, k: int) -> Any:
    w = jax.ShapeDtypeStruct((y.shape[3], x.shape[3], k, k), y.dtype)
    return jax.linear_transpose(lambda w: _plain_conv(x, w, s), w)(y)[0]


def _kept(function: Callable) -> Callable:
    """What it gives, and its first two arguments, for the gradients"""
    return lambda a, b, *rest: (function(a, b, *rest), (a, b))


_conv.defvjp(
    _kept(_conv),
    lambda s, xw, g: (_conv_transpose(g, xw[1], s, xw[0].shape[1]), _weight_grad(xw[0], g, s, xw[1].shape[2])),
)
_conv_transpose.defvjp(
    _kept(_conv_transpose), lambda s, _, yw, g: (_conv(g, yw[1], s), _weight_grad(g, yw[0], s, yw[1].shape[2]))
)
_weight_grad.defvjp(
    _kept(_weight_grad), lambda s, _, xy, g: (_conv_transpose(xy[1], g, s, xy[0].shape[1]), _conv(xy[0], g, s))
)


# -- networks of layers -----------------------------------------------------------------------------------------------


def _apply(layer: Layer, own: list, x: Any) -> Any:
    match layer:
        case ("linear", _, _):
            return _linear(x, *own)
        case ("conv", _, _, _, s):
            return _conv(x, own[0], s) + own[1]
        case ("conv_transpose", _, _, _, s):
            return _conv_transpose(x, own[0], s, x.shape[1] * s) + own[1]
        case ("batch_norm", _):
            axes = tuple(range(x.ndim - 1))
            return (x - x.mean(axes)) * lax.rsqrt(x.var(axes) + 1e-5) * own[0] + own[1]
        case ("leaky_relu", slope):
            return jax.nn.leaky_relu(x, slope)
        case ("relu",):
            return jax.nn.relu(x)
        case ("tanh",):
            return jnp.tanh(x)
        case ("reshape", *shape):
            return x.reshape(len(x), *shape).transpose(0, 2, 3, 1)
        case ("flatten", *_):
            return x.transpose(0, 3, 1, 2).reshape(len(x), -1)
    raise ValueError(layer)


def network(layers: list[Layer], arrays: Iterator[np.ndarray]) -> Model:
    def run(weights: list, x: Any) -> Any:
        if x.ndim == 4:
            x = x.transpose(0, 2, 3, 1)
        for layer, own in deal(layers, iter(weights)):
            x = _apply(layer, own, x)
        return x.transpose(0, 3, 1, 2) if x.ndim == 4 else x

    return Model(run, _taken(arrays, sum(len(shapes(layer)) for layer in layers)))


def bernoulli_nll(logits: Any, x: Any) -> Any:
    return jnp.sum(softplus(logits) - x * logits) / len(x)


def gaussian_code(both: Any, noise: Any) -> tuple[Any, Any]:
    mu, log_variance = jnp.split(both, 2, axis=1)
    z = mu + jnp.exp(0.5 * log_variance) * noise
    return z, 0.5 * jnp.sum(mu**2 + jnp.exp(log_variance) - log_variance - 1) / len(both)


def slope(f: Callable, x: Any) -> Any:
    """‖∇ f(x)‖ of each example, differentiable"""
    g = jax.grad(lambda x: f(x).sum())(x)
    return jnp.sqrt(jnp.sum(g * g, axis=(1, 2, 3)))


# -- training ---------------------------------------------------------------------------------------------------------

# A rule of updating: of a parameter, its gradient, two averages and the number of the step, what the first and the
# averages become.


def _adam(lr: float, betas: tuple[float, float], decay: float = 0.0, warmup: int = 1) -> Callable:
    b1, b2 = betas

    def rule(p: Any, g: Any, m: Any, v: Any, t: Any) -> tuple[Any, Any, Any]:
        rate = lr * jnp.minimum(1.0, t / warmup)
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        if p.ndim > 1:
            p = p * (1 - rate * decay)
        return p - rate / (1 - b1**t) * m / (jnp.sqrt(v) / jnp.sqrt(1 - b2**t) + 1e-8), m, v

    return rule


def _rmsprop(lr: float) -> Callable:
    def rule(p: Any, g: Any, m: Any, v: Any, t: Any) -> tuple[Any, Any, Any]:
        v = 0.99 * v + 0.01 * g * g
        return p - lr * g / (jnp.sqrt(v) + 1e-8), m, v

    return rule


def _trainer(nets: list[Model], rule: Callable, clip: float = np.inf) -> Callable[..., Any]:
    averages, done = [[jnp.zeros_like(w) for net in nets for w in net.weights] for _ in range(2)], 0

    @partial(jax.jit, static_argnums=0, donate_argnums=(1, 2))
    def update(objective: Callable, nets: list[Model], averages: list, t: Any, data: tuple) -> Any:
        loss, gradients = jax.value_and_grad(lambda nets: objective(*nets, *data))(nets)
        weights, whole = jax.tree.flatten(nets)
        gradients = jax.tree.leaves(gradients)
        if clip < np.inf:
            norm = jnp.sqrt(sum(jnp.vdot(g, g) for g in gradients))
            gradients = [g * jnp.minimum(1.0, clip / (norm + 1e-6)) for g in gradients]
        weights, *averages = zip(*map(partial(rule, t=t), weights, gradients, *averages), strict=True)
        return loss, jax.tree.unflatten(whole, weights), [list(a) for a in averages]

    def step(objective: Callable, *data: Any) -> Any:
        nonlocal averages, done
        done += 1
        loss, trained, averages = update(objective, nets, averages, np.float32(done), data)
        for net, new in zip(nets, trained, strict=True):
            net.weights = new.weights
        return jax.block_until_ready((loss, averages))[0]

    return step


def player(nets: list[Model], lr: float, betas: tuple[float, float] = (0.9, 0.999)) -> Callable[..., Any]:
    return _trainer(nets, _adam(lr, betas))


# -- single layers ----------------------------------------------------------------------------------------------------

images = tensor


def layer(net: Model, x: Any, g: Any) -> tuple[Callable, Callable]:
    """Forward alone; forward and backward, from g to the gradients of input, weight and bias."""

    @jax.jit
    def both(net: Model, x: Any) -> Any:
        y, back = jax.vjp(lambda x, net: net(x), x, net)
        return y, jax.tree.leaves(back(g))

    return lambda: jax.block_until_ready(net(x)), lambda: jax.block_until_ready(both(net, x))


def dot(a: Any, b: Any) -> float:
    return float((a * b).sum())


# -- language models --------------------------------------------------------------------------------------------------


def _cross_entropy(logits: Any, y: Any) -> Any:
    return jnp.mean(jax.nn.logsumexp(logits, axis=-1) - jnp.take_along_axis(logits, y[..., None], -1)[..., 0])


def _cell(x: Any, w: Any, u: Any, b: Any) -> Any:
    """h of an LSTM for all steps of x (N, T, C)"""

    def step(state: Any, a: Any) -> Any:
        h, c = state
        i, f, g, o = jnp.split(a + h @ u.T, 4, axis=1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    zero = jnp.zeros((len(x), u.shape[1]), x.dtype)
    return lax.scan(step, (zero, zero), _linear(x, w, b).swapaxes(0, 1))[1].swapaxes(0, 1)


def lstm(symbols: int, embedding: int, width: int, layers: int, arrays: Iterator[np.ndarray]) -> Model:
    def run(weights: list, ids: Any, last: bool) -> Any:
        h = weights[0][ids]
        for i in range(layers):
            h = _cell(h, *weights[1 + 3 * i : 4 + 3 * i])
        return _linear(h[:, -1] if last else h, *weights[-2:])

    return Model(run, _taken(arrays, 3 + 3 * layers))


def _layer_norm(x: Any, gain: Any, bias: Any) -> Any:
    return (x - x.mean(-1, keepdims=True)) * lax.rsqrt(x.var(-1, keepdims=True) + 1e-5) * gain + bias


def gpt(symbols: int, block: int, width: int, heads: int, layers: int, arrays: Iterator[np.ndarray]) -> Model:
    def run(weights: list, ids: Any, last: bool) -> Any:
        n, t = ids.shape
        x = weights[0][ids] + weights[1][:t]
        for i in range(layers):
            qkv, qkv_b, out, out_b, n1, n1_b, up, up_b, down, down_b, n2, n2_b = weights[2 + 12 * i : 14 + 12 * i]
            q, k, v = (
                a.reshape(n, t, heads, -1) for a in jnp.split(_linear(_layer_norm(x, n1, n1_b), qkv, qkv_b), 3, axis=2)
            )
            x = x + _linear(jax.nn.dot_product_attention(q, k, v, is_causal=True).reshape(x.shape), out, out_b)
            u = jax.nn.gelu(_linear(_layer_norm(x, n2, n2_b), up, up_b), approximate=False)
            x = x + _linear(u, down, down_b)
        return _layer_norm(x, *weights[-2:]) @ weights[0].T

    return Model(run, _taken(arrays, 4 + 12 * layers))


def reader(net: Model, windows: np.ndarray, last: bool, optimizer: str, lr: float, clip: float) -> Callable:
    """Training steps of a language model on windows: all symbols, or only the `last`, are learnt from."""
    rule = {
        "RMSprop": lambda: _rmsprop(lr),
        "Adam": lambda: _adam(lr, (0.9, 0.999)),
        "AdamW": lambda: _adam(lr, (0.9, 0.99), decay=0.1, warmup=100),
    }[optimizer]()
    train = _trainer([net], rule, clip)
    x, y = tensor(windows[:, :-1]), tensor(windows[:, -1] if last else windows[:, 1:])

    def objective(net: Model, x: Any, y: Any) -> Any:
        return _cross_entropy(net.run(net.weights, x, last), y)

    return lambda: train(objective, x, y)


# -- sound ------------------------------------------------------------------------------------------------------------


def wavenet(layers: int, channels: int, skip: int, codes: int, classes: int, arrays: Iterator[np.ndarray]) -> Model:
    def run(weights: list, codes: Any, labels: Any, context: int) -> Any:
        own = iter(weights)
        h, skips, count = next(own)[codes], 0, codes.shape[1] - context + 1
        for i in range(layers):
            taps, bias, label, to_skip, skip_bias = (next(own) for _ in range(5))
            past, present, d = taps[:, :channels], taps[:, channels:], 2**i
            y = h[:, :-d] @ past.T + h[:, d:] @ present.T + bias + label[labels][:, None]
            f, g = jnp.split(y, 2, axis=2)
            z = jnp.tanh(f) * jax.nn.sigmoid(g)
            skips = skips + _linear(z[:, -count:], to_skip, skip_bias)
            if i < layers - 1:
                h = h[:, d:] + _linear(z, next(own), next(own))
        hidden = _linear(jax.nn.relu(skips), next(own), next(own))
        return _linear(jax.nn.relu(hidden), next(own), next(own))

    return Model(run, _taken(arrays, 1 + 7 * layers - 2 + 4))


def listener(net: Model, windows: np.ndarray, labels: np.ndarray, context: int, lr: float, clip: float) -> Callable:
    """Training steps of a WaveNet on windows of codes."""
    train = _trainer([net], _adam(lr, (0.9, 0.999)), clip)
    x, y, classes = tensor(windows[:, :-1]), tensor(windows[:, context:]), tensor(labels)

    def objective(net: Model, x: Any, y: Any, classes: Any) -> Any:
        return _cross_entropy(net.run(net.weights, x, classes, context), y)

    return lambda: train(objective, x, y, classes)
