"""Measuring models whose quality is known beforehand, and the command from end to end."""

import json

import numpy as np
import pytest

from minigen import evaluate, train
from minigen.datasets import load
from minigen.evaluation import image
from minigen.models.classifier import load_classifier
from minigen.models.vae import ConditionalVAE, VAEConfig

N = 400


class Known:
    """A model that draws what it is given, so that its figures are known."""

    def __init__(self, images, labels=None):
        self.images, self.labels, self.conditions = images, labels, 0 if labels is None else 10

    def sample(self, n, rng, *, labels=None):
        if labels is None:
            return self.images[rng.choice(len(self.images), n, replace=False)] / 255
        return np.stack([self.images[rng.choice(np.flatnonzero(self.labels == c))] for c in labels]) / 255

    def train(self):
        return self

    eval = train


@pytest.fixture(scope="module")
def digits():
    data = load("digits")
    return data.images[:, None], data.labels


def test_a_model_that_draws_real_digits_scores_as_they_do(digits):
    report = image.evaluate(Known(*digits), "digits", 0, n=N)
    real, model = report["samples"]["real"], report["samples"]["model"]
    assert model["frechet"] == pytest.approx(real["frechet"], rel=0.35)
    assert min(model["precision"], model["recall"], model["coverage"]) > 0.85 and model["classes"] == 10
    assert report["asked_for"] > 0.97
    assert "likelihood" not in report


def test_a_model_of_ones_is_found_out(digits):
    images, labels = digits
    ones = image.evaluate(Known(images[labels == 1]), "digits", 0, n=N)["samples"]
    assert ones["model"]["classes"] <= 2 and ones["model"]["entropy"] < 0.2 and ones["model"]["recall"] < 0.3
    assert ones["model"]["frechet"] > 20 * ones["real"]["frechet"]


def test_models_without_a_network_lie_between_noise_and_digits():
    rng, judge, real = np.random.default_rng(0), load_classifier(), load("digits").subset(range(1500))
    references = judge.features(real.images[:N])
    rows = image.without_networks(real, N, rng)
    assert all(images.shape == (N, 1, 28, 28) for images in rows.values())
    rows |= {"real": real.images[N : 2 * N], "noise": rng.integers(0, 256, (N, 1, 28, 28)).astype(np.uint8)}
    distance = {row: image.compare(judge, references, images)["frechet"] for row, images in rows.items()}
    assert sorted(distance, key=distance.get) == ["real", "mixture of 10 Gaussians", "one Gaussian", "noise"]


def test_likelihood_is_that_of_the_model():
    model = ConditionalVAE(VAEConfig(hidden=(16,), latent=3), rng=np.random.default_rng(0))
    test = load("digits", "test").subset(range(60))
    report = image.likelihood(model, test, np.random.default_rng(1), k=5)
    x, labels = model.prepare(test)
    nll, kl = model(x, model.noise(60, np.random.default_rng(1)), labels)
    assert report["negative_elbo"]["mean"] == pytest.approx((nll + kl).numpy().mean(), rel=1e-6)
    assert report["iwae_5"]["mean"] < report["negative_elbo"]["mean"]


def test_the_command(tmp_path, capsys):
    run = str(tmp_path / "run")
    (tmp_path / "small.toml").write_text("hidden = [16]\nlatent = 3\n")
    assert train.main(["vae", "--steps", "3", "--config", str(tmp_path / "small.toml"), "--out", run]) == 0
    capsys.readouterr()
    assert evaluate.main([run, "-n", "100"]) == 0
    out = capsys.readouterr().out
    assert "frechet" in out and "negative elbo" in out and out.rstrip().endswith("metrics.json")
    report = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert report["model"] == "vae" and report["samples"]["model"]["frechet"] > report["samples"]["real"]["frechet"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere"),
        (["RUN", "-n", "20000"], "has 10000 training images"),
        (["RUN", "-n", "5"], "from 100 on"),
        (["RUN", "--data", "digitz"], "digit"),
    ],
)
def test_bad_requests_are_one_sentence_and_code_2(arguments, message, tmp_path, capsys):
    run = str(tmp_path / "run")
    (tmp_path / "small.toml").write_text("generator = [8]\ndiscriminator = [8]\nlatent = 3\n")
    assert train.main(["gan", "--steps", "1", "--config", str(tmp_path / "small.toml"), "--out", run]) == 0
    capsys.readouterr()
    assert evaluate.main([a.replace("RUN", run) for a in arguments]) == 2
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1 and "Traceback" not in err
    assert not (tmp_path / "run" / "metrics.json").exists()
