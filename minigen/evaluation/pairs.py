"""Pairs: how many held-out sources get exactly their target, and how near the others come.

BLEU and chrF are those of sacrebleu (Papineni et al. 2002; Popović 2015; Post 2018), on all held-out pairs together;
ROUGE-L is that of rouge-score (Lin 2004), the mean over the sources [B13]. Chinese targets are cut into characters. A
source with several targets counts as right with any of them.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from typing import Any

import numpy as np

from ..datasets import load_set
from ..errors import ConfigError
from ..metrics import estimate
from ..training.command import whole

__all__ = ["EXAMPLES", "TITLE", "add_options", "evaluate", "table"]

TITLE = "models that make one text of another"
EXAMPLES = """\
  python -m minigen.evaluate runs/seq2seq-1 -n 2000 --beam 4"""


def add_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument("-n", type=whole(1), metavar="N", help="held-out sources, drawn at random (default: all)")
    group.add_argument("--beam", type=whole(1), metavar="N", help="search over N hypotheses (default: 1, greedy)")


def evaluate(model: Any, data: str, seed: int, *, n: int | None = None, beam: int = 1) -> dict[str, Any]:
    """{"sources": n, "exact": the share of exact matches, "bleu", "chrf", "wrong": some that are not}"""
    targets = defaultdict(list)
    for pair in load_set("pairs", data, "test").pairs:
        targets[pair.source].append(pair.target)
    sources = list(targets)
    if n is not None:
        if n > len(sources):
            raise ConfigError(f"-n {n}: {data!r} holds out {len(sources)} different sources; ask for no more.")
        sources = [sources[i] for i in np.random.default_rng(seed).permutation(len(sources))[:n]]
    made = [text for i in range(0, len(sources), 100) for text in model.translate(sources[i : i + 100], beam=beam)]
    right = np.array([text in targets[source] for source, text in zip(sources, made, strict=True)])
    report = {"sources": len(sources), "exact": estimate(right)._asdict()}
    report |= scores(made, [targets[source] for source in sources])
    wrong = [i for i in range(len(sources)) if not right[i]][:10]
    return report | {"wrong": [[sources[i], made[i], targets[sources[i]][0]] for i in wrong]}


def scores(made: list[str], targets: list[list[str]]) -> dict[str, float]:
    """BLEU, chrF and ROUGE-L (F₁) of a corpus, each from 0 to 100, or {} where sacrebleu or rouge-score is missing."""
    try:
        from rouge_score.rouge_scorer import RougeScorer
        from sacrebleu import BLEU, CHRF
    except ImportError:
        return {}
    most = max(map(len, targets))
    references = [[options[i] if i < len(options) else None for options in targets] for i in range(most)]
    chinese = sum("\u4e00" <= c <= "\u9fff" for options in targets for c in options[0]) > len(targets)
    bleu = BLEU(tokenize="zh" if chinese else "13a").corpus_score(made, references)
    rouge = RougeScorer(["rougeL"], tokenizer=_Characters() if chinese else None)
    best = [rouge.score_multi(options, text)["rougeL"].fmeasure for text, options in zip(made, targets, strict=True)]
    chrf = CHRF().corpus_score(made, references)
    return {"bleu": bleu.score, "chrf": chrf.score, "rouge_l": 100 * sum(best) / len(best)}


class _Characters:
    """What rouge-score asks of a tokenizer; its own keeps Latin letters alone."""

    def tokenize(self, text: str) -> list[str]:
        return [c for c in text if not c.isspace()]


def table(name: str, report: dict[str, Any]) -> str:
    """The report as lines of text."""
    exact = report["exact"]
    lines = [f"{report['sources']:,} held-out sources of {report['data']}"]
    lines.append(f"exact match: {100 * exact['mean']:.2f} ± {100 * exact['standard_error']:.2f} %")
    if "bleu" in report:
        lines.append(f"BLEU {report['bleu']:.1f}   chrF {report['chrf']:.1f}   ROUGE-L {report['rouge_l']:.1f}")
    else:
        lines.append('BLEU, chrF and ROUGE-L: not measured; pip install "minigen[metrics]"')
    lines += [f"wrong: {source!r} -> {made!r}, expected {target!r}" for source, made, target in report["wrong"]]
    return "\n".join(lines)
