"""Generative adversarial networks (Goodfellow et al. 2014) on images of 28 × 28 pixels.

A generator G makes an image of noise, a discriminator D gives the logit of "this image is real". Each minimises its
own loss over its own parameters, in turns [E4]:

    sample z ~ N(0, I)
    update D        L_D = −E_x log D(x) − E_z log(1 − D(G(z)))        [C2, E1]
    update G        L_G = −E_z log D(G(z))                            [C2, E1], or +E_z log(1 − D(G(z))) [A4 corrected]

Ids in brackets number the articles' formulas and networks; :mod:`minigen.losses.gan` has the losses.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from .. import backend, nn
from ..backend import Array, xp
from ..datasets import ImageSet, to_signed, to_unit
from ..errors import DataError, ShapeError
from ..losses.gan import LOSSES, discriminator_loss, generator_loss
from ..ops import matmul, mean, reshape, sigmoid, sum, var
from ..optim import Adam, Optimizer, Player
from ..tensor import Tensor, no_grad
from .config import Preset, Scheduled, choice, fraction

__all__ = ["B8GAN", "DCGAN", "GAN", "MLPGAN", "PRESETS", "GANConfig", "MLPGANConfig"]

IMAGE = (1, 28, 28)
PIXELS = 784


@dataclass(frozen=True, kw_only=True)
class GANConfig(Scheduled):
    """Settings of every GAN, beside those of :class:`Scheduled`.

    loss     of both players: nonsaturating, saturating, hinge or least-squares
    latent   length of the noise z
    beta1    Adam's β₁; ½ keeps two players that move against each other from overshooting (Radford et al. 2016)
    ema      β of the exponential moving average of G's weights, with which samples are drawn; at 0 it is G itself
    """

    lr: float = 2e-4
    loss: str = choice("nonsaturating", LOSSES)
    latent: int = 100
    beta1: float = fraction(0.5)
    ema: float = fraction(0.0)


class GAN(nn.Module):
    """Two networks and their game. Subclasses define :meth:`networks`.

    generator       z (N, latent) -> images (N, 1, 28, 28), with pixels in [−1, 1], or [0, 1] where `unit` is set
    discriminator   images (N, 1, 28, 28) -> logits (N, 1)

    The discriminator sees real and generated images as two batches, so that batch normalisation, where it has any,
    does not mix the two. Samples are G's, or with `config.ema` those of its average θ̄, :class:`nn.MovingAverage`.
    """

    modality = "image"
    unit = False

    def __init__(self, config: GANConfig, *, rng: Any):
        self.config = config
        self.generator, self.discriminator = self.networks(rng)
        betas = (config.beta1, 0.999)
        self.players = []
        for name, objective in ("discriminator", self.discriminator_objective), ("generator", self.generator_objective):
            parameters = getattr(self, name).parameters()
            optimizer = Adam(parameters, config.lr, betas)
            self.players.append(Player(name, parameters, objective, optimizer, schedule=config.rates()))
        self.follow(optimizer)

    def follow(self, optimizer: Optimizer) -> None:
        """Average G's weights after each of its steps, where `config.ema` asks for it."""
        self.average = nn.MovingAverage(self.generator, self.config.ema) if self.config.ema else None
        if self.average is not None:
            optimizer.after_step = lambda: self.average.update(optimizer.steps[0])

    def networks(self, rng: Any) -> tuple[nn.Module, nn.Module]:
        """(generator, discriminator) with weights drawn from `rng`."""
        raise NotImplementedError

    # -- the game -------------------------------------------------------------------------------------------------
    def discriminator_objective(self, batch: tuple[Array, ...], rng: Any) -> tuple[Tensor, dict[str, Any]]:
        """L_D on a batch of data and as many samples, through which no gradient flows.

        A batch is (x,), or (x, labels) where both players are told the labels.
        """
        x, *labels = batch
        with no_grad():
            fake = self.generator(self.noise(len(x), rng), *labels)
        real_logits, fake_logits = self.discriminator(x, *labels), self.discriminator(fake, *labels)
        with no_grad():
            metrics = {"D(x)": mean(sigmoid(real_logits)), "D(G(z))": mean(sigmoid(fake_logits))}
        return discriminator_loss(real_logits, fake_logits, self.config.loss), metrics

    def generator_objective(self, batch: tuple[Array, ...], rng: Any) -> tuple[Tensor, dict[str, Any]]:
        """L_G on as many samples as the batch has images, of the same labels; it is not shown the images."""
        x, *labels = batch
        fake = self.generator(self.noise(len(x), rng), *labels)
        loss = generator_loss(self.discriminator(fake, *labels), self.config.loss)
        return loss, {"variety": partial(variety, fake.data, x, *labels)}

    # -- data and samples -----------------------------------------------------------------------------------------
    def prepare(self, dataset: ImageSet) -> tuple[Array, ...]:
        """The images as the generator makes them: float32 (N, 1, 28, 28). Raises DataError for other sizes."""
        x = (to_unit if self.unit else to_signed)(dataset.images)
        if x.shape[1:] != IMAGE:
            raise DataError(
                f"{dataset.name}: this model draws grey images of 28 × 28 pixels, "
                f"came {x.shape[2]} × {x.shape[3]} with {x.shape[1]} channels; choose other data."
            )
        return (x,)

    def noise(self, n: int, rng: Any) -> Array:
        """z ~ N(0, I)        (n, latent)"""
        return backend.normal(rng, (n, self.config.latent))

    def sample(self, n: int, rng: Any, *, noise: Any = None) -> Array:
        """n images with pixels in [0, 1], an array (n, 1, 28, 28); of `noise` (n, latent) where that is given."""
        return self.pixels(self.generate(self.noise(n, rng) if noise is None else noise, n))

    def generate(self, z: Array, n: int, *labels: Array) -> Array:
        """G(z), of its average where it has one, in evaluation mode, some z at a time: an array (n, …).

        Raises ShapeError for another z.
        """
        if z.shape != (n, self.config.latent):
            raise ShapeError(f"sample: expected noise of shape {(n, self.config.latent)}, got {tuple(z.shape)}.")
        generator = self.generator if self.average is None else self.average
        training = self.training
        self.eval()
        try:
            with no_grad():
                parts = (slice(i, i + 256) for i in range(0, n, 256))
                return xp.concatenate([generator(z[part], *(l[part] for l in labels)).data for part in parts])
        finally:
            self.train(training)

    def pixels(self, x: Array) -> Array:
        """What G makes, as pixels in [0, 1]"""
        return xp.clip(x if self.unit else (x + 1) / 2, 0, 1)

    def forward(self, z: Any) -> Tensor:
        """G(z)        (N, latent) -> (N, 1, 28, 28)"""
        return self.generator(z)

    def summary(self, *example: Any) -> str:
        """Both networks; without an example, on one noise vector and one black image."""
        z = example or (xp.zeros((1, self.config.latent), "float32"),)
        x = xp.zeros((1, *IMAGE), "float32")
        return f"generator\n{self.generator.summary(*z)}\n\ndiscriminator\n{self.discriminator.summary(x)}"


def variety(fake: Any, x: Any, labels: Any = None) -> Tensor:
    """Σ Var G(z) / Σ Var x, each over a batch        (N, …), (N, …) -> ()        0 where G makes one thing of all z

    With labels (N,) a variance is that about the mean of the example's class: the labels alone make no variety.
    """
    with no_grad():
        fake, x = reshape(fake, (len(fake), -1)), reshape(x, (len(x), -1))
        if labels is not None:
            same = (labels[:, None] == labels[None]).astype(x.dtype)  # two examples of one class
            mean_of_class = same / sum(same, axis=1, keepdims=True)
            fake, x = fake - matmul(mean_of_class, fake), x - matmul(mean_of_class, x)
        return sum(var(fake, axis=0)) / sum(var(x, axis=0))


# -- networks of fully connected layers -------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class MLPGANConfig(GANConfig):
    """Settings of :class:`MLPGAN`, beside those of every GAN.

    generator, discriminator   the widths of the hidden layers, in order
    batch_norm                 batch normalisation in the hidden layers of G (Radford et al. 2016)
    """

    generator: tuple[int, ...] = (256, 128)
    discriminator: tuple[int, ...] = (128, 256)
    batch_norm: bool = False


class MLPGAN(GAN):
    """Fully connected layers with LeakyReLU 0.2 [C6, corrected]

    G: latent → generator widths → 784 tanh        D: 784 → discriminator widths → 1 logit

    C6 gives G three outputs, which are no image; 784 are. Its D has no sigmoid yet meets a loss on probabilities; here
    the loss takes logits. It makes the fake batch under no_grad also when G is to learn from it; here only for D.
    """

    config: MLPGANConfig

    def networks(self, rng: Any) -> tuple[nn.Module, nn.Module]:
        c = self.config
        generator = nn.Sequential(
            *hidden(c.latent, c.generator, rng, c.batch_norm),
            nn.Linear(c.generator[-1], PIXELS, rng=rng),
            nn.Tanh(),
            nn.Reshape(*IMAGE),
        )
        discriminator = nn.Sequential(
            nn.Flatten(),
            *hidden(PIXELS, c.discriminator, rng),
            nn.Linear(c.discriminator[-1], 1, rng=rng),
        )
        return generator, discriminator


def hidden(inputs: int, widths: tuple[int, ...], rng: Any, batch_norm: bool = False) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for before, after in zip((inputs, *widths), widths, strict=False):
        norm = [nn.BatchNorm1d(after)] if batch_norm else []
        layers += [nn.Linear(before, after, rng=rng), *norm, nn.LeakyReLU(0.2)]
    return layers


class B8GAN(GAN):
    """A small generator against one layer of convolution, with pixels in [0, 1] [B8]

    G: latent → 128 relu → 784 sigmoid        D: Conv2D(128, 3×3) relu → Flatten → 1 logit

    The article ends D in a sigmoid; here that sigmoid is part of the loss.
    """

    unit = True

    def networks(self, rng: Any) -> tuple[nn.Module, nn.Module]:
        generator = nn.Sequential(
            nn.Linear(self.config.latent, 128, rng=rng),
            nn.ReLU(),
            nn.Linear(128, PIXELS, rng=rng),
            nn.Sigmoid(),
            nn.Reshape(*IMAGE),
        )
        discriminator = nn.Sequential(
            nn.Conv2d(1, 128, 3, rng=rng),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(128 * 26 * 26, 1, rng=rng),
        )
        return generator, discriminator


# -- networks of convolutions -----------------------------------------------------------------------------------------


class DCGAN(GAN):
    """Transposed convolutions that double the image twice, against strided ones [A8, corrected]

    G: latent → Dense(7·7·128) → (128, 7, 7)
         → ConvTranspose 5×5, stride 2, 128 → BatchNorm → LeakyReLU 0.2        (128, 14, 14)
         → ConvTranspose 5×5, stride 2, 64  → BatchNorm → LeakyReLU 0.2        (64, 28, 28)
         → Conv 5×5, 1 → tanh                                                  (1, 28, 28)
    D: Conv 5×5, stride 2, 64 → LeakyReLU 0.2 → Conv 5×5, stride 2, 128 → LeakyReLU 0.2 → 1 logit

    All paddings are "same", so that stride 2 doubles or halves exactly. Weights start as N(0, 0.02²) and G has batch
    normalisation as in Radford et al. 2016. A8 ends G in a softmax over a vocabulary, which is no image, and leaves
    out D, the two normalisations and the last convolution. Its Adam has a learning rate of 1e-4; the preset's is 8e-4,
    and its batches are of 16 images: 300 steps bring as much as 300 with 64 at 4e-4, as θ̄ takes out the noise.
    """

    def networks(self, rng: Any) -> tuple[nn.Module, nn.Module]:
        start = {"init": nn.init.dcgan, "rng": rng}
        generator = nn.Sequential(
            nn.Linear(self.config.latent, 7 * 7 * 128, **start),
            nn.Reshape(128, 7, 7),
            nn.ConvTranspose2d(128, 128, 5, stride=2, padding="same", **start),
            nn.BatchNorm2d(128),
            nn.LeakyReLU(0.2),
            nn.ConvTranspose2d(128, 64, 5, stride=2, padding="same", **start),
            nn.BatchNorm2d(64),
            nn.LeakyReLU(0.2),
            nn.Conv2d(64, 1, 5, padding="same", **start),
            nn.Tanh(),
        )
        discriminator = nn.Sequential(
            nn.Conv2d(1, 64, 5, stride=2, padding="same", **start),
            nn.LeakyReLU(0.2),
            nn.Conv2d(64, 128, 5, stride=2, padding="same", **start),
            nn.LeakyReLU(0.2),
            nn.Flatten(),
            nn.Linear(7 * 7 * 128, 1, **start),
        )
        return generator, discriminator


PRESETS = {
    "gan": Preset(  # Fréchet distances 129 and 95 (seeds 0, 1), of G itself 216; after 20,000 steps 1, 7 and 9 prevail
        "GAN of fully connected layers: digits within two minutes",
        MLPGAN,
        MLPGANConfig(generator=(256, 512), discriminator=(512, 256), batch_norm=True, lr=1e-3, ema=0.998, steps=4000),
    ),
    "gan-c6": Preset(  # ends at a few kinds of digit; batch_norm and lr = 1e-3 bring back all ten
        "GAN with the layers of article C: 100-256-128-784 against 784-128-256-1; shows mode collapse",
        MLPGAN,
        MLPGANConfig(generator=(256, 128), discriminator=(128, 256), steps=6000),
    ),
    "gan-b8": Preset(  # D(G(z)) ≈ 0.01 or less after 300 steps with learning rates from 2e-5 to 2e-3; G draws one image
        "GAN with the layers of article B: 100-128-784 against one convolution; collapses",
        B8GAN,
        GANConfig(steps=600),
    ),
    "dcgan": Preset(
        "GAN of transposed convolutions, with the layers of article A",
        DCGAN,
        GANConfig(batch_size=16, lr=8e-4, ema=0.995, steps=4000),
    ),
}
