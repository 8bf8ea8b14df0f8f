"""The lessons there are, from the first lines of their files, and how far the reader is."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

from minigen.errors import ConfigError, DataError

__all__ = ["BUILD", "LESSONS", "Lesson", "find", "lessons", "progress", "remember"]

LESSONS = Path(__file__).resolve().parents[1]
BUILD = Path(os.environ.get("MINIGEN_LESSONS_BUILD") or LESSONS / "_build")
PROGRESS = BUILD / "progress.json"

HEAD = re.compile(
    r"\A# %% \[markdown\]\n# # (?P<number>\d\d) · (?P<title>.+)\n#\n# \*(?P<minutes>\d+) minutes"
    r"(?: · after (?P<needs>\d\d(?:, \d\d)*))?(?: · formulas (?P<formulas>\w+(?:, \w+)*))?\*\n"
)


@dataclass(frozen=True)
class Lesson:
    """One lesson, as the first cell of its file says it."""

    path: Path
    number: int
    title: str
    minutes: int
    needs: tuple[int, ...]
    formulas: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.path.stem


def read(path: Path) -> Lesson:
    found = HEAD.match(path.read_text("utf-8"))
    if found is None or found["number"] != path.name[:2]:
        raise DataError(
            f"{path.name}: expected it to begin with '# %% [markdown]', '# # {path.name[:2]} · Title', '#' and "
            "'# *25 minutes · after 01, 02 · formulas A2, C1*'; see CONTRIBUTING.md."
        )
    needs = tuple(map(int, found["needs"].split(", "))) if found["needs"] else ()
    formulas = tuple(found["formulas"].split(", ")) if found["formulas"] else ()
    return Lesson(path, int(found["number"]), found["title"], int(found["minutes"]), needs, formulas)


def lessons() -> list[Lesson]:
    """All lessons in their order."""
    return [read(path) for path in sorted(LESSONS.glob("[0-9][0-9]_*.py"))]


def find(number: int | str) -> Lesson:
    for lesson in lessons():
        if lesson.number == int(number):
            return lesson
    raise ConfigError(f"lessons: expected one of {', '.join(str(x.number) for x in lessons())}, got {number}.")


def progress() -> dict[str, dict]:
    """{lesson's name: {"read": true, "right": number of exercises solved, "of": their number}}"""
    try:
        return json.loads(PROGRESS.read_text("utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return {}


def remember(lesson: Lesson, **state: int) -> None:
    BUILD.mkdir(parents=True, exist_ok=True)
    states = progress()
    states[lesson.name] = states.get(lesson.name, {}) | state
    PROGRESS.write_text(json.dumps(states, indent=1), "utf-8")
