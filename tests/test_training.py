"""The training loop on a toy of two players: what it computes, what it keeps, and what stops it."""

import contextlib
import dataclasses
import itertools
import json
import os
import signal
import threading

import numpy as np
import pytest

from minigen import backend, nn, ops, optim
from minigen.errors import ConfigError, DataError, MinigenError, NonFiniteError, ShapeError
from minigen.tensor import tensor
from minigen.training import Callback, Trainer, checkpoint, generators, loop
from minigen.training.files import atomic, read_json
from minigen.training.metrics import MetricsLog, read_metrics
from minigen.training.pictures import Curves, ImageSamples, draw_samples
from minigen.training.progress import Bar, Lines
from minigen.training.stop import Interrupt, duration

CPU = ("numpy", "numba")


@dataclasses.dataclass
class Config:
    lr: float = 0.05
    repeats: int = 1


class Toy(nn.Module):
    """A GAN without layers: x = σ(a ⊙ z + b) against the logit D(x) = Σ w ⊙ x + c, with noise on what D sees."""

    modality = "image"

    def __init__(self, seed=0, **settings):
        self.config = Config(**settings)
        rng = generators(seed)["weights"]
        self.a = tensor(backend.normal(rng, (1, 4, 4)), requires_grad=True)
        self.b = tensor(backend.normal(rng, (1, 4, 4)), requires_grad=True)
        self.w = tensor(backend.normal(rng, (1, 4, 4)), requires_grad=True)
        self.c = tensor(backend.normal(rng, ()), requires_grad=True)
        self.seen = tensor(backend.normal(rng, ()))
        make = lambda parameters: optim.Adam(parameters, lr=self.config.lr)
        one, two = [self.w, self.c], [self.a, self.b]
        self.players = [
            optim.Player("discriminator", one, self.judge, make(one), repeats=self.config.repeats),
            optim.Player("generator", two, self.forge, make(two)),
        ]

    def prepare(self, dataset):
        return (dataset,)

    def noise(self, n, rng):
        return backend.normal(rng, (n, 1, 4, 4))

    def generate(self, z):
        return ops.sigmoid(self.a * z + self.b)

    def logit(self, x, rng):
        return ops.sum(self.w * (x + 0.1 * backend.normal(rng, x.shape)), axis=(1, 2, 3)) + self.c

    def judge(self, batch, rng):
        (x,) = batch
        self.seen.data += backend.asarray(1.0)
        real = self.logit(x, rng)
        fake = self.logit(self.generate(self.noise(len(x), rng)).detach(), rng)
        loss = ops.mean(ops.softplus(-real)) + ops.mean(ops.softplus(fake))
        return loss, {"real": ops.mean(ops.sigmoid(real)), "items": len(x)}

    def forge(self, batch, rng):
        return ops.mean(ops.softplus(-self.logit(self.generate(self.noise(len(batch[0]), rng)), rng))), {}

    def sample(self, n, rng, *, noise=None):
        return self.generate(self.noise(n, rng) if noise is None else noise)


def items(n=50):
    return np.random.default_rng(7).random((n, 1, 4, 4), dtype=np.float32)


def trainer_of(model=None, folder=None, *, data=None, callbacks=(), **settings):
    settings = {"batch_size": 8, "log_every": 1, "seed": 3} | settings
    model = model or Toy()
    return Trainer(
        model, model.prepare(items() if data is None else data), folder=folder, callbacks=callbacks, **settings
    )


def writing(folder):
    return [MetricsLog(folder / "metrics.jsonl"), ImageSamples(folder, every=5, seed=3, n=4), Curves(folder)]


def without_time(records):
    return [{k: v for k, v in record.items() if k != "seconds"} for record in records]


class Recorder(Callback):
    """Notes the events; at some step it does something."""

    def __init__(self, at=None, action=None):
        self.events, self.records, self.at, self.action = [], [], at, action

    def start(self, trainer):
        self.events.append("start")

    def step(self, trainer):
        if trainer.step == self.at:
            self.action()

    def log(self, trainer, record):
        self.records.append(record)

    def save(self, trainer):
        self.events.append("save")

    def complete(self, trainer):
        self.events.append("complete")

    def close(self, trainer):
        self.events.append("close")


# -- what a step does --------------------------------------------------------------------------------------------------


def test_the_loop_equals_the_same_steps_by_hand():
    model, other, data = Toy(repeats=2), Toy(repeats=2), items()
    trainer_of(model, data=data).run(6)
    rng = generators(3)
    from minigen.datasets import Batches
    from minigen.tensor import grad

    batches = Batches(len(data), 8, rng["order"])
    for _ in range(6):
        for player, repeats in zip(other.players, (2, 1), strict=True):
            for _ in range(repeats):
                loss, _ = player.objective((data[next(batches)],), rng["training"])
                player.optimizer.step(grad(loss, player.parameters))
    for name, a in model.state_dict().items():
        np.testing.assert_array_equal(a, other.state_dict()[name], err_msg=name)


def test_only_a_players_own_parameters_change():
    model = Toy()
    before = model.state_dict()
    model.players = model.players[1:]
    trainer_of(model).run(2)
    after = model.state_dict()
    assert {name for name in before if not np.array_equal(before[name], after[name])} == {"a", "b"}


def test_what_is_logged():
    seen = Recorder()
    trainer_of(callbacks=[seen], log_every=3).run(7)
    assert [record["step"] for record in seen.records] == [3, 6, 7]
    assert seen.records[0]["epoch"] == pytest.approx(2 * 3 * 8 / 50, abs=1e-3)
    assert {*seen.records[0]} == {"step", "epoch", "seconds", "discriminator.loss", "discriminator.real",
                                  "discriminator.items", "generator.loss"}  # fmt: skip
    assert all(type(v) in (int, float) for record in seen.records for v in record.values())
    assert seen.events == ["start", "complete", "close"]


def test_a_single_player_needs_no_prefix():
    model, seen = Toy(), Recorder()
    model.players = model.players[:1]
    trainer_of(model, callbacks=[seen]).run(1)
    assert "loss" in seen.records[0] and "real" in seen.records[0]


def as_on_a_device(monkeypatch):
    """Let the loop treat host arrays as it treats those of a device."""
    from minigen.training import loop

    monkeypatch.setattr(loop, "_at_hand", lambda a: False)


def test_nothing_waits_for_the_device_between_logged_steps(monkeypatch):
    """Between two lines of the log no value is turned into a Python number."""
    as_on_a_device(monkeypatch)
    reads = []
    look = Trainer._check_losses
    monkeypatch.setattr(Trainer, "_check_losses", lambda self: (reads.append(self.step), look(self)))
    trainer = trainer_of(log_every=5)
    trainer.run(11)
    assert sorted(set(reads)) == [4, 5, 9, 10, 11]
    assert trainer._losses == []


def test_clipping_and_a_schedule_where_a_player_has_them():
    model = Toy()
    rates = []

    @dataclasses.dataclass
    class Clipped:
        name: str
        parameters: list
        objective: object
        optimizer: object
        repeats: int = 1
        clip: float = 1e-3
        schedule: object = staticmethod(lambda step: rates.append(step) or 1.0)

    sgd = optim.SGD(model.players[1].parameters, lr=0.5)
    model.players = [Clipped("generator", model.players[1].parameters, model.forge, sgd)]
    before = model.state_dict()
    trainer_of(model).run(1)
    moved = np.sqrt(sum(((model.state_dict()[k] - before[k]) ** 2).sum() for k in "ab"))
    assert moved == pytest.approx(1e-3, rel=1e-2) and rates == [0] and sgd.lr == 1.0


@pytest.mark.parametrize(
    "settings, data, message",
    [
        ({"batch_size": 0}, None, "batch_size"),
        ({"batch_size": 51}, None, "batch_size from 1 to the 50"),
        ({"log_every": 0}, None, "log_every"),
        ({}, np.zeros((0, 1, 4, 4), np.float32), "at least one example"),
    ],
)
def test_impossible_settings(settings, data, message):
    with pytest.raises(MinigenError, match=message):
        trainer_of(data=data, **settings)


def test_arrays_of_different_lengths():
    with pytest.raises(DataError, match=r"one entry per item, came lengths \[3, 4\]"):
        Trainer(Toy(), (np.zeros(3), np.zeros(4)), batch_size=1)


def test_a_loss_that_is_no_scalar():
    model = Toy()
    model.players = [dataclasses.replace(model.players[0], objective=lambda batch, rng: (model.w * 1, {}))]
    with pytest.raises(ShapeError, match=r"discriminator: expected a loss of shape \(\), came \(1, 4, 4\)"):
        trainer_of(model).run(1)


# -- going on ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CPU)
def test_ten_steps_and_ten_more_are_twenty(tmp_path, name):
    """Parameters, buffers, optimizers, generators, metrics and samples: bit for bit."""
    with backend.use(name):
        whole, parts = tmp_path / "whole", tmp_path / "parts"
        whole.mkdir(), parts.mkdir()
        one = trainer_of(folder=whole, callbacks=writing(whole))
        one.run(20)
        trainer_of(folder=parts, callbacks=writing(parts)).run(10)
        two = trainer_of(Toy(seed=99), parts, callbacks=writing(parts))
        two.restore(checkpoint.load(parts))
        assert two.step == 10 and two.seconds > 0
        two.run(20)
    ours, theirs = checkpoint.load(parts), checkpoint.load(whole)
    assert ours.step == theirs.step == 20 and ours.arrays.keys() == theirs.arrays.keys()
    for array in ours.arrays:
        assert ours.arrays[array].tobytes() == theirs.arrays[array].tobytes(), array
    for entry in ("optimizers", "data", "rng"):
        assert ours.record[entry] == theirs.record[entry], entry
    assert without_time(read_metrics(parts / "metrics.jsonl")) == without_time(read_metrics(whole / "metrics.jsonl"))
    assert len(read_metrics(parts / "metrics.jsonl")) == 20
    pictures = sorted(file.name for file in (whole / "samples").iterdir())
    assert pictures == [f"step_{n:06d}.png" for n in (0, 5, 10, 15, 20)]
    for picture in [*(f"samples/{p}" for p in pictures), "samples.gif"]:
        assert (whole / picture).read_bytes() == (parts / picture).read_bytes(), picture


def test_sampling_does_not_change_training(tmp_path):
    with_samples, without = Toy(), Toy()
    trainer_of(with_samples, callbacks=[ImageSamples(tmp_path, every=1, seed=3, n=9)]).run(5)
    trainer_of(without).run(5)
    for name, a in with_samples.state_dict().items():
        np.testing.assert_array_equal(a, without.state_dict()[name])


def test_samples_are_drawn_in_evaluation_mode():
    model, modes = Toy(), []
    model.sample = lambda n, rng: modes.append(model.training) or np.zeros((n, 1, 4, 4))
    draw_samples(model, 2, np.random.default_rng(0))
    assert modes == [False] and model.training


def test_lines_after_the_checkpoint_are_dropped(tmp_path):
    """A crash after the log was written and before the checkpoint, in the middle of a line."""
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1, "loss": 1.0}\n{"step": 2, "loss": 2.0}\n{"step": 3, "lo')
    trainer = trainer_of(callbacks=[MetricsLog(path)])
    trainer.step = 1
    trainer.run(2)
    assert [record["step"] for record in read_metrics(path)] == [1, 2]
    assert "loss" in read_metrics(path)[0] and "generator.loss" in read_metrics(path)[1]


def test_time_is_carried_over(tmp_path):
    first = trainer_of(folder=tmp_path)
    first.run(2)
    first._seconds = 100.0
    first.saved = None
    first.save()
    second = trainer_of(folder=tmp_path)
    second.restore(checkpoint.load(tmp_path))
    assert second.seconds == 100.0
    second.run(50, budget=90.0)
    assert second.step == 2


def test_the_budget_ends_a_run(tmp_path, monkeypatch):
    """With a clock that advances by a hundredth of a second at every look, whatever the load of the machine."""
    ticks = itertools.count()
    monkeypatch.setattr(loop.time, "perf_counter", lambda: next(ticks) / 100)
    trainer = trainer_of(folder=tmp_path)
    assert trainer.run(10**9, budget=1.0) is None
    assert 1.0 <= trainer.seconds < 1.2 and trainer.step > 1
    assert checkpoint.load(tmp_path).step == trainer.step


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_step_and_saves(tmp_path, number):
    seen = Recorder(at=7, action=lambda: os.kill(os.getpid(), number))
    before = signal.getsignal(number)
    assert trainer_of(folder=tmp_path, callbacks=[seen]).run(100) == number
    assert checkpoint.load(tmp_path).step == 7
    assert "complete" not in seen.events and seen.events[-1] == "close"
    assert signal.getsignal(number) is before


def test_a_second_signal_ends_at_once():
    with pytest.raises(KeyboardInterrupt), Interrupt() as interrupt:
        os.kill(os.getpid(), signal.SIGINT)
        assert interrupt.signal == signal.SIGINT
        os.kill(os.getpid(), signal.SIGINT)


def test_training_in_another_thread(tmp_path):
    trainer = trainer_of(folder=tmp_path)
    thread = threading.Thread(target=trainer.run, args=(3,))
    thread.start()
    thread.join()
    assert trainer.step == 3


def test_checkpoints_as_time_passes(tmp_path):
    seen = Recorder()
    trainer_of(folder=tmp_path, callbacks=[seen], save_every=1e-9).run(4)
    assert seen.events.count("save") == 5  # the first before anything else
    assert checkpoint.steps(tmp_path) == [3, 4]


# -- numbers that are none ---------------------------------------------------------------------------------------------


def poison(trainer, at, tensor_name, value=np.nan):
    """A callback that damages a tensor after a step."""
    model = trainer.model
    trainer.callbacks.append(Recorder(at, lambda: getattr(model, tensor_name).data.fill(value)))


def test_a_bad_parameter_stops_training_with_step_and_name(tmp_path):
    trainer = trainer_of(folder=tmp_path, log_every=5)
    trainer.run(5)
    kept = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    poison(trainer, 7, "b")
    with pytest.raises(NonFiniteError) as caught:
        trainer.run(100)
    text = str(caught.value)
    assert "the loss of 'discriminator' became nan at step 8 (found at step 8: the parameter 'b' is nan)" in text
    assert "the checkpoint of step 5 is untouched" in text
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == kept


def test_on_a_device_the_step_is_still_exact(monkeypatch):
    """The losses are read only at step 10, when the damage has spread; the first bad one was that of step 8."""
    as_on_a_device(monkeypatch)
    trainer = trainer_of(log_every=5)
    poison(trainer, 7, "b")
    with pytest.raises(NonFiniteError, match=r"became nan at step 8 \(found at step \d+: the parameter '\w' is nan"):
        trainer.run(100)


def test_a_bad_gradient_is_named_before_it_does_harm():
    """d√u/du is infinite at u = 0: the loss is finite, the gradient is not."""
    model = Toy()

    def objective(batch, rng):
        return ops.mean(ops.sqrt(model.a * 0.0)) + ops.mean(model.b * model.b), {}

    model.players = [optim.Player("generator", [model.b, model.a], objective, optim.SGD([model.b, model.a], lr=0.1))]
    before = model.state_dict()["a"]
    with pytest.raises(NonFiniteError, match=r"gradient of 'a' .*'generator' became (nan|infinite) at step 1"):
        trainer_of(model).run(3)
    np.testing.assert_array_equal(model.state_dict()["a"], before)


def test_a_bad_loss_with_sound_parameters():
    model = Toy()
    objective = lambda batch, rng: (ops.mean(model.a) / 0.0, {})
    model.players = [optim.Player("generator", [model.a], objective, optim.SGD([model.a], lr=0.1))]
    with pytest.raises(NonFiniteError, match="became infinite at step 1 .*parameters are still finite"):
        trainer_of(model).run(3)


@pytest.mark.parametrize(
    "damage, message",
    [
        (lambda m: m.c.data.fill(np.inf), "the parameter 'c' is infinite at step 3"),
        (lambda m: m.seen.data.fill(np.nan), "the buffer 'seen' is nan at step 3"),
        (lambda m: m.players[0].optimizer.state["v"][0].fill(np.inf), "average 'v.0' of the optimizer of 'disc"),
    ],
)
def test_a_poisoned_state_is_never_saved(tmp_path, damage, message):
    trainer = trainer_of(folder=tmp_path, log_every=100)
    trainer.run(2)
    trainer.callbacks.append(Recorder(3, lambda: damage(trainer.model)))
    with pytest.raises(NonFiniteError, match=message):
        trainer.run(3)
    assert checkpoint.steps(tmp_path) == [0, 2]


def test_a_metric_may_be_no_number(tmp_path):
    model = Toy()
    objective = lambda batch, rng: (ops.mean(model.a), {"ratio": float("inf")})
    model.players = [optim.Player("generator", [model.a], objective, optim.SGD([model.a], lr=0.1))]
    trainer_of(model, callbacks=[MetricsLog(tmp_path / "m.jsonl")]).run(1)
    assert read_metrics(tmp_path / "m.jsonl")[0]["ratio"] is None


# -- checkpoints -------------------------------------------------------------------------------------------------------

ARRAYS = {"x": np.arange(6, dtype=np.float32).reshape(2, 3).T, "n": np.array(3), "empty": np.zeros((0, 2))}


def test_a_checkpoint_gives_back_what_it_got(tmp_path):
    checkpoint.save(tmp_path, 12, ARRAYS, {"lr": 0.1 + 0.2, "state": 2**127 + 1, "text": "θ"})
    back = checkpoint.load(tmp_path)
    assert back.step == 12 and back.record["lr"] == 0.1 + 0.2 and back.record["state"] == 2**127 + 1
    assert back.arrays.keys() == ARRAYS.keys()
    for name, a in ARRAYS.items():
        np.testing.assert_array_equal(back.arrays[name], a)
        assert back.arrays[name].dtype == a.dtype and back.arrays[name].shape == a.shape
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "checkpoint-000012.json",
        "checkpoint-000012.safetensors",
    ]


@pytest.mark.parametrize("call", range(12))
def test_a_crash_at_any_moment_leaves_a_checkpoint(tmp_path, monkeypatch, call):
    """The process dies at the n-th system call of the third save: the second or the third is there, whole."""
    from minigen.training import files

    class Death(BaseException):
        pass

    for step in (1, 2):
        checkpoint.save(tmp_path, step, {"x": np.full(3, step)}, {})
    calls = []

    def dying(function):
        def wrapped(*args, **kwargs):
            calls.append(function)
            if len(calls) > call:
                raise Death
            return function(*args, **kwargs)

        return wrapped

    with monkeypatch.context() as patch:
        patch.setattr(files.os, "fsync", dying(os.fsync))
        patch.setattr(files.os, "replace", dying(os.replace))
        patch.setattr(files, "_remove", lambda path: None)  # the dead clean nothing up
        patch.setattr(type(tmp_path), "unlink", dying(type(tmp_path).unlink))
        with contextlib.suppress(Death):
            checkpoint.save(tmp_path, 3, {"x": np.full(3, 3)}, {})
    back = checkpoint.load(tmp_path)
    assert back.step in (2, 3) and (back.arrays["x"] == back.step).all()
    checkpoint.save(tmp_path, 4, {"x": np.full(3, 4)}, {})
    assert checkpoint.steps(tmp_path)[-1] == 4 and len(list(tmp_path.iterdir())) == 4


def damaged(tmp_path):
    for step in (1, 2):
        checkpoint.save(tmp_path, step, ARRAYS, {"lr": 0.25})
    return tmp_path / "checkpoint-000002.safetensors", tmp_path / "checkpoint-000002.json"


def rewrite(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    "damage, message",
    [
        (lambda a, j: a.write_bytes(a.read_bytes()[:-1]), "the file is truncated"),
        (lambda a, j: a.write_bytes(b""), "the file is truncated"),
        (lambda a, j: a.unlink(), "cannot be read"),
        (lambda a, j: a.write_bytes(a.read_bytes()[:-1] + b"\xff"), "SHA-256"),
        (lambda a, j: j.write_bytes(j.read_bytes()[:-9]), "expected JSON"),
        (lambda a, j: j.write_text("[]"), "expected a JSON object"),
        (lambda a, j: j.write_text("{}"), "no format number"),
        (lambda a, j: j.write_text(j.read_text().replace("0.25", "0.24")), "SHA-256"),
        (lambda a, j: rewrite(j, format=99), "format 99, this minigen reads up to format 1; update"),
        (lambda a, j: j.write_bytes(b"\xff\xfe"), "expected JSON"),
    ],
)
def test_a_damaged_checkpoint_is_named_and_the_one_before_offered(tmp_path, damage, message):
    arrays, record = damaged(tmp_path)
    damage(arrays, record)
    with pytest.raises(DataError, match=message) as caught:
        checkpoint.load(tmp_path)
    assert f"To go on from the checkpoint of step 1, delete {record}." in str(caught.value)
    record.unlink()
    assert checkpoint.load(tmp_path).step == 1


def test_every_flipped_bit_is_found(tmp_path):
    checkpoint.save(tmp_path, 1, {"x": np.zeros(3)}, {"lr": 0.25})
    whole = checkpoint.load(tmp_path).record
    rng = np.random.default_rng(0)
    for file in sorted(tmp_path.iterdir()):
        content = file.read_bytes()
        for position in rng.choice(len(content), 60):
            flipped = bytearray(content)
            flipped[position] ^= 1 << int(rng.integers(8))
            file.write_bytes(flipped)
            with contextlib.suppress(DataError):
                assert checkpoint.load(tmp_path).record == whole  # it was white space between entries
        file.write_bytes(content)


@pytest.mark.parametrize("folder", ["nothing", "."])
def test_no_checkpoint(tmp_path, folder):
    with pytest.raises(DataError, match="expected a checkpoint"):
        checkpoint.load(tmp_path / folder)


def test_a_checkpoint_of_another_model(tmp_path):
    trainer_of(folder=tmp_path).run(1)
    saved = checkpoint.load(tmp_path)
    lone = Toy()
    lone.players = lone.players[:1]
    with pytest.raises(DataError, match="with the players discriminator, generator; this model has discriminator"):
        trainer_of(lone).restore(saved)
    larger = Toy()
    larger.a = tensor(np.zeros((1, 5, 5), np.float32), requires_grad=True)
    with pytest.raises(MinigenError, match=r"checkpoint-000001.json: .*a expects \(1, 5, 5\), came \(1, 4, 4\)"):
        trainer_of(larger).restore(saved)
    with pytest.raises(ConfigError, match="n = 50, came 49"):
        trainer_of(data=items(49)).restore(saved)


# -- files and progress ------------------------------------------------------------------------------------------------


def test_a_file_is_whole_or_not_there(tmp_path):
    path = tmp_path / "file"
    with atomic(path) as file:
        file.write(b"one")
    with pytest.raises(ZeroDivisionError), atomic(path) as file:
        file.write(b"tw")
        raise ZeroDivisionError
    assert path.read_bytes() == b"one" and os.listdir(tmp_path) == ["file"]
    with pytest.raises(DataError, match="cannot be written"), atomic(tmp_path / "no" / "file"):
        pass


def test_json_that_is_none(tmp_path):
    (tmp_path / "deep").write_text("[" * 100000)
    for name in ("deep", "missing", "."):
        with pytest.raises(DataError):
            read_json(tmp_path / name)


@pytest.mark.parametrize("text, seconds", [("90", 90), ("90s", 90), ("2m", 120), ("1.5h", 5400), (" .5 m ", 30)])
def test_durations(text, seconds):
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "0s", "-1m", "2d", "m", "1e3", "nan", "2m30s"])
def test_impossible_durations(text):
    with pytest.raises(ConfigError, match="90s, 2m or 1h"):
        duration(text)


def test_progress_as_lines_and_as_a_bar():
    import io

    lines, bar = io.StringIO(), io.StringIO()
    trainer_of(callbacks=[Lines(lines, pause=100), Bar(bar)]).run(5)
    assert [line.split("  ")[0] for line in lines.getvalue().splitlines()] == ["step 1/5", "step 5/5"]
    assert "generator.loss 0." in lines.getvalue() or "generator.loss 1." in lines.getvalue()
    assert "5/5" in bar.getvalue()


def test_the_curves_of_a_run_that_diverged_are_drawn(tmp_path):
    trainer = trainer_of(callbacks=[MetricsLog(tmp_path / "metrics.jsonl"), Curves(tmp_path)])
    poison(trainer, 3, "a")
    with pytest.raises(NonFiniteError):
        trainer.run(9)
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert [record["step"] for record in read_metrics(tmp_path / "metrics.jsonl")] == [1, 2, 3]


def test_tensorboard_is_written_only_when_asked(tmp_path):
    pytest.importorskip("tensorboardX")
    from minigen.training.tensorboard import TensorBoard

    trainer_of(callbacks=[TensorBoard(tmp_path / "tensorboard")]).run(3)
    (events,) = (tmp_path / "tensorboard").iterdir()
    assert b"generator.loss" in events.read_bytes()


def test_tensorboard_that_is_not_installed(monkeypatch):
    from minigen.training import tensorboard

    monkeypatch.setattr(tensorboard.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'minigen\[tensorboard\]'"):
        tensorboard.check_installed()
