"""Variational auto-encoders (Kingma & Welling 2013) on images of 28 × 28 pixels.

An encoder reads an image and says where in a latent space it may lie, q(z|x) = N(μ(x), diag σ²(x)); a decoder turns a
point of that space into the parameters of p(x|z). Both minimise one loss, the negative ELBO in nats per image,

    −ELBO = E_q[−log p(x|z)] + β KL(q(z|x) ‖ N(0, I)),        z = μ + σ ⊙ ε, ε ~ N(0, I)        [B5, B9, E2 corrected]

:mod:`minigen.losses.vae` has its terms; ids in brackets number the articles' formulas and networks. A conditional VAE
gives the label to both networks, and a label and a z make an image of that class (Sohn et al. 2015) [D3].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .. import backend, nn, ops
from ..backend import Array, xp
from ..datasets import ImageSet, to_unit
from ..errors import ConfigError, DataError, ShapeError
from ..losses.likelihood import bernoulli_nll, gaussian_nll, per_example
from ..losses.vae import importance_weighted_bound, kl_per_dimension, log_normal, negative_elbo, reparameterise
from ..optim import Adam, Player
from ..tensor import Tensor, no_grad, tensor
from .config import Preset, Scheduled, choice
from .labelled import CLASSES, asked_for, labels_of

__all__ = ["PRESETS", "VAE", "ConditionalVAE", "VAEConfig"]

IMAGE = (1, 28, 28)
PIXELS = 784
ACTIVE = 0.01


@dataclass(frozen=True, kw_only=True)
class VAEConfig(Scheduled):
    """Settings of every VAE, beside those of :class:`Scheduled`.

    network      mlp: 784 → hidden → latent and back; conv: two 3×3 convolutions of stride 2 and their transposes
    hidden       widths of the mlp; or channels of the two convolutions, then widths of layers between them and z
    batch_norm   batch normalisation of the hidden layers of both networks
    latent       length of z
    likelihood   p(x|z): bernoulli (the decoder gives logits) or gaussian (it gives means, of fixed variance)
    variance     of the Gaussian likelihood: ½ makes −log p the squared error [E2], 1 half of it [C4]
    beta         β, the weight of the KL divergence (Higgins et al. 2017)
    pixels       grey: values in [0, 1]; binary: each pixel drawn once, white with its grey value's probability
    """

    batch_size: int = 128
    network: str = choice("mlp", ("mlp", "conv"))
    hidden: tuple[int, ...] = (400,)
    batch_norm: bool = False
    latent: int = 20
    likelihood: str = choice("bernoulli", ("bernoulli", "gaussian"))
    variance: float = 0.5
    beta: float = 1.0
    pixels: str = choice("grey", ("grey", "binary"))

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.network == "conv" and len(self.hidden) < 2:
            raise ConfigError(f"hidden: the conv network has two convolutions, got {len(self.hidden)} widths.")


class VAE(nn.Module):
    """Encoder and decoder, trained together.

    body      images (N, 1, 28, 28) -> features (N, F): the pixels themselves, or convolutions of them
    encoder   features -> the last hidden layer, and head from there to [μ, log σ²] (N, 2 latent)
    decoder   z (N, latent) -> logits or means (N, 1, 28, 28)
    """

    modality = "image"
    conditions = 0  # how many numbers of a label both networks see

    def __init__(self, config: VAEConfig, *, rng: Any):
        self.config = config
        networks = _mlp if config.network == "mlp" else _convolutions
        self.body, self.encoder, self.head, self.decoder = networks(config, self.conditions, rng)
        parameters = self.parameters()
        optimizer = Adam(parameters, config.lr)
        self.players = [Player("vae", parameters, self.objective, optimizer, schedule=config.rates())]

    # -- the two networks -----------------------------------------------------------------------------------------
    def encode(self, x: Any, labels: Any = None) -> tuple[Tensor, Tensor]:
        """μ and log σ² of q(z|x)        (N, 1, 28, 28) -> (N, latent), (N, latent)"""
        both = self.head(self.encoder(self._with_label(self.body(x), labels)))
        return ops.split(both, 2, axis=1)

    def decode(self, z: Any, labels: Any = None) -> Tensor:
        """Logits (Bernoulli) or means (Gaussian) of p(x|z)        (N, latent) -> (N, 1, 28, 28)"""
        return self.decoder(self._with_label(z, labels))

    def _with_label(self, features: Any, labels: Any) -> Any:
        return features

    def forward(self, x: Any, noise: Any, labels: Any = None) -> tuple[Tensor, Tensor]:
        """(−log p(x|z), KL(q(z|x) ‖ p(z))), each (N,) in nats, at z = μ + σ ⊙ noise"""
        nll, kl = self.terms(x, noise, labels)
        return nll, per_example(kl)

    def terms(self, x: Any, noise: Any, labels: Any = None) -> tuple[Tensor, Tensor]:
        """−log p(x|z) (N,) and, for each dimension of z, its part of the KL divergence (N, latent), in nats"""
        mean, log_variance = self.encode(x, labels)
        z = reparameterise(mean, log_variance, noise)
        return self.nll(self.decode(z, labels), x), kl_per_dimension(mean, log_variance)

    def nll(self, decoded: Tensor, x: Any) -> Tensor:
        """−log p(x|z)        (N, 1, 28, 28), (N, 1, 28, 28) -> (N,) nats"""
        if self.config.likelihood == "bernoulli":
            return bernoulli_nll(decoded, x)
        return gaussian_nll(decoded, x, float(xp.log(self.config.variance)))

    # -- the objective --------------------------------------------------------------------------------------------
    def objective(self, batch: tuple[Array, ...], rng: Any) -> tuple[Tensor, dict[str, Any]]:
        """−ELBO of a batch, with one z per image

        `active` is the share of z's dimensions whose KL divergence is above ACTIVE nats on average: the others are
        noise that the decoder has learnt to ignore.
        """
        x, *labels = batch
        nll, parts = self.terms(x, self.noise(len(x), rng), *labels)
        kl = per_example(parts)
        loss = negative_elbo(nll, kl, self.config.beta)
        with no_grad():
            active = ops.mean((ops.mean(parts, axis=0) > ACTIVE).astype(kl.dtype))
            metrics = {"nll": ops.mean(nll), "kl": ops.mean(kl), "active": active}
        return loss, metrics

    def importance_bound(self, x: Any, rng: Any, k: int = 100, labels: Any = None) -> Array:
        """log 1/k Σ p(x|z) p(z) / q(z|x) over k draws of q: (N, …) -> (N,) nats, a lower bound on log p(x) that rises
        with k (Burda et al. 2016)."""
        with no_grad():
            mean, log_variance = self.encode(x, labels)
            weights = []
            for _ in range(k):
                z = reparameterise(mean, log_variance, self.noise(len(x), rng))
                nll = self.nll(self.decode(z, labels), x)
                weights.append(log_normal(z) - nll - log_normal(z, mean, log_variance))
            return importance_weighted_bound(ops.stack(weights)).data

    # -- data and samples -----------------------------------------------------------------------------------------
    def prepare(self, dataset: ImageSet) -> tuple[Array, ...]:
        """Images float32 (N, 1, 28, 28) in [0, 1]. Raises DataError for other sizes."""
        x = to_unit(dataset.images)
        if x.shape[1:] != IMAGE:
            raise DataError(
                f"{dataset.name}: this model reads grey images of 28 × 28 pixels, "
                f"came {x.shape[2]} × {x.shape[3]} with {x.shape[1]} channels; choose other data."
            )
        if self.config.pixels == "binary":
            x = (backend.generator(0).random(x.shape, dtype=x.dtype) < x).astype(x.dtype)
        return (x,)

    def noise(self, n: int, rng: Any) -> Array:
        """ε or z ~ N(0, I)        (n, latent)"""
        return backend.normal(rng, (n, self.config.latent))

    def sample(self, n: int, rng: Any, *, noise: Any = None) -> Array:
        """n images E[x|z] with z ~ N(0, I) (or `noise`), pixels in [0, 1]: an array (n, 1, 28, 28)."""
        return self.draw(self.noise(n, rng) if noise is None else noise)

    def draw(self, z: Any, labels: Any = None) -> Array:
        """E[x|z] as pixels in [0, 1]        (n, latent) -> an array (n, 1, 28, 28)"""
        if len(z.shape) != 2 or z.shape[1] != self.config.latent:
            raise ShapeError(f"draw: expected z of shape (n, {self.config.latent}), got {tuple(z.shape)}.")
        with no_grad():
            decoded = self.decode(tensor(z), labels).data
        return ops.sigmoid(decoded) if self.config.likelihood == "bernoulli" else xp.clip(decoded, 0, 1)

    def reconstruct(self, x: Any, labels: Any = None) -> Array:
        """E[x|z] at z = μ(x): what the code keeps of an image        (N, 1, 28, 28) -> (N, 1, 28, 28)"""
        with no_grad():
            mean, _ = self.encode(x, labels)
        return self.draw(mean.data, labels)

    def interpolate(self, x: Any, y: Any, steps: int = 8, labels: Any = None) -> Array:
        """Images on the straight line between the codes of two images        (1, 28, 28) twice -> (steps, 1, 28, 28)"""
        with no_grad():
            start, end = self.encode(xp.stack([x, y]), labels)[0].data
        t = xp.linspace(0, 1, steps, dtype=start.dtype)[:, None]
        return self.draw(
            backend.asarray(t) * (end - start) + start, None if labels is None else labels[:1].repeat(steps)
        )

    def summary(self, *example: Any) -> str:
        """Both networks; without an example, on one black image."""
        x = example[0] if example else xp.zeros((1, *IMAGE), "float32")
        with no_grad():
            features = self.body(x)
        features = xp.zeros((1, features.shape[1] + self.conditions), "float32")
        z = xp.zeros((1, self.config.latent + self.conditions), "float32")
        parts = {"body": (self.body, x), "encoder": (self.encoder, features), "decoder": (self.decoder, z)}
        return "\n\n".join(f"{name}\n{network.summary(example)}" for name, (network, example) in parts.items())


class ConditionalVAE(VAE):
    """A VAE whose encoder and decoder see the label as a one-hot vector beside their other input."""

    conditions = CLASSES

    def _with_label(self, features: Any, labels: Any) -> Any:
        if labels is None:
            raise ConfigError("ConditionalVAE: expected labels, whole numbers from 0 to 9, got none.")
        return ops.concatenate([features, ops.one_hot(labels, CLASSES)], axis=1)

    def prepare(self, dataset: ImageSet) -> tuple[Array, ...]:
        """(images (N, 1, 28, 28), labels (N,))"""
        return (*super().prepare(dataset), labels_of(dataset))

    def sample(self, n: int, rng: Any, *, noise: Any = None, labels: Any = None) -> Array:
        """n images of the given classes, labels (n,); 0, 1, … 9, 0, … without."""
        return self.draw(self.noise(n, rng) if noise is None else noise, asked_for(n, labels))


# -- networks ---------------------------------------------------------------------------------------------------------


def _layers(c: VAEConfig, widths: tuple[int, ...], rng: Any) -> list[nn.Module]:
    """Fully connected layers from each width to the next, each followed by ReLU"""
    layers: list[nn.Module] = []
    for a, b in zip(widths, widths[1:], strict=False):
        layers += [nn.Linear(a, b, rng=rng), *([nn.BatchNorm1d(b)] if c.batch_norm else []), nn.ReLU()]
    return layers


def _mlp(c: VAEConfig, conditions: int, rng: Any) -> tuple[nn.Module, ...]:
    """784 → hidden → [μ, log σ²];  z → hidden, reversed → 784, with ReLU between"""
    encoder = nn.Sequential(*_layers(c, (PIXELS + conditions, *c.hidden), rng))
    head = nn.Linear(c.hidden[-1], 2 * c.latent, rng=rng)
    decoder = nn.Sequential(
        *_layers(c, (c.latent + conditions, *reversed(c.hidden)), rng),
        nn.Linear(c.hidden[0], PIXELS, rng=rng),
        nn.Reshape(*IMAGE),
    )
    return nn.Flatten(), encoder, head, decoder


def _convolutions(c: VAEConfig, conditions: int, rng: Any) -> tuple[nn.Module, ...]:
    """Conv 3×3, stride 2, twice → widths → [μ, log σ²];  z → widths → 7 × 7 → transposed convolutions, twice → 28 × 28

    B9, corrected: it ends its encoder in z = Dense(20, sigmoid), which is neither a sample nor a function of μ and σ.
    """
    first, second, *more = c.hidden
    flat, inputs = second * 49, second * 49 + conditions
    norm = lambda channels: [nn.BatchNorm2d(channels)] if c.batch_norm else []
    body = nn.Sequential(
        nn.Conv2d(1, first, 3, stride=2, padding="same", rng=rng),
        *norm(first),
        nn.ReLU(),
        nn.Conv2d(first, second, 3, stride=2, padding="same", rng=rng),
        *norm(second),
        nn.ReLU(),
        nn.Flatten(),
    )
    encoder = nn.Sequential(*_layers(c, (inputs, *more), rng))
    head = nn.Linear((inputs, *more)[-1], 2 * c.latent, rng=rng)
    decoder = nn.Sequential(
        *_layers(c, (c.latent + conditions, *reversed(more), flat), rng),
        nn.Reshape(second, 7, 7),
        nn.ConvTranspose2d(second, first, 3, stride=2, padding="same", rng=rng),
        *norm(first),
        nn.ReLU(),
        nn.ConvTranspose2d(first, 1, 3, stride=2, padding="same", rng=rng),
    )
    return body, encoder, head, decoder


PRESETS = {
    "vae": Preset(
        "variational auto-encoder, 784-400-20-400-784",
        VAE,
        VAEConfig(schedule="cooldown", steps=4680),
    ),
    "vae-conv": Preset(
        "variational auto-encoder of convolutions, with the latent space of article B",
        VAE,
        VAEConfig(network="conv", hidden=(32, 64), steps=4690),
    ),
    "cvae": Preset(  # with beta = 1 the class stays in z, too
        "variational auto-encoder that is told the digit",
        ConditionalVAE,
        VAEConfig(
            batch_norm=True, beta=4.0, lr=2e-3, schedule="cosine", steps=2000
        ),  # β = 1 leaves the class in z, too
    ),
}
