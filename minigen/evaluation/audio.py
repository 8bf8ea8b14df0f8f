"""Sound: nats per held-out sample beside chains of n-grams, and whether a sound asked for is of its class.

Two questions about classes. Is a held-out sound likeliest under its own label? And does a judge that has nothing to do
with the model, a linear discriminant (Fisher 1936) of how loud 22 bands are in four parts of a sound, take samples for
the class asked for? Beside it stands how often it is right about held-out sounds.
"""

from __future__ import annotations

import argparse
import math
from typing import Any

import numpy as np

from ..datasets import AudioSet, load_set, mu_law_encode, spectrogram
from ..datasets.audio import CODES, RATE, SILENCE
from ..metrics import estimate
from ..models.markov import MarkovChain
from ..training.command import number, whole
from ..training.sounds import draw_sounds

__all__ = ["EXAMPLES", "TITLE", "Judge", "add_options", "chains", "evaluate", "table"]

TITLE = "models of sound"
EXAMPLES = """\
  python -m minigen.evaluate runs/wavenet-1 --seconds 0.5"""
ORDERS = range(4)  # of the chains: how many samples each looks back
BANDS, PARTS, SHRUNK = 24, 4, 0.2


def add_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--each", type=whole(1), metavar="N", help="samples of each class for the judge (default: 10)")
    group.add_argument("--seconds", type=number(0.05, 60), metavar="X", help="their length (default: 0.5)")


def evaluate(model: Any, data: str, seed: int, *, each: int = 10, seconds: float = 0.5) -> dict[str, Any]:
    """{"samples": how many are held out, "nats": {row: mean and standard error}, "own label", "judge": {row: share}}"""
    train, test = load_set("audio", data, "train"), load_set("audio", data, "test")
    classes = np.unique(train.labels)
    found = [
        model.nll(mu_law_encode(sound), np.append(label, classes))
        for sound, label in zip(test.sounds, test.labels, strict=True)
    ]
    own = np.concatenate([nll[0] for nll in found])
    report: dict[str, Any] = {"samples": len(own), "sounds": len(test), "nats": {"model": estimate(own)._asdict()}}
    report["nats"] |= {row: estimate(nll)._asdict() for row, nll in chains(train, test).items()}
    report["nats"]["uniform"] = {"mean": math.log(CODES), "standard_error": 0.0}
    guessed = classes[[nll[1:].sum(axis=1).argmin() for nll in found]]
    report["own label"] = float((guessed == test.labels).mean())
    judge = Judge(train)
    asked = np.repeat(classes, each)
    sounds = draw_sounds(model, asked, int(seconds * RATE), np.random.default_rng(seed))
    right = lambda sounds, labels: float((judge(sounds) == labels).mean())
    report["judge"] = {"samples": right(sounds, asked), "held out": right(test.sounds, test.labels)}
    report["judge"]["chance"] = 1 / len(classes)
    return report


def chains(train: AudioSet, test: AudioSet) -> dict[str, np.ndarray]:
    """−ln p of every held-out sample by chains of 1- to 4-grams of codes; before each sound there is silence."""
    (heard, _), (codes, counted) = _joined(train), _joined(test)
    return {
        f"{order + 1}-gram": -MarkovChain(order, CODES).fit(heard).log_prob(codes)[counted] for order in ORDERS
    }  # fmt: skip


def _joined(sounds: AudioSet) -> tuple[np.ndarray, np.ndarray]:
    """The codes of all sounds, each after as much silence as the longest chain looks back, and which are no such."""
    pause = max(ORDERS)
    codes = [np.pad(mu_law_encode(x).astype(np.int64), (pause, 0), constant_values=SILENCE) for x in sounds.sounds]
    return np.concatenate(codes), np.concatenate([np.arange(len(c)) >= pause for c in codes])


class Judge:
    """argmax_y  x·P m_y − ½ m_y·P m_y        with m_y the mean features of class y, P the inverse of their covariance

    The covariance around the means is shrunk by a fifth towards a multiple of the identity.
    """

    def __init__(self, train: AudioSet):
        x = np.stack(list(map(features, train.sounds)))
        self.classes, y = np.unique(train.labels, return_inverse=True)
        self.means = np.stack([x[y == k].mean(axis=0) for k in range(len(self.classes))])
        covariance = np.cov((x - self.means[y]).T, bias=True)
        size = len(covariance)
        covariance = (1 - SHRUNK) * covariance + SHRUNK * np.trace(covariance) / size * np.eye(size)
        self.precise = np.linalg.solve(covariance, self.means.T)  # P m_y

    def __call__(self, sounds: Any) -> np.ndarray:
        x = np.stack(list(map(features, sounds)))
        return self.classes[(x @ self.precise - 0.5 * (self.means * self.precise.T).sum(axis=1)).argmax(axis=1)]


def features(x: np.ndarray) -> np.ndarray:
    """The decibels of each band in each quarter of a sound, without silence before and after, less their mean"""
    power = 10 ** (spectrogram(x) / 10)
    edges = np.unique(np.rint(np.geomspace(2, len(power), BANDS + 1)).astype(int))
    decibels = 10 * np.log10(np.stack([power[i:j].mean(axis=0) for i, j in zip(edges, edges[1:])]) + 1e-8)
    loud = np.flatnonzero(power.sum(axis=0) >= 1e-3 * power.sum(axis=0).max())
    decibels = decibels[:, loud[0] : loud[-1] + 1]
    decibels = np.repeat(decibels, max(1, -(-PARTS // decibels.shape[1])), axis=1) - decibels.mean()
    return np.concatenate([part.mean(axis=1) for part in np.array_split(decibels, PARTS, axis=1)])


def table(name: str, report: dict[str, Any]) -> str:
    """The report as lines of text."""
    lines = [f"{report['samples']:,} held-out samples of {report['sounds']} sounds of {report['data']}"]
    width = max(map(len, (*report["nats"], name)))
    lines.append(" " * width + "  nats per sample   bits")
    for row, value in report["nats"].items():
        mean, error = value["mean"], value["standard_error"]
        lines.append(f"{name if row == 'model' else row:{width}}  {mean:7.4f} ± {error:.4f} {mean / math.log(2):6.3f}")
    judge = {row: f"{100 * share:.1f} %" for row, share in report["judge"].items()}
    lines.append(f"held-out sounds that are likeliest under their own label: {100 * report['own label']:.1f} %")
    lines.append(f"taken by a judge for the class asked for: samples {judge['samples']}, held-out sounds "
                 f"{judge['held out']}, by chance {judge['chance']}")  # fmt: skip
    return "\n".join(lines)
