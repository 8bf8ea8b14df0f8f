"""A training step of the presets `vae` and `vae-conv`, batch 128."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

from . import SEED, Part, Workload
from .networks import Cost, adam, backward, forward, mirrored

BATCH, LATENT, IMAGE = 128, 20, (1, 28, 28)

MLP = (
    [("flatten", *IMAGE), ("linear", 784, 400), ("relu",), ("linear", 400, 2 * LATENT)],
    [("linear", LATENT, 400), ("relu",), ("linear", 400, 784), ("reshape", *IMAGE)],
)
CONVOLUTIONS = (
    [
        *[("conv", 1, 32, 3, 2), ("relu",), ("conv", 32, 64, 3, 2), ("relu",)],
        *[("flatten", 64, 7, 7), ("linear", 64 * 7 * 7, 2 * LATENT)],
    ],
    [
        *[("linear", LATENT, 64 * 7 * 7), ("relu",), ("reshape", 64, 7, 7)],
        *[("conv_transpose", 64, 32, 3, 2), ("relu",), ("conv_transpose", 32, 1, 3, 2)],
    ],
)


def _images() -> np.ndarray:
    return np.random.default_rng(SEED).uniform(0, 1, (BATCH, *IMAGE)).astype(np.float32)


def _ours(preset: str, networks: Any) -> Any:
    from minigen import backend, grad
    from minigen.models import PRESETS

    chosen = PRESETS[preset]
    model = chosen.model(chosen.config, rng=backend.generator(SEED))
    (player,) = model.players
    weights = [np.array(p.numpy()) for p in model.parameters()]
    if networks is CONVOLUTIONS:
        layers = iter(weights)
        weights = [a for network in networks for a in mirrored(network, layers)]
    rng, batch = backend.generator(SEED), (backend.asarray(_images()),)

    def step() -> Any:
        loss, _ = player.objective(batch, rng)
        player.optimizer.step(grad(loss, player.parameters))
        return loss

    return weights, step, lambda loss: loss.item()


def _theirs(library: ModuleType, weights: list[np.ndarray], networks: Any) -> Any:
    arrays = iter(weights)
    train = library.player([library.network(layers, arrays) for layers in networks], 1e-3)
    x, rng = _images(), np.random.default_rng(SEED)
    x = library.tensor(x[:, :, ::-1, ::-1].copy() if networks is CONVOLUTIONS else x)

    def objective(encoder: Any, decoder: Any, x: Any, noise: Any) -> Any:
        z, kl = library.gaussian_code(encoder(x), noise)
        return library.bernoulli_nll(decoder(z), x) + kl

    def step() -> Any:
        return train(objective, x, library.tensor(rng.standard_normal((BATCH, LATENT), dtype=np.float32)))

    return step, library.number


def _cost(networks: Any) -> Cost:
    (encoder, decoder), n = networks, BATCH
    of_encoder = forward(encoder, n, IMAGE) + backward(encoder, n, IMAGE)
    return of_encoder + forward(decoder, n) + backward(decoder, n, inputs=True) + adam(encoder, decoder)


def _workload(name: str, preset: str, networks: Any, peers: tuple[str, ...]) -> Workload:
    def ours() -> Any:
        weights, *part = _ours(preset, networks)
        return weights, {name: Part(*part)}

    theirs = lambda library, weights: {name: Part(*_theirs(library, weights, networks))}
    return Workload(ours, theirs, {name: _cost(networks)}, peers)


WORKLOADS = {
    "mlp_vae": _workload("mlp_vae", "vae", MLP, ("torch", "autograd", "dezero", "jax")),
    "conv_vae": _workload("conv_vae", "vae-conv", CONVOLUTIONS, ("torch", "torch-channels-last", "dezero", "jax")),
}
