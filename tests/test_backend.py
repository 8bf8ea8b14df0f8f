"""Which library computes: choosing it, falling back, refusing, and where new arrays and random numbers come from."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

import minigen
from minigen import backend, ops
from minigen.errors import BackendError, ConfigError, DtypeError, MinigenError
from minigen.tensor import Tensor, tensor
from tests.test_ops import SPECS, calls

ROOT = Path(__file__).resolve().parents[1]


def python(program, path=(), **environment):
    """Run a program in a process of its own, with folders in front of its path; returns (output, errors, code)."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("MINIGEN_", "PYTEST_"))} | environment
    env["PYTHONPATH"] = os.pathsep.join([*map(str, path), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], env=env, capture_output=True, text=True, timeout=120
    )
    return done.stdout.strip(), done.stderr, done.returncode


@pytest.fixture
def no_cupy(tmp_path, monkeypatch):
    """This process as if CuPy were not installed."""
    monkeypatch.setattr(backend, "_cupy", None)
    monkeypatch.setattr(backend, "_cupy_missing", None)
    find_spec = backend.importlib.util.find_spec
    monkeypatch.setattr(
        backend.importlib.util, "find_spec", lambda name, *a: None if name == "cupy" else find_spec(name, *a)
    )


# -- choosing ----------------------------------------------------------------------------------------------------------


def test_use_as_a_statement_and_as_a_block():
    before = backend.current()
    try:
        minigen.use("numpy")
        assert backend.current() == "numpy"
        with minigen.use("numba") as name:
            assert name == backend.current() == "numba"
            with minigen.use("numpy"):
                assert backend.current() == "numpy"
            assert backend.current() == "numba"
        assert backend.current() == "numpy"
    finally:
        minigen.use(before)


def test_a_block_that_fails_gives_the_backend_back():
    with minigen.use("numba"):
        with pytest.raises(KeyError), minigen.use("numpy"):
            raise KeyError
        assert backend.current() == "numba"


def test_an_unknown_name_changes_nothing():
    before = backend.current()
    for wrong in ("torch", "", "NumPy", None):
        with pytest.raises(ConfigError, match="backend: expected one of auto, numpy, numba, cupy, got"):
            minigen.use(wrong)
    assert backend.current() == before
    with pytest.raises(ConfigError, match="expected one of"):
        tensor([1.0]).to("gpu")


def test_the_chosen_backend_is_the_tensor_s(backend_name):
    x = tensor([1.0])
    assert x.backend == backend_name
    assert (x * 2.0).backend == backend_name


@pytest.mark.parametrize("name", ["numpy", "numba"])
def test_the_environment_chooses_first(name):
    out, err, code = python(
        """
        import minigen
        print(minigen.backend.current())
        with minigen.use("numpy"):
            print(minigen.backend.current())
        print(minigen.backend.current())
        """,
        MINIGEN_BACKEND=name,
    )
    assert (out.split(), code) == ([name, "numpy", name], 0), err


def test_an_unknown_name_in_the_environment():
    _, err, code = python("import minigen; minigen.tensor([1.0])", MINIGEN_BACKEND="tpu")
    assert code and "ConfigError: backend: expected one of auto, numpy, numba, cupy, got 'tpu'." in err


# -- CuPy that is not there, or has no device --------------------------------------------------------------------------


def test_cupy_not_installed(no_cupy):
    assert backend.available() == ("numpy", "numba")
    with pytest.raises(BackendError) as caught:
        minigen.use("cupy")
    assert str(caught.value) == (
        "backend 'cupy' was asked for, but CuPy is not installed: pip install 'minigen[cuda12]' or 'minigen[cuda13]'; "
        "or use --backend numba."
    )
    with pytest.raises(BackendError, match="not installed"):
        tensor([1.0]).to("cupy")
    with minigen.use("auto") as name:  # silently: nothing is wrong with the machine
        assert name == "numba"


FAKES = {
    "no driver": ("raise RuntimeError('cudaErrorInsufficientDriver:\\n driver version is insufficient')",
                  "CuPy is installed but no CUDA device answers (cudaErrorInsufficientDriver: driver version is "
                  "insufficient): check the driver"),
    "no device": ("return 0", "CuPy is installed but finds no CUDA device"),
}  # fmt: skip


def fake_cupy(folder, body):
    (folder / "cupy").mkdir()
    (folder / "cupy" / "__init__.py").write_text(
        "class runtime:\n    @staticmethod\n    def getDeviceCount():\n        " + body.replace("\n", "\\n") + "\n"
        "class cuda:\n    runtime = runtime\n"
    )


@pytest.mark.parametrize("kind", FAKES)
def test_an_importable_cupy_without_a_device(tmp_path, kind):
    """auto falls back with one sentence, told once; asking for cupy by name is an error that says what is missing."""
    body, sentence = FAKES[kind]
    fake_cupy(tmp_path, body)
    out, err, code = python(
        """
        import warnings, minigen
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            x = minigen.tensor([1.0]) * 2.0
            x = x + 1.0
        print(x.backend, minigen.backend.available(), x.item())
        print(*(w.message for w in told), sep="|")
        try:
            minigen.use("cupy")
        except minigen.errors.BackendError as error:
            print(error)
        print(minigen.backend.current())
        """,
        path=[tmp_path],
    )
    assert code == 0, err
    assert out.splitlines() == [
        "numba ('numpy', 'numba') 3.0",
        f"{sentence}; falling back to the numba backend on the CPU.",
        f"backend 'cupy' was asked for, but {sentence}; or use --backend numba.",
        "numba",
    ]


def test_a_cupy_that_cannot_be_imported(tmp_path):
    (tmp_path / "cupy.py").write_text("raise ImportError('libcuda.so.1: cannot open shared object file')")
    out, _, code = python("import minigen; print(minigen.backend.no_device_reason())", path=[tmp_path])
    assert code == 0 and "no CUDA device answers (libcuda.so.1: cannot open shared object file)" in out


def test_importing_minigen_imports_no_cupy(tmp_path):
    fake_cupy(tmp_path, "raise SystemExit('touched')")
    program = "import sys, minigen; minigen.use('numpy'); minigen.tensor([1.0]) + 1.0; print('cupy' in sys.modules)"
    assert python(program, path=[tmp_path])[0] == "False"


# -- arrays ------------------------------------------------------------------------------------------------------------


def test_dtypes_of_new_arrays(backend_name):
    kinds = [
        (1.0, "float32"), ([1, 2.5], "float32"), (1, "int64"), ([True], "bool"), (1j, "complex128"), ([], "float32"),
        (np.float64(1), "float64"), (np.float32(1), "float32"), (np.ones(2), "float64"), (np.ones(2, "f4"), "float32"),
        (np.arange(3, dtype="u1"), "uint8"),
    ]  # fmt: skip
    for data, dtype in kinds:
        assert backend.asarray(data).dtype == dtype, data
        assert tensor(data).dtype == dtype
    assert tensor([1, 2], dtype="float64").dtype == np.float64
    assert tensor(np.ones(2), dtype=np.float32).dtype == np.float32
    for wrong, message in [("text", "got str"), ([[1], [2, 3]], "ragged"), ({}, "got dict"), (None, "got NoneType")]:
        with pytest.raises(DtypeError, match=message):
            tensor(wrong)


def test_host_arrays_are_not_copied():
    a = np.ones(3)
    for name in ("numpy", "numba"):
        with minigen.use(name):
            assert backend.asarray(a) is a and tensor(a).numpy() is a and backend.to(a, "numpy") is a


def test_what_is_an_array():
    assert backend.is_array(np.ones(1)) and backend.is_array(np.ma.ones(1))
    assert not any(map(backend.is_array, (1.0, np.float64(1), [1.0], tensor(1.0), None)))


def test_errors_are_of_the_kinds_python_users_expect():
    for error, base in [(BackendError, RuntimeError), (ConfigError, ValueError), (DtypeError, TypeError)]:
        assert issubclass(error, MinigenError) and issubclass(error, base)


# -- random numbers ----------------------------------------------------------------------------------------------------


def test_a_seed_gives_the_same_numbers_on_every_backend(backend_name):
    for draw in (backend.normal, backend.uniform):
        a, b = (backend.to_host(draw(backend.generator(7), (3, 4))) for _ in range(2))
        assert a.dtype == np.float32 and a.shape == (3, 4)
        np.testing.assert_array_equal(a, b)
        assert backend.backend_of(draw(backend.generator(7), (1,))) == backend_name
        with minigen.use("numpy"):
            np.testing.assert_array_equal(a, draw(backend.generator(7), (3, 4)))
        assert not np.array_equal(a, backend.to_host(draw(backend.generator(8), (3, 4))))
        assert draw(backend.generator(7), (2,), np.float64).dtype == np.float64


def test_generators_are_explicit():
    """No draw touches NumPy's global state, and one generator goes on where it stopped."""
    np.random.seed(0)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    rng = backend.generator(1)
    first, second = backend.normal(rng, (4,)), backend.normal(rng, (4,))
    both = backend.normal(backend.generator(1), (8,))
    np.testing.assert_array_equal(backend.to_host(both), np.concatenate(list(map(backend.to_host, (first, second)))))
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # noqa: NPY002


def test_uniform_lies_in_the_unit_interval():
    u = backend.uniform(backend.generator(3), (1000,))
    assert u.min() >= 0 and u.max() < 1 and abs(float(u.mean()) - 0.5) < 0.05


def test_a_device_generator_needs_a_device():
    with minigen.use("numba"), pytest.raises(BackendError, match="device=True needs the cupy backend"):
        backend.generator(1, device=True)


def test_synchronize_does_nothing_on_the_host():
    with minigen.use("numpy"):
        assert backend.synchronize() is None


# -- a device ----------------------------------------------------------------------------------------------------------


@pytest.mark.gpu
def test_copies_between_host_and_device_are_explicit():
    import cupy

    a = np.arange(3.0)
    with minigen.use("cupy"):
        x = tensor(a, requires_grad=True)
        assert isinstance(x.data, cupy.ndarray) and x.backend == "cupy"
        assert isinstance(x.numpy(), np.ndarray)
        moved = x.to("numpy")
        assert isinstance(moved.data, np.ndarray) and moved.requires_grad
        back = moved.to("cupy")
        np.testing.assert_array_equal(back.numpy(), a)
        with pytest.raises(BackendError, match="lies on a CUDA device"):
            np.asarray(x)
        device = x.data
    with minigen.use("numpy"), pytest.raises(BackendError, match="got a cupy array while the backend is 'numpy'"):
        tensor(device)


@pytest.mark.gpu
@pytest.mark.parametrize("spec", [spec for spec in SPECS if len(spec.differentiable) > 1], ids=str)
def test_mixing_host_and_device_is_refused(spec):
    """Every operation on several arrays names both libraries, whichever comes first."""
    with minigen.use("cupy"):
        call = next(c for c in calls(spec) if len(c.xs) > 1 and all(x.ndim for x in c.xs))
        for on_host in range(2):
            xs = [Tensor(x) if i == on_host else tensor(x) for i, x in enumerate(call.xs)]
            with pytest.raises(BackendError, match="cupy.*numpy"):
                call(*xs)
            with pytest.raises(BackendError, match="gradient and the output lie on different devices"):
                ops.exp(tensor(call.xs[0], requires_grad=True)).backward(Tensor(np.ones_like(call.xs[0])))
