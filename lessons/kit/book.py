"""The book: every lesson run and made a page, with index, search and errata, for a browser without a network."""

from __future__ import annotations

import importlib.metadata
import re
import shutil
import tempfile
import tomllib
from pathlib import Path

from minigen.errors import MinigenError

from .catalog import LESSONS, Lesson, lessons
from .cells import tasks
from .notebook import notebook, write

__all__ = ["build"]

SETTINGS = {
    "project": "minigen",
    "html_title": "minigen: the lessons",
    "html_theme": "furo",
    "html_show_sphinx": False,
    "html_show_copyright": False,
    "html_copy_source": False,
    "html_static_path": ["static"],
    "html_css_files": ["book.css"],
    "pygments_style": "tango",
    "exclude_patterns": ["download"],
    "extensions": ["myst_nb", "sphinx.ext.mathjax"],
    "mathjax_path": "tex-svg-full.js",
    "mathjax3_config": {"options": {"enableMenu": False}},
    "myst_enable_extensions": ["dollarmath"],
    "myst_dmath_double_inline": True,
    "nb_execution_mode": "force",
    "nb_execution_raise_on_error": True,
    "nb_execution_timeout": 600,
    "nb_merge_streams": True,
    "suppress_warnings": ["mystnb.unknown_mime_type"],
}

STYLE = """
div.cell_output pre { background: none; border: 0; border-left: 3px solid var(--color-brand-primary); padding: 0 .9em; }
div.cell div.cell_input { border: 0; border-radius: .3em; }
div.math, mjx-container[display="true"] { overflow-x: auto; overflow-y: hidden; }
details { margin: .5em 0 1.2em; } summary { cursor: pointer; }
table.docutils td, table.docutils th { vertical-align: top; text-align: left; }
"""


def build(folder: Path) -> Path:
    """Run every lesson and write the book into a folder; returns its first page."""
    from sphinx.application import Sphinx
    from sphinx.util.docutils import docutils_namespace, patch_docutils

    with tempfile.TemporaryDirectory() as temporary:
        source = Path(temporary) / "source"
        write_source(source)
        folder.mkdir(parents=True, exist_ok=True)
        with patch_docutils(), docutils_namespace():
            app = Sphinx(
                source, None, folder.resolve(), Path(temporary) / "doctrees", "html", SETTINGS, warningiserror=True
            )
            app.build(force_all=True)
    if app.statuscode:
        raise MinigenError("book: Sphinx reported errors; they are above.")
    return folder.resolve() / "index.html"


def write_source(source: Path) -> None:
    """The pages for Sphinx: the lessons as notebooks, the errata, and a first page."""
    import jupytext

    (source / "static").mkdir(parents=True)
    (source / "static" / "book.css").write_text(STYLE, "utf-8")
    shutil.copy(_mathjax(), source / "static")
    for lesson in lessons():
        shutil.copy(lesson.path, source)
        write(lesson, source / "download")
        jupytext.write(page(lesson), source / f"{lesson.name}.ipynb")
    (source / "errata.md").write_text(errata(), "utf-8")
    names = "\n".join(lesson.name for lesson in lessons())
    (source / "index.md").write_text(FIRST.format(count=len(lessons()), names=names), "utf-8")


FIRST = """# minigen: the lessons

Generative models from scratch, in {count} lessons. Each builds one idea by hand, runs it, breaks it, and ends by
comparing it with minigen's own code. All numbers and pictures on these pages were computed when the book was built.
Begin with lesson 00, which has the map and the notation, or with whatever you are curious about: each page says what it
needs.

Left and right arrow keys step through a computation where a page shows one.

```{{toctree}}
:maxdepth: 1

{names}
errata
```

{{ref}}`genindex` lists every term where it is explained.
"""


def _mathjax() -> Path:
    for file in importlib.metadata.files("sphinx-mathjax-offline") or []:
        if file.name == "tex-svg-full.js":
            return Path(file.locate())
    raise MinigenError("book: sphinx-mathjax-offline has no tex-svg-full.js; install version 0.0.2.")


def page(lesson: Lesson):
    """The lesson's notebook as a page: with links to take it away, index entries, and solutions behind a click."""
    from nbformat.v4 import new_markdown_cell

    book = notebook(lesson)
    first = book.cells[0]
    links = f"{{download}}`script <{lesson.path.name}>` · {{download}}`notebook <download/{lesson.name}.ipynb>`"
    entries = "".join(f"```{{index}} formula; {formula}\n```\n" for formula in lesson.formulas)
    heading, _, rest = first.source.partition("\n")
    first.source = "\n".join([heading, "", entries, rest.lstrip("\n").replace("*\n", f" · {links}*\n", 1)])
    seen: set[str] = set()
    for cell in book.cells:
        if cell.cell_type == "markdown":
            cell.source = _indexed(cell.source, seen)
    solutions = "".join(
        f"<details><summary>Solution {i}</summary>\n\n```python\n{solution}\n```\n\n</details>\n\n"
        for i, (_, _, solution) in enumerate(tasks(lesson), 1)
    )
    if solutions:
        cell = new_markdown_cell(solutions)
        cell["id"] = f"{lesson.number:02d}-solutions"
        book.cells.append(cell)
    return book


def _indexed(markdown: str, seen: set[str]) -> str:
    """**term** with an entry in the index, the first time it comes."""

    def entry(match: re.Match) -> str:
        term = match[1]
        if term.lower() in seen or re.search(r"[`$\\]", term) or re.fullmatch(r"[A-E]\d+", term):
            return match[0]
        seen.add(term.lower())
        return f"**{{index}}`{term}`**"

    return re.sub(r"\*\*([^*\n]+)\*\*", entry, markdown)


def errata() -> str:
    """The table of errata: the lessons whose header names an id show it."""
    shown: dict[str, list[Lesson]] = {}
    for lesson in lessons():
        for formula in lesson.formulas:
            shown.setdefault(formula, []).append(lesson)
    table = tomllib.loads((LESSONS / "errata.toml").read_text("utf-8"))
    lines = [
        "# Errata", "",
        f"The articles that these lessons follow contain errors. Of these {len(table)}, {len(table.keys() & shown)} "
        "are shown by running them. A formula's id is the article's letter and a number.", "",
        "| id | article, section | what was written, and what is right | shown in |", "|---|---|---|---|",
    ]  # fmt: skip
    for key, row in table.items():
        where = ", ".join(f"[{lesson.number:02d}]({lesson.name}.ipynb)" for lesson in shown.get(key, [])) or "–"
        both = f"{row['wrote']}<br>**right:** {row['right']}"
        cells = [key, f"{key[0]}, {row['section']}", both, where]
        lines.append("| " + " | ".join(_in_table(cell) for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _in_table(cell: str) -> str:
    """A bar in a formula would end the cell."""
    return cell.replace(r"\|", r"\Vert ").replace("|", r"\mid ")
