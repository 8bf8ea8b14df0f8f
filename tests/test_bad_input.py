"""Whatever lies in a file: exit code 2 and one sentence, soon, without much memory, and nothing is written.

The corpus is in tests/bad. How many inputs were tried is printed at the end of the tests.
"""

import contextlib
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from minigen import datasets, evaluate, sample, train
from minigen.training import pictures

from .bad import images, runs, settings, sounds, texts

CASES = [case for module in (images, texts, sounds, settings, runs) for case in module.CASES]
COMMANDS = {"train": train.main, "sample": sample.main, "evaluate": evaluate.main}
SECONDS, BYTES = 2.0, 500 << 20


def digits(folder):
    """64 digits under MNIST's names."""
    folder.mkdir()
    found = datasets.load("digits").subset(slice(64))
    datasets.write_idx(folder / "train-images-idx3-ubyte", found.images)
    datasets.write_idx(folder / "train-labels-idx1-ubyte", found.labels.astype(np.uint8))
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of gan with a checkpoint of step 6, to be spoiled."""
    folder = tmp_path_factory.mktemp("good")
    (folder / "s.toml").write_text("generator = [8]\ndiscriminator = [8]\nlatent = 4\nbatch_size = 8\nsteps = 6\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pictures, "draw_curves", lambda file, records: file.write(b"curves"))
        out = str(folder / "run")
        arguments = ["gan", "--config", str(folder / "s.toml"), "--data", str(digits(folder / "digits")), "--out", out]
        assert train.main([*arguments, "--backend", "numpy"]) == 0
    return {file.relative_to(folder): file.read_bytes() for file in (folder / "run").rglob("*") if file.is_file()}


def content(folder):
    """Everything below a folder: what each thing is, and what is in those files that end."""
    found = {}
    for path in sorted(folder.rglob("*")):
        kind = path.lstat().st_mode
        small = path.is_file() and not path.is_symlink() and path.stat().st_size < 1 << 30
        found[str(path)] = kind, path.stat().st_size if small else 0, path.read_bytes() if small else b""
    return found


@contextlib.contextmanager
def most_memory():
    """The most bytes that this process holds meanwhile, beyond those it had (Linux; elsewhere nothing)."""
    status, found = Path("/proc/self/status"), {}

    def peak():
        lines = status.read_text().splitlines() if status.exists() else []
        return next((int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM")), 0)

    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    before = peak()
    yield found
    found["bytes"] = peak() - before


@contextlib.contextmanager
def alarm(seconds):
    """What waits for ever fails here."""

    def ring(number, frame):
        raise TimeoutError(f"not done after {seconds} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="needs pipes, devices and alarms")
@pytest.mark.parametrize("case", CASES, ids=str)
def test_it_is_refused(case, trained, tmp_path, monkeypatch, capsys, record_property):
    monkeypatch.chdir(tmp_path)
    for path, data in trained.items() if case.base else ():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    case.make(tmp_path)
    before = content(tmp_path)
    begin = time.process_time()
    with most_memory() as most, alarm(60):
        code = COMMANDS[case.command[0]](list(case.command[1:]))
    taken = time.process_time() - begin
    output, errors = capsys.readouterr()
    assert code == 2, (code, output, errors)
    assert len(errors.splitlines()) == 1 and errors.startswith(f"minigen.{case.command[0]}: "), errors
    assert len(errors) < 1000 and "Traceback" not in errors and not output, (errors, output)
    assert content(tmp_path) == before
    assert taken < SECONDS and most["bytes"] < BYTES, (taken, most)
    record_property(f"bad input: {case.kind}", 1)
