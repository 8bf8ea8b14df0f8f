"""Text: how many nats the held-out part costs, beside chains of n-grams trained on the same part as the model."""

from __future__ import annotations

import argparse
import math
from typing import Any

from ..datasets import load_set
from ..metrics import estimate
from ..models.markov import MarkovChain

__all__ = ["EXAMPLES", "TITLE", "add_options", "evaluate", "table"]

TITLE = "models of text"
EXAMPLES = """\
  python -m minigen.evaluate runs/charlm-1 --baselines"""
ORDERS = range(6)  # of the chains: how many symbols each looks back


def add_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--baselines", action="store_true", help="chains of 1- to 6-grams, too (half a minute)")


def evaluate(model: Any, data: str, seed: int, *, baselines: bool = False) -> dict[str, Any]:
    """Nats per symbol over the whole held-out part: {"symbols": n, "characters_per_symbol": r, "nats": {row: nats}}.

    The seed is not used: nothing is drawn.
    """
    test = load_set("text", data, "test").text
    ids = model.encode(test)
    report: dict[str, Any] = {"symbols": len(ids), "characters_per_symbol": len(test) / len(ids)}
    report["nats"] = {"model": estimate(model.nll(ids))._asdict()}
    if baselines:
        train = model.encode(load_set("text", data, "train").text)
        for order in ORDERS:
            chain = MarkovChain(order, model.tokenizer.vocab_size).fit(train)
            report["nats"][f"{order + 1}-gram"] = estimate(-chain.log_prob(ids)[1:])._asdict()
        report["nats"]["uniform"] = {"mean": math.log(model.tokenizer.vocab_size), "standard_error": 0.0}
    return report


def table(name: str, report: dict[str, Any]) -> str:
    """The report as lines of text."""
    lines = [f"{report['symbols']:,} held-out symbols of {report['data']}"]
    width = max(map(len, (*report["nats"], name)))
    lines.append(" " * width + "  nats per symbol   bits per character   perplexity")
    for row, value in report["nats"].items():
        mean, error = value["mean"], value["standard_error"]
        bits = mean / math.log(2) / report["characters_per_symbol"]
        title = name if row == "model" else row
        lines.append(f"{title:{width}}  {mean:7.4f} ± {error:.4f} {bits:16.4f} {math.exp(mean):16.2f}")
    return "\n".join(lines)
