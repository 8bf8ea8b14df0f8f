"""Stepping through a lesson in the terminal, one cell at a time."""

from __future__ import annotations

import builtins
import code
import contextlib
import io
import linecache
import re
import sys
import traceback
import types
from unittest import mock

import numpy as np
from rich.console import Console
from rich.markdown import Markdown
from rich.markup import escape
from rich.syntax import Syntax

from .catalog import Lesson, remember
from .cells import cells, tasks
from .formula import plain

__all__ = ["step"]

KEYS = "[Enter] next  [b]ack  [r]un all  [v]ariables  [p]ython  [q]uit"


def step(lesson: Lesson) -> int:
    """Show each cell and run it; returns 1 where a cell fails that nobody is there to look at."""
    return _Stepper(lesson).run()


def readable(markdown: str) -> str:
    """Markdown with its LaTeX as Unicode: $$ … $$ on lines of its own, $ … $ in the text."""
    parts = re.split(r"(```.*?```|`[^`\n]*`)", markdown, flags=re.S)
    return "".join(part if i % 2 else _formulas(part) for i, part in enumerate(parts))


def _formulas(text: str) -> str:
    text = re.sub(r"\$\$(.+?)\$\$", lambda m: "\n```text\n" + plain(m[1]) + "\n```\n", text, flags=re.S)
    return re.sub(r"\$([^$\n]+(?:\n[^$\n]+)?)\$", lambda m: re.sub(r"([*_\[\]|<>])", r"\\\1", plain(m[1])), text)


class _Copy(io.StringIO):
    """Writes to the terminal, and keeps what was written."""

    def write(self, text: str) -> int:
        sys.__stdout__.write(text)
        sys.__stdout__.flush()
        return super().write(text)


class _Stepper:
    def __init__(self, lesson: Lesson):
        self.lesson = lesson
        self.cells = cells(lesson)
        self.at = 0  # the cell to show next
        self.done = 0  # the cells before this one have been run
        self.outputs: dict[int, str] = {}
        self.everything = False  # run all
        self.failed = False
        self.console = Console(highlight=False, soft_wrap=False)
        self.module = types.ModuleType(lesson.name)
        self.module.__file__ = str(lesson.path)
        sys.modules[lesson.name] = self.module

    def run(self) -> int:
        while self.at < len(self.cells):
            self.show(self.at)
            self.at += 1
            if self.failed and (self.everything or not sys.stdin.isatty()):
                return 1
            if not self.everything and not self.asked():
                return 0
        self.finish()
        return 0

    def show(self, i: int) -> None:
        kind, text = self.cells[i]
        self.console.rule(f"[dim]{self.lesson.number:02d} · {i + 1} of {len(self.cells)}[/dim]", style="dim")
        if kind == "markdown":
            self.console.print(Markdown(readable(text), code_theme="ansi_dark"))
        else:
            self.console.print(Syntax(text, "python", theme="ansi_dark", background_color="default", word_wrap=True))
            if i < self.done:
                print(self.outputs.get(i, ""), end="")
            else:
                self.execute(i, text)
        self.done = max(self.done, i + 1)

    def execute(self, i: int, text: str) -> None:
        name = f"<lesson {self.lesson.number:02d}, cell {i + 1}>"
        linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
        out = _Copy()
        self.failed = False
        try:
            with contextlib.redirect_stdout(out):
                exec(compile(text, name, "exec"), self.module.__dict__)
        except Exception:
            self.failed = True
            kind, error, trace = sys.exc_info()
            traceback.print_exception(kind, error, trace.tb_next, file=sys.stdout)
        self.outputs[i] = out.getvalue()

    def asked(self) -> bool:
        """Ask what to do until it is to show another cell; False to quit."""
        while True:
            self.console.print(f"[dim]{escape(KEYS)}[/dim] ", end="")
            try:
                key = input().strip().lower()
            except (EOFError, KeyboardInterrupt):
                print()
                return False
            if not sys.stdin.isatty():
                print()
            if key in ("", "n"):
                return True
            if key == "b":
                self.at = max(0, self.at - 2)
                return True
            if key == "r":
                self.everything = True
                return True
            if key == "v":
                self.variables()
            elif key == "p":
                self.prompt()
            elif key == "q":
                return False

    def variables(self) -> None:
        for name, value in self.module.__dict__.items():
            if name.startswith("_") or isinstance(value, types.ModuleType | types.FunctionType | type):
                continue
            if isinstance(value, np.ndarray) and value.size > 6:
                text = f"array of shape {value.shape}, {value.dtype}"
            else:
                text = " ".join(repr(value).split())
            self.console.print(f"[bold]{name}[/bold] = {escape(text[:100])}{'…' if len(text) > 100 else ''}")

    def prompt(self) -> None:
        def leave(*_: object) -> None:
            raise SystemExit

        with contextlib.suppress(SystemExit), mock.patch.multiple(builtins, exit=leave, quit=leave):
            banner = "Your variables are here. Ctrl-D or exit() goes back to the lesson."
            code.interact(banner, local=self.module.__dict__, exitmsg="")

    def finish(self) -> None:
        remember(self.lesson, read=1)
        todo = tasks(self.lesson)
        if todo:
            lines = ["## Your turn", "", f"Fill in `lessons/exercises/{self.lesson.path.name}`:", ""]
            lines += [f"{i}. `{signature}`  {task.splitlines()[0]}" for i, (signature, task, _) in enumerate(todo, 1)]
            lines += ["", f"`python -m lessons check {self.lesson.number}` tells what is right."]
            self.console.rule(style="dim")
            self.console.print(Markdown(readable("\n".join(lines))))
