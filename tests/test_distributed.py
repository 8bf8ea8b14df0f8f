"""Several processes on MPI: they compute what one does, their checkpoints do not know how many they were, and when one
fails all end.

Under mpirun this file is the program of each process: ``mpirun -n 2 python -m tests.test_distributed TASK FOLDER``.
"""

import hashlib
import itertools
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import scaling
from minigen import backend, distributed, models, ops, tensor, train
from minigen.datasets import CharTokenizer, ImageSet, Pair, PairSet, TextSet, load_set
from minigen.errors import BackendError, ConfigError, DataError
from minigen.tensor import grad
from minigen.training import Callback, Trainer, checkpoint, generators

ROOT = Path(__file__).resolve().parents[1]
TEXT = "the cat sat on the mat; the dog sat on the cat.\n"
PAIRS = [("ab", "b"), ("c", "cab"), ("abca", "aa"), ("bc", "cbcba"), ("a", "b"), ("cc", "bab"), ("bbb", "c")] * 2
BATCH = 11  # shards of 5 and 6 items, or of 2 and 3
STEPS = 2
EPS = 1e-3  # Adam's ε; with 1e-8 a gradient that is all rounding, as of a bias before batch norm, makes a step of ± lr

WORDS = {"vocabulary": CharTokenizer(TEXT).to_dict(), "block": 10}
SIDES = {side: CharTokenizer("abc", special_tokens=True).to_dict() for side in ("source", "target")}
SMALL = {
    "gan": {"generator": (32, 24), "discriminator": (24,), "latent": 5, "ema": 0.9},
    "dcgan": {"latent": 5},
    "ring-wgan-gp": {},
    "vae": {"hidden": (12,), "latent": 3},
    "charlm": {"embedding": 5, "width": 6, "dropout": 0.3, **WORDS},
    "gpt": {"layers": 2, "heads": 2, "width": 8, "dropout": 0.3, **WORDS},
    "seq2seq": {"embedding": 5, "width": 6, "dropout": 0.3, "vocabulary": SIDES, "longest": 8},
}
CASES = [(name, "float64") for name in SMALL]
CASES += [(name, "float32") for name in ("gan", "dcgan", "vae", "charlm", "gpt")]


# -- what is run, by one process or by several ------------------------------------------------------------------------


def dataset(config):
    if config.reads == "text":
        return TextSet(TEXT, "text")
    if config.reads == "pairs":
        return PairSet(tuple(Pair(*pair, "") for pair in PAIRS), "pairs")
    if config.reads == "images":
        pixels = np.random.default_rng(5).integers(0, 256, (20, 1, 28, 28))
        return ImageSet(pixels.astype(np.uint8), np.arange(20) % 2, "noise", ("a", "b"))
    return load_set(config.reads, config.data)


class Noting(Callback):
    """Keeps the losses of each step and the gradients that the optimizers get."""

    def __init__(self, model):
        self.found = {}
        for player in model.players:
            player.optimizer.eps = EPS
            player.optimizer.step = self.noting(player.name, player.optimizer.step)

    def start(self, trainer):
        self.count = itertools.count(trainer.step)

    def noting(self, name, step):
        def noted(gradients):
            self.found[f"gradient {next(self.count)} of {name}"] = np.concatenate([g.ravel() for g in gradients])
            step(gradients)

        return noted

    def log(self, trainer, record):
        self.found |= {f"step {trainer.step}: {name}": np.array(v) for name, v in record.items() if "loss" in name}


def train_small(name, dtype, steps=STEPS, saved=None, folder=None):
    """Losses, gradients and, at the end, all arrays of the state; parameters, data and noise are of a dtype."""
    default, backend.default_dtype = backend.default_dtype, np.dtype(dtype)
    try:
        model = models.build(name, SMALL[name], rng=generators(1)["weights"])
        data = model.prepare(dataset(model.config))
        data = [a.astype(dtype) if a.dtype.kind == "f" else a for a in data]
        noting = Noting(model)
        trainer = Trainer(model, data, batch_size=BATCH, seed=2, log_every=1, callbacks=[noting], folder=folder)
        if saved is not None:
            trainer.restore(checkpoint.load(saved))
        trainer.run(steps)
    finally:
        backend.default_dtype = default
    arrays, record = trainer.state()
    del record["seconds"]
    groups = {}
    for key, a in arrays.items():  # parameters and buffers; each optimizer's averages, those of squares as roots
        kind = "model" if key.startswith("model/") else key.rpartition(".")[0]
        groups.setdefault(kind, []).append(np.sqrt(a) if kind.endswith("/v") else a)
    return noting.found | {key: np.concatenate([a.ravel() for a in group]) for key, group in groups.items()}, record


def normalized(batch, weight, bias, cotangent):
    """L = mean c ⊙ y³ of a batch norm y, with ∇L by its rule and by its composed twin, and ∇ of mean (n ∂L/∂x)².

    Returns the gradients of x; and L, the running moments and the gradients of weight and bias.
    """
    x, w, b = (tensor(a, requires_grad=True) for a in (batch, weight, bias))
    running = [np.zeros(3), np.ones(3)]
    loss = lambda: ops.mean(cotangent * ops.batch_norm(x, w, b, *running, True) ** 3)
    first = grad(loss(), [x, w, b])
    composed = grad(loss(), [x, w, b], create_graph=True)
    second = grad(ops.mean(ops.square(composed[0] * len(batch))), [x, w, b])
    shared = [loss().data, *running, *(g.data for f in (first, composed, second) for g in f[1:])]
    return [f[0].data for f in (first, composed, second)], shared


def batch_norm_inputs():
    rng = np.random.default_rng(11)
    x, c = 2 + 3 * rng.standard_normal((2, BATCH, 3, 2, 2))
    return x, rng.standard_normal(3), rng.standard_normal(3), c


# -- the tasks of the processes under mpirun --------------------------------------------------------------------------


def equality(folder):
    """Train every model, save one, go on with one that others have saved. The first process writes what it found."""
    first = distributed.rank() == 0
    found, states = {}, {}
    for name, dtype in CASES:
        result, states[name, dtype] = train_small(name, dtype)
        found |= {f"{name}/{dtype}/{key}": a for key, a in result.items()}
    (folder / "saved").mkdir(exist_ok=True)
    train_small("charlm", "float64", folder=folder / "saved" if first else None)
    result, states["resumed"] = train_small("charlm", "float64", 2 * STEPS, saved=folder / "given")
    found |= {f"resumed/float64/{key}": a for key, a in result.items()}

    x, w, b, c = batch_norm_inputs()
    shard = distributed.Shard(BATCH)
    with shard:
        own, shared = normalized(x[shard.rows], w, b, c[shard.rows])
        for i, g in enumerate(own):
            whole = np.zeros_like(x)
            whole[shard.rows] = g  # a process differentiates its own Lᵢ, and L = Σᵢ wᵢ Lᵢ
            found[f"batch norm/float64/own {i}"] = distributed.mean(whole)[0]
        found |= {f"batch norm/float64/shared {i}": a for i, a in enumerate(distributed.mean(*shared))}

    bits = hashlib.sha256(b"".join(a.tobytes() for a in found.values()) + repr(states).encode()).digest()
    number = int.from_bytes(bits[:6], "big")
    found["bits"] = np.array(distributed.most(number, -number))
    if first:
        np.savez(folder / "found.npz", **found)
        (folder / "states").write_text(repr(states))


def failing(act, folder):
    """Train with the command line; in step 7 something happens to the second process alone."""
    step = Trainer._one_step

    def one_step(trainer):
        if distributed.rank() == 1 and trainer.step == 6:
            act()
        step(trainer)

    Trainer._one_step, distributed.PATIENCE = one_step, 0.2
    return train.main([*short_run(folder), "--distributed"])


def short_run(folder):
    settings = folder / "small.toml"
    settings.write_text(
        "generator = [16]\ndiscriminator = [16]\nlog_every = 1\nsample_every = 100\nsave_every = 1e-3\n"
    )
    return ["gan", "--config", str(settings), "--steps", "12", "--out", str(folder / "run")]


def killed(folder):
    return failing(lambda: os.kill(os.getpid(), signal.SIGKILL), folder)


def told_to_stop(folder):
    return failing(lambda: os.kill(os.getpid(), signal.SIGTERM), folder)


def refused(folder):
    def refuse():
        raise DataError("the disk of this node: cannot be read.")

    return failing(refuse, folder)


def broken(folder):
    return failing(lambda: 1 / 0, folder)


if __name__ == "__main__":
    task, folder = sys.argv[1], Path(sys.argv[2])
    backend.use("numba")
    distributed.start()
    sys.exit(globals()[task](folder))


# -- the tests --------------------------------------------------------------------------------------------------------


def mpirun(n, task, folder):
    """Run a task in n processes; returns the exit code and what was said."""
    pytest.importorskip("mpi4py")
    command = shutil.which("mpirun", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if command is None:
        pytest.skip("there is no mpirun")
    done = subprocess.run(
        [command, "-n", str(n), sys.executable, "-m", "tests.test_distributed", task, str(folder)],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300,
        env=os.environ | {"NUMBA_NUM_THREADS": "1"},
    )  # fmt: skip
    return done.returncode, done.stdout


def test_several_processes_compute_what_one_does(tmp_path):
    """To the rounding of sums, also with shards of different sizes, and after going on where others have stopped."""
    expected, states = {}, {}
    for name, dtype in CASES:
        result, states[name, dtype] = train_small(name, dtype)
        expected |= {f"{name}/{dtype}/{key}": a for key, a in result.items()}
    result, states["resumed"] = train_small("charlm", "float64", 2 * STEPS)
    expected |= {f"resumed/float64/{key}": a for key, a in result.items()}
    own, shared = normalized(*batch_norm_inputs())
    expected |= {f"batch norm/float64/own {i}": g for i, g in enumerate(own)}
    expected |= {f"batch norm/float64/shared {i}": a for i, a in enumerate(shared)}

    given = tmp_path / "given"  # by one process for two, by two for four, by four for one
    given.mkdir()
    train_small("charlm", "float64", folder=given)
    for n in (2, 4):
        folder = tmp_path / str(n)
        folder.mkdir()
        shutil.copytree(given, folder / "given")
        code, said = mpirun(n, "equality", folder)
        assert (code, said) == (0, "")
        given = folder / "saved"
        found = dict(np.load(folder / "found.npz"))
        largest, least = found.pop("bits")
        assert largest == -least, "processes differ"
        assert (folder / "states").read_text() == repr(states)
        for key, a in found.items():
            assert distance(a, expected[key]) <= (1e-12 if "float64" in key else 1e-6), (n, key)
    result, state = train_small("charlm", "float64", 2 * STEPS, saved=given)
    assert state == states["resumed"]
    for key, a in result.items():
        assert distance(a, expected[f"resumed/float64/{key}"]) <= 1e-12, key


def distance(a, b):
    """‖a − b‖ / ‖b‖ of arrays, |a − b| / max(1, |b|) of losses, which may be differences near 0."""
    return np.linalg.norm(a - b) / max(np.linalg.norm(b), float(np.ndim(b) == 0))


@pytest.mark.parametrize(
    "task, code, said",
    [
        ("killed", 9, ["BAD TERMINATION"]),
        ("refused", 2, ["minigen.train: the disk of this node: cannot be read"]),
        ("broken", 1, ["Traceback", "ZeroDivisionError"]),
    ],
)
def test_a_process_that_fails_alone_ends_all(tmp_path, capsys, task, code, said):
    """mpirun leaves with its code, the reason is told once, and the last checkpoint is whole."""
    came, told = mpirun(2, task, tmp_path)
    assert came == code
    assert [told.count(sentence) for sentence in said] == [1] * len(said), told
    assert told.count("Traceback") == said.count("Traceback"), told
    assert 0 < checkpoint.load(tmp_path / "run").step <= 6
    if task == "killed":
        assert train.main(["--resume", str(tmp_path / "run")]) == 0
        assert "12 of 12 steps" in capsys.readouterr().out


def test_a_signal_to_one_process_saves_and_ends_all(tmp_path):
    code, told = mpirun(2, "told_to_stop", tmp_path)
    assert code == 128 + signal.SIGTERM
    assert told.count("interrupted after 7 of 12 steps") == 1
    assert checkpoint.load(tmp_path / "run").step == 7


def test_what_all_processes_meet_is_told_once(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine").touch()
    code, told = mpirun(2, "broken", tmp_path)
    assert code == 2 and told.count("\n") == 1
    assert told.startswith(f"minigen.train: --out {tmp_path}/run: the folder is not empty")


# -- without mpirun ---------------------------------------------------------------------------------------------------


def test_without_mpi4py(monkeypatch, capsys):
    monkeypatch.setattr(distributed, "_mpi", None)
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    assert train.main(["gan", "--distributed"]) == 2
    told = capsys.readouterr().err
    assert (
        told.startswith("minigen.train: --distributed needs MPI: pip install 'minigen[mpi]'") and told.count("\n") == 1
    )


def test_without_mpirun(tmp_path, monkeypatch, capsys):
    """One process is trained as ever."""
    pytest.importorskip("mpi4py")
    monkeypatch.setattr(distributed, "_mpi", None)
    assert train.main([*short_run(tmp_path), "--distributed"]) == 0
    said = capsys.readouterr().out
    assert "--distributed: there is one process; mpirun -n 4 before the command starts four.\n" in said
    assert "12 of 12 steps" in said


class Rank:
    """One of several processes, as far as its number goes."""

    def __init__(self, rank, size):
        self.COMM_WORLD = self
        self.rank, self.size = rank, size


@pytest.mark.parametrize("size, n", [(2, 2), (3, 7), (4, 4), (4, 11)])
def test_all_rows_are_drawn_once(monkeypatch, size, n):
    """What the processes draw is together what one draws, and all generators are then in its state."""
    draws = [
        (np.float32, "random", ()), (np.float64, "standard_normal", (3,)), (np.float32, "random", (5, 3)),
        (np.float32, "random", (1,)), (np.float64, "random", (2,)), (np.float32, "standard_normal", (4,)),
        (np.float32, "random", (7,)), (np.float32, "random", (0,)),
    ]  # fmt: skip
    one = backend.generator(4)
    expected = [getattr(one, kind)((n, *shape), dtype=dtype) for dtype, kind, shape in draws]
    parts = []
    for rank in range(size):
        monkeypatch.setattr(distributed, "_mpi", Rank(rank, size))
        mine, shard = backend.generator(4), distributed.Shard(n)
        rng = shard.draws(mine)
        parts.append([getattr(rng, kind)((shard.length, *shape), dtype=dtype) for dtype, kind, shape in draws])
        assert mine.bit_generator.state == one.bit_generator.state
    for whole, *rows in zip(expected, *parts):
        np.testing.assert_array_equal(np.concatenate(rows), whole)


def test_what_cannot_be_shared_out(monkeypatch):
    monkeypatch.setattr(distributed, "_mpi", Rank(1, 4))
    with pytest.raises(ConfigError, match=r"3 items cannot be shared out to 4 processes; choose a larger batch_size"):
        distributed.Shard(3)
    rng = distributed.Shard(8).draws(backend.generator(0))
    with pytest.raises(ConfigError, match=r"shape \(3, 2\) for 2 of the 8 items"):
        rng.random((3, 2), dtype=np.float32)


@pytest.mark.filterwarnings("ignore:suspicious MPI")
def test_an_mpirun_of_another_library(monkeypatch):
    pytest.importorskip("mpi4py")
    monkeypatch.setattr(distributed, "_mpi", None)
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "3")
    with pytest.raises(BackendError, match="has started 3 processes that do not see each other"):
        distributed.start()


# -- the model of benchmarks.scaling ----------------------------------------------------------------------------------


def test_the_latency_and_bandwidth_of_a_network_are_found_again():
    means = [[m, 3e-6 + m / 2e9] for m in scaling.SIZES]
    np.testing.assert_allclose(scaling.fitted(means), (3e-6, 2e9), rtol=1e-9)


def test_what_a_mean_takes_by_hand():
    """Four nodes: two rounds of the whole message, or four of halves and quarters, 3/2 messages in all."""
    assert scaling.exchange(4, 1000, 1.0, 1e9) == pytest.approx(2 * (1 + 1e-6))
    assert scaling.exchange(4, 1e9, 1e-3, 1e9) == pytest.approx(4e-3 + 1.5)
    assert scaling.exchange(5, 8, 1.0, 1e9) == pytest.approx(3 * (1 + 8e-9))


def test_an_efficiency_by_hand():
    one = {"least_ms": 2.0, "normals": 3, "batch": 5}
    step = scaling.parts(2, one, [8, 1000], (1e-4, 1e6), 1e-7, 1e-6)
    expected = {"step": 2e-3, "messages": 2e-4 + 1008e-6, "packing": 1008e-7, "drawing": 15e-6}
    assert step == pytest.approx(expected)
    assert scaling.efficiency(step) == pytest.approx(2e-3 / sum(expected.values()))
    assert scaling.efficiency(step, hidden="messages") == pytest.approx(2e-3 / (2e-3 + 1008e-7 + 15e-6))
    assert scaling.efficiency(scaling.parts(1, one, [8], (1.0, 1.0), 1.0, 1.0)) == 1
