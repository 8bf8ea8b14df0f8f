"""Images: samples against real digits, and likelihoods.

Samples are compared with real digits in the features of a small digit classifier (`minigen.models.classifier`). The
Fréchet distance there is *not* an Inception FID: it has a scale of its own, so three more lines stand beside it: real
digits against real digits, the least that any model can reach, and two models without a network, a mixture of Gaussians
and a single Gaussian of principal components, which a GAN should beat.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from .. import backend, metrics
from ..datasets import ImageSet, load
from ..errors import ConfigError
from ..models.classifier import DigitClassifier, load_classifier
from ..models.mixture import GaussianMixture, PCAGaussian
from ..tensor import no_grad
from ..training.command import whole
from ..training.pictures import draw_samples

__all__ = ["EXAMPLES", "TITLE", "add_options", "evaluate", "table"]

TITLE = "images"
EXAMPLES = """\
  python -m minigen.evaluate runs/gan-1
  python -m minigen.evaluate runs/dcgan-1 -n 5000 --data mnist --baselines"""
COLUMNS = ("frechet", "precision", "recall", "density", "coverage", "classes", "entropy")


def add_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument("-n", type=whole(100), metavar="N", help="samples and real images (default: 2000)")
    group.add_argument("--baselines", action="store_true", help="fit the two models without a network, too (a minute)")


def evaluate(model: Any, data: str, seed: int, *, n: int = 2000, baselines: bool = False) -> dict[str, Any]:
    """All measures of an image model: {"samples": {row: {column: value}}, "likelihood": {...}, "asked_for": share}.

    data   real images: n of its training set, drawn at random, are compared with n samples; likelihoods are those of
           its test set. Raises ConfigError where the data have fewer than n images.
    """
    real = load(data, "train")
    if len(real) < n:
        raise ConfigError(f"-n {n}: {data!r} has {len(real)} training images; ask for no more.")
    order, drawing, fitting, floor = np.random.default_rng(seed).spawn(4)
    judge = load_classifier()
    chosen = order.permutation(len(real))
    references = judge.features(real.images[chosen[:n]])
    report: dict[str, Any] = {"samples": {}}
    report["floor"] = metrics.real_floor(judge.features(real.images[chosen[: 2 * n]]), floor, size=n // 2)._asdict()
    if len(real) >= 2 * n:
        report["samples"]["real"] = compare(judge, references, real.images[chosen[n : 2 * n]])
    report["samples"]["model"] = compare(judge, references, draw_samples(model, n, drawing))
    if baselines:
        for row, images in without_networks(real, n, fitting).items():
            report["samples"][row] = compare(judge, references, images)
    if getattr(model, "conditions", 0):
        labels = np.arange(n) % model.conditions
        asked = judge.probabilities(draw_samples(model, n, drawing, labels=labels))
        report["asked_for"] = metrics.fraction_asked_for(asked, labels)
    if hasattr(model, "importance_bound"):
        report["likelihood"] = likelihood(model, load(data, "test"), drawing)
    return report


def compare(judge: DigitClassifier, references: np.ndarray, images: np.ndarray) -> dict[str, float]:
    """The measures of some images against the features of real ones."""
    features, probabilities = judge.features_and_probabilities(images)
    return {
        "frechet": metrics.frechet_distance(references, features),
        **metrics.manifold_scores(references, features)._asdict(),
        "classes": metrics.class_coverage(probabilities),
        "entropy": metrics.class_entropy(probabilities),
    }


def without_networks(real: ImageSet, n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """n images of each of two models that need no network: what a generative network has to beat."""
    x = real.images.reshape(len(real), -1) / 255
    flat = PCAGaussian(100).fit(x)
    mixture = GaussianMixture(10).fit(flat.encode(x), rng, iterations=15)
    samples = {"mixture of 10 Gaussians": flat.decode(mixture.sample(n, rng)[0]), "one Gaussian": flat.sample(n, rng)}
    return {row: np.clip(s, 0, 1).reshape(n, 1, *real.images.shape[-2:]) for row, s in samples.items()}


def likelihood(model: Any, test: ImageSet, rng: np.random.Generator, k: int = 100) -> dict[str, Any]:
    """−ELBO and the importance-weighted bound of k draws on −log p, nats per test image, with standard errors."""
    arrays = model.prepare(test)
    negative_elbo, bound = [], []
    for i in range(0, len(arrays[0]), 500):
        x, *labels = (backend.asarray(a[i : i + 500]) for a in arrays)
        with no_grad():
            nll, kl = model(x, model.noise(len(x), rng), *labels)
        negative_elbo.append((nll + kl).numpy())
        bound.append(-backend.to_host(model.importance_bound(x, rng, k, *labels)))
    rows = {"negative_elbo": negative_elbo, f"iwae_{k}": bound}
    return {row: metrics.estimate(np.concatenate(values))._asdict() for row, values in rows.items()}


def table(name: str, report: dict[str, Any]) -> str:
    """The report as lines of text."""
    width = max(len(row) for row in (*report["samples"], name))
    lines = [" " * width + "".join(f"{column:>11}" for column in COLUMNS)]
    for row, values in report["samples"].items():
        title = name if row == "model" else row
        lines.append(f"{title:{width}}" + "".join(f"{values[column]:11.4g}" for column in COLUMNS))
    floor = report["floor"]
    lines.append(f"Fréchet distance between halves of real images: {floor['mean']:.3g} ± {floor['standard_error']:.2g}")
    if "asked_for" in report:
        lines.append(f"samples that show the digit asked for: {100 * report['asked_for']:.1f} %")
    for row, value in report.get("likelihood", {}).items():
        lines.append(
            f"{row.replace('_', ' ')}: {value['mean']:.2f} ± {value['standard_error']:.2f} nats per test image"
        )
    return "\n".join(lines)
