"""A lesson as a notebook, with its exercises at the end."""

from __future__ import annotations

from pathlib import Path

from .catalog import Lesson
from .cells import tasks

__all__ = ["notebook", "write"]


def notebook(lesson: Lesson):
    """The lesson's cells, and one more that says what the exercises are."""
    import jupytext
    from nbformat.v4 import new_markdown_cell

    book = jupytext.read(lesson.path, fmt="py:percent")
    book.metadata = {
        "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
        "language_info": {"name": "python"},
    }
    todo = tasks(lesson)
    if todo:
        lines = ["## Your turn", "", f"Fill in `lessons/exercises/{lesson.path.name}`, then:", "", "```"]
        lines += [f"python -m lessons check {lesson.number}", "```", ""]
        for i, (signature, task, _) in enumerate(todo, 1):
            lines += [f"{i}. `{signature}`", "", *("   " + line for line in task.splitlines()), ""]
        book.cells.append(new_markdown_cell("\n".join(lines)))
    for i, cell in enumerate(book.cells):
        cell["id"] = f"{lesson.number:02d}-{i}"
    return book


def write(lesson: Lesson, folder: Path) -> Path:
    """Write lesson 2 as folder/02_name.ipynb, without outputs; returns the path."""
    import jupytext

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{lesson.name}.ipynb"
    jupytext.write(notebook(lesson), path)
    return path
