"""The command lines end to end: what they write, what they refuse and in which words."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from minigen import __main__, backend, datasets, sample, train, viz
from minigen.errors import ConfigError
from minigen.training import checkpoint, command, pictures, runs
from minigen.training.metrics import read_metrics
from minigen.training.settings import Settings, read_toml, settle

ROOT = Path(__file__).resolve().parents[1]
TINY = (
    'generator = [8]\ndiscriminator = [8]\nlatent = 4\nbatch_size = 8\nsteps = 6\nsample_every = 3\ndata = "digits64"\n'
)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder to stand in, with 64 digits and the settings of a tiny GAN."""
    digits = datasets.load("digits")
    folder = tmp_path / "digits64"
    folder.mkdir()
    datasets.write_idx(folder / "train-images-idx3-ubyte", digits.images[:64])
    datasets.write_idx(folder / "train-labels-idx1-ubyte", digits.labels[:64].astype(np.uint8))
    (tmp_path / "tiny.toml").write_text(TINY)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pictures, "draw_curves", lambda file, records: file.write(b"%d records" % len(records)))
    return tmp_path


def content(folder):
    """Every file below a folder, by name."""
    return {str(file.relative_to(folder)): file.read_bytes() for file in Path(folder).rglob("*") if file.is_file()}


def tiny(*argv):
    return train.main(["gan", "--config", "tiny.toml", *argv])


def refused(capsys, code, *patterns):
    """One sentence on standard error, exit code 2, no traceback."""
    text = capsys.readouterr().err
    assert code == 2, text
    assert len(text.splitlines()) == 1 and text.startswith("minigen."), text
    assert "Traceback" not in text
    for pattern in patterns:
        assert re.search(pattern, text), text


# -- what a run writes -------------------------------------------------------------------------------------------------


def test_a_run_from_training_to_samples(here, capsys, monkeypatch):
    monkeypatch.setattr(pictures, "draw_curves", viz.draw_curves)
    assert tiny() == 0
    output = capsys.readouterr().out
    run = here / "runs/gan-1"
    assert str(Path("runs/gan-1")) in output and "python -m minigen.sample runs/gan-1" in output
    assert set(content(run)) == {
        "config.json", "metrics.jsonl", "curves.png", "samples.gif",
        *(f"checkpoint-{n:06d}.{kind}" for n in (0, 6) for kind in ("json", "safetensors")),
        *(f"samples/step_{n:06d}.png" for n in (0, 3, 6)),
    }  # fmt: skip
    config = json.loads((run / "config.json").read_text())
    assert config["model"] == "gan" and config["config"]["generator"] == [8] and config["config"]["steps"] == 6
    assert config["config"]["data"] == str(here / "digits64") and config["dataset"]["items"] == 64
    assert config["training"] == {"seed": 0, "backend": backend.current(), "budget": None, "log_every": 1,
                                  "sample_every": 3, "save_every": 60.0, "keep": 2}  # fmt: skip
    assert {"minigen", "numpy", "python"} <= config["versions"].keys()
    assert [record["step"] for record in read_metrics(run / "metrics.jsonl")] == [1, 2, 3, 4, 5, 6]

    command_line = re.search(r"python -m minigen\.sample (.*)", output)[1].split()
    assert sample.main(command_line) == 0
    assert capsys.readouterr().out == "grid.png\n"
    assert (here / "grid.png").read_bytes().startswith(b"\x89PNG")


def test_the_same_seed_writes_the_same_bytes_and_another_does_not(here):
    for name, seed in ("a", "5"), ("b", "5"), ("c", "6"):
        assert tiny("--out", name, "--seed", seed) == 0
    a, b, c = (checkpoint.load(here / name).arrays for name in "abc")
    assert all(a[name].tobytes() == b[name].tobytes() for name in a)
    assert any(a[name].tobytes() != c[name].tobytes() for name in a)
    assert content(here / "a")["samples.gif"] == content(here / "b")["samples.gif"]


@pytest.mark.parametrize("name", ["numpy", "numba"])
def test_resume_continues_bit_for_bit(here, name, capsys):
    """20 = 10 + 10, for the real GAN, through the command line."""
    before = backend.current()
    assert tiny("--out", "whole", "--steps", "20", "--backend", name) == 0
    assert tiny("--out", "parts", "--steps", "10", "--backend", name) == 0
    assert train.main(["--resume", "parts", "--steps", "20"]) == 0
    assert backend.current() == before
    assert "step 10 to 20" in capsys.readouterr().out
    whole, parts = content("whole"), content("parts")
    different = {"metrics.jsonl", "checkpoint-000020.json", "curves.png"}  # they hold times
    extra = {"samples/step_000010.png", "checkpoint-000010.json", "checkpoint-000010.safetensors"}
    less = {"checkpoint-000000.json", "checkpoint-000000.safetensors"}
    assert parts.keys() - whole.keys() <= extra and whole.keys() - parts.keys() == less
    for file in whole.keys() - less - different - {"config.json", "samples.gif"}:
        assert whole[file] == parts[file], file
    logs = [[{k: v for k, v in r.items() if k != "seconds"} for r in read_metrics(f"{f}/metrics.jsonl")] for f in
            ("whole", "parts")]  # fmt: skip
    assert logs[0] == logs[1] and len(logs[0]) == 20
    records = [checkpoint.load(Path(f)).record for f in ("whole", "parts")]
    assert all(records[0][k] == records[1][k] for k in ("optimizers", "data", "rng"))


def test_runs_are_numbered_and_never_overwritten(here, capsys):
    assert tiny("--steps", "1") == tiny("--steps", "1") == 0
    assert sorted(p.name for p in (here / "runs").iterdir()) == ["gan-1", "gan-2"]
    before = content("runs")
    capsys.readouterr()
    refused(capsys, tiny("--out", "runs/gan-1"), "not empty")
    assert content("runs") == before


def test_settings_preset_then_file_then_command_line(here):
    assert tiny("--batch-size", "4", "--steps", "2", "--lr", "0.01", "--loss", "saturating", "--out", "r") == 0
    config = json.loads((here / "r/config.json").read_text())["config"]
    assert config["batch_size"] == 4 and config["lr"] == 0.01 and config["loss"] == "saturating"  # the command line
    assert config["latent"] == 4  # the file
    assert config["beta1"] == 0.5  # the preset


def test_a_dry_run_keeps_nothing(here, capsys):
    before = set(here.iterdir())
    assert tiny("--dry-run") == 0
    output = capsys.readouterr().out
    assert set(here.iterdir()) == before
    assert "runs/gan-1" in output and "nothing was kept" in output and "beta1 = 0.5" in output
    assert tiny("--steps", "1") == 0
    kept = content("runs/gan-1")
    assert train.main(["--resume", "runs/gan-1", "--steps", "9", "--dry-run"]) == 0
    assert content("runs/gan-1") == kept


def test_the_budget_stops_and_counts_earlier_time(here, capsys):
    assert tiny("--steps", "1000000", "--budget", "0.3s", "--out", "r") == 0
    assert "time is over" in capsys.readouterr().out
    before = checkpoint.load(here / "r")
    assert train.main(["--resume", "r"]) == 0
    assert "nothing was left to do; ask for more with --budget" in capsys.readouterr().out
    assert checkpoint.load(here / "r").record == before.record
    spent = checkpoint.load(here / "r").record["seconds"]
    assert train.main(["--resume", "r", "--budget", f"{spent + 0.3:.3f}"]) == 0
    assert checkpoint.load(here / "r").record["seconds"] >= spent + 0.3


def test_tensorboard(here):
    pytest.importorskip("tensorboardX")
    assert tiny("--steps", "2", "--out", "r", "--tensorboard") == 0
    assert any("tensorboard" in name for name in content("r"))


def test_tensorboard_that_is_not_installed(here, capsys, monkeypatch):
    monkeypatch.setattr(train.tensorboard.importlib.util, "find_spec", lambda name: None)
    refused(capsys, tiny("--tensorboard"), r"pip install 'minigen\[tensorboard\]'")
    assert not (here / "runs").exists()


def test_the_list_names_every_model(capsys):
    assert train.main(["--list"]) == 0
    output = capsys.readouterr().out
    assert all(f"{name} " in output for name in train.models.names())


@pytest.mark.parametrize("main", [train.main, sample.main, __main__.main])
def test_help(main, capsys):
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("usage:") and all(len(line) <= 120 for line in text.splitlines())


# -- what it refuses ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "argv, patterns",
    [
        ([], ["which model", "gan"]),
        (["gam"], ["'gam'", "did you mean gan"]),
        (["gan", "extra"], ["unrecognized arguments: extra"]),
        (["gan", "--stps", "3"], ["--stps"]),
        (["gan", "--steps", "-3"], ["--steps", "whole number from 1", "'-3'"]),
        (["gan", "--steps", "0"], ["--steps"]),
        (["gan", "--steps", "1.5"], ["--steps"]),
        (["gan", "--batch-size", "-1"], ["--batch-size"]),
        (["gan", "--batch-size", "65", "--data", "digits64"], ["batch_size from 1 to the 64 examples"]),
        (["gan", "--seed", "-1"], ["--seed"]),
        (["gan", "--lr", "-0.1"], ["lr", "positive"]),
        (["gan", "--lr", "nan"], ["lr", "positive"]),
        (["gan", "--lr", "fast"], ["--lr", "fast"]),
        (["gan", "--loss", "saturated"], ["did you mean saturating"]),
        (["gan", "--backend", "numbra"], ["numbra", "numba"]),
        (["gan", "--budget", "2 weeks"], ["--budget", "90s, 2m or 1h", "2 weeks"]),
        (["gan", "--data", "digit"], ["did you mean digits"]),
        (["gan", "--data", "tiny.toml"], ["tiny.toml", "folder"]),
        (["gan", "--data", "empty"], ["empty", "train-images"]),
        (["gan", "--out", "tiny.toml"], ["tiny.toml", "expected a folder"]),
        (["gan", "--out", "tiny.toml/run"], ["cannot be written", "no folder"]),
        (["gan", "--config", "no.toml"], ["no.toml", "cannot be read"]),
        (["gan", "--config", "."], ["--config", "came a folder"]),
        (["--resume", "nowhere"], ["nowhere", "expected the folder of a run"]),
        (["--resume", "empty"], ["empty", "no config.json"]),
        (["--resume", "empty", "--lr", "1"], ["--lr cannot be changed"]),
    ],
)
def test_impossible_requests(here, capsys, argv, patterns):
    (here / "empty").mkdir()
    before = content(here)
    refused(capsys, train.main(argv), *patterns)
    assert content(here) == before and not (here / "runs").exists()


@pytest.mark.parametrize(
    "text, patterns",
    [
        ("steps = ", ["expected TOML"]),
        ("latnet = 3", ["'latnet'", "did you mean latent"]),
        ("sead = 3", ["'sead'", "did you mean seed"]),
        ("seed = -3", ["seed", "from 0"]),
        ("seed = true", ["seed"]),
        ('steps = "many"', ["steps", "whole number"]),
        ("steps = -1", ["steps"]),
        ("lr = nan", ["lr"]),
        ("generator = []", ["generator"]),
        ("log_every = 0", ["log_every"]),
        ("[gan]\nsteps = 3", ["'gan' is not known"]),
        ('backend = "cuda"', ["backend"]),
        ("a = " + "[" * 5000, ["expected TOML"]),
        (b"\xff\xfe", ["expected TOML"]),
    ],
)
def test_bad_toml(here, capsys, text, patterns):
    (here / "bad.toml").write_bytes(text if isinstance(text, bytes) else text.encode())
    refused(capsys, train.main(["gan", "--config", "bad.toml"]), *patterns)
    assert not (here / "runs").exists()


def test_damaged_data(here, capsys):
    images = here / "digits64/train-images-idx3-ubyte"
    whole = images.read_bytes()
    for damaged in (whole[:-5], b"\x00\x00\x99\x03" + whole[4:], b"", b"nonsense"):
        images.write_bytes(damaged)
        refused(capsys, tiny(), "train-images-idx3-ubyte")
    assert not (here / "runs").exists()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder(here, capsys):
    (here / "locked").mkdir(mode=0o500)
    refused(capsys, tiny("--out", "locked/run"), "read-only")


def test_a_folder_that_cannot_be_made(here, capsys, monkeypatch):
    def fail(self, *args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "mkdir", fail)
    refused(capsys, tiny("--out", "run"), "run: cannot be written .No space left on device")
    monkeypatch.undo()
    os.chdir(here)
    from minigen.training import files

    monkeypatch.setattr(files.os, "fsync", fail)
    refused(capsys, tiny("--out", "run"), "config.json: cannot be written .No space left on device")
    assert not (here / "run").exists()


@pytest.mark.parametrize(
    "file, change, patterns",
    [
        ("config.json", lambda b: b[:40], ["config.json", "damaged"]),
        ("config.json", lambda b: b"[]", ["config.json", "JSON object"]),
        ("config.json", lambda b: b.replace(b'"format": 1', b'"format": 2'), ["format 2", "update minigen"]),
        ("config.json", lambda b: b.replace(b'"model": "gan"', b'"model": "gain"'), ["gain", "did you mean gan"]),
        ("config.json", lambda b: b.replace(b'"latent": 4', b'"latent": -4'), ["latent"]),
        ("config.json", lambda b: b.replace(b'"latent": 4', b'"latent": 5'), ["checkpoint-000006.json", "weight"]),
        ("config.json", lambda b: b.replace(b'"latent"', b'"lateral"'), ["lateral"]),
        ("checkpoint-000006.safetensors", lambda b: b[:-100], ["safetensors", "truncated"]),
        ("checkpoint-000006.safetensors", lambda b: b[:-4] + b"abcd", ["safetensors", "SHA-256"]),
        ("checkpoint-000006.json", lambda b: b[:-100], ["checkpoint-000006.json", "damaged"]),
        ("config.json", None, ["no config.json"]),
    ],
)
def test_a_damaged_run(here, capsys, file, change, patterns):
    assert tiny("--out", "run") == 0
    capsys.readouterr()
    path = here / "run" / file
    path.unlink() if change is None else path.write_bytes(change(path.read_bytes()))
    before = content(here)
    refused(capsys, train.main(["--resume", "run", "--steps", "9"]), *patterns)
    refused(capsys, sample.main(["run"]), *patterns)
    assert content(here) == before


def test_a_run_without_checkpoints(here, capsys):
    assert tiny("--out", "run", "--steps", "1") == 0
    capsys.readouterr()
    for file in (here / "run").glob("checkpoint-*.json"):
        file.unlink()
    refused(capsys, train.main(["--resume", "run", "--steps", "9"]), "run: expected a checkpoint")
    refused(capsys, sample.main(["run"]), "run: expected a checkpoint")


def test_resume_of_a_finished_run_completes_what_is_missing(here, capsys):
    """A run that was killed after its last checkpoint, before its last pictures."""
    assert tiny("--out", "run") == 0
    whole = content("run")
    for name in ("curves.png", "samples.gif", "samples/step_000006.png"):
        (here / "run" / name).unlink()
    assert train.main(["--resume", "run"]) == 0
    assert "nothing was left to do; ask for more with --steps" in capsys.readouterr().out
    assert content("run") == whole


def test_resume_of_another_model_or_to_an_earlier_step(here, capsys):
    assert tiny("--out", "run") == 0
    capsys.readouterr()
    before = content("run")
    refused(capsys, train.main(["dcgan", "--resume", "run"]), "trains 'gan', not 'dcgan'")
    refused(capsys, train.main(["--resume", "run", "--steps", "3"]), "has done 6 steps already")
    assert content("run") == before


@pytest.mark.parametrize(
    "argv, patterns",
    [
        ([], ["RUN"]),
        (["run", "-n", "0"], ["-n", "from 1"]),
        (["run", "--seed", "x"], ["--seed"]),
        (["run", "--out", "grid.txt"], ["grid.txt", ".png"]),
        (["run", "--out", "no/grid.png"], ["no/grid.png", "cannot be written"]),
        (["run", "--label", "3"], ["--label", "'gan' was not told labels", "cvae"]),
        (["run", "--labels", "0-x"], ["--labels", "0-9 or 1,3,5", "'0-x'"]),
        (["run", "--label", "3", "--interpolate"], ["not allowed with"]),
        (["run", "--reconstruct"], ["--reconstruct", "'gan' cannot reconstruct"]),
        (["run", "--grid", "latent"], ["2 dimensions", "latent = 2"]),
        (["run", "--temperature", "1"], ["--temperature", "'gan' is no model for this option"]),
        (["run", "--temperature", "warm"], ["--temperature", "a number from 0 on", "'warm'"]),
        (["run", "--lable", "3"], ["unrecognized arguments: --lable"]),
        (["run", "more"], ["unrecognized arguments: more"]),
        (["nowhere"], ["nowhere"]),
        (["tiny.toml"], ["tiny.toml"]),
    ],
)
def test_impossible_samples(here, capsys, argv, patterns):
    assert tiny("--out", "run", "--steps", "1") == 0
    capsys.readouterr()
    before = content(here)
    refused(capsys, sample.main(argv), *patterns)
    assert content(here) == before


def test_samples_depend_on_the_seed_alone(here, capsys):
    assert tiny("--out", "run", "--steps", "1") == 0
    for seed, out in ("1", "a.png"), ("1", "b.png"), ("2", "c.png"):
        assert sample.main(["run", "-n", "5", "--seed", seed, "--out", out]) == 0
    a, b, c = ((here / f"{name}.png").read_bytes() for name in "abc")
    assert a == b != c
    assert sample.main(["run", "-n", "5"]) == 0
    assert (here / "run/samples-n5-seed0.png").is_file()


# -- how it ends -------------------------------------------------------------------------------------------------------


def test_ctrl_c_saves_and_leaves_with_130(here):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "minigen.train", "gan", "--config", "tiny.toml", "--steps", "1000000", "--out", "run"],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not (here / "run/samples/step_000000.png").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors and "interrupted after" in output and "--resume run" in output
    step = checkpoint.load(here / "run").step
    assert 0 < step < 1000000
    assert train.main(["--resume", "run", "--steps", str(step + 2)]) == 0
    assert checkpoint.load(here / "run").step == step + 2


def test_a_number_that_is_none_leaves_with_3(here, capsys):
    """With a learning rate of 1e38 the weights overflow at once."""
    assert tiny("--out", "run", "--lr", "1e38", "--steps", "50") == 3
    text = capsys.readouterr().err.splitlines()[-1]
    assert re.match(r"minigen\.train: training stopped: .* at step \d+.* A smaller --lr often helps\.", text), text
    assert checkpoint.steps(here / "run") == [0]


@pytest.mark.parametrize(
    "failure, code, words",
    [
        (KeyboardInterrupt(), 130, "interrupted"),
        (MemoryError("12 TB"), 2, "not enough memory"),
        (OSError(5, "Input/output error", "disk"), 2, "disk: Input/output error"),
        (ConfigError("a\n  b"), 2, "minigen.x: a b"),
    ],
)
def test_every_failure_is_one_sentence(capsys, failure, code, words):
    def fail(argv):
        raise failure

    assert command.guarded("minigen.x", fail, []) == code
    text = capsys.readouterr().err
    assert words in text and text.count("\n") == 1


def test_a_programming_error_is_not_hidden():
    def fail(argv):
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError):
        command.guarded("minigen.x", fail, [])


def test_the_console_script(here, capsys):
    assert __main__.main(["train", "--list"]) == 0
    capsys.readouterr()
    assert __main__.main(["sample", "nowhere"]) == __main__.main(["trian"]) == __main__.main([]) == 2
    assert capsys.readouterr().err.count("\n") == 3


def test_help_is_quick_and_needs_no_heavy_library():
    code = (
        "import sys; from minigen import train, sample; train.main(['--help']); train.main(['--list']); "
        "sample.main(['--help']); heavy = {'matplotlib', 'numba', 'scipy', 'PIL', 'tqdm', 'cupy'} & set(sys.modules); "
        "sys.exit(', '.join(heavy) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_module_runs_as_a_command(here):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    for words in (["minigen", "train", "gam"], ["minigen.train", "gam"], ["minigen.sample", "nowhere"]):
        done = subprocess.run([sys.executable, "-m", *words], env=environment, capture_output=True, text=True)
        assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr


# -- the parts ---------------------------------------------------------------------------------------------------------


def test_settle():
    settings, overrides = settle({"seed": 3, "budget": "2m", "save_every": 5, "lr": 0.1}, ["lr"])
    assert settings == Settings(seed=3, budget=120.0, save_every=5.0) and overrides == {"lr": 0.1}
    assert settings.spaced(4000).log_every == 20 and settings.spaced(4000).sample_every == 200
    assert settings.spaced(7).log_every == 1 and Settings(log_every=9).spaced(4000).log_every == 9


def test_read_toml(here):
    assert read_toml("tiny.toml")["generator"] == [8]


def test_two_runs_at_once_get_two_folders(here, monkeypatch):
    """Another process takes the number between the look and the making."""
    choose, taken = runs.choose, []

    def hurried(out, name):
        folder = choose(out, name)
        if not taken:
            folder.mkdir(parents=True)
            taken.append(folder)
        return folder

    monkeypatch.setattr(runs, "choose", hurried)
    with runs.created(None, "gan", {}) as folder:
        assert folder.name == "gan-2"
