"""What `minigen.sample` draws of image models: labels, lines, lattices, reconstructions, and what it refuses."""

import argparse

import numpy as np
import pytest

from minigen import backend, models, sample, train
from minigen.datasets import load
from minigen.sampling import Run, image
from minigen.sampling.image import SIDE, STEPS, _labels
from minigen.training import runs

TINY = {
    "gan": {"generator": [8], "discriminator": [8], "latent": 3},
    "cgan": {"channels": [2, 3], "width": 4, "latent": 5},
    "vae": {"hidden": [8], "latent": 2},
    "cvae": {"hidden": [8], "latent": 2},
}


@pytest.fixture(scope="module")
def digits():
    return load("digits", "test")


@pytest.fixture
def run(tmp_path):
    """A run of an untrained model: as much as sampling looks at."""

    def make(name):
        folder = tmp_path / name
        folder.mkdir()
        runs.write(folder, {"model": name, "config": {"data": "digits"}, "training": {}})
        model = models.build(name, TINY[name], rng=backend.generator(0)).eval()
        return Run(name, model, folder, np.random.default_rng(1))

    return make


def drawn(monkeypatch, run, **asked):
    """The images of the grid that would be written, and its columns."""
    seen = {}
    monkeypatch.setattr(image, "save_png", lambda file, picture: file.write(b"png"))
    monkeypatch.setattr(image, "image_grid", lambda images, columns: seen.update(images=images, columns=columns))
    path = image.draw(run, argparse.Namespace(seed=1, **asked))
    assert path.read_bytes() == b"png" and path.parent == run.folder
    images = seen["images"]
    assert images.shape[1:] == (1, 28, 28) and images.min() >= 0 and images.max() <= 1
    return images, seen["columns"], path.name


@pytest.mark.parametrize("name", ["cgan", "cvae"])
def test_labels_are_columns(monkeypatch, run, name):
    """In column k every image is of label k: with the labels told by ink, so that no network has to be trained."""
    asked = run(name)
    told = []
    monkeypatch.setattr(
        asked.model, "sample", lambda n, rng, labels: (told.extend(labels), np.full((n, 1, 28, 28), 0.5))[1]
    )
    images, columns, file = drawn(monkeypatch, asked, labels=[3, 5, 8])
    assert columns == 3 and len(images) == 24 and told == [3, 5, 8] * 8 and file == "samples-labels-3,5,8-seed1.png"
    told.clear()
    images, columns, file = drawn(monkeypatch, asked, label=7, n=5)
    assert told == [7] * 5 and columns is None and file == "samples-labels-7-seed1.png"


def test_labels_as_they_are_written():
    assert _labels("0-9") == list(range(10)) and _labels("1,3,5") == [1, 3, 5] and _labels("2-3,7") == [2, 3, 7]
    for text in ("", "a", "3-1", "1,", "-2"):
        with pytest.raises(argparse.ArgumentTypeError, match="expected classes such as"):
            _labels(text)


def test_a_line_of_a_vae_begins_and_ends_at_reconstructions(monkeypatch, run, digits):
    asked = run("vae")
    images, columns, _ = drawn(monkeypatch, asked, interpolate=True, n=3)
    assert columns == STEPS and len(images) == 3 * STEPS
    rng = np.random.default_rng(1)
    (x,) = asked.model.prepare(digits.subset(rng.permutation(len(digits))[:6]))
    ends = asked.model.reconstruct(x)
    np.testing.assert_allclose(images[::STEPS], ends[:3], atol=1e-5)
    np.testing.assert_allclose(images[STEPS - 1 :: STEPS], ends[3:], atol=1e-5)


@pytest.mark.parametrize("name", ["gan", "cgan"])
def test_a_line_of_a_gan_stays_as_far_from_the_origin(monkeypatch, run, name):
    """From a to b on an arc, which comes hardly nearer to 0 than its ends, as a chord would; a row has one label."""
    asked, seen = run(name), {}
    original = asked.model.sample

    def sampled(n, rng, *, noise, **labels):
        seen.update(z=noise, **labels)
        return original(n, rng, noise=noise, **labels)

    monkeypatch.setattr(asked.model, "sample", sampled)
    drawn(monkeypatch, asked, interpolate=True, n=4)
    z = seen["z"].reshape(4, STEPS, -1)
    a, b = np.random.default_rng(1).standard_normal((2, 4, 1, z.shape[2]))
    np.testing.assert_allclose(z[:, [0, -1]], np.concatenate([a, b], axis=1), rtol=1e-5)
    length, ends = np.linalg.norm(z, axis=2), np.linalg.norm(z[:, [0, -1]], axis=2)
    assert (length >= 0.85 * ends.min(axis=1, keepdims=True)).all()
    assert (np.linalg.norm((a + b) / 2, axis=2) < length[:, [STEPS // 2]]).all()  # the chord comes nearer to 0
    if name == "cgan":
        assert (seen["labels"].reshape(4, STEPS) == np.arange(4)[:, None]).all()


def test_a_lattice_has_equal_probability_between_its_points(monkeypatch, run):
    from scipy.special import ndtr

    asked, seen = run("vae"), {}
    monkeypatch.setattr(
        asked.model, "sample", lambda n, rng, noise: (seen.update(z=noise), np.zeros((n, 1, 28, 28)))[1]
    )
    images, columns, _ = drawn(monkeypatch, asked, grid="latent")
    assert columns == SIDE and len(images) == SIDE**2
    z = ndtr(seen["z"].reshape(SIDE, SIDE, 2).astype(np.float64))
    steps = (np.arange(SIDE) + 0.5) / SIDE
    np.testing.assert_allclose(z[:, :, 0], np.broadcast_to(steps, (SIDE, SIDE)), atol=1e-6)
    np.testing.assert_allclose(z[:, :, 1], np.broadcast_to(steps[::-1, None], (SIDE, SIDE)), atol=1e-6)


@pytest.mark.parametrize("name", ["vae", "cvae"])
@pytest.mark.parametrize("n", [STEPS, 3, STEPS + 3])
def test_reconstructions_stand_below_their_images(monkeypatch, run, digits, name, n):
    asked = run(name)
    images, columns, _ = drawn(monkeypatch, asked, reconstruct=True, n=n)
    assert columns == STEPS
    x, *labels = asked.model.prepare(digits.subset(np.random.default_rng(1).permutation(len(digits))[:n]))
    made = asked.model.reconstruct(x, *labels)
    wide = min(n, STEPS)
    np.testing.assert_array_equal(images[:wide], x[:wide])
    np.testing.assert_allclose(images[wide : 2 * wide], made[:wide], atol=1e-5)
    if n > STEPS:
        np.testing.assert_array_equal(images[2 * STEPS : 2 * STEPS + 3], x[STEPS:])
        assert (images[2 * STEPS + 3 : 3 * STEPS] == 1).all()  # blank, so that each stands below its image
        np.testing.assert_allclose(images[3 * STEPS :], made[STEPS:], atol=1e-5)


def test_from_the_command_line(tmp_path, capsys):
    (tmp_path / "small.toml").write_text("hidden = [8]\nlatent = 2\nsteps = 1\n")
    folder = str(tmp_path / "run")
    assert train.main(["cvae", "--config", str(tmp_path / "small.toml"), "--out", folder]) == 0
    for asked in (["--label", "3"], ["--labels", "0-9"], ["--interpolate", "-n", "2"], ["--reconstruct"]):
        capsys.readouterr()
        assert sample.main([folder, *asked]) == 0
        from PIL import Image

        with Image.open(capsys.readouterr().out.strip()) as picture:
            assert picture.size[0] > 100


@pytest.mark.parametrize(
    "name, asked, message",
    [
        ("gan", {"label": 3}, "'gan' was not told labels; leave the option out, or train cvae or cgan"),
        ("cvae", {"labels": [3, 12]}, "expected labels from 0 to 9, got 12"),
        ("gan", {"grid": "latent"}, "expected a latent space of 2 dimensions, 'gan' has 3"),
        ("cvae", {"grid": "latent"}, "'cvae' has a latent space for each label; ask with --labels"),
        ("gan", {"reconstruct": True}, "'gan' cannot reconstruct"),
        ("vae", {"reconstruct": True, "n": 9999}, "the data hold out 2000 images, 9999 are needed"),
        ("vae", {"out": "x.jpg"}, "expected the name of a PNG file"),
    ],
)
def test_what_cannot_be_drawn(run, name, asked, message):
    from minigen.errors import ConfigError

    with pytest.raises(ConfigError, match=message):
        image.draw(run(name), argparse.Namespace(seed=1, **asked))
