"""Wasserstein GANs: a critic that measures a distance in place of a discriminator that decides.

    repeat five times   update f      L_f = E f(G(z)) − E f(x), with f kept 1-Lipschitz        [B2 corrected]
    once                update G      L_G = −E f(G(z))

`penalty` keeps f Lipschitz by λ E (‖∇ f(x̂)‖ − 1)² (WGAN-GP, Gulrajani et al. 2017), `clip` by clipping its weights
(Arjovsky et al. 2017). The networks are those of :class:`minigen.models.gan.DCGAN`. With the penalty the critic has no
batch normalisation: the penalty is a condition on each example's gradient, and batch normalisation makes every score
depend on the whole batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from .. import nn
from ..backend import Array
from ..errors import ConfigError
from ..losses.wasserstein import clip_weights, critic_loss, generator_loss, gradient_penalty
from ..optim import Adam, Player, RMSprop
from ..tensor import Tensor, no_grad
from .config import Preset, choice, fraction
from .gan import DCGAN, GANConfig, variety

__all__ = ["PRESETS", "WGAN", "WGANConfig"]


@dataclass(frozen=True, kw_only=True)
class WGANConfig(GANConfig):
    """Settings of :class:`WGAN`, beside those of every GAN.

    lipschitz      penalty (Adam) or clip (RMSprop, as momentum upsets a clipped critic)
    critic_steps   updates of the critic for one of the generator
    pace           the generator's learning rate is lr · pace; a slow one lets the critic keep up (Heusel et al. 2017)
    weight         λ of the penalty
    limit          largest weight of a clipped critic
    batch_norm     batch normalisation in the critic, which the penalty does not allow
    """

    beta1: float = fraction(0.0)
    lr: float = 1e-4
    lipschitz: str = choice("penalty", ("penalty", "clip"))
    critic_steps: int = 5
    pace: float = 1.0
    weight: float = 10.0
    limit: float = 0.01
    batch_norm: bool = False


class WGAN(DCGAN):
    """A DCGAN that plays the Wasserstein game; `discriminator` is the critic f."""

    config: WGANConfig

    def __init__(self, config: WGANConfig, *, rng: Any):
        self.config = config
        self.generator, self.discriminator = self.networks(rng)
        if config.batch_norm:
            self.discriminator = with_batch_norm(self.discriminator)
        if config.lipschitz == "penalty":
            self._refuse_batch_norm()
            optimizer = lambda parameters, lr: Adam(parameters, lr, (config.beta1, 0.9))
        else:
            optimizer = RMSprop
        self.players = []
        for name, network, objective, repeats, pace in (
            ("critic", self.discriminator, self.critic_objective, config.critic_steps, 1.0),
            ("generator", self.generator, self.generator_objective, 1, config.pace),
        ):
            parameters = network.parameters()
            chosen = optimizer(parameters, config.lr * pace)
            self.players.append(Player(name, parameters, objective, chosen, repeats, config.rates(pace)))
        self.follow(chosen)
        if config.lipschitz == "clip":
            self.players[0].optimizer.after_step = lambda: clip_weights(self.players[0].parameters, config.limit)

    def _refuse_batch_norm(self) -> None:
        for name, module in self.discriminator.named_modules("discriminator"):
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                raise ConfigError(
                    f"{type(self).__name__}: batch normalisation at {name!r} makes each of the critic's scores depend "
                    "on the whole batch, but the penalty is a condition on the gradient of each example alone; leave "
                    "it out, or take lipschitz = 'clip'."
                )

    def critic_objective(self, batch: tuple[Array, ...], rng: Any) -> tuple[Tensor, dict[str, Any]]:
        """L_f, with the penalty; `distance` is −L_f without it, an estimate of W up to f's Lipschitz constant."""
        x, f = batch[0], self.discriminator
        with no_grad():
            fake = self.generator(self.noise(len(x), rng)).data
        loss = critic_loss(f(x), f(fake))
        metrics: dict[str, Any] = {"distance": -loss.data}
        if self.config.lipschitz == "penalty":
            penalty, norm = gradient_penalty(f, x, fake, rng, self.config.weight)
            loss, metrics = loss + penalty, {**metrics, "gradient norm": norm}
        return loss, metrics

    def generator_objective(self, batch: tuple[Array, ...], rng: Any) -> tuple[Tensor, dict[str, Any]]:
        """L_G on as many samples as the batch has images; it is not shown the images."""
        fake = self.generator(self.noise(len(batch[0]), rng))
        return generator_loss(self.discriminator(fake)), {"variety": partial(variety, fake.data, batch[0])}


def with_batch_norm(critic: nn.Sequential) -> nn.Sequential:
    """The critic with batch normalisation after all layers with weights but the first and the last."""
    inner = [layer for layer in critic if isinstance(layer, nn.Conv2d | nn.Linear)][1:-1]
    layers: list[nn.Module] = []
    for layer in critic:
        layers.append(layer)
        if layer in inner:
            convolution = isinstance(layer, nn.Conv2d)
            layers.append(nn.BatchNorm2d(layer.out_channels) if convolution else nn.BatchNorm1d(layer.out_features))
    return nn.Sequential(*layers)


PRESETS = {
    "wgan": Preset(
        "Wasserstein GAN whose critic's weights are clipped",
        WGAN,
        WGANConfig(lipschitz="clip", lr=5e-5, steps=2000),
    ),
    "wgan-gp": Preset(
        "Wasserstein GAN with a gradient penalty: differentiates a gradient",
        WGAN,
        WGANConfig(steps=2000),
    ),
}
