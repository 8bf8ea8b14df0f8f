"""One call for everything that is to be seen: inline in a notebook and the book, a file's path anywhere else."""

from __future__ import annotations

import base64
import builtins
import html
import io
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

from minigen.viz import save_gif, save_png
from minigen.viz.stepper import Trace

from .catalog import BUILD

__all__ = ["show"]

GREY = "#808080"  # legible on white and on black
COLOURS = ["#3b82f6", "#e0662f", "#22a06b", "#a855f7", "#d4a017", "#e0457b"]

_shown: Counter[str] = Counter()


def in_notebook() -> bool:
    shell = getattr(builtins, "get_ipython", None)
    return shell is not None and hasattr(shell(), "kernel")


def set_style() -> None:
    """Plots that read on light and dark pages alike: transparent, with grey axes."""
    if not in_notebook():
        matplotlib.use("Agg")
    matplotlib.rcParams.update({
        "figure.figsize": (6.4, 3.2), "figure.facecolor": "none", "figure.constrained_layout.use": True,
        "axes.facecolor": "none", "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True,
        "axes.prop_cycle": matplotlib.cycler(color=COLOURS), "axes.titlelocation": "left", "axes.titlesize": 11,
        "grid.color": GREY, "grid.alpha": 0.25, "legend.frameon": False, "lines.linewidth": 1.8, "font.size": 10,
    } | dict.fromkeys(
        ["text.color", "axes.edgecolor", "axes.labelcolor", "axes.titlecolor", "xtick.color", "ytick.color"], GREY
    ))  # fmt: skip


set_style()


def show(what: Any, caption: str = "") -> None:
    """Show a matplotlib figure, a picture (h, w[, 3]) of uint8, a list of such frames, or a `minigen.trace`.

    In a notebook it appears under the cell, the caption below it. Elsewhere a picture is saved in
    lessons/_build/pictures/ and its path is printed; a trace is printed as text.
    """
    if isinstance(what, Trace):
        if in_notebook():
            from IPython.display import display

            display(what)
        else:
            print(what)
        return
    kind, data = _encoded(what, transparent=in_notebook())
    if in_notebook():
        _display(kind, data, caption, pixels=not hasattr(what, "savefig"))
        return
    lesson = Path(sys._getframe(1).f_globals.get("__file__", "picture")).stem
    _shown[lesson] += 1
    folder = BUILD / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{lesson}-{_shown[lesson]}.{kind}"
    path.write_bytes(data)
    print(f"[picture: {caption + ': ' if caption else ''}{path}]")


def _encoded(what: Any, transparent: bool) -> tuple[str, bytes]:
    """("png" or "gif", the file's bytes)"""
    file = io.BytesIO()
    if hasattr(what, "savefig"):
        what.savefig(file, format="png", dpi=160, facecolor="none" if transparent else "white")
        from matplotlib import pyplot

        pyplot.close(what)
        return "png", file.getvalue()
    if isinstance(what, np.ndarray):
        save_png(file, what)
        return "png", file.getvalue()
    save_gif(file, what)
    return "gif", file.getvalue()


def _display(kind: str, data: bytes, caption: str, pixels: bool) -> None:
    from IPython.display import HTML, display

    text = html.escape(caption)
    style = "max-width:100%;height:auto;" + ("image-rendering:pixelated" if pixels else "width:640px")
    source = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
    figure = f'<figure style="margin:0.5em 0"><img style="{style}" alt="{text}" src="{source}">'
    display(HTML(f'{figure}<figcaption style="opacity:0.75">{text}</figcaption></figure>'))
