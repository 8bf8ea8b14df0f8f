"""A step of each player of a GAN: the presets `gan` and `dcgan`, and the critic of `wgan-gp`, batch 128.

The critic's step differentiates a gradient. It stands without the generator's, which is that of `dcgan`.
"""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np

from . import SEED, Part, Workload
from .networks import Cost, Layer, adam, backward, forward, mirrored

BATCH, LATENT, IMAGE = 128, 100, (1, 28, 28)

MLP = (
    [
        *[("linear", 100, 256), ("batch_norm", 256), ("leaky_relu", 0.2)],
        *[("linear", 256, 512), ("batch_norm", 512), ("leaky_relu", 0.2)],
        *[("linear", 512, 784), ("tanh",), ("reshape", *IMAGE)],
    ],
    [
        ("flatten", *IMAGE),
        *[("linear", 784, 512), ("leaky_relu", 0.2), ("linear", 512, 256), ("leaky_relu", 0.2)],
        ("linear", 256, 1),
    ],
)
CONVOLUTIONS = (
    [
        *[("linear", 100, 128 * 7 * 7), ("reshape", 128, 7, 7)],
        *[("conv_transpose", 128, 128, 5, 2), ("batch_norm", 128), ("leaky_relu", 0.2)],
        *[("conv_transpose", 128, 64, 5, 2), ("batch_norm", 64), ("leaky_relu", 0.2)],
        *[("conv", 64, 1, 5, 1), ("tanh",)],
    ],
    [
        *[("conv", 1, 64, 5, 2), ("leaky_relu", 0.2), ("conv", 64, 128, 5, 2), ("leaky_relu", 0.2)],
        *[("flatten", 128, 7, 7), ("linear", 128 * 7 * 7, 1)],
    ],
)


def _images() -> np.ndarray:
    """Real images are noise here: arithmetic takes as long on it."""
    return np.random.default_rng(SEED).uniform(-1, 1, (BATCH, *IMAGE)).astype(np.float32)


def _ours(preset: str, networks: tuple[list[Layer], list[Layer]], players: slice = slice(None)) -> Any:
    from minigen import backend, grad
    from minigen.models import PRESETS

    chosen = PRESETS[preset]
    config = replace(chosen.config, ema=0)  # the peers average no weights
    model = chosen.model(config, rng=backend.generator(SEED))
    weights = [np.array(p.numpy()) for p in model.parameters()]
    if networks is CONVOLUTIONS:
        layers = iter(weights)
        weights = [a for network in networks for a in mirrored(network, layers)]
    rng, batch = backend.generator(SEED), (backend.asarray(_images()),)

    def step() -> list[Any]:
        losses = []
        for player in model.players[players]:
            loss, _ = player.objective(batch, rng)
            player.optimizer.step(grad(loss, player.parameters))
            losses.append(loss)
        return losses

    return weights, step, lambda losses: sum(loss.item() for loss in losses)


def _noise(rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal((BATCH, LATENT), dtype=np.float32)


def _game(library: ModuleType, weights: list[np.ndarray], networks: Any, lr: float) -> Any:
    arrays, mean, softplus = iter(weights), library.mean, library.softplus
    g, d = (library.network(layers, arrays) for layers in networks)
    train_g, train_d = (library.player([network], lr, (0.5, 0.999)) for network in (g, d))
    x, rng = _images(), np.random.default_rng(SEED)
    x = library.tensor(x[:, :, ::-1, ::-1].copy() if networks is CONVOLUTIONS else x)

    def judge(d: Any, x: Any, fake: Any) -> Any:
        return mean(softplus(-d(x))) + mean(softplus(d(fake)))

    def deceive(g: Any, d: Any, z: Any) -> Any:
        return mean(softplus(-d(g(z))))

    def step() -> list[Any]:
        with library.no_grad():
            fake = g(library.tensor(_noise(rng)))
        loss_d = train_d(judge, x, fake)
        return [loss_d, train_g(deceive, d, library.tensor(_noise(rng)))]

    return step, lambda losses: sum(map(library.number, losses))


def _penalised(library: ModuleType, weights: list[np.ndarray]) -> Any:
    arrays, mean = iter(weights), library.mean
    g, f = (library.network(layers, arrays) for layers in CONVOLUTIONS)
    train = library.player([f], 1e-4, (0.0, 0.9))
    x, rng = _images()[:, :, ::-1, ::-1].copy(), np.random.default_rng(SEED)

    def objective(f: Any, real: Any, fake: Any, between: Any) -> Any:
        slopes = library.slope(f, between)
        return mean(f(fake)) - mean(f(real)) + 10 * mean((slopes - 1) ** 2)

    def step() -> Any:
        with library.no_grad():
            fake = g(library.tensor(_noise(rng)))
        epsilon = library.tensor(rng.random((BATCH, 1, 1, 1), dtype=np.float32))
        real = library.tensor(x)
        return train(objective, real, fake, epsilon * real + (1 - epsilon) * fake)

    return step, library.number


def _game_cost(networks: Any) -> Cost:
    (g, d), n = networks, BATCH
    image = IMAGE if networks is CONVOLUTIONS else ()
    of_d = forward(g, n) + 2 * (forward(d, n, image) + backward(d, n, image))
    of_g = forward(g, n) + forward(d, n, image) + backward(d, n, image, weights=False, inputs=True) + backward(g, n)
    return of_d + of_g + adam(g, d)


def _penalty_cost() -> Cost:
    """Of the penalty: the gradient ∇ f takes a forward and a backward pass; differentiating both takes twice that."""
    (g, f), n = CONVOLUTIONS, BATCH
    once = forward(f, n, IMAGE) + backward(f, n, IMAGE, weights=False, inputs=True)
    return forward(g, n) + 2 * (forward(f, n, IMAGE) + backward(f, n, IMAGE)) + 3 * once + adam(f)


def _workload(name: str, ours: Any, theirs: Any, cost: Cost, peers: tuple[str, ...]) -> Workload:
    def build() -> Any:
        weights, *part = ours()
        return weights, {name: Part(*part)}

    return Workload(build, lambda *arguments: {name: Part(*theirs(*arguments))}, {name: cost}, peers)


WORKLOADS = {
    "mlp_gan": _workload(
        "mlp_gan",
        lambda: _ours("gan", MLP),
        lambda library, weights: _game(library, weights, MLP, 1e-3),
        _game_cost(MLP),
        ("torch", "autograd", "dezero", "jax"),
    ),
    "dcgan": _workload(
        "dcgan",
        lambda: _ours("dcgan", CONVOLUTIONS),
        lambda library, weights: _game(library, weights, CONVOLUTIONS, 8e-4),
        _game_cost(CONVOLUTIONS),
        ("torch", "torch-channels-last", "dezero", "jax"),
    ),
    "wgan_gp": _workload(
        "wgan_gp",
        lambda: _ours("wgan-gp", CONVOLUTIONS, slice(1)),
        _penalised,
        _penalty_cost(),
        ("torch", "torch-channels-last", "jax"),
    ),
}
