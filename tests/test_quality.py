"""The command that reproduces the slow figures: rows, resuming, what is written; and the rows that are exact."""

import json

import pytest

from benchmarks import quality
from benchmarks.quality import __main__ as command
from benchmarks.quality.rows import Bench, Row, Stopped

TINY = {"hidden": [4], "latent": 2, "steps": 4, "batch_size": 16}


@pytest.fixture
def rows(tmp_path, monkeypatch):
    """Two rows, one of which trains, in a place of their own."""
    calls = []

    def trained(bench):
        calls.append(bench.quick)
        run = bench.train("vae", **TINY, quick={"steps": 2})
        return {"steps": bench.settings["vae"]["steps"], "exact": float(len(list(run.glob("*.json"))) > 0)}

    found = {
        "small": Row("small", "a small VAE", "exists", trained, lambda f: f["exact"] == 1, 1),
        "never": Row("never", "what cannot be", "2 below 1", lambda bench: {"x": 2.0}, lambda f: f["x"] < 1, 0.5),
    }
    monkeypatch.setattr(command, "ROWS", found)
    monkeypatch.setattr(command, "RESULTS", tmp_path / "results")
    return lambda *argv: command.main(["--runs", str(tmp_path / "runs"), *argv]), calls, tmp_path


def test_a_row_is_measured_written_and_not_measured_again(rows, capsys):
    run, calls, folder = rows
    assert run("--only", "small", "--note", "a test") == 0
    result = json.loads((folder / "results/small.json").read_text())
    assert result["met"] is True and result["figures"] == {"steps": 4, "exact": 1.0} and result["seed"] == 0
    assert result["machine"]["note"] == "a test" and result["versions"]["minigen"] and result["seconds"]["vae"] > 0
    assert result["settings"]["vae"]["hidden"] == [4]
    table = (folder / "results/README.md").read_text()
    assert "| small | a small VAE | steps 4, exact 1 | exists | yes |" in table and "a test" in table
    assert run("--only", "small") == 0 and len(calls) == 1 and "measured before" in capsys.readouterr().out
    assert run("--only", "small", "--again") == 0 and len(calls) == 2


def test_a_target_that_is_missed(rows):
    run, _, folder = rows
    assert run("--only", "never,small") == 1
    table = (folder / "results/README.md").read_text().splitlines()
    assert [line.split(" | ")[4] for line in table[-2:]] == ["yes", "no"]  # in the order of the rows


def test_a_quick_look_writes_no_result(rows):
    run, calls, folder = rows
    assert run("--only", "small", "--quick") == 0
    assert calls == [True] and not (folder / "results").exists()
    assert json.loads((folder / "runs/small-quick-seed0/vae/config.json").read_text())["config"]["steps"] == 2


def test_an_interrupted_training_is_gone_on_with(rows, monkeypatch):
    run, _, folder = rows
    bench = Bench(folder / "runs/small-seed0")
    bench.train("vae", **(TINY | {"steps": 2}))
    config = folder / "runs/small-seed0/vae/config.json"
    saved = json.loads(config.read_text())
    saved["config"]["steps"] = 4  # as if it had been ended by Ctrl-C after two steps of four
    config.write_text(json.dumps(saved))
    assert run("--only", "small") == 0
    metrics = (folder / "runs/small-seed0/vae/metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in metrics] == [1, 2, 3, 4]


def test_what_goes_wrong_is_a_sentence(rows, capsys):
    run, _, folder = rows
    assert run("--only", "smal") == 2
    assert "expected some of small, never, got 'smal'" in capsys.readouterr().err
    with pytest.raises(Stopped, match="vae ended with exit code 2"):
        Bench(folder).train("vae", hidden=[0])


def test_the_rows_and_their_list(capsys):
    assert {"vae", "vae-conv", "cgan", "cvae", "ring-wgan-gp", "ring-gan", "dcgan-gan", "vae-time"} <= set(quality.ROWS)
    assert command.main(["--list"]) == 0
    out = capsys.readouterr().out
    for name, row in quality.ROWS.items():
        assert row.name == name and row.minutes > 0 and row.title in out and row.target in out


@pytest.mark.parametrize("name", ["gan-balance", "elbo-gap", "c4-regrouped"])
def test_the_exact_rows(name, tmp_path):
    row = quality.ROWS[name]
    figures = row.measure(Bench(tmp_path))
    assert row.met(figures), figures
