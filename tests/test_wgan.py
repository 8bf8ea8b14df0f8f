"""The Wasserstein GANs: who is updated how often, clipped or penalised, and the whole step against its formula."""

import numpy as np
import pytest

from minigen import models, nn
from minigen.datasets import load
from minigen.errors import ConfigError
from minigen.losses import wasserstein
from minigen.optim import Adam
from minigen.tensor import grad


def small(name, rng, **settings):
    """The preset's game on networks small enough for a test."""
    model = models.build(name, {"latent": 4, **settings}, rng=rng)
    model.generator = nn.Sequential(nn.Linear(4, 784, rng=rng), nn.Tanh(), nn.Reshape(1, 28, 28))
    model.discriminator = nn.Sequential(nn.Flatten(), nn.Linear(784, 8, rng=rng), nn.LeakyReLU(0.2),
                                        nn.Linear(8, 1, rng=rng))  # fmt: skip
    return model


@pytest.fixture(scope="module")
def images():
    model = models.build("wgan-gp", rng=np.random.default_rng(0))
    return model.prepare(load("digits").subset(range(64)))[0]


@pytest.mark.parametrize("name", ["wgan", "wgan-gp"])
def test_the_critic_plays_five_times_and_has_no_batch_normalisation(name):
    model = models.build(name, rng=np.random.default_rng(0))
    critic, generator = model.players
    assert (critic.name, critic.repeats) == ("critic", 5) and (generator.name, generator.repeats) == ("generator", 1)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in model.discriminator.modules())
    assert any(isinstance(m, nn.BatchNorm2d) for m in model.generator.modules())
    assert {id(p) for p in critic.parameters}.isdisjoint(id(p) for p in generator.parameters)


def test_a_clipped_critic_stays_within_its_limit(images):
    model = models.build("wgan", {"lr": 1e-3}, rng=np.random.default_rng(0))
    critic, rng = model.players[0], np.random.default_rng(1)
    assert max(np.abs(p.data).max() for p in critic.parameters) > 0.02
    loss, metrics = critic.objective((images[:8],), rng)
    critic.optimizer.step(grad(loss, critic.parameters))
    assert max(np.abs(p.data).max() for p in critic.parameters) <= np.float32(0.01)
    assert "gradient norm" not in metrics


def test_the_penalised_loss_is_the_sum_of_its_terms(images):
    model = small("wgan-gp", np.random.default_rng(0), weight=3.0)
    x = images[:16]
    loss, metrics = model.critic_objective((x,), np.random.default_rng(5))
    rng = np.random.default_rng(5)
    fake = model.generator(model.noise(16, rng)).data
    f = model.discriminator
    distance = f(x).numpy().mean() - f(fake).numpy().mean()
    penalty, norm = wasserstein.gradient_penalty(f, x, fake, rng, 3.0)
    assert loss.item() == pytest.approx(penalty.item() - distance, rel=1e-5)
    assert float(metrics["distance"]) == pytest.approx(distance, rel=1e-4)
    assert metrics["gradient norm"].item() == pytest.approx(norm.item(), rel=1e-6)


def test_the_penalty_brings_the_critic_s_slope_to_one(images):
    """Far from the data a slope s gains s W − λ (s − 1)², which is largest at 1 + W / 2λ: a large λ makes it 1."""
    model = small("wgan-gp", np.random.default_rng(0), weight=1000.0)
    critic, rng = model.discriminator.parameters(), np.random.default_rng(1)
    optimizer = Adam(critic, 1e-3, (0.0, 0.9))
    norms = []
    for _ in range(300):
        loss, metrics = model.critic_objective((images,), rng)
        optimizer.step(grad(loss, critic))
        norms.append(metrics["gradient norm"].item())
    assert abs(norms[0] - 1) > 0.3
    assert np.mean(norms[-20:]) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("name", ["wgan-gp", "ring-wgan-gp"])
def test_batch_normalisation_in_a_penalised_critic_is_refused_and_why(name):
    with pytest.raises(ConfigError, match=r"batch normalisation at 'discriminator\.\d'.* of each example alone"):
        models.build(name, {"batch_norm": True}, rng=np.random.default_rng(0))


def test_a_clipped_critic_may_have_batch_normalisation(images):
    model = models.build("wgan", {"batch_norm": True}, rng=np.random.default_rng(0))
    assert sum(isinstance(m, nn.BatchNorm2d) for m in model.discriminator.modules()) == 1
    assert model.discriminator(images[:3]).shape == (3, 1)
    ring = models.build("ring-wgan-gp", {"batch_norm": True, "lipschitz": "clip"}, rng=np.random.default_rng(0))
    assert sum(isinstance(m, nn.BatchNorm1d) for m in ring.discriminator.modules()) == 2


def test_the_generator_s_pace():
    model = models.build("ring-wgan-gp", {"lr": 1e-3, "pace": 0.25, "steps": 10}, rng=np.random.default_rng(0))
    critic, generator = model.players
    assert (critic.optimizer.lr, generator.optimizer.lr) == (1e-3, 0.25e-3)
    assert critic.schedule(0) == 1e-3 and generator.schedule(5) == pytest.approx(0.125e-3) and critic.schedule(10) == 0
