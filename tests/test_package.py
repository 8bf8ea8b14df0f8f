"""What an installed minigen consists of: built here as a wheel, without a network, and used away from the clone."""

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import minigen

ROOT = Path(__file__).resolve().parents[1]


def data_files():
    return [file for file in (ROOT / "data").rglob("*") if file.is_file() and "__pycache__" not in file.parts]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A wheel built from a copy of the clone, so that the clone stays as it is."""
    copy = tmp_path_factory.mktemp("clone")
    for folder in ("minigen", "data"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, copy)
    done = subprocess.run(
        [sys.executable, "setup.py", "-q", "bdist_wheel"], cwd=copy, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = (copy / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The wheel unpacked, as pip does it for a package of pure Python."""
    site = tmp_path_factory.mktemp("site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    return site


def test_the_wheel_holds_every_module_and_every_data_file(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    modules = {str(file.relative_to(ROOT)) for file in (ROOT / "minigen").rglob("*.py")}
    data = {f"minigen_data/{file.relative_to(ROOT / 'data')}" for file in data_files()}
    assert modules | data | {"minigen/py.typed", "minigen/viz/stepper.js"} <= names
    assert {name.split("/")[0].split("-")[0] for name in names} == {"minigen", "minigen_data"}


def test_the_metadata(installed):
    (info,) = installed.glob("minigen-*.dist-info")
    metadata = (info / "METADATA").read_text("utf-8")
    assert f"\nVersion: {minigen.__version__}\n" in metadata
    assert "\nRequires-Python: >=3.11\n" in metadata
    needed = re.findall(r"^Requires-Dist: ([\w-]+)(?!.*extra ==).*$", metadata, re.MULTILINE)
    assert sorted(needed) == ["matplotlib", "mido", "numba", "numpy", "pooch", "safetensors", "scipy", "tqdm"]
    extras = re.findall(r"^Provides-Extra: (.+)$", metadata, re.MULTILINE)
    assert {"cuda12", "cuda13", "test", "oracle", "bench", "lessons", "metrics", "mpi", "tensorboard"} == set(extras)
    assert "minigen = minigen.__main__:main" in (info / "entry_points.txt").read_text("utf-8")


def test_an_installed_minigen_has_its_digits(installed, tmp_path):
    """The installed package is found first, and finds its own copy of the data."""
    code = (
        "import minigen, minigen.datasets as d; from minigen.datasets.bundled import data_folder; "
        "print(minigen.__file__); print(data_folder()); print(len(d.load()), len(d.load('digits', 'test')))"
    )
    environment = os.environ | {"PYTHONPATH": str(installed)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    module, data, counts = done.stdout.splitlines()
    assert Path(module) == installed / "minigen/__init__.py"
    assert Path(data) == installed / "minigen_data"
    assert counts == "10000 2000"


def test_the_notice_names_every_data_file_with_its_sha256():
    listed = dict(
        re.findall(r"^\| `([^`]+)` \|.*\| `([0-9a-f]{64})` \|$", (ROOT / "data" / "README.md").read_text("utf-8"), re.M)
    )
    files = [file for file in data_files() if file.suffix not in (".md", ".py")]
    assert listed == {
        str(file.relative_to(ROOT / "data")): hashlib.sha256(file.read_bytes()).hexdigest() for file in files
    }


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another malloc")
def test_memory_that_was_freed_is_not_cleared_again():
    """The second time, the same arrays bring no page faults: 90 MB in pages of 4 KB would be 23,000."""
    code = (
        "import minigen, numpy as np, resource\n"
        "for _ in range(2):\n"
        "    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "    arrays = [np.ones(750_000, np.float32) for _ in range(30)]\n"
        "    del arrays\n"
        "    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    first, second = map(int, done.stdout.split())
    assert first > 1000 and second < 500
