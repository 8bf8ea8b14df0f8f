"""A lesson's cells, through jupytext, and what is added behind them: the exercises."""

from __future__ import annotations

import ast
import textwrap
from typing import Any

from .catalog import LESSONS, Lesson

__all__ = ["cells", "tasks"]


def cells(lesson: Lesson) -> list[tuple[str, str]]:
    """("markdown" or "code", text) of each cell."""
    import jupytext

    return [(cell.cell_type, cell.source) for cell in jupytext.read(lesson.path, fmt="py:percent").cells]


def tasks(lesson: Lesson) -> list[tuple[str, str, str]]:
    """(signature, what to write, solution) of each exercise, from the two files' text; nothing is run."""
    found = []
    solved = {node.name: node for node in _functions(LESSONS / "solutions" / lesson.path.name)}
    for node in _functions(LESSONS / "exercises" / lesson.path.name):
        solution = solved[node.name]
        solution.decorator_list = []
        if ast.get_docstring(solution):
            solution.body = solution.body[1:]
        signature = f"{node.name}({ast.unparse(node.args)})"
        found.append((signature, textwrap.dedent(ast.get_docstring(node) or ""), ast.unparse(solution)))
    return found


def _functions(file: Any) -> list[ast.FunctionDef]:
    body = ast.parse(file.read_text("utf-8")).body if file.exists() else []
    return [node for node in body if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")]
