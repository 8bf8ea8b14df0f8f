"""What a training survives: kill -9, a full disk, a folder that is taken away, a second process, a flipped bit."""

import errno
import json
import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from benchmarks import faults
from minigen import ops, optim, sample, train
from minigen.errors import ConfigError, DataError
from minigen.training import Callback, checkpoint, loop, pictures, runs
from minigen.training.metrics import read_metrics

from .test_training import Recorder, Toy, items, trainer_of, writing


@pytest.fixture(autouse=True)
def plain_curves(monkeypatch):
    monkeypatch.setattr(pictures, "draw_curves", lambda file, records: file.write(b"%d records" % len(records)))


@pytest.fixture
def counted(record_property):
    """counted("kills", 3): shown in the summary of all tests."""
    return lambda what, n=1: record_property(f"survived: {what}", n)


@pytest.mark.parametrize("model", faults.MODELS)
def test_killed_at_random_moments(tmp_path, model, counted):
    """The short form of `python -m benchmarks.faults kills`: asserts that nothing is lost."""
    found = faults.kills(model, 3, 120, tmp_path, "numpy")
    assert found["kills"] == 3 and found["equal"] and found["runs"] >= 1
    counted("kill -9", found["kills"])


# -- what stands in the way of writing ---------------------------------------------------------------------------------


def whole(folder, step):
    """The newest checkpoint is that of `step`, and it can be read and gone on with."""
    saved = checkpoint.load(folder)
    assert saved.step == step
    other = trainer_of(Toy(seed=99))
    other.restore(saved)
    return other


def refuse(monkeypatch, error, ending):
    """From now on nothing whose name has this ending can be written."""
    true = open

    def fake(file, mode="r", *args, **kwargs):
        if set(mode) & set("wa") and ending in str(file):
            raise OSError(error, os.strerror(error), str(file))
        return true(file, mode, *args, **kwargs)

    monkeypatch.setattr("builtins.open", fake)


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EROFS, errno.EIO])
@pytest.mark.parametrize("ending", [".safetensors.tmp", ".json.tmp", "metrics.jsonl", ".png.tmp"])
def test_what_cannot_be_written_leaves_the_earlier_checkpoint(tmp_path, monkeypatch, counted, error, ending):
    trainer = trainer_of(folder=tmp_path, callbacks=writing(tmp_path))
    trainer.run(4)
    refuse(monkeypatch, error, ending)
    with pytest.raises(DataError) as caught:
        trainer.run(10)
    sentence = str(caught.value)
    assert os.strerror(error) in sentence and ending.removesuffix(".tmp") in sentence
    assert "the checkpoint of step 4 is untouched, and --resume goes on from it." in sentence
    monkeypatch.undo()
    whole(tmp_path, 4).run(10)
    counted("cannot be written")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and resource limits")
def test_a_limit_on_the_size_of_files(tmp_path, counted):
    """The real thing, in a child: the log may grow to the limit, then the system refuses."""

    import resource

    def child():
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
        with pytest.raises(DataError, match="File too large.*the checkpoint of step 4 is untouched"):
            trainer.run(1000)

    trainer = trainer_of(folder=tmp_path, callbacks=writing(tmp_path)[:1])
    trainer.run(4)
    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join()
    assert process.exitcode == 0
    whole(tmp_path, 4)
    counted("file-size limit")


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="needs root, to mount a small disk")
@pytest.mark.parametrize("fault", ["full", "read-only"])
def test_a_small_disk(tmp_path, counted, fault):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("may not mount")
    try:
        trainer = trainer_of(folder=disk)
        trainer.run(4)
        if fault == "full":
            with pytest.raises(OSError, match="No space"), open(disk / "fill", "wb", buffering=0) as file:
                while file.write(b"x" * 512):
                    pass
        else:
            subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        with pytest.raises(DataError, match=f"({os.strerror(errno.ENOSPC)}|{os.strerror(errno.EROFS)}).*untouched"):
            trainer.run(10)
        whole(disk, 4)
        if fault == "full":
            (disk / "fill").unlink()
        else:
            subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
        other = whole(disk, 4)
        other.folder = disk
        other.run(10)
        whole(disk, 10)
    finally:
        subprocess.run(["umount", disk], check=True)
    counted(f"{fault} disk")


def test_a_folder_that_is_taken_away(tmp_path, counted):
    run = tmp_path / "run"
    run.mkdir()
    trainer = trainer_of(folder=run, callbacks=writing(run))
    trainer.callbacks.append(Recorder(6, lambda: shutil.move(run, tmp_path / "elsewhere")))
    trainer.run(4)
    with pytest.raises(DataError, match=rf"metrics.jsonl: cannot be written .*no folder {re.escape(str(run))}"):
        trainer.run(10)
    assert not run.exists()
    whole(tmp_path / "elsewhere", 4)
    counted("folder taken away")


def test_what_went_wrong_first_is_told(tmp_path, monkeypatch):
    """The curves, too, cannot be written when the run is closed; a bug stays a bug."""

    class Bug(Callback):
        def step(self, trainer):
            raise ZeroDivisionError

    trainer = trainer_of(folder=tmp_path, callbacks=[*writing(tmp_path), Bug()])
    refuse(monkeypatch, errno.ENOSPC, "curves.png")
    with pytest.raises(ZeroDivisionError):
        trainer.run(4)


def test_samples_that_cannot_be_finished_cost_no_checkpoint(tmp_path, monkeypatch, counted):
    trainer = trainer_of(folder=tmp_path, callbacks=writing(tmp_path))
    refuse(monkeypatch, errno.ENOSPC, "samples.gif")
    with pytest.raises(DataError, match="samples.gif.*the checkpoint of step 10 is untouched"):
        trainer.run(10)
    monkeypatch.undo()
    whole(tmp_path, 10)
    counted("cannot be written")


# -- two processes, and their ends -------------------------------------------------------------------------------------

TINY = 'generator = [8]\ndiscriminator = [8]\nlatent = 4\nbatch_size = 8\nsteps = 1000000\nbackend = "numpy"\n'


def started(folder):
    """A training in a process of its own, that has begun."""
    (folder / "tiny.toml").write_text(TINY + "log_every = 20\nsample_every = 1000000\nsave_every = 0.1\n")
    process = subprocess.Popen(
        [sys.executable, "-m", "minigen.train", "gan", "--config", "tiny.toml", "--out", "run"], cwd=folder, text=True,
        env=os.environ | {"PYTHONPATH": str(faults.ROOT)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    end = time.monotonic() + 60
    while not read_metrics(folder / "run/metrics.jsonl") and process.poll() is None and time.monotonic() < end:
        time.sleep(0.02)
    return process


@pytest.mark.skipif(sys.platform == "win32", reason="no such locks")
def test_two_processes_one_folder_and_sigterm(tmp_path, monkeypatch, capsys, counted):
    monkeypatch.chdir(tmp_path)
    process = started(tmp_path)
    process.send_signal(signal.SIGSTOP)  # it keeps the lock, but takes no time
    config = (tmp_path / "run/config.json").read_bytes()
    for arguments in (["--resume", "run"], ["--resume", "run", "--steps", "9"]):
        assert train.main(arguments) == 2
        assert "run: another process is training in this folder" in capsys.readouterr().err
    assert train.main(["gan", "--out", "run"]) == 2 and "not empty" in capsys.readouterr().err
    assert (tmp_path / "run/config.json").read_bytes() == config
    assert sample.main(["run"]) == 0  # to look is allowed
    counted("second process", 2)
    process.send_signal(signal.SIGCONT)
    process.send_signal(signal.SIGTERM)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 143 and "Traceback" not in errors
    assert "interrupted after" in output and "--resume run" in output
    step = checkpoint.load(tmp_path / "run").step
    assert train.main(["--resume", "run", "--steps", str(step + 2)]) == 0
    assert checkpoint.load(tmp_path / "run").step == step + 2
    counted("SIGTERM")


def test_a_lock_ends_with_its_process(tmp_path):
    def holder(ready):
        with runs.locked(tmp_path):
            ready.set()
            time.sleep(60)

    context = multiprocessing.get_context("fork")
    ready = context.Event()
    process = context.Process(target=holder, args=(ready,))
    process.start()
    assert ready.wait(30)
    with pytest.raises(ConfigError, match="another process"), runs.locked(tmp_path):
        pass
    process.kill()
    process.join()
    with runs.locked(tmp_path), pytest.raises(ConfigError), runs.locked(tmp_path):
        pass
    assert not os.listdir(tmp_path)


def test_a_run_killed_before_its_first_checkpoint(tmp_path, monkeypatch):
    """config.json says all that is needed to begin anew; a torn first save is passed over."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.toml").write_text(TINY + "sample_every = 5\n")
    assert train.main(["gan", "--config", "tiny.toml", "--steps", "5", "--out", "whole"]) == 0
    for torn in (False, True):
        run = tmp_path / f"run{torn}"
        run.mkdir()
        shutil.copy("whole/config.json", run)
        if torn:
            (run / "checkpoint-000000.safetensors").write_bytes(b"")
            (run / ".checkpoint-000000.json.tmp").write_bytes(b"")
        assert train.main(["--resume", str(run)]) == 0
        assert faults.outcome(run) == faults.outcome(tmp_path / "whole")
    (tmp_path / "early").mkdir()
    (tmp_path / "early/.config.json.tmp").write_bytes(b"{")
    assert train.main(["gan", "--config", "tiny.toml", "--steps", "5", "--out", "early"]) == 0


# -- the last K and the best -------------------------------------------------------------------------------------------


class Fitted(Toy):
    """One player, who notes how its objective is called."""

    def __init__(self):
        super().__init__()
        self.players = [optim.Player("w", [self.w], self.fit, optim.Adam([self.w], lr=0.1))]
        self.modes = []

    def fit(self, batch, rng):
        self.modes.append((self.training, rng.bit_generator.state["state"]["state"]))
        return ops.mean((self.w - 1.0) ** 2), {}


@pytest.mark.parametrize("keep", [1, 2, 4])
def test_the_last_k_and_the_best_are_kept(tmp_path, keep):
    for step, validation in enumerate([3.0, 1.0, 2.0, 1.0, 5.0, 4.0, 6.0]):
        checkpoint.save(tmp_path, step, {"x": np.full(2, step)}, {"validation": validation}, keep=keep)
    assert checkpoint.steps(tmp_path) == sorted({1, *range(7 - keep, 7)})  # of two equals, the first
    assert checkpoint.best(tmp_path) == (1, 1.0)
    assert checkpoint.load(tmp_path).step == 6 and checkpoint.load(tmp_path, step=1).arrays["x"][0] == 1
    with pytest.raises(DataError, match="such as checkpoint-000002.json, but there is none"):
        checkpoint.load(tmp_path, step=2)


def test_validation_changes_nothing_and_is_in_evaluation_mode(tmp_path):
    plain, measured = Fitted(), Fitted()
    trainer_of(plain, save_every=1e-9).run(5)
    trainer = trainer_of(measured, tmp_path, save_every=1e-9, held_out=(items(600),))
    trainer.run(5)
    np.testing.assert_array_equal(plain.w.data, measured.w.data)
    assert [mode for mode in measured.modes if mode[0]] == plain.modes
    looks = [mode for mode in measured.modes if not mode[0]]
    assert len(looks) == 6 * loop.HELD_OUT // 64 and len({state for _, state in looks}) == 1
    expected = float(np.mean((measured.w.data.astype(np.float64) - 1) ** 2))
    assert checkpoint.load(tmp_path).record["validation"] == pytest.approx(expected, rel=1e-5)
    assert "validation" not in trainer_of(Toy(), held_out=(items(),)).state()[1]
    assert trainer_of(Toy(), held_out=(items(),)).validation() is None  # players who play against each other


def test_the_best_is_drawn_from(tmp_path, monkeypatch, capsys):
    """Through the command lines: a small model of text with a checkpoint at each step."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text("to be or not to be, that is the question.\n" * 40)
    settings = (
        "width = 8\nlayers = 1\nembedding = 4\nblock = 8\nbatch_size = 4\nsteps = 6\nsave_every = 1e-9\nkeep = 3\n"
    )
    (tmp_path / "tiny.toml").write_text(settings.replace("1e-9", '"0.000001s"') + "lr = 3.0\n")
    assert train.main(["charlm", "--config", "tiny.toml", "--data", "text.txt", "--out", "run"]) == 0
    best, value = checkpoint.best(tmp_path / "run")
    assert set(checkpoint.steps(tmp_path / "run")) == {best, 4, 5, 6} and best == 0 and np.isfinite(value)
    assert f"the checkpoint of step {best} was better" in capsys.readouterr().out
    assert sample.main(["run", "--length", "20", "--best"]) == 0
    first = capsys.readouterr().out
    assert sample.main(["run", "--length", "20"]) == 0
    assert capsys.readouterr().out != first
    for file in (tmp_path / "run").glob("checkpoint-*.json"):
        record = json.loads(file.read_text())
        record.pop("validation"), record.pop("sha256")
        file.write_text(json.dumps(record | {"sha256": checkpoint._digest(record)}))
    assert sample.main(["run", "--best"]) == 2
    assert "--best: no checkpoint in run was measured" in capsys.readouterr().err


# -- a flipped bit -----------------------------------------------------------------------------------------------------


def test_a_flipped_bit_is_found_named_and_the_checkpoint_before_offered(tmp_path, counted):
    trainer = trainer_of(folder=tmp_path, save_every=1e-9)
    trainer.run(4)
    rng = np.random.default_rng(0)
    file, earlier = tmp_path / "checkpoint-000004.safetensors", tmp_path / "checkpoint-000004.json"
    content = file.read_bytes()
    for position in rng.choice(len(content), 40, replace=False):
        flipped = bytearray(content)
        flipped[position] ^= 1 << int(rng.integers(8))
        file.write_bytes(flipped)
        with pytest.raises(DataError) as caught:
            checkpoint.load(tmp_path)
        assert str(file) in str(caught.value)
        assert f"To go on from the checkpoint of step 3, delete {earlier}." in str(caught.value)
    earlier.unlink()
    whole(tmp_path, 3)
    counted("flipped bit", 40)


def test_nan_in_a_checkpoint_is_not_loaded(tmp_path):
    checkpoint.save(tmp_path, 1, {"x": np.array([0.0, np.nan])}, {})
    with pytest.raises(DataError, match="x holds NaN, which is never saved"):
        checkpoint.load(tmp_path)
