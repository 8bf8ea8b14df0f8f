"""python -m lessons: list the lessons, step through one, check its exercises, write notebooks and the book."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from minigen.errors import MinigenError

from .kit import catalog, exercise

USAGE = """python -m lessons                        the lessons and how far you are
       python -m lessons 2 [--fast]             step through lesson 2
       python -m lessons check 2                check the exercises of lesson 2
       python -m lessons notebook 2 [--out DIR] write it as a notebook (without a number: all)
       python -m lessons book [--out DIR]       build the book, for a browser, without a network"""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m lessons", usage=USAGE)
    parser.add_argument("what", nargs="?", default="list", help="a lesson's number, or check, notebook, book")
    parser.add_argument("number", nargs="?", type=int, help="the lesson's number")
    parser.add_argument("--fast", action="store_true", help="fewer steps and less data: ten seconds a lesson")
    parser.add_argument("--out", type=Path, help="the folder to write to")
    given = parser.parse_args(arguments)
    if given.fast:
        os.environ["MINIGEN_LESSONS_FAST"] = "1"
    try:
        if given.what == "list":
            return show_list()
        if given.what.isdigit():
            from .kit.terminal import step

            return step(catalog.find(given.what))
        if given.what == "check" and given.number is not None:
            return check(catalog.find(given.number))
        if given.what == "notebook":
            from .kit.notebook import write

            chosen = catalog.lessons() if given.number is None else [catalog.find(given.number)]
            for lesson in chosen:
                print(write(lesson, given.out or Path.cwd()))
            return 0
        if given.what == "book":
            from .kit.book import build

            print(build(given.out or catalog.BUILD / "book"))
            return 0
    except MinigenError as error:
        print(error, file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        if (error.name or "").startswith(("minigen", "lessons")):
            raise
        print(f'lessons: needs {error.name}, which is not installed; pip install -e ".[lessons]".', file=sys.stderr)
        return 2
    parser.error(f"expected a lesson's number, 'check N', 'notebook' or 'book', got {given.what!r}")


def show_list() -> int:
    states = catalog.progress()
    for lesson in catalog.lessons():
        state = states.get(lesson.name, {})
        right, of = state.get("right", 0), state.get("of")
        said = ["read"] if state.get("read") else []
        said += [f"{right} of {of} exercises right"] if of else []
        print(f"{lesson.number:02d}  {lesson.title:<58} {lesson.minutes:>3} min  {', '.join(said)}".rstrip())
    print("\npython -m lessons N steps through one; python lessons/NN_name.py runs it.")
    return 0


def check(lesson: catalog.Lesson) -> int:
    results = list(exercise.check(lesson.path.name))
    for i, (name, right, wrong) in enumerate(results, 1):
        print(f"{i}. {name}: {'right' if right else wrong}")
    count = sum(right for _, right, _ in results)
    catalog.remember(lesson, right=count, of=len(results))
    print(f"{count} of {len(results)} right.")
    return 0 if count == len(results) else 1


if __name__ == "__main__":
    sys.exit(main())
