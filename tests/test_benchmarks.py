"""The harness of `python -m benchmarks`: who is timed when, what is refused, what is written."""

import itertools
import json
import re

import numpy as np
import pytest

from benchmarks import __main__ as command
from benchmarks import harness, peers, worker, workloads
from benchmarks.worker import Ended
from benchmarks.workloads.networks import Cost, adam, backward, deal, forward, mirrored
from minigen import backend, ops

KEYS = {
    "workload", "backend", "peer", "threads", "ours_ms", "peer_ms", "ratio_min", "ratio_median", "ours_mb", "peer_mb",
    "ours_device_mb", "peer_device_mb", "floor_ms",
}  # fmt: skip


class Fake:
    """A contestant with losses and times of its own, that writes down when it is asked."""

    def __init__(self, name, journal, losses=(1.0, 0.9, 0.8, 0.7, 0.6), times=(0.1,)):
        self.name, self.journal, self._losses, self._times = name, journal, list(losses), itertools.cycle(times)

    fresh = True

    def build(self, weights):
        return {"small_ops": 1}

    def turn_to(self, workload):
        self.fresh = False
        self.journal.append(f"{self.name} turns to {workload}")

    def peak(self):
        return 10.0, None

    def losses(self, part, steps):
        self.journal.append(f"{self.name} losses")
        return self._losses[:steps]

    def times(self, part, steps):
        self.journal.append(f"{self.name} {steps}")
        return [next(self._times) for _ in range(steps)]

    def __enter__(self):
        return self

    def __exit__(self, *_): ...


def test_both_sides_take_turns_until_the_time_is_over():
    journal, clock = [], itertools.count()
    ours, theirs = Fake("a", journal), Fake("b", journal, times=[0.2])
    harness.compare(ours, theirs, "small_ops", seconds=3, rounds=2, clock=lambda: next(clock))
    assert journal[:2] == ["a losses", "b losses"]
    assert journal[2:] == ["a 1", "b 1"] * 4  # two rounds at least, then until the clock, asked each time, shows 3


def test_short_steps_are_timed_in_bursts():
    journal = []
    ours, theirs = Fake("a", journal, times=[0.001]), Fake("b", journal, times=[0.025])
    harness.compare(ours, theirs, "small_ops", seconds=0, rounds=1, clock=lambda: 0)
    assert journal[4:] == ["a 50", "b 2"]


def test_ratios():
    ours, theirs = Fake("a", [], times=[0.2, 0.8, 0.2]), Fake("b", [], times=[0.4, 0.2, 0.8])
    found = harness.compare(ours, theirs, "small_ops", per=2, seconds=0, rounds=3, clock=lambda: 0)
    assert found.ours == pytest.approx((100, 100)) and found.peer == pytest.approx((100, 200))
    assert found.ratio_min == pytest.approx(1)  # 0.2 / 0.2
    assert found.ratio_median == pytest.approx(0.5)  # of 0.2/0.4, 0.8/0.2, 0.2/0.8


@pytest.mark.parametrize("wrong", [1.0021, 0.9979, float("nan"), -1.0])
def test_other_losses_are_refused(wrong):
    fine, other = [1.0] * 5, [1.0, 1.0, 1.0, 1.0, wrong]
    assert harness.disagreement(fine, [1.0, 1.0009, 0.9991, 1.0, 1.0]) is None
    journal = []
    with pytest.raises(harness.Refused, match="step 5"):
        harness.compare(Fake("a", journal, fine), Fake("b", journal, other), "small_ops", seconds=1, rounds=1)
    assert journal == ["a losses", "b losses"]  # and nothing is timed


def test_a_refused_row_is_reported_and_not_written(monkeypatch, tmp_path, capsys):
    sides = {"ours": Fake("ours", [], [1.0] * 5), "peer": Fake("peer", [], [1.0, 1.5, 1.0, 1.0, 1.0])}
    monkeypatch.setattr(command, "Worker", lambda name, side, threads, **variables: sides[side[0]])
    monkeypatch.setattr(command.machine, "rates", lambda threads, seconds: {"sgemm": 1e9, "copy": 1e9})
    monkeypatch.setattr(command.peers, "missing", lambda peer: None)
    file = tmp_path / "out.json"
    assert command.main(["--quick", "--workload", "small_ops", "--threads", "1", "--json", str(file)]) == 1
    assert "refused, the losses of step 2 are 1 and 1.5" in capsys.readouterr().out
    written = json.loads(file.read_text("utf-8"))
    assert written["rows"] == [] and written["refused"][0]["workload"] == "small_ops"


def test_a_process_that_ends_costs_its_rows_only(monkeypatch, capsys):
    class Dead(Fake):
        def build(self, weights):
            raise Ended("the process of numba ended")

    monkeypatch.setattr(command, "Worker", lambda name, *_: (Dead if name == "mlp_gan" else Fake)("ours", []))
    monkeypatch.setattr(command.machine, "rates", lambda where, seconds: {"sgemm": 1e9, "copy": 1e9})
    assert command.main("--quick --workload mlp_gan,small_ops --peer none --threads 1".split()) == 1
    printed = capsys.readouterr().out
    assert "mlp_gan, numba / None: refused, the process of numba ended" in printed
    assert re.search(r"^small_ops +numba", printed, re.MULTILINE)


def test_a_quick_run_keeps_its_processes(monkeypatch, tmp_path):
    """Of the memory of one that has done other work before, nothing is said."""
    made, journal, file = [], [], tmp_path / "out.json"
    monkeypatch.setattr(command, "Worker", lambda name, side, _: made.append((name, *side)) or Fake("ours", journal))
    monkeypatch.setattr(command.machine, "rates", lambda where, seconds: {"sgemm": 1e9, "copy": 1e9})
    monkeypatch.setattr(command.workloads, "find", lambda name: Work)
    arguments = ["--workload", "small_ops,mlp_gan", "--peer", "none", "--threads", "1", "--json", str(file)]
    assert command.main(["--quick", *arguments]) == 0
    assert made == [("small_ops", "ours", "numba")] and journal.count("ours turns to mlp_gan") == 1
    assert [row["ours_mb"] for row in json.loads(file.read_text("utf-8"))["rows"]] == [10.0, None]


def test_of_several_cold_starts_the_fastest_counts(monkeypatch):
    """Those with an empty cache have a new one each."""
    asked, seconds = [], {"numba": iter([5.0, 4.0, 6.0, 1.5, 1.25, 2.0]), "torch": iter([3.0, 2.5, 4.0])}

    def start(name, side, threads, weights, **variables):
        asked.append(variables.get("NUMBA_CACHE_DIR"))
        return next(seconds[side[1]])

    monkeypatch.setattr(command, "cold_start", start)
    (found,) = command.cold_starts(["mlp_gan"], ["numba"], ["torch"], 2)
    assert found == {"workload": "mlp_gan", "seconds": {"numba, empty cache": 4.0, "numba": 1.25, "torch": 2.5}}
    assert len(set(asked[:3])) == 3 and None not in asked[:3] and not any(asked[3:])


class Work:
    peers, costs = (), {"small_ops": (1.0, 1.0)}


def test_a_row_has_the_promised_keys():
    found = harness.Comparison(harness.Timing(1.23456, 2), harness.Timing(2, 4), 0.617, 0.5)
    row = harness.row("mlp_gan", "numba", "torch", 2, found, [(100.0, None), (200.0, 30.0)], 0.5)
    assert set(row) == KEYS and list(row) == harness.KEYS
    assert row["ours_ms"] == 1.235 and row["peer_ms"] == 2 and row["ours_mb"] == 100 and row["ours_device_mb"] is None
    assert row["peer_mb"] == 200 and row["peer_device_mb"] == 30 and row["floor_ms"] == 0.5


def test_floor_is_the_slower_of_arithmetic_and_memory():
    machine = {"sgemm": 1e9, "copy": 1e8}
    assert harness.floor(2e6, 1e3, machine) == pytest.approx(2)
    assert harness.floor(2e6, 1e6, machine) == pytest.approx(10)


def test_quick_on_the_smallest_workload_without_a_peer(tmp_path, capsys):
    file, plot = tmp_path / "out.json", tmp_path / "out.png"
    arguments = ["--quick", "--workload", "small_ops", "--peer", "none", "--threads", "1"]
    assert command.main([*arguments, "--json", str(file), "--plot", str(plot)]) == 0
    written = json.loads(file.read_text("utf-8"))
    (row,) = written["rows"]
    assert set(row) == KEYS and row["peer"] is None and row["ratio_min"] is None
    assert 0 < row["floor_ms"] < row["ours_ms"] < 1 and 10 < row["ours_mb"] < 1000
    assert {"processor", "cores", "packages", "load"} <= written["machine"].keys()
    assert plot.stat().st_size > 0 and "small_ops" in capsys.readouterr().out


def test_without_a_device_cupy_is_refused_in_a_sentence(monkeypatch, capsys):
    monkeypatch.setattr(backend, "no_device_reason", lambda: "CuPy is not installed")
    assert command.main(["--backend", "cupy"]) == 2
    assert "--backend cupy: CuPy is not installed; there is nothing to measure" in capsys.readouterr().err


RATE = {"device": 99}  # of copying; with n threads it is n


def rows_of(arguments, monkeypatch):
    """(workload, backend, peer, the floor's rates) of each comparison that is made, on a machine that has all."""
    made = []
    monkeypatch.setattr(backend, "no_device_reason", lambda: None)
    monkeypatch.setattr(backend, "device_name", lambda: "a card")
    monkeypatch.setattr(command.peers, "missing", lambda peer: None)
    monkeypatch.setattr(command.machine, "rates", lambda where, seconds: {"sgemm": 1e9, "copy": RATE.get(where, where)})
    note = lambda name, library, peer, threads, rates, *_: made.append((name, library, peer, rates["copy"])) or ()
    monkeypatch.setattr(command, "compare", note)
    monkeypatch.setattr(harness, "row", lambda *_: None)
    assert command.main(["--quick", "--threads", "3", *arguments.split()]) == 0
    return made


def test_a_backend_meets_peers_that_compute_where_it_does(monkeypatch, tmp_path, capsys):
    file = tmp_path / "out.json"
    asked = (
        f"--workload dcgan,gpt --backend numba,cupy --peer torch,torch-cuda,torch-channels-last,dezero --json {file}"
    )
    assert rows_of(asked, monkeypatch) == [
        ("dcgan", "numba", "torch", 3),
        ("dcgan", "numba", "torch-channels-last", 3),
        ("dcgan", "numba", "dezero", 3),
        ("dcgan", "cupy", "torch-cuda", RATE["device"]),
        ("gpt", "numba", "torch", 3),
        ("gpt", "cupy", "torch-cuda", RATE["device"]),
    ]
    assert "left out" not in capsys.readouterr().out
    written = json.loads(file.read_text("utf-8"))["machine"]
    assert written["device"] == "a card" and list(written["rates"]) == ["3", "device"]


def test_a_peer_that_computes_elsewhere_is_left_out(monkeypatch, capsys):
    asked = "--workload gpt --backend cupy --peer torch"
    assert rows_of(asked, monkeypatch) == [("gpt", "cupy", None, RATE["device"])]
    assert "torch is left out: it meets --backend numpy or numba" in capsys.readouterr().out
    assert rows_of("--workload gpt --backend numpy --peer torch-cuda", monkeypatch) == [("gpt", "numpy", None, 3)]
    assert "torch-cuda is left out: it meets --backend cupy" in capsys.readouterr().out


@pytest.mark.parametrize("library, peer", [("numba", "torch"), ("cupy", "torch-cuda")])
def test_pytorch_is_the_peer_where_none_is_named(library, peer, monkeypatch):
    assert [row[2] for row in rows_of(f"--workload gpt --backend {library}", monkeypatch)] == [peer]


@pytest.mark.oracle
def test_without_a_device_pytorch_is_left_out_in_a_sentence(monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert peers.missing("torch-cuda") == "PyTorch finds no CUDA device" and peers.missing("torch") is None


def test_a_step_is_timed_where_it_computes(backend_name, tmp_path):
    library = worker._start("ours", backend_name)
    parts, measured, device_memory = worker._build("small_ops", "ours", backend_name, library, tmp_path / "weights.npz")
    result, seconds = measured(parts["small_ops"].step)
    assert 0 < seconds < 100 and np.isfinite(parts["small_ops"].number(result))
    held = device_memory()
    assert held >= 4 * 16**2 if backend_name == "cupy" else held is None


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--workload", "dcgun"], "--workload: expected some of small_ops, .*got 'dcgun'"),
        (["--peer", "tensorflow"], "--peer: expected some of torch, .*got 'tensorflow'"),
        (["--threads", "0"], "--threads: expected whole numbers from 1"),
        (["--json", "nowhere/out.json"], "folder does not exist"),
    ],
)
def test_bad_options(arguments, message, capsys):
    assert command.main(arguments) == 2
    assert re.search(message, capsys.readouterr().err)


def test_both_sides_get_the_same_number_of_threads():
    ours, theirs = worker.environment(3, ours=True), worker.environment(3, ours=False)
    assert ours["NUMBA_NUM_THREADS"] == ours["OMP_NUM_THREADS"] == theirs["OMP_NUM_THREADS"] == "3"
    assert theirs["OPENBLAS_NUM_THREADS"] == "3" and "OPENBLAS_NUM_THREADS" not in ours  # which minigen chooses


# -- the networks -----------------------------------------------------------------------------------------------------


def test_costs_by_hand():
    layers = [("linear", 3, 5), ("relu",), ("linear", 5, 2)]
    assert forward(layers, 7) == Cost(2 * 7 * (15 + 10), 4 * 7 * (5 + 2))
    assert backward(layers, 7).flops == 2 * 7 * (15 + 2 * 10)  # the first layer's input needs no gradient
    assert backward(layers, 7, inputs=True).flops == 2 * 2 * 7 * 25
    assert backward(layers, 7, weights=False, inputs=True).flops == 2 * 7 * 25
    assert adam(layers).bytes == 24 * (15 + 5 + 10 + 2)
    down, up = ("conv", 2, 3, 5, 2), ("conv_transpose", 3, 2, 5, 2)
    assert forward([down], 7, (2, 14, 14)).flops == 2 * 7 * 49 * 25 * 6
    assert forward([up], 7, (3, 7, 7)).flops == 2 * 7 * 49 * 25 * 6


def test_a_mirrored_network_sees_mirrored_images():
    rng = np.random.default_rng(0)
    x, w, v = (rng.standard_normal(s) for s in ((2, 3, 6, 6), (4, 3, 5, 5), (7, 4 * 9)))
    layers = [("conv", 3, 4, 5, 2), ("flatten", 4, 3, 3), ("linear", 36, 7)]
    mw, _, mv, _ = mirrored(layers, iter([w, np.zeros(4), v, np.zeros(7)]))
    with backend.use("numpy"):
        y = ops.conv2d(x, w, stride=2, padding="same").reshape(2, -1) @ v.T
        flipped = ops.conv2d(x[:, :, ::-1, ::-1], mw, stride=2, padding=((2, 1), (2, 1)))  # "same": ((1, 2), (1, 2))
    np.testing.assert_allclose(flipped.reshape(2, -1) @ mv.T, y)


def test_weights_of_other_shapes_are_refused():
    with pytest.raises(ValueError, match="shapes"):
        deal([("linear", 3, 5)], iter([np.zeros((3, 5)), np.zeros(5)]))


@pytest.mark.parametrize("name", workloads.NAMES)
def test_each_workload_knows_the_cost_of_each_part(name):
    work = workloads.find(name)
    _, parts = work.ours()
    assert parts.keys() == work.costs.keys()
    assert all(cost.flops > 0 for cost in work.costs.values())


@pytest.mark.oracle
@pytest.mark.parametrize("name, peer", [
    ("small_ops", "torch"), ("mlp_vae", "torch"), ("mlp_vae", "autograd"), ("conv_vae", "jax"), ("wgan_gp", "jax"),
    ("lstm2", "jax"),
])  # fmt: skip
def test_peers_do_the_same_work(name, peer):
    pytest.importorskip(peer)
    same_work(name, peer)


@pytest.mark.gpu
@pytest.mark.oracle
@pytest.mark.parametrize("name", workloads.NAMES)
def test_pytorch_on_the_device_does_the_same_work(name):
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("PyTorch finds no CUDA device")
    with backend.use("cupy"):
        library = same_work(name, "torch-cuda")
        part = next(iter(workloads.find(name).ours()[1].values()))
        _, seconds = library.timed(part.step)
        assert seconds > 0 and library.device_memory() > 0


def same_work(name, peer):
    work = workloads.find(name)
    library = peers.load(peer)
    weights, ours = work.ours()
    theirs = work.theirs(library, weights)
    for part in ours:
        losses = [[p.number(p.step()) for _ in range(3)] for p in (ours[part], theirs[part])]
        assert harness.disagreement(*losses) is None
    return library
