"""Each module keeps to its floor: import-linter's contracts (pyproject.toml) hold, and catch what breaks them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LINT = "from importlinter.cli import lint_imports_command as lint; lint(['--no-cache', '--no-logo'])"


def lint_imports(folder):
    """Check the contracts of the package minigen in a folder; returns import-linter's exit code and report."""
    environment = os.environ | {"PYTHONPATH": str(folder), "COLUMNS": "160", "NO_COLOR": "1"}
    done = subprocess.run(
        [sys.executable, "-c", LINT], cwd=folder, env=environment, capture_output=True, text=True, timeout=120
    )
    return done.returncode, done.stdout + done.stderr


def test_no_import_goes_up():
    code, report = lint_imports(ROOT)
    assert code == 0, report


MODULES = (
    "__init__ __main__ train sample evaluate saved sampling/__init__ evaluation/__init__ optim gradcheck tensor "
    "backend distributed errors training/__init__ training/loop models/__init__ models/gan viz/__init__ nn/__init__ "
    "losses/__init__ losses/gan ops/__init__ ops/shape kernels/__init__ kernels/cuda datasets/__init__"
).split()

VIOLATIONS = {
    "up one floor": ("ops/shape", "import minigen.nn", "floors"),
    "up several floors": ("backend", "from minigen.training import loop", "floors"),
    "inside a function": ("optim", "def step():\n    from minigen.models import gan", "floors"),
    "through a module below": ("kernels/cuda", "import minigen.ops.shape", "floors"),
    "between the command lines": ("train", "import minigen.sample", "floors"),
    "errors import nothing": ("errors", "import minigen.backend", "floors"),
    "tensor knows no operation": ("tensor", "import minigen.ops", "floors"),
    "a module on no floor": ("helpers", "", "floors"),
    "a kernel on the tape": ("kernels/cuda", "import minigen.tensor", "kernels turn"),
    "cupy elsewhere": ("kernels/cuda", "import cupy", "cupy"),
    "cupyx elsewhere": ("ops/shape", "def f():\n    from cupyx import scatter_add", "cupy"),
    "mpi4py elsewhere": ("training/loop", "from mpi4py import MPI", "mpi4py"),
    "tensors in datasets": ("datasets/__init__", "import minigen.tensor", "floors"),
}


@pytest.fixture
def house(tmp_path):
    """A package of empty modules on minigen's floors, under minigen's contracts."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for module in MODULES:
        file = tmp_path / "minigen" / f"{module}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("")
    (tmp_path / "minigen/backend.py").write_text("import cupy\nimport cupyx\n")
    (tmp_path / "minigen/distributed.py").write_text("import mpi4py\n")
    (tmp_path / "minigen/train.py").write_text("import minigen.models.gan, minigen.training, minigen.errors\n")
    return tmp_path


def test_a_sound_house_passes(house):
    code, report = lint_imports(house)
    assert code == 0, report


@pytest.mark.parametrize("module, source, contract", VIOLATIONS.values(), ids=VIOLATIONS.keys())
def test_a_violation_is_found(house, module, source, contract):
    (house / "minigen" / f"{module}.py").write_text(source)
    code, report = lint_imports(house)
    assert code == 1, report
    broken = [line.lower() for line in report.splitlines() if " BROKEN" in line]
    assert len(broken) == 1 and contract in broken[0], report


def test_a_circle_on_one_floor_is_found(house):
    (house / "minigen/training/loop.py").write_text("import minigen.models.gan")
    (house / "minigen/models/gan.py").write_text("import minigen.training.loop")
    code, report = lint_imports(house)
    assert code == 1 and "circle BROKEN" in report, report
