"""Every preset trains alike on all backends, and on a device without waiting for it."""

import functools
import sys

import numpy as np
import pytest

from minigen import backend, datasets, models
from minigen.datasets import PairSet
from minigen.training import Callback, Trainer, checkpoint, generators

GAME = {"batch_size": 16, "lr": 1e-4}
WASSERSTEIN = {"batch_size": 2, "critic_steps": 1, "lr": 1e-6}
RECURRENT = {"batch_size": 8, "embedding": 16, "width": 32}
TEXT = {"batch_size": 8, "layers": 2, "block": 16}
SMALL = {
    "gan": GAME,
    "gan-c6": GAME,
    "gan-b8": {"batch_size": 2},
    "dcgan": {"batch_size": 2, "lr": 2e-5},
    "cgan": {**GAME, "batch_size": 8},
    "wgan": WASSERSTEIN,
    "wgan-gp": WASSERSTEIN,
    "charlm": RECURRENT | TEXT,
    "charlm-b11": RECURRENT | TEXT,
    "gpt": {**TEXT, "width": 32},
    "gpt-long": {**TEXT, "width": 36},
    "ring-wgan-gp": {"batch_size": 16, "critic_steps": 2},
    "seq2seq": RECURRENT,
    "seq2seq-plain": RECURRENT,
    "transformer": {"batch_size": 8, "layers": 1, "width": 32},
    "melody": {"batch_size": 8, "embedding": 16, "widths": (32,), "block": 16},
    "melody-a9": {"batch_size": 8, "embedding": 16, "widths": (32,), "block": 16, "primer": 6},
    "melody-b10": {"batch_size": 8, "embedding": 16, "widths": (32, 24), "block": 16},
    "pianoroll": {"batch_size": 8, "width": 32, "block": 16},
    "wavenet": {"batch_size": 8, "layers": 3, "channels": 8, "skip": 8, "block": 64},
    "wavenet-b6": {"batch_size": 8, "embedding": 8, "width": 16, "block": 16},
}  # the others as they are, with 16 examples in a batch
ITEMS = 64


@functools.cache
def arrays_of(name):
    """What a preset learns from, shortened, and the settings that it takes from the data."""
    config = models.config(name)
    data = datasets.load_set(config.reads, config.data)
    if config.reads == "pairs":
        data = PairSet(data.pairs[:ITEMS], data.name)
    learnt = {"vocabulary": vocabulary_of(name)} if hasattr(config, "vocabulary") else {}
    overrides = SMALL.get(name, {"batch_size": 16}) | learnt
    model = models.build(name, overrides, rng=np.random.default_rng(0))
    return overrides, [a[:ITEMS].copy() for a in model.prepare(data)]


@functools.cache
def vocabulary_of(name):
    return models.learn(name, models.config(name)).vocabulary


def trainer_of(name, **settings):
    overrides, arrays = arrays_of(name)
    model = models.build(name, overrides, rng=generators(0)["weights"])
    return Trainer(model, arrays, batch_size=model.config.batch_size, seed=1, **settings)


class Losses(Callback):
    """The loss of each player at each step that is logged."""

    def __init__(self):
        self.found = []

    def log(self, trainer, record):
        self.found.append([value for name, value in record.items() if name.endswith("loss")])


def losses_of(name, compiled, steps, folder=None, resume=False):
    losses = Losses()
    with backend.use(compiled):
        trainer = trainer_of(name, log_every=1, callbacks=[losses], folder=folder)
        if resume:
            trainer.restore(checkpoint.load(folder))
        trainer.run(steps)
    return np.array(losses.found)


@functools.cache
def by_numpy(name):
    return losses_of(name, "numpy", 20)


def agree(name, losses, expected):
    """To 1e-4 of each loss; one that passes through 0, of a Wasserstein GAN, to 1e-4 of the player's largest."""
    scale = abs(by_numpy(name)).max(0) if "wgan" in name else abs(expected)
    assert losses.shape == expected.shape and (abs(losses - expected) / scale).max() < 1e-4


# -- the same numbers -------------------------------------------------------------------------------------------------
# Two things make float32's rounding grow from step to step. Adam and RMSprop divide a gradient by its size: the bias
# before a batch normalisation has the gradient 0, what is computed is rounding, and it moves by a full step. And where
# a value lies within rounding of the kink of a (leaky) ReLU, its gradient is another. NumPy itself, from weights that
# are 6e-8 of themselves off, is 7e-4 off after 6 steps of dcgan with the learning rate of the preset; Numba is 1e-2
# off after 20. The games have smaller rates here.


@pytest.mark.parametrize("name", models.names())
def test_twenty_steps_have_the_losses_of_numpy(name, compiled):
    losses = losses_of(name, compiled, 20)
    assert len(losses) == 20 and np.ptp(losses, axis=0).min() > 0
    agree(name, losses, by_numpy(name))


@pytest.mark.parametrize("name", ["gan", "charlm-b11"])  # buffers and Adam; RMSprop and clipped gradients
@pytest.mark.parametrize("way", ["from numpy", "to numpy"])
def test_checkpoints_move_between_backends(name, compiled, way, tmp_path):
    one, other = ("numpy", compiled) if way == "from numpy" else (compiled, "numpy")
    before = losses_of(name, one, 2, tmp_path)
    after = losses_of(name, other, 5, tmp_path, resume=True)
    assert len(before) == 2 and len(after) == 3
    agree(name, np.concatenate([before, after]), by_numpy(name)[:5])


@pytest.mark.parametrize("name", ["gan", "charlm-b11"])
def test_a_checkpoint_is_the_same_bytes_on_every_backend(name, compiled, tmp_path):
    losses_of(name, "numpy", 2, tmp_path)
    saved = checkpoint.load(tmp_path)
    with backend.use(compiled):
        trainer = trainer_of(name)
        trainer.restore(saved)
        arrays, record = trainer.state()
    assert arrays.keys() == saved.arrays.keys() and record["optimizers"] == saved.record["optimizers"]
    for key, array in arrays.items():
        assert backend.to_host(array).tobytes() == saved.arrays[key].tobytes(), key


# -- and nothing waits ------------------------------------------------------------------------------------------------

LAUNCHES_AND_COPIES = {
    "gan": (199, 4),
    "gan-c6": (131, 4),
    "gan-b8": (134, 4),
    "dcgan": (273, 4),
    "cgan": (280, 4),
    "wgan": (338, 4),
    "wgan-gp": (235, 5),
    "ring-gan": (146, 4),
    "ring-wgan-gp": (250, 8),
    "vae": (58, 2),
    "vae-conv": (96, 2),
    "cvae": (87, 2),
    "charlm": (147, 4),
    "charlm-b11": (215, 1),
    "gpt": (229, 1),
    "gpt-long": (254, 6),
    "seq2seq": (251, 1),
    "seq2seq-plain": (287, 1),
    "transformer": (323, 1),
    "melody": (90, 3),
    "melody-a9": (123, 5),
    "melody-b10": (144, 4),
    "pianoroll": (88, 2),
    "wavenet": (177, 1),
    "wavenet-b6": (600, 5),
}  # of a step that logs nothing: kernels, and copies to the device, which are the batch's indices and what is drawn


class Counts(Callback):
    """What a step has launched, copied and waited for, each step."""

    def __init__(self, counters):
        self.counters, self.found, self.before = counters, [], None

    def start(self, trainer):
        self.before = self.counters()

    def step(self, trainer):
        now = self.counters()
        self.found.append({key: now[key] - self.before[key] for key in ("launches", "h2d", "d2h", "syncs")})
        self.before = now


def counted(name, steps, log_every):
    host = sys.modules.get("cupy_on_host")
    if host is None:
        pytest.skip("only CuPy on host memory counts copies and waits")
    counts = Counts(host.counters)
    with backend.use("cupy"):
        trainer_of(name, log_every=log_every, callbacks=[counts]).run(steps)
    return counts.found


@pytest.mark.gpu
@pytest.mark.parametrize("name", models.names())
def test_a_step_reads_nothing_from_the_device_and_never_waits(name):
    *_, one, two = counted(name, 4, log_every=100)
    print(f"\n{name:14s}", *(f"{key} {n:3d}" for key, n in one.items()))
    assert one == two, "the third and the fourth step differ"
    assert one["d2h"] == 0 and one["syncs"] == 0
    launches, copies = LAUNCHES_AND_COPIES[name]
    assert one["launches"] <= launches and one["h2d"] <= copies


@pytest.mark.gpu
def test_a_step_that_is_logged_reads_its_losses():
    """Also the proof that the counters count."""
    first, *_ = counted("ring-gan", 2, log_every=1)
    assert first["d2h"] > 2
