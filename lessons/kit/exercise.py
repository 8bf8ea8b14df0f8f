"""Exercises: functions to fill in, and the checks that their solutions carry.

In lessons/exercises/NN_name.py each function ends in ``your_turn()``. Its namesake in lessons/solutions/NN_name.py is
the solution, decorated with what is asked of both::

    @expects("square(3.0)", lambda f: f(3.0), 9.0)
    def square(x):
        return x * x
"""

from __future__ import annotations

import runpy
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["YourTurn", "check", "expects", "load", "your_turn"]

EXERCISES = Path(__file__).resolve().parents[1] / "exercises"
SOLUTIONS = Path(__file__).resolve().parents[1] / "solutions"


class YourTurn(NotImplementedError):
    """An exercise that is not filled in."""


def your_turn() -> None:
    """Stands for the lines that you write."""
    code = sys._getframe(1).f_code
    raise YourTurn(f"your turn: replace your_turn() in {code.co_name}, {code.co_filename}:{code.co_firstlineno}")


@dataclass
class Check:
    text: str
    call: Callable[[Callable], Any]
    expected: Any
    tolerance: float


def expects(text: str, call: Callable[[Callable], Any], expected: Any, tolerance: float = 1e-9) -> Callable:
    """Ask of a function f that call(f) be `expected`, numbers within `tolerance`; `text` is how a reader sees it."""

    def decorate(f: Callable) -> Callable:
        f.checks = [Check(text, call, expected, tolerance), *getattr(f, "checks", [])]
        return f

    return decorate


def load(file: Path) -> dict[str, Callable]:
    """The public functions that a file of exercises or solutions defines, in its order."""
    return {
        name: f
        for name, f in runpy.run_path(str(file)).items()
        if callable(f) and not name.startswith("_") and getattr(f, "__code__", None)
        and f.__code__.co_filename == str(file)
    }  # fmt: skip


def same(came: Any, expected: Any, tolerance: float) -> bool:
    """Are they equal: text and truth values exactly, numbers and arrays in shape and within the tolerance?"""
    if isinstance(expected, str | bool):
        kind = str if isinstance(expected, str) else bool | np.bool_
        return isinstance(came, kind) and bool(came == expected)
    if type(expected) is int and type(came) is int:
        return came == expected  # of any size
    if isinstance(expected, tuple | list):
        return isinstance(came, tuple | list) and len(came) == len(expected) and all(
            same(a, b, tolerance) for a, b in zip(came, expected))  # fmt: skip
    came, expected = np.asarray(came), np.asarray(expected)
    if came.shape != expected.shape or came.dtype.kind not in "biufc":
        return False
    return bool(np.allclose(came, expected, rtol=tolerance, atol=tolerance, equal_nan=True))


def check(file: str, folder: Path = EXERCISES) -> Iterator[tuple[str, bool, str]]:
    """(name, is it right, what is wrong) for each exercise of a lesson, from the checks of its solution."""
    functions = load(folder / file)
    for name, solution in load(SOLUTIONS / file).items():
        if name not in functions:
            yield name, False, f"expected a function {name}, found none; restore it from git."
            continue
        yield name, *_judged(functions[name], solution.checks)


def _judged(f: Callable, checks: list[Check]) -> tuple[bool, str]:
    for c in checks:
        try:
            came = c.call(f)
        except YourTurn as turn:
            return False, str(turn)
        except Exception as error:
            return False, f"{c.text}: expected {_short(c.expected)}, came {type(error).__name__}: {error}"
        if not same(came, c.expected, c.tolerance):
            return False, f"{c.text}: expected {_short(c.expected)}, came {_short(came)}"
    return True, ""


def _short(value: Any) -> str:
    if hasattr(value, "shape"):
        value = np.asarray(value)
        text = np.array2string(value, precision=6, separator=", ", threshold=20)
        return f"{text} of shape {value.shape}" if value.ndim else text
    return repr(value)
