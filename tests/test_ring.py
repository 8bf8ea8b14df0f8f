"""The ring of eight Gaussians: its data, its two games, how it is drawn and measured."""

import json

import numpy as np
import pytest

from minigen import backend, datasets, evaluate, metrics, models, sample, train
from minigen.errors import DataError, ShapeError
from minigen.evaluation import points
from minigen.losses.wasserstein import gradient_penalty
from minigen.training import Trainer
from minigen.viz import scatter

TINY = {"widths": [16, 16], "batch_size": 32}


def test_the_set_of_points():
    ring = datasets.load_set("points", "ring")
    assert ring.points.shape == (20_000, 2) and ring.points.dtype == np.float32 and len(ring) == 20_000
    held_out = datasets.load_set("points", "ring", "test")
    assert len(held_out) == 2000 and not (held_out.points[:, None] == ring.points[None, :2000]).all(axis=2).any()
    found = metrics.mode_report(ring.points, metrics.ring_centres(), ring.std)
    assert found.covered == 8 and found.high_quality == pytest.approx(1 - np.exp(-4.5), abs=0.005)
    with pytest.raises(DataError, match="rings: expected a set of points by name, ring"):
        datasets.load_point_set("rings")


@pytest.mark.parametrize("name", ["ring-gan", "ring-wgan-gp"])
def test_parts_fit(name):
    model, rng = models.build(name, TINY, rng=backend.generator(0)), backend.generator(1)
    data = datasets.load_set(model.config.reads, model.config.data)
    z = model.noise(5, rng)
    assert model.modality == "points" and model(z).shape == (5, 2)
    np.testing.assert_array_equal(model.sample(5, rng, noise=z), model(z).numpy())
    trainer = Trainer(model, model.prepare(data), batch_size=32, log_every=1)
    assert trainer.run(2) is None and {"generator.variety"} < set(trainer.last)
    assert "generator" in model.summary()


def test_formula_B14_a_remedy_for_mode_collapse():
    """Of samples on eight modes the plain game keeps fewer, as G moves to where D is not looking; a distance keeps all.

    Both start with the same samples near every mode, and play as long; `benchmarks.quality` has the games from noise.
    """
    ring, centres = datasets.load_point_set(), metrics.ring_centres()
    spread = {}
    for name, settings in ("ring-gan", {"lr": 2e-3}), ("ring-wgan-gp", {"lr": 2e-3, "pace": 0.2}):
        model = models.build(name, {"widths": [64, 64], "batch_size": 128} | settings, rng=backend.generator(0))
        Trainer(model, model.prepare(ring), batch_size=128, log_every=50).run(120)
        x = model.sample(1000, backend.generator(1))
        nearest = np.linalg.norm(x[:, None] - centres, axis=2).argmin(axis=1)
        near = np.bincount(nearest, minlength=8) / 1000
        spread[name] = (near > 0.02).sum()
    assert spread["ring-wgan-gp"] >= 7 > spread["ring-gan"]


def test_the_penalty_holds_the_critic_s_slope_on_the_ring():
    model = models.build("ring-wgan-gp", {"widths": [64, 64], "batch_size": 64}, rng=backend.generator(0))
    ring = datasets.load_point_set()
    Trainer(model, model.prepare(ring), batch_size=64, log_every=50).run(60)
    fake = model.sample(500, backend.generator(1))
    _, norm = gradient_penalty(model.discriminator, ring.points[:500], fake, np.random.default_rng(2))
    assert norm.item() == pytest.approx(1, abs=0.1)


def test_measures_of_a_model_that_draws_the_data():
    class Known:
        config = None

        def sample(self, n, rng):
            return datasets.ring_of_gaussians(n, rng)[0]

        def train(self):
            return self

        eval = train

    report = points.evaluate(Known(), "ring", 0, n=1000)
    assert report["covered"] == report["modes"] == 8 and report["high_quality"] > 0.97 and sum(report["counts"]) > 970
    assert "gradient_norm" not in report
    assert "modes found: 8 of 8" in points.table("known", report)


def test_train_sample_evaluate(tmp_path, capsys):
    run = tmp_path / "run"
    (tmp_path / "tiny.toml").write_text("widths = [8]\nbatch_size = 16\nsteps = 4\n")
    assert train.main(["ring-wgan-gp", "--config", str(tmp_path / "tiny.toml"), "--out", str(run)]) == 0
    assert (run / "samples/step_000004.png").is_file() and (run / "samples.gif").is_file()
    assert sample.main([str(run), "-n", "100", "--out", str(tmp_path / "p.png")]) == 0
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")
    assert sample.main([str(run), "--out", str(tmp_path / "p.jpg")]) == 2
    assert sample.main([str(run), "--label", "3"]) == 2
    capsys.readouterr()
    assert evaluate.main([str(run), "-n", "200"]) == 0
    assert "modes found: " in capsys.readouterr().out
    report = json.loads((run / "metrics.json").read_text())
    assert report["modes"] == 8 and report["gradient_norm"] > 0


def test_scatter():
    blank = scatter(np.zeros((0, 2)), size=40)
    assert blank.shape == (40, 40, 3) and (blank == 255).all()
    right_and_up = scatter(np.array([[1.5, 1.5], [9.0, 0.0], [np.nan, 0.0]]), size=40)
    rows, columns = np.nonzero((right_and_up != 255).any(axis=2))
    assert rows.max() < 20 < columns.min() and len(rows) == 4  # one point, two by two; what is outside is left out
    both = scatter(np.array([[1.0, 0.0]]), np.array([[1.0, 0.0], [-1.0, 0.0]]), size=40)
    assert len(np.unique(both.reshape(-1, 3), axis=0)) == 3
    with pytest.raises(ShapeError, match=r"scatter: expected points \(N, 2\), came shape \(3,\)"):
        scatter(np.zeros(3))
