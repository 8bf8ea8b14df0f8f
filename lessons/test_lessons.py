"""Every lesson runs by itself from any directory; solutions pass and stubs do not; the command does what it says."""

import os
import re
import resource
import subprocess
import sys
import time

import numpy as np
import pytest

pytest.importorskip("jupytext")
pytest.importorskip("rich")

from lessons.kit import catalog, exercise
from lessons.kit.cells import cells, tasks
from lessons.kit.formula import plain
from lessons.kit.notebook import notebook
from minigen import tensor

LESSONS = catalog.lessons()
SECONDS = 20  # of one core in fast mode: the ten that a lesson may take, doubled for a core that is shared

each_lesson = pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.name)


def run(*command, cwd, keys=None):
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1", "MPLBACKEND": "Agg"}
    environment |= {"PYTHONIOENCODING": "utf-8", "COLUMNS": "100"}
    environment["MINIGEN_LESSONS_BUILD"] = f"{cwd}-build"  # the reader's progress stays as it is
    return subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=cwd, env=environment, input=keys, capture_output=True, text=True, encoding="utf-8", timeout=300,
    )  # fmt: skip


@each_lesson
def test_a_lesson_runs_from_another_directory(lesson, tmp_path):
    """As a script, in fast mode, in a process and a directory of its own; a second run where kernels were compiled."""
    for _ in range(2):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = run(lesson.path, "--fast", cwd=tmp_path)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert done.returncode == 0, done.stdout + done.stderr
        seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        if seconds <= SECONDS:
            break
    assert seconds <= SECONDS, f"{seconds:.1f} s"
    assert not list(tmp_path.iterdir()), "a lesson writes nothing where it is started"
    for path in re.findall(r"^\[picture: .*?(/\S+)\]$", done.stdout, re.M):
        assert os.path.getsize(path) > 500 and os.path.getmtime(path) > time.time() - 600


@each_lesson
def test_solutions_pass(lesson):
    results = list(exercise.check(lesson.path.name, exercise.SOLUTIONS))
    assert 2 <= len(results) <= 4
    assert [wrong for _, right, wrong in results if not right] == []


@each_lesson
def test_stubs_do_not_pass(lesson):
    file = exercise.EXERCISES / lesson.path.name
    status = subprocess.run(
        ["git", "status", "--porcelain", "--", file], cwd=file.parent, capture_output=True, text=True
    )
    if status.stdout.lstrip().startswith("M"):
        pytest.skip("you have worked on these exercises")
    results = list(exercise.check(file.name))
    assert [name for name, _, _ in results] == list(exercise.load(file))
    for name, right, wrong in results:
        assert not right and wrong.startswith(f"your turn: replace your_turn() in {name}"), wrong


@each_lesson
def test_the_form_of_a_lesson(lesson):
    """Cells, tasks with a sentence each, needs that come before, no later lesson; ids that are formulas'."""
    kinds = [kind for kind, _ in cells(lesson)]
    assert kinds[0] == "markdown" and kinds[-1] == "code"
    assert any("show(" in text for kind, text in cells(lesson) if kind == "code"), "a lesson has a picture"
    assert "assert" in cells(lesson)[-1][1], "a lesson ends by comparing with minigen"
    assert all(task.splitlines()[0].rstrip().endswith((".", ":", "?")) for _, task, _ in tasks(lesson))
    assert all(need < lesson.number for need in lesson.needs)
    assert all(re.fullmatch(r"[A-E]\d{1,2}", formula) for formula in lesson.formulas)
    book = notebook(lesson)
    assert [cell.cell_type for cell in book.cells] == [*kinds, "markdown"]
    assert f"python -m lessons check {lesson.number}" in book.cells[-1].source


def test_numbers_are_in_order_and_once():
    numbers = [lesson.number for lesson in LESSONS]
    assert numbers == sorted(set(numbers))


@pytest.mark.parametrize(
    "came, expected, right",
    [
        (2.0 + 1e-12, 2.0, True), (2.0 + 1e-6, 2.0, False), (2, 2.0, True), ("a", "a", True), (None, 1.0, False),
        (np.ones(3), np.ones((1, 3)), False), (np.ones(3), 1.0, False), ([1.0, 2.0], [1.0, 2.0], True),
        ([1.0], [1.0, 2.0], False), (2**100 + 1, 2**100, False), (True, True, True), (np.True_, True, True),
        (1.0, True, False), (np.nan, 1.0, False), (object(), 1.0, False),
        (tensor([1.0, 2.0]), np.array([1.0, 2.0]), True),
    ],
)  # fmt: skip
def test_what_counts_as_right(came, expected, right):
    assert exercise.same(came, expected, 1e-9) is right


# -- the command ------------------------------------------------------------------------------------------------------


def test_the_list(tmp_path):
    done = run("-m", "lessons", cwd=tmp_path)
    assert done.returncode == 0
    for lesson in LESSONS:
        assert re.search(rf"^{lesson.number:02d}  {re.escape(lesson.title)} +{lesson.minutes} min", done.stdout, re.M)


def test_stepping_with_piped_keys(tmp_path):
    """Next, next, variables, a prompt with the variables, back, and all the rest; then what is to be done."""
    keys = "\n\n\n\n\nv\np\nprint('here', L.value * 2)\nexit()\nb\nr\n"
    done = run("-m", "lessons", "2", "--fast", cwd=tmp_path, keys=keys)
    assert done.returncode == 0, done.stdout + done.stderr
    out = done.stdout
    assert "here 20.0" in out and re.search(r"^w = <.*Number object", out, re.M)
    assert out.count("L = 10.0") == 2, "going back shows the output again"
    assert "∂y/∂x = w" in out and "$" not in out
    assert "[picture: " in out and "Your turn" in out and "backward, from ∂L/∂L = 1" in out


def test_quitting_and_the_end_of_input(tmp_path):
    for keys in ("q\n", "\n"):
        done = run("-m", "lessons", "2", "--fast", cwd=tmp_path, keys=keys)
        assert done.returncode == 0 and "Your turn" not in done.stdout


def test_a_cell_that_fails_stops_the_run(tmp_path, monkeypatch, capsys):
    from lessons.kit import terminal

    file = tmp_path / "99_wrong.py"
    file.write_text(
        "# %% [markdown]\n# # 99 · Wrong\n#\n# *1 minutes*\n\n# %%\nx = 1\nprint(x / 0)\n\n# %%\nprint('on')\n"
    )
    monkeypatch.setattr("builtins.input", lambda: "r")
    assert terminal.step(catalog.read(file)) == 1
    said = capsys.readouterr().out
    assert "ZeroDivisionError" in said and "print(x / 0)" in said and "\non\n" not in said


def test_checking(tmp_path):
    done = run("-m", "lessons", "check", "2", cwd=tmp_path)
    assert done.returncode == 1 and "1. tanh: your turn" in done.stdout


def test_what_is_wrong_is_said(tmp_path):
    (tmp_path / "02_autograd.py").write_text(
        "import math\ndef tanh(x, make):\n    return make(math.tanh(x.value), [(x, 1.0)])\n"
        "def paths(parents, start, end):\n    return parents[7]\n"
    )
    (_, first, wrong), (_, second, error), (_, third, missing) = exercise.check("02_autograd.py", tmp_path)
    assert not (first or second or third)
    assert wrong.startswith("the value and the slope at 0.5: expected (0.46211") and wrong.endswith("1.0)")
    assert "expected 2, came IndexError" in error and "found none" in missing


def test_wrong_words_are_refused(tmp_path):
    for words, said in [
        (["77"], "expected one of"),
        (["chekc", "2"], "expected a lesson's number"),
        (["check"], "'check N'"),
    ]:
        done = run("-m", "lessons", *words, cwd=tmp_path)
        assert done.returncode == 2 and said in done.stderr
    done = run(LESSONS[0].path, "--fsat", cwd=tmp_path)
    assert done.returncode == 1 and "expected nothing or --fast, got --fsat" in done.stderr


def test_a_notebook_is_written(tmp_path):
    import nbformat

    done = run("-m", "lessons", "notebook", "2", "--out", "here", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    book = nbformat.read(tmp_path / "here" / "02_autograd.ipynb", as_version=4)
    nbformat.validate(book)
    assert book.cells[0].source.startswith("# 02 · ") and not any(cell.get("outputs") for cell in book.cells)


@pytest.mark.parametrize(
    "latex, unicode",
    [
        (r"\frac{\partial L}{\partial x} = g \odot w", "∂L/∂x = g ⊙ w"),
        (r"\frac{f(x+h)-f(x-h)}{2h}", "(f(x+h)−f(x−h))/2h"),
        (r"\sum_{i=1}^n x_i^2", "Σᵢ₌₁ⁿ xᵢ²"),
        (r"p_\theta(x \mid z)", "p_θ(x | z)"),
        (r"\hat y = e^{-x^2/2}, \tfrac12 \sqrt{2\pi}", "ŷ = e^(−x²/2), ½ √(2π)"),
        (r"\begin{aligned} a &= b \\ c &= \mathbb{E}_x[\log D] \end{aligned}", "a = b\nc = 𝔼ₓ[log D]"),
    ],
)
def test_formulas_in_the_terminal(latex, unicode):
    import unicodedata

    assert unicodedata.normalize("NFC", plain(latex)) == unicodedata.normalize("NFC", unicode)
