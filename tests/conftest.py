"""Which backends the tests run on: ``pytest --backend numpy,numba`` (the default), ``cupy`` where a device answers."""

import collections

import numpy as np
import pytest

from minigen import backend


def pytest_addoption(parser):
    parser.addoption(
        "--backend",
        default="numpy,numba",
        help="comma list of backends for the tests that run on each: numpy, numba, cupy (default: numpy,numba)",
    )


def _backends(config):
    names = [name.strip() for name in config.getoption("--backend").split(",") if name.strip()]
    for name in names:
        if name not in backend.BACKENDS:
            raise pytest.UsageError(f"--backend: expected a list of {', '.join(backend.BACKENDS)}, got {name!r}")
        if name == "cupy" and (reason := backend.no_device_reason()):
            raise pytest.UsageError(f"--backend cupy: {reason}")
    return names


def pytest_generate_tests(metafunc):
    names = _backends(metafunc.config)
    if "backend_name" in metafunc.fixturenames:
        metafunc.parametrize("backend_name", names, indirect=True)
    if "compiled" in metafunc.fixturenames:  # the backends whose kernels are compiled
        metafunc.parametrize("compiled", [name for name in names if name != "numpy"])


def pytest_collection_modifyitems(config, items):
    if "cupy" not in _backends(config):
        for item in items:
            if item.get_closest_marker("gpu"):
                item.add_marker(pytest.mark.skip(reason="needs --backend cupy"))


def pytest_terminal_summary(terminalreporter):
    """How many bad inputs were tried and how many faults survived, by what the tests have recorded."""
    tried = collections.Counter()
    for report in terminalreporter.stats.get("passed", []):
        tried.update({what: n for what, n in report.user_properties if what.startswith(("bad input", "survived"))})
    for head in ("bad input", "survived"):
        counts = {what.removeprefix(f"{head}: "): n for what, n in tried.items() if what.startswith(head)}
        if counts:
            listed = ", ".join(f"{n:,} {what}" for what, n in sorted(counts.items()))
            terminalreporter.write_line(
                f"{'bad inputs tried' if head == 'bad input' else head}: {sum(counts.values()):,} ({listed})"
            )


@pytest.fixture(autouse=True)
def _on_the_host():
    """Tests that do not ask for `backend_name` run on the CPU, whatever the machine has."""
    with backend.use("numba"):
        yield


@pytest.fixture
def backend_name(request):
    """The backend that this run of the test uses."""
    with backend.use(request.param) as name:
        yield name


@pytest.fixture
def rng():
    """A generator with the same numbers in every run."""
    return np.random.default_rng(20140610)


@pytest.fixture
def loops(monkeypatch):
    """loops(module): a list that grows by (function, number of threads) with every loop that the module deals out."""

    def watch(module):
        done, share = [], module.share

        def noted(function, *arguments, **options):
            rows = share(function, *arguments, **options)
            done.append((function, len(rows)))
            return rows

        monkeypatch.setattr(module, "share", noted)
        return done

    return watch
