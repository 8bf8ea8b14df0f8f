"""Music: how many nats a held-out step costs, and whether what a model writes keeps to the scales, lengths and leaps.

The baselines have learnt from the same pieces, in the same keys, and are measured on the same steps: for melodies
chains of n-grams of tokens with modified Kneser–Ney smoothing (:mod:`minigen.models.markov`), also of the pieces in
their own keys alone; for piano rolls each key with its share of the steps, and with its share after a step on which it
was down or not.

The nats of a piano roll are the sum over its 88 keys of each step but the first of a piece, averaged over all steps of
all held-out pieces, the protocol of Boulanger-Lewandowski, Bengio & Vincent 2012 as others have used it since.
"""

from __future__ import annotations

import argparse
from typing import Any, BinaryIO

import numpy as np

from ..datasets import (
    MusicSet,
    Score,
    decode_melody,
    encode_melody,
    encode_roll,
    load_set,
    transpositions,
)
from ..datasets.music import VOCABULARY
from ..errors import DataError
from ..metrics import estimate
from ..metrics.music import in_scale_rate, shares
from ..models.markov import MarkovChain
from ..models.pianoroll import PianoRoll
from ..training.command import number, whole
from ..viz import draw_histograms

__all__ = ["EXAMPLES", "TITLE", "add_options", "draw", "evaluate", "table"]

TITLE = "models of music"
EXAMPLES = """\
  python -m minigen.evaluate runs/melody-1 -n 50 --bars 8"""
ORDERS = (1, 2, 4, 6, 8, 12, 16, 24)  # of the chains: how many tokens each looks back
PRIMER, LONGEST, WIDEST = 2, 16, 12  # bars of a primer; sixteenths and semitones that are told apart


def add_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument("-n", type=whole(1), metavar="N", help="pieces to write and look at (default: 20)")
    group.add_argument("--bars", type=whole(1), metavar="N", help="how many bars of each (default: 8)")
    group.add_argument("--temperature", type=number(0), metavar="X", help="at which they are written (default: 1)")


def evaluate(
    model: Any, data: str, seed: int, *, n: int = 20, bars: int = 8, temperature: float = 1.0
) -> dict[str, Any]:
    """{"steps": how many are held out, "nats": {row: mean and standard error}}

    And, each for the held-out pieces and for n continuations of their first two bars: "in scale", the share of notes;
    "lengths" of notes; "intervals" between them.
    """
    train, test = load_set("music", data, "train"), load_set("music", data, "test")
    measure = _roll_nats if isinstance(model, PianoRoll) else _melody_nats
    found = measure(model, train, test)
    report: dict[str, Any] = {"pieces": len(test), "steps": len(found["model"])}
    report["nats"] = {row: estimate(nll)._asdict() for row, nll in found.items()}
    rng, written = np.random.default_rng(seed), []
    for i in range(n):
        primer = _beginning(test.scores[i % len(test)])
        written.append(_after(model.compose(primer, bars, rng, temperature=temperature), primer.steps))
    for row, scores in {"held-out pieces": test.scores, "written": written}.items():
        for name, value in _looks(scores).items():
            report.setdefault(name, {})[row] = value
    return report


def _melody_nats(model: Any, train: MusicSet, test: MusicSet) -> dict[str, np.ndarray]:
    """−ln p of each held-out token that the model predicts."""
    scores = [score for score in test.scores if score.steps >= model.unseen]
    if not scores:
        raise DataError(f"{test.name}: expected held-out melodies of at least {model.unseen} tokens, came none.")
    found = {"model": np.concatenate([model.nll(score) for score in scores])}
    ids = [encode_melody(score) for score in scores]
    for keys in sorted({1, model.config.keys}):
        stream = np.concatenate([encode_melody(score) for score in transpositions(train.scores, keys)])
        for order in ORDERS:
            if order < len(stream):
                chain = MarkovChain(order, VOCABULARY).fit(stream)
                row = f"{order + 1}-gram" + (f", {keys} keys" if keys > 1 else "")
                found[row] = np.concatenate([-chain.log_prob(piece)[model.unseen :] for piece in ids])
    return found


def _roll_nats(model: PianoRoll, train: MusicSet, test: MusicSet) -> dict[str, np.ndarray]:
    """−ln p of each held-out step but the first of its piece."""
    rolls = lambda scores: [encode_roll(score, model.config.grid).astype(np.int64) for score in scores]
    heard, pieces = rolls(transpositions(train.scores, model.config.keys)), rolls(test.scores)
    counts = np.full((2, 2, heard[0].shape[1]), 0.5)  # how often a key was (not) down after it was (not)
    for before in (0, 1):
        for now in (0, 1):
            for roll in heard:
                counts[before, now] += ((roll[:-1] == before) & (roll[1:] == now)).sum(axis=0)
    after, alone = counts / counts.sum(axis=1, keepdims=True), counts.sum(axis=0) / counts.sum(axis=(0, 1))
    keys = np.arange(heard[0].shape[1])
    found = {"model": [model.nll(score)[1:] for score in test.scores]}
    found["each key after itself"] = [-np.log(after[x[:-1], x[1:], keys]).sum(axis=1) for x in pieces]
    found["each key alone"] = [-np.log(alone[x[1:], keys]).sum(axis=1) for x in pieces]
    return {row: np.concatenate(nll) for row, nll in found.items()}


def _beginning(score: Score) -> Score:
    """The first two bars, notes that sound beyond them cut."""
    end = min(score.steps, PRIMER * score.bar)
    notes = tuple(note._replace(length=min(note.length, end - note.start)) for note in score.notes if note.start < end)
    return Score(notes, end, score.metre)


def _after(score: Score, step: int) -> Score:
    """The notes that begin at a step or later."""
    return Score(tuple(note for note in score.notes if note.start >= step), score.steps, score.metre)


def _looks(scores: Any) -> dict[str, Any]:
    """The share of notes in the best scale, the mean over pieces; lengths and intervals of the highest voice."""
    in_scale = [in_scale_rate([note.pitch for note in score.notes]) for score in scores if score.notes]
    melodies = [decode_melody(encode_melody(score), score.metre).notes for score in scores]
    lengths = [note.length for notes in melodies for note in notes]
    leaps = [b.pitch - a.pitch for notes in melodies for a, b in zip(notes, notes[1:])]
    return {
        "in scale": float(np.mean(in_scale)) if in_scale else 0.0,
        "lengths": shares(lengths, 1, LONGEST).tolist(),
        "intervals": shares(leaps, -WIDEST, WIDEST).tolist(),
    }


def draw(file: BinaryIO, report: dict[str, Any]) -> None:
    """The lengths and intervals as a PNG."""
    lengths = [str(length) for length in range(1, LONGEST)] + [f"{LONGEST}+"]
    leaps = [f"{leap:+d}" if leap else "0" for leap in range(-WIDEST, WIDEST + 1)]
    draw_histograms(file, {
        "length of a note in sixteenths": (lengths, report["lengths"]),
        "interval to the next note in semitones": (leaps, report["intervals"]),
    })  # fmt: skip


def table(name: str, report: dict[str, Any]) -> str:
    """The report as lines of text."""
    lines = [f"{report['steps']:,} held-out steps of {report['pieces']} pieces of {report['data']}"]
    width = max(map(len, (*report["nats"], name)))
    lines.append(" " * width + "  nats per step")
    for row, value in report["nats"].items():
        title = name if row == "model" else row
        lines.append(f"{title:{width}}  {value['mean']:7.4f} ± {value['standard_error']:.4f}")
    for row, rate in report["in scale"].items():
        lines.append(f"notes of a piece in its best scale, {row}: {100 * rate:.1f} %")
    return "\n".join(lines)
