"""Whatever lies in a file: exit code 2 and one sentence, soon, without much memory, and nothing is written.

The corpus is in tests/bad. How many inputs were tried is printed at the end of the tests.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from minigen import datasets, evaluate, sample, train
from minigen.errors import DataError, MinigenError
from minigen.training import checkpoint, pictures
from minigen.training.files import read_json
from minigen.training.metrics import read_metrics
from minigen.training.settings import read_toml

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
    """A run of gan with a checkpoint of step 6, to be spoiled. What is imported late is imported: it is not timed."""
    import mido
    import scipy.io.wavfile
    import scipy.signal

    assert mido and scipy
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


needs_pipes = pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="needs pipes, devices and alarms")


def unpacked(files):
    """The files of a run, in the folder that one stands in."""
    for path, data in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


@needs_pipes
@pytest.mark.parametrize("case", CASES, ids=str)
def test_it_is_refused(case, trained, tmp_path, monkeypatch, capsys, record_property):
    monkeypatch.chdir(tmp_path)
    unpacked(trained if case.base else {})
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


@needs_pipes
@pytest.mark.parametrize("index", range(0, len(CASES), len(CASES) // 6))
def test_as_a_process_of_its_own(index, trained, tmp_path, monkeypatch):
    """Some of them as a user would run them: the exit code and standard error of the real command."""
    monkeypatch.chdir(tmp_path)
    case = CASES[index]
    unpacked(trained if case.base else {})
    case.make(tmp_path)
    before = content(tmp_path)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    command = [sys.executable, "-m", f"minigen.{case.command[0]}", *case.command[1:]]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "Traceback" not in done.stderr, done.stderr
    assert not done.stdout and content(tmp_path) == before


@pytest.mark.parametrize("name", runs.LOGS)
def test_of_a_damaged_log_the_sound_lines_are_kept(name, trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pictures, "draw_curves", lambda file, records: file.write(b"curves"))
    unpacked(trained)
    log = tmp_path / "run/metrics.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(lines[:3]) + runs.LOGS[name] + b"".join(lines[3:]))
    assert train.main(["--resume", "run", "--steps", "7"]) == 0
    assert [record["step"] for record in read_metrics(log)] == [1, 2, 3, 7]


@pytest.mark.parametrize("value", [-1e30, np.inf])
def test_weights_beyond_all_bounds_give_no_picture(value, trained, tmp_path, monkeypatch, capsys):
    """Weights that are numbers, but whose images are NaN: exit code 3, not a grey square."""
    monkeypatch.chdir(tmp_path)
    unpacked(trained)
    runs.forged(runs.filled(value))(tmp_path)
    before = content(tmp_path)
    assert sample.main(["run"]) == 3
    assert "hold NaN or infinity" in capsys.readouterr().err and content(tmp_path) == before


# -- by chance ---------------------------------------------------------------------------------------------------------


def refused_or_read(load):
    """Either it is read, or a MinigenError says in one sentence why not."""
    try:
        load()
    except MinigenError as error:
        assert 10 < len(str(error)) < 5000


def mutated(good):
    """A sound file of which a part is missing, doubled, or other than it was."""

    def change(draw):
        data = bytearray(good)
        for _ in range(draw(st.integers(1, 4))):
            at, length = draw(st.integers(0, len(data))), draw(st.integers(0, 9))
            what = draw(st.sampled_from(["cut", "double", "write", "end"]))
            if what == "end":
                del data[at:]
            else:
                part = (
                    data[at : at + length] * 2
                    if what == "double"
                    else draw(st.binary(min_size=length, max_size=length))
                )
                data[at : at + length] = b"" if what == "cut" else part
        return bytes(data)

    return st.composite(change)()


FORMATS = {
    "IDX": ("a", datasets.read_idx, images.idx((4, 3, 3), bytes(36))),
    "gzip": ("a.gz", datasets.read_idx, images.gzip.compress(images.idx((4, 3, 3), bytes(36)), mtime=0)),
    "WAV": ("a.wav", datasets.read_wav, sounds.wav(sounds.TONE[:400])),
    "MIDI": ("a.mid", datasets.read_midi, sounds.midi(sounds.NOTES[:90] + sounds.END)),
    "text": ("a.txt", datasets.load_text, texts.TEXT[:200].encode()),
    "poems": ("a.json", datasets.load_poems, '[{"title": "静夜思", "paragraphs": ["床前明月光"]}]'.encode()),
    "pairs": ("a.txt", datasets.load_pairs, b"one\teins\ntwo\tzwei\n"),
    "zip files": ("a.zip", datasets.load_pairs, texts.archive(("a.txt", b"one\teins\ntwo\tzwei\n"))),
    "tokenizers": (
        "a.json",
        datasets.load_tokenizer,
        b'{"kind": "byte pairs", "special_tokens": true, "merges": [[97, 98], [256, 99]]}',
    ),
    "TOML": ("a.toml", read_toml, settings.GOOD),
    "JSON": ("a.json", read_json, runs.GOOD),
    "logs": ("a.jsonl", read_metrics, b'{"step": 1, "loss": 0.5}\n{"step": 2, "loss": null}\n'),
}


@pytest.mark.parametrize("name", FORMATS)
def test_by_chance(name, tmp_path, record_property):
    """Bytes at random, and sound files changed at random."""
    file, load, good = FORMATS[name]
    tried = [0]

    @hypothesis.settings(max_examples=40, deadline=None, database=None, derandomize=True)
    @hypothesis.given(mutated(good) | st.binary(max_size=60))
    def attempt(content):
        (tmp_path / file).write_bytes(content)
        refused_or_read(lambda: load(tmp_path / file))
        tried[0] += 1

    (tmp_path / file).write_bytes(good)
    load(tmp_path / file)
    attempt()
    record_property(f"bad input: {name} changed at random", tried[0])


def test_checkpoints_by_chance(trained, tmp_path, monkeypatch, record_property):
    """Not one changed byte is overlooked, in either file."""
    folder, tried = tmp_path / "run", 0
    rng = np.random.default_rng(0)
    monkeypatch.chdir(tmp_path)
    unpacked(trained)
    expected = checkpoint.load(folder)
    for name in (f"{runs.STEP}.json", f"{runs.STEP}.safetensors"):
        good = (folder / name).read_bytes()
        for _ in range(60):
            data = bytearray(good)
            data[rng.integers(len(data))] ^= 1 << rng.integers(8)
            (folder / name).write_bytes(data)
            try:
                found = checkpoint.load(folder)
            except DataError:
                tried += 1
                continue
            assert found.record == expected.record  # it was white space between entries
        (folder / name).write_bytes(good)
    assert tried > 100
    record_property("bad input: checkpoints changed at random", tried)
