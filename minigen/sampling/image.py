"""Images: a grid of samples, of chosen classes, of points on a line or a lattice in latent space; reconstructions."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from .. import backend
from ..datasets import ImageSet, load
from ..errors import ConfigError, NonFiniteError
from ..training import runs
from ..training.command import whole
from ..training.files import atomic
from ..training.pictures import draw_samples
from ..viz import image_grid, save_png
from .run import Run

__all__ = ["EXAMPLES", "TITLE", "add_options", "draw"]

TITLE = "images"
EXAMPLES = """\
  python -m minigen.sample runs/gan-1 -n 100 --seed 7 --out hundred.png
  python -m minigen.sample runs/cvae-1 --labels 0-9
  python -m minigen.sample runs/vae-1 --interpolate"""

STEPS = 8  # images on a line, and reconstructions in a row
SIDE = 20  # points on a side of the lattice


def add_options(group: argparse._ArgumentGroup) -> None:
    only = group.add_mutually_exclusive_group()
    only.add_argument("--label", type=whole(0), metavar="N", help="samples of this class alone")
    only.add_argument("--labels", type=_labels, metavar="N-N|N,N", help="samples of these classes, a column each")
    only.add_argument("--interpolate", action="store_true", help="rows of images between two points in latent space")
    only.add_argument("--grid", choices=("latent",), help="the images of a lattice in a latent space of 2 dimensions")
    only.add_argument("--reconstruct", action="store_true", help="held-out images and what the model makes of them")


def draw(run: Run, asked: argparse.Namespace) -> Path:
    """The picture that was asked for, as a PNG file."""
    n = getattr(asked, "n", None)
    if "grid" in asked:
        images, columns, what = _lattice(run), SIDE, "latent"
    elif "interpolate" in asked:
        images, columns, what = _lines(run, n or STEPS), STEPS, "interpolate"
    elif "reconstruct" in asked:
        images, columns, what = _reconstructions(run, n or 4 * STEPS), STEPS, "reconstruct"
    elif labels := [asked.label] if "label" in asked else getattr(asked, "labels", None):
        n = n or (8 * len(labels) if len(labels) > 1 else 64)
        images = draw_samples(run.model, n, run.rng, labels=_checked(run, labels)[np.arange(n) % len(labels)])
        columns, what = len(labels) if len(labels) > 1 else None, "labels-" + ",".join(map(str, labels))
    else:
        n = n or 64
        images, columns, what = draw_samples(run.model, n, run.rng), None, f"n{n}"
    out = Path(getattr(asked, "out", run.folder / f"samples-{what}-seed{asked.seed}.png")).expanduser()
    if out.suffix.lower() != ".png":
        raise ConfigError(f"--out {out}: expected the name of a PNG file, ending in .png.")
    if not np.isfinite(images).all():
        raise NonFiniteError(f"the images of {run.name!r} hold NaN or infinity; train it again with a smaller --lr.")
    with atomic(out) as file:
        save_png(file, image_grid(images, columns))
    return out


def _checked(run: Run, labels: list[int]) -> np.ndarray:
    """The labels as an array, if the model was told labels and knows these."""
    classes = getattr(run.model, "conditions", 0)
    if not classes:
        raise ConfigError(f"--label: {run.name!r} was not told labels; leave the option out, or train cvae or cgan.")
    if max(labels) >= classes:
        raise ConfigError(f"--label: expected labels from 0 to {classes - 1}, got {max(labels)}.")
    return np.array(labels)


def _lattice(run: Run) -> np.ndarray:
    """Images at z = (Φ⁻¹(u), Φ⁻¹(v)) for u, v on a lattice in (0, 1)²: as densely as N(0, I) draws them."""
    if (latent := run.model.config.latent) != 2:
        raise ConfigError(
            f"--grid latent: expected a latent space of 2 dimensions, {run.name!r} has {latent}; "
            "train one with latent = 2 in a --config file."
        )
    if getattr(run.model, "conditions", 0):
        raise ConfigError(f"--grid latent: {run.name!r} has a latent space for each label; ask with --labels.")
    from scipy.special import ndtri

    quantiles = ndtri((np.arange(SIDE) + 0.5) / SIDE)
    z = np.stack(np.meshgrid(quantiles, -quantiles), -1).reshape(-1, 2)
    return _at(run, z)


def _lines(run: Run, rows: int) -> np.ndarray:
    """In each row, the images on the way between two points of latent space.

    The points are the codes of two held-out images where the model has an encoder, on a straight line. Otherwise they
    are drawn from N(0, I), on the arc sin((1 − t) ω) / sin ω · a + sin(t ω) / sin ω · b with ω the angle between a
    and b: in many dimensions all of N(0, I) lies near one sphere, and a straight line leaves it. A row has one label.
    """
    if hasattr(run.model, "interpolate"):
        x, labels = _held_out(run, 2 * rows)
        lines = [
            run.model.interpolate(x[i], x[i + rows], STEPS, *(l[[i, i + rows]] for l in labels)) for i in range(rows)
        ]
        return np.concatenate([backend.to_host(line) for line in lines])
    a, b = run.rng.standard_normal((2, rows, 1, run.model.config.latent))
    t = np.linspace(0, 1, STEPS)[:, None]
    length = np.linalg.norm([a, b], axis=-1, keepdims=True)
    ω = np.arccos((a * b).sum(-1, keepdims=True) / (length[0] * length[1]))
    z = (np.sin((1 - t) * ω) * a + np.sin(t * ω) * b) / np.sin(ω)
    labels = (
        {"labels": np.arange(rows).repeat(STEPS) % run.model.conditions} if hasattr(run.model, "conditions") else {}
    )
    return _at(run, z.reshape(rows * STEPS, -1), **labels)


def _reconstructions(run: Run, n: int) -> np.ndarray:
    """Rows of held-out images, each above a row of their reconstructions."""
    reconstruct = run.offers("reconstruct", "reconstruct")
    x, labels = _held_out(run, n)
    made = backend.to_host(reconstruct(x, *labels))
    x = backend.to_host(x)
    rows = [part[i : i + STEPS] for i in range(0, n, STEPS) for part in (x, made)]
    if n > STEPS and n % STEPS:  # the last images and their reconstructions each fill a row
        blank = np.ones((STEPS - n % STEPS, *x.shape[1:]), x.dtype)
        rows[-2] = np.concatenate([rows[-2], blank])
    return np.concatenate(rows)


def _at(run: Run, z: np.ndarray, **labels: np.ndarray) -> np.ndarray:
    """The images at points of latent space."""
    return draw_samples(run.model, len(z), run.rng, noise=backend.asarray(z.astype(np.float32)), **labels)


def _held_out(run: Run, n: int) -> tuple[Any, list[Any]]:
    """n held-out images of the run's data as the model reads them, drawn at random, and their labels where it does."""
    data: ImageSet = load(runs.read(run.folder)["config"]["data"], "test")
    if len(data) < n:
        raise ConfigError(f"-n: the data hold out {len(data)} images, {n} are needed; ask for fewer.")
    chosen = run.rng.permutation(len(data))[:n]
    x, *labels = map(backend.asarray, run.model.prepare(data.subset(chosen)))
    return x, labels


def _labels(text: str) -> list[int]:
    """Classes from "0-9" or "1,3,5"."""
    try:
        found = []
        for part in text.split(","):
            first, _, last = part.partition("-")
            found += range(int(first), int(last or first) + 1)
    except ValueError:
        found = []
    if not found:
        raise argparse.ArgumentTypeError(f"expected classes such as 0-9 or 1,3,5, came {text!r}")
    return found
