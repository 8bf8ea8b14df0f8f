"""The GAN models: their networks as the articles have them, the order of their game, their settings."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import minigen
from minigen import backend, datasets, models, nn
from minigen.errors import ConfigError, DataError, ShapeError
from minigen.losses.gan import discriminator_loss, generator_loss
from minigen.models.config import Config, choice, fraction
from minigen.models.gan import GAN, GANConfig
from minigen.training import Trainer, checkpoint

GANS = ["gan", "gan-c6", "gan-b8", "dcgan"]


def build(name: str, seed: int = 0, **overrides: object) -> GAN:
    return models.build(name, overrides, rng=backend.generator(seed))


def images(n: int = 4, seed: int = 3) -> np.ndarray:
    """Images (n, 1, 28, 28) in [−1, 1]."""
    return np.random.default_rng(seed).uniform(-1, 1, (n, 1, 28, 28)).astype(np.float32)


def play(model: GAN, batch: np.ndarray, rng: np.random.Generator) -> dict[str, float]:
    """One round: each player in turn; returns the losses."""
    losses = {}
    for player in model.players:
        loss, _ = player.objective((batch,), rng)
        player.optimizer.step(minigen.grad(loss, player.parameters))
        losses[player.name] = loss.item()
    return losses


def layers(network: nn.Module) -> list[str]:
    return list(map(repr, network))


# -- the networks -----------------------------------------------------------------------------------------------------


def test_formula_A8():
    """z → Dense(7·7·128) → ConvTranspose 5×5 twice, each doubling; strided convolutions against it; no softmax"""
    model = build("dcgan")
    same = "5×5, stride=2, padding='same'"
    assert layers(model.generator) == [
        "Linear(100, 6272)",
        "Reshape(128, 7, 7)",
        f"ConvTranspose2d(128, 128, {same})",
        "BatchNorm2d(128)",
        "LeakyReLU(0.2)",
        f"ConvTranspose2d(128, 64, {same})",
        "BatchNorm2d(64)",
        "LeakyReLU(0.2)",
        "Conv2d(64, 1, 5×5, padding='same')",
        "Tanh()",
    ]
    assert layers(model.discriminator) == [
        f"Conv2d(1, 64, {same})",
        "LeakyReLU(0.2)",
        f"Conv2d(64, 128, {same})",
        "LeakyReLU(0.2)",
        "Flatten()",
        "Linear(6272, 1)",
    ]
    for name, p in model.named_parameters():
        if name.endswith("weight") and p.ndim > 1:  # Radford et al. 2016
            assert p.numpy().std() == pytest.approx(0.02, rel=0.1), name
    table = model.generator.summary(model.noise(2, backend.generator(0))).splitlines()[2:]
    assert "(2, 128, 14, 14)" in table[2] and "(2, 64, 28, 28)" in table[5] and "(2, 1, 28, 28)" in table[9]


def test_formula_B8():
    """100 → 128 relu → 784 sigmoid against Conv2D(128, 3×3) relu → Flatten → Dense 1 sigmoid, on pixels in [0, 1]"""
    model = build("gan-b8")
    assert layers(model.generator) == [
        "Linear(100, 128)", "ReLU()", "Linear(128, 784)", "Sigmoid()", "Reshape(1, 28, 28)",
    ]  # fmt: skip
    assert layers(model.discriminator) == ["Conv2d(1, 128, 3×3)", "ReLU()", "Flatten()", "Linear(86528, 1)"]
    x = model(model.noise(3, backend.generator(1))).numpy()
    assert x.shape == (3, 1, 28, 28) and x.min() > 0 and x.max() < 1
    (data,) = model.prepare(datasets.load("digits", "test").subset(slice(20)))
    assert data.min() == 0 and data.max() == 1
    np.testing.assert_array_equal(model.sample(3, backend.generator(1)), x)


def test_formula_C6():
    """100 → 256 → 128 → 3 and 3 → 128 → 256 → 1, LeakyReLU 0.2, Adam 2e-4: with 784 for 3, and logits"""
    model = build("gan-c6")
    assert layers(model.generator) == [
        "Linear(100, 256)", "LeakyReLU(0.2)", "Linear(256, 128)", "LeakyReLU(0.2)", "Linear(128, 784)", "Tanh()",
        "Reshape(1, 28, 28)",
    ]  # fmt: skip
    assert layers(model.discriminator) == [
        "Flatten()", "Linear(784, 128)", "LeakyReLU(0.2)", "Linear(128, 256)", "LeakyReLU(0.2)", "Linear(256, 1)",
    ]  # fmt: skip
    assert model.config.lr == 2e-4


def test_formula_C6_three_faults():
    """As the article's code has them: each shown, and what minigen does instead"""
    model, rng = build("gan-c6"), backend.generator(1)
    # 1. three outputs are no image: D cannot be given both them and the data
    with pytest.raises(ShapeError, match=r"Reshape\(1, 28, 28\): an input of shape \(8, 3\) has no shape"):
        nn.Reshape(1, 28, 28)(minigen.tensor(np.zeros((8, 3), np.float32)))
    assert model(model.noise(8, rng)).shape == (8, 1, 28, 28)
    # 2. D's output is any number, and −log of it is no number below 0; from logits the loss is finite everywhere
    logits = model.discriminator(images(64)).numpy()
    assert logits.min() < 0
    with np.errstate(invalid="ignore"):
        assert np.isnan(-np.log(logits)).any()
    assert np.isfinite(discriminator_loss(logits, logits))
    # 3. a fake batch made under no_grad brings G no gradient at all
    z, parameters = model.noise(8, rng), model.generator.parameters()
    with minigen.no_grad():
        fake = model.generator(z)
    loss = generator_loss(model.discriminator(fake))
    assert all(not g.numpy().any() for g in minigen.grad(loss, parameters))
    loss, _ = model.generator_objective((images(8),), rng)
    assert all(g.numpy().any() for g in minigen.grad(loss, parameters))


def test_gan_is_c6_with_wider_layers_and_batch_norm():
    model = build("gan")
    assert layers(model.generator)[:3] == ["Linear(100, 256)", "BatchNorm1d(256)", "LeakyReLU(0.2)"]
    assert layers(model.generator)[-2:] == ["Tanh()", "Reshape(1, 28, 28)"]
    assert not any("Norm" in layer for layer in layers(model.discriminator))


@pytest.mark.parametrize("name", GANS)
def test_parts_fit(name):
    model, rng = build(name), backend.generator(1)
    assert model.modality == "image"
    x = model(model.noise(3, rng))
    assert x.shape == (3, 1, 28, 28) and x.dtype == np.float32
    assert model.discriminator(x).shape == (3, 1)
    owned = [id(p) for player in model.players for p in player.parameters]
    assert sorted(owned) == sorted(map(id, model.parameters())) and len(set(owned)) == len(owned)
    assert all(p.name.startswith(("generator.", "discriminator.")) for p in model.parameters())


# -- the game ---------------------------------------------------------------------------------------------------------


def test_formula_E4():
    """Sample z, update D, update G"""
    model, events = build("gan-c6"), []
    for place, player in enumerate(model.players):

        def objective(batch, rng, player=player):
            result = player.objective(batch, rng)
            events.append(f"loss of {player.name}")
            return result

        step = player.optimizer.step
        player.optimizer.step = lambda g, step=step, name=player.name: (events.append(f"update {name}"), step(g))
        model.players[place] = dataclasses.replace(player, objective=objective)
    noise = model.noise
    model.noise = lambda n, rng: (events.append("sample z"), noise(n, rng))[1]
    play(model, images(), backend.generator(1))
    assert events == [
        "sample z", "loss of discriminator", "update discriminator",
        "sample z", "loss of generator", "update generator",
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["nonsaturating", "saturating"])
def test_objectives_by_hand(kind):
    """Both losses, computed from the probabilities D in float64"""
    model = build("gan-c6", loss=kind)
    x, rng = images(16), backend.generator(5)

    def probabilities(images):
        return 1 / (1 + np.exp(-model.discriminator(images).numpy().astype(np.float64)))

    z = backend.normal(backend.generator(5), (32, 100))
    fake = [model.generator(part).numpy() for part in (z[:16], z[16:])]
    loss, metrics = model.discriminator_objective((x,), rng)
    d_x, d_fake = probabilities(x), probabilities(fake[0])
    assert loss.item() == pytest.approx(-np.log(d_x).mean() - np.log(1 - d_fake).mean(), rel=1e-5)
    assert metrics["D(x)"].item() == pytest.approx(d_x.mean(), rel=1e-5)
    assert metrics["D(G(z))"].item() == pytest.approx(d_fake.mean(), rel=1e-5)
    loss, _ = model.generator_objective((x,), rng)
    d_fake = probabilities(fake[1])
    expected = -np.log(d_fake).mean() if kind == "nonsaturating" else np.log(1 - d_fake).mean()
    assert loss.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", GANS)
def test_each_player_moves_its_own_parameters(name):
    model, batch, rng = build(name), images(2), backend.generator(1)
    for player in model.players:
        before = {n: p.numpy().copy() for n, p in model.named_parameters()}
        loss, _ = player.objective((batch,), rng)
        player.optimizer.step(minigen.grad(loss, player.parameters))
        for n, p in model.named_parameters():
            assert np.array_equal(p.numpy(), before[n]) != n.startswith(player.name), n


def test_no_gradient_of_d_reaches_g():
    model = build("dcgan")
    loss, _ = model.discriminator_objective((images(),), backend.generator(1))
    assert all(not g.numpy().any() for g in minigen.grad(loss, model.generator.parameters()))


def test_the_game_teaches_both():
    """D learns to tell digits from an untrained G's noise; then a G that alone may learn is soon believed"""
    model, rng = build("gan-c6", lr=1e-3), backend.generator(1)
    (x,) = model.prepare(datasets.load("digits").subset(slice(64)))
    d, g = model.players
    for _ in range(15):
        loss, metrics = d.objective((x,), rng)
        d.optimizer.step(minigen.grad(loss, d.parameters))
    assert metrics["D(x)"].item() > 0.9 and metrics["D(G(z))"].item() < 0.1
    for _ in range(40):
        loss, _ = g.objective((x,), rng)
        g.optimizer.step(minigen.grad(loss, g.parameters))
    _, metrics = d.objective((x,), rng)
    assert metrics["D(G(z))"].item() > 0.9


@pytest.mark.parametrize("name", GANS)
def test_the_same_seed_gives_the_same_run(name):
    runs = []
    for _ in range(2):
        model, rng = build(name, seed=7), backend.generator(8)
        losses = [play(model, images(2, seed), rng) for seed in range(2)]
        runs.append((losses, model.state_dict()))
    assert runs[0][0] == runs[1][0]
    for name, array in runs[0][1].items():
        np.testing.assert_array_equal(array, runs[1][1][name])


@pytest.mark.parametrize("name", ["gan", "cgan", "wgan-gp", "ring-gan"])
def test_samples_are_drawn_with_the_average_of_the_weights(name):
    """θ̄ after two steps is (β θ₁ + θ₂) / (1 + β); G itself learns as it would without."""
    plain, model = build(name, ema=0), build(name, ema=0.75)
    data = tuple(a[:8] for a in model.prepare(datasets.load_set(model.config.reads, model.config.data)))
    z, labels = model.noise(3, backend.generator(1)), {"labels": np.arange(3)} if name == "cgan" else {}
    np.testing.assert_array_equal(model.sample(3, None, noise=z, **labels), plain.sample(3, None, noise=z, **labels))
    states = []
    for game in plain, model:
        rng = backend.generator(2)
        for _ in range(2):
            for player in game.players:
                loss, _ = player.objective(data, rng)
                player.optimizer.step(minigen.grad(loss, player.parameters))
            states.append(game.generator.state_dict())
    one, two, _, same = states
    for tensor, array in two.items():
        np.testing.assert_array_equal(array, same[tensor])
    drawn = model.sample(3, None, noise=z, **labels)
    plain.generator.load_state_dict({tensor: (0.75 * a + two[tensor]) / np.float32(1.75) for tensor, a in one.items()})
    np.testing.assert_allclose(drawn, plain.sample(3, None, noise=z, **labels), rtol=1e-4, atol=1e-5)


def test_a_run_goes_on_with_its_average(tmp_path):
    """Bit for bit, samples too"""
    x = images(64)

    def trained(steps, saved=None):
        model = build("gan", ema=0.9, generator=[16], discriminator=[16])
        trainer = Trainer(model, (x,), folder=tmp_path, batch_size=8)
        if saved is not None:
            trainer.restore(saved)
        trainer.run(steps)
        return model.sample(4, backend.generator(1)), model.state_dict(), checkpoint.load(tmp_path)

    *_, half = trained(2)
    resumed, whole = trained(4, half), trained(4)
    np.testing.assert_array_equal(resumed[0], whole[0])
    for tensor, array in resumed[1].items():
        np.testing.assert_array_equal(array, whole[1][tensor])


@pytest.mark.parametrize("name", ["gan", "dcgan"])
def test_backends_agree(name, backend_name):
    """Two rounds and a sample, as on the numpy backend"""

    def run(on):
        with backend.use(on):
            model, rng = build(name, ema=0.5), backend.generator(1)
            losses = [play(model, backend.asarray(images(3, seed)), rng) for seed in range(2)]
            return losses, backend.to_host(model.sample(2, rng))

    (expected, x), (got, y) = run("numpy"), run(backend_name)
    for theirs, mine in zip(expected, got, strict=True):
        assert mine == pytest.approx(theirs, rel=1e-4)
    np.testing.assert_allclose(y, x, atol=1e-3)


# -- data and samples -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", GANS)
def test_samples(name):
    model = build(name)
    x = model.sample(5, backend.generator(3))
    assert type(x) is np.ndarray and x.shape == (5, 1, 28, 28) and x.dtype == np.float32
    assert x.min() >= 0 and x.max() <= 1 and x.std() > 0
    z = model.noise(5, backend.generator(3))
    np.testing.assert_array_equal(x, model.sample(5, None, noise=z))
    made = model.eval()(z).numpy()
    np.testing.assert_allclose(x, made if model.unit else (made + 1) / 2, atol=1e-6)
    with pytest.raises(ShapeError, match=r"expected noise of shape \(4, 100\), got \(5, 100\)"):
        model.sample(4, None, noise=model.noise(5, backend.generator(3)))


def test_sampling_leaves_no_trace():
    model = build("gan")
    play(model, images(), backend.generator(1))
    state = model.state_dict()
    model.sample(300, backend.generator(2))  # more than one chunk
    assert model.training and all(module.training for module in model.modules())
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, state[name])
    model.eval()
    model.sample(2, backend.generator(2))
    assert not model.training


def test_a_sample_does_not_depend_on_its_neighbours():
    model = build("gan")
    play(model, images(8), backend.generator(1))
    z = model.noise(300, backend.generator(2))
    together = model.sample(300, None, noise=z)
    np.testing.assert_allclose(model.sample(2, None, noise=z[[0, 299]]), together[[0, 299]], rtol=1e-4, atol=1e-6)


def test_prepare():
    model, digits = build("gan"), datasets.load("digits", "test")
    (x,) = model.prepare(digits)
    assert x.shape == (2000, 1, 28, 28) and x.dtype == np.float32 and x.min() == -1 and x.max() == 1
    np.testing.assert_allclose(x[3, 0], digits.images[3] / 127.5 - 1, atol=1e-6)
    for shape in (5, 32, 32), (5, 3, 28, 28):
        other = datasets.ImageSet(np.zeros(shape, np.uint8), np.zeros(5, np.int64), "other", ("0",))
        with pytest.raises(DataError, match="other: this model draws grey images of 28 × 28 pixels, came"):
            model.prepare(other)


def test_summary_shows_both_networks():
    text = build("gan-c6").summary()
    assert text.startswith("generator\n") and "\n\ndiscriminator\n" in text
    assert "159,888" in text and "133,761" in text  # 25,856 + 32,896 + 101,136; 100,480 + 33,024 + 257


# -- settings ---------------------------------------------------------------------------------------------------------


def test_names():
    assert set(GANS) <= set(models.names()) and list(models.describe()) == models.names()
    for name in models.names():
        config = models.config(name)
        assert config.steps >= 1 and config.batch_size >= 1 and config.lr > 0 and config.data
        assert models.describe()[name].strip()


@pytest.mark.parametrize(
    "name, overrides, message",
    [
        ("gann", {}, "model: expected one of gan, .*, got 'gann'; did you mean gan"),
        ("gan", {"batchsize": 3}, "gan: setting: expected one of .*, got 'batchsize'; did you mean batch_size?"),
        ("gan", {"loss": "nonsaturated"}, "loss: expected one of nonsaturating, saturating, .*; did you mean nonsat"),
        ("gan", {"steps": 0}, "steps: expected a whole number from 1, got 0"),
        ("gan", {"batch_size": 1.5}, "batch_size: expected a whole number from 1, got 1.5"),
        ("gan", {"latent": True}, "latent: expected a whole number from 1, got True"),
        ("gan", {"lr": -1}, "lr: expected a positive number, got -1"),
        ("gan", {"lr": float("nan")}, "lr: expected a positive number, got nan"),
        ("gan", {"lr": "fast"}, "lr: expected a number, got 'fast'"),
        ("gan", {"beta1": 1}, "beta1: expected a number from 0 to below 1, got 1"),
        ("gan", {"generator": []}, r"generator: expected a list of whole numbers from 1, got \[\]"),
        ("gan", {"generator": [3, 0]}, r"generator: expected a list of whole numbers from 1, got \[3, 0\]"),
        ("gan", {"batch_norm": 1}, "batch_norm: expected true or false, got 1"),
        ("gan", {"data": 3}, "data: expected a word, got 3"),
    ],
)
def test_settings_that_cannot_be(name, overrides, message):
    with pytest.raises(ConfigError, match=message):
        models.build(name, overrides, rng=backend.generator(0))


def test_overrides():
    config = models.config("gan", {"lr": 1, "generator": [8, 9], "beta1": 0})
    assert config.lr == 1.0 and type(config.lr) is float and config.generator == (8, 9) and config.beta1 == 0
    assert config == models.config("gan", dataclasses.asdict(config))  # as config.json gives it back
    model = build("gan", latent=5)
    assert model.noise(2, backend.generator(0)).shape == (2, 5)
    player = build("gan", lr=0.5, beta1=0.25).players[1]
    assert player.optimizer.lr == 0.5 and player.optimizer.betas == (0.25, 0.999)


def test_a_config_of_ones_own():
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Mine(Config):
        kind: str = choice("a", ("a", "b"))
        part: float = fraction(0.0)

    assert Mine(kind="b", part=0.5).part == 0.5
    with pytest.raises(ConfigError, match="kind: expected one of a, b, got 'c'"):
        Mine(kind="c")
    with pytest.raises(dataclasses.FrozenInstanceError):
        Mine().kind = "b"


def test_a_gan_of_ones_own():
    """A subclass needs its networks and no more"""

    class Tiny(GAN):
        def networks(self, rng):
            image = nn.Linear(self.config.latent, 784, rng=rng), nn.Tanh(), nn.Reshape(1, 28, 28)
            return nn.Sequential(*image), nn.Sequential(nn.Flatten(), nn.Linear(784, 1, rng=rng))

    model = Tiny(GANConfig(latent=3), rng=backend.generator(0))
    assert play(model, images(), backend.generator(1)).keys() == {"discriminator", "generator"}
    assert model.sample(2, backend.generator(0)).shape == (2, 1, 28, 28)
    with pytest.raises(NotImplementedError):
        GAN(GANConfig(), rng=backend.generator(0))
