"""The VAE family: shapes, the objective, conditioning, and that a short training improves the bound."""

import math

import numpy as np
import pytest

import minigen
from minigen import backend
from minigen.datasets import Batches, load
from minigen.errors import ConfigError, ShapeError
from minigen.gradcheck import gradcheck
from minigen.models.vae import VAE, ConditionalVAE, VAEConfig
from minigen.tensor import grad, no_grad

SMALL = {"mlp": VAEConfig(hidden=(32,), latent=4), "conv": VAEConfig(network="conv", hidden=(4, 6), latent=4)}


@pytest.fixture(scope="module")
def digits():
    return load("digits").subset(range(1000))


def train(model, data, steps, seed=0):
    """A few steps by hand, so that the test does not lean on the loop; the losses."""
    arrays, rng = model.prepare(data), np.random.default_rng(seed)
    batches, (player,) = Batches(len(arrays[0]), 100, rng), model.players
    losses = []
    for _ in range(steps):
        index = next(batches)
        loss, _ = player.objective(tuple(a[index] for a in arrays), rng)
        player.optimizer.step(grad(loss, player.parameters))
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("network", SMALL)
@pytest.mark.parametrize("kind", [VAE, ConditionalVAE])
def test_shapes(network, kind, digits):
    rng = np.random.default_rng(0)
    model = kind(SMALL[network], rng=rng)
    x, *labels = (a[:7] for a in model.prepare(digits))
    mean, log_variance = model.encode(x, *labels)
    assert mean.shape == log_variance.shape == (7, 4)
    assert model.decode(mean, *labels).shape == (7, 1, 28, 28)
    nll, kl = model(x, model.noise(7, rng), *labels)
    assert nll.shape == kl.shape == (7,) and (kl.numpy() >= 0).all()
    for images in (model.sample(7, rng), model.reconstruct(x, *labels)):
        assert images.shape == (7, 1, 28, 28) and images.dtype == np.float32
        assert images.min() >= 0 and images.max() <= 1
    assert model.interpolate(x[0], x[1], 5, *(a[:2] for a in labels)).shape == (5, 1, 28, 28)


def test_the_objective_is_the_mean_of_its_terms(digits):
    model = VAE(VAEConfig(hidden=(16,), latent=3, beta=4.0), rng=np.random.default_rng(0))
    (x,) = model.prepare(digits)
    loss, metrics = model.objective((x[:50],), np.random.default_rng(1))
    nll, kl = model(x[:50], model.noise(50, np.random.default_rng(1)))
    assert loss.item() == pytest.approx(nll.numpy().mean() + 4 * kl.numpy().mean(), rel=1e-5)
    assert metrics["kl"].item() == pytest.approx(kl.numpy().mean(), rel=1e-5)
    blank = VAEConfig(hidden=(16,), latent=3)
    start = VAE(blank, rng=np.random.default_rng(0)).objective((x[:500],), np.random.default_rng(1))[0].item()
    assert start == pytest.approx(784 * math.log(2), rel=0.03)  # a fair coin for every pixel


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_a_short_training_improves_the_bound(likelihood, digits):
    model = VAE(VAEConfig(hidden=(64,), latent=8, likelihood=likelihood), rng=np.random.default_rng(0))
    losses = train(model, digits, 60)
    drop = 250 if likelihood == "bernoulli" else 20
    assert np.mean(losses[-5:]) < losses[0] - drop


def test_the_importance_weighted_bound_is_tighter(digits):
    model = VAE(VAEConfig(hidden=(64,), latent=8, lr=5e-3), rng=np.random.default_rng(0))
    train(model, digits, 100)
    (x,) = model.prepare(load("digits", "test").subset(range(200)))
    with no_grad():
        nll, kl = model(x, model.noise(len(x), np.random.default_rng(2)))
    elbo = -(nll.numpy() + kl.numpy()).mean()
    bounds = [model.importance_bound(x, np.random.default_rng(3), k).mean() for k in (1, 5, 50)]
    assert bounds[0] == pytest.approx(elbo, abs=2.0)
    assert bounds[0] < bounds[1] < bounds[2]


@pytest.mark.parametrize("network", SMALL)
def test_gradients_reach_encoder_and_decoder(network, digits):
    """The whole objective, in float64, against differences along every bias of the encoder's head."""
    model = VAE(SMALL[network], rng=np.random.default_rng(0))
    for module in model.modules():
        for name, t in list(vars(module).items()):
            if isinstance(t, minigen.Tensor):
                setattr(module, name, minigen.tensor(t.numpy(), requires_grad=True, dtype=np.float64))
    x = model.prepare(digits)[0][:3].astype(np.float64)
    noise = np.random.default_rng(1).standard_normal((3, 4))

    def bound(bias):
        model.head.bias = bias
        nll, kl = model(x, noise)
        return nll + kl

    gradcheck(bound, [np.array(model.head.bias.numpy())])


def test_labels_matter_to_a_conditional_vae(digits):
    model = ConditionalVAE(VAEConfig(hidden=(64,), latent=4, lr=5e-3, beta=4.0), rng=np.random.default_rng(0))
    train(model, digits, 100)
    rng = np.random.default_rng(1)
    z = model.noise(50, rng)
    zeros = model.sample(50, rng, noise=z, labels=[0] * 50)
    ones = model.sample(50, rng, noise=z, labels=[1] * 50)
    assert zeros.mean() > 1.3 * ones.mean()  # a nought takes more ink than a one
    with pytest.raises(ConfigError, match="expected labels"):
        model.decode(z)
    with pytest.raises(ShapeError, match="expected 3 labels"):
        model.sample(3, rng, labels=[1, 2])


def test_binary_pixels_are_drawn_once(digits):
    model = VAE(VAEConfig(hidden=(8,), latent=2, pixels="binary"), rng=np.random.default_rng(0))
    (first,), (second,) = model.prepare(digits), model.prepare(digits)
    assert set(np.unique(first)) == {0, 1} and (first == second).all()
    grey = digits.images / 255
    assert first.mean() == pytest.approx(grey.mean(), abs=0.002)


def test_schedules():
    rates = {kind: VAEConfig(schedule=kind, steps=100, lr=0.1).rates(0.5) for kind in ("cosine", "cooldown")}
    assert VAEConfig(schedule="constant").rates() is None
    assert rates["cosine"](0) == 0.05 and rates["cosine"](50) == pytest.approx(0.025)
    assert rates["cooldown"](0) == rates["cooldown"](80) == 0.05 and rates["cooldown"](90) == pytest.approx(0.025)
    assert rates["cosine"](100) == rates["cooldown"](100) == 0


def test_same_seed_same_run(digits):
    runs = [train(VAE(SMALL["mlp"], rng=backend.generator(5)), digits, 5, seed=6) for _ in range(2)]
    assert runs[0] == runs[1]


def test_bad_settings_and_shapes():
    with pytest.raises(ConfigError, match="two convolutions, got 1"):
        VAEConfig(network="conv")
    with pytest.raises(ConfigError, match="did you mean bernoulli"):
        VAEConfig(likelihood="bernouli")
    model = VAE(SMALL["mlp"], rng=np.random.default_rng(0))
    with pytest.raises(ShapeError, match=r"expected z of shape \(n, 4\), got \(2, 3\)"):
        model.draw(minigen.tensor(np.zeros((2, 3), np.float32)))
