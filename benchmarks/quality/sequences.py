"""Text and series: nats per character, exact matches, a series' coefficients."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from minigen.errors import DataError
from minigen.models.autoregressive import AutoRegressive, lagged, simulate
from minigen.saved import trained

from .rows import Bench, Figures, Row, time_ratio

# -- nats per character -----------------------------------------------------------------------------------------------


def held_out(model: str, quick: int, *, baselines: bool = False, **overrides):
    """Nats per character over all of the held-out tenth of tiny Shakespeare."""

    def measure(bench: Bench) -> Figures:
        run = bench.train(model, data="tiny-shakespeare", **overrides, quick={"steps": quick})
        found = bench.evaluate(run, *["--baselines"] * baselines)["nats"]
        return {("nats" if row == "model" else row): value["mean"] for row, value in found.items()}

    return measure


def at_most(limit: float):
    return lambda figures: figures["nats"] <= limit


# -- one text from another --------------------------------------------------------------------------------------------


def dates(model: str, quick: int):
    """The share of held-out dates that come out exactly right; where the order of a date stays, how attention moves."""

    def measure(bench: Bench) -> Figures:
        run = bench.train(model, quick={"steps": quick})
        figures = {"exact": bench.evaluate(run)["exact"]["mean"]}
        net = trained(run)[1]
        if getattr(net.config, "attention", False):
            figures["attention moves forward"] = monotone(net.attention)
        return figures

    return measure


def monotone(attention) -> float:
    """The share of the digits of 2026-11-21 that look no further back in 2026/11/21 than the digit before them."""
    forward = []
    for source in ("2026/11/21", "1987.06.05", "20081230", "1999/12/31", "2050.10.28"):
        made, weights = attention(source)
        digits = [i for i, symbol in enumerate(made) if symbol.isdigit()]
        where = weights.argmax(1)[digits]
        forward += (np.diff(where) >= 0).tolist()
    return float(np.mean(forward))


def english_chinese(bench: Bench) -> Figures:
    """BLEU, chrF and ROUGE-L on the held-out fifth of the sentence pairs in MINIGEN_DATA/translation/cmn-eng.zip."""
    pairs = Path(os.environ.get("MINIGEN_DATA", ".")) / "translation" / "cmn-eng.zip"
    if not pairs.is_file():
        raise DataError(f"{pairs}: expected pairs from manythings.org/anki; put them there, or set MINIGEN_DATA.")
    settings = {"data": str(pairs), "steps": 4000, "longest": 60}
    run = bench.train("seq2seq", **settings, quick={"steps": 200})
    found = bench.evaluate(run, "-n", "200" if bench.quick else "2000")
    scores = {name: found[name] for name in ("bleu", "chrf", "rouge_l") if name in found}
    return {"exact": found["exact"]["mean"]} | scores


# -- a series ---------------------------------------------------------------------------------------------------------


def autoregressive(bench: Bench) -> Figures:
    """φ of a simulated AR(3), by gradients, by least squares, and as it was."""
    phi = np.array([0.6, -0.3, 0.2])
    series = simulate(phi, 20_000, np.random.default_rng(bench.seed))
    model = AutoRegressive(3)
    model.fit(series)
    x = series - series.mean()
    least_squares = np.linalg.lstsq(lagged(x, 3), x[3:], rcond=None)[0]
    found = model.phi.numpy()
    return {
        "from least squares": float(np.abs(found - least_squares).max()),
        "from phi": float(np.abs(found - phi).max()),
    }


ROWS = [
    Row("ar", "AR(3), simulated, 20,000 values", "equals least squares to 1e-6, phi to 0.03", autoregressive,
        lambda f: f["from least squares"] <= 1e-6 and f["from phi"] <= 0.03, 0.1),
    Row("gpt", "gpt on tiny Shakespeare", "<= 1.88 nats on the whole validation split", held_out("gpt", 300),
        at_most(1.88), 4),
    Row("gpt-time", "a training step of gpt, minigen's time over PyTorch's", "ratio at most 1", time_ratio("gpt"),
        lambda f: f["median ratio"] <= 1, 1),
    Row("gpt-long", "gpt-long on tiny Shakespeare", "<= 1.6 nats", held_out("gpt-long", 100), at_most(1.6), 25),
    Row("charlm", "charlm on tiny Shakespeare, beside chains of n-grams", "<= 1.6 nats",
        held_out("charlm", 200, baselines=True), at_most(1.6), 15),
    Row("charlm-b11", "charlm-b11 on tiny Shakespeare", "reported", held_out("charlm-b11", 300), lambda f: True, 10),
    Row("two-sigmoid", "charlm with article B's cell of two sigmoids [B6], 1500 steps", "reported",
        held_out("charlm", 200, cell="two_sigmoid", steps=1500), lambda f: True, 15),
    Row("seq2seq", "seq2seq with attention on dates", ">= 99 % exact on held-out dates, attention moves forward",
        dates("seq2seq", 200), lambda f: f["exact"] >= 0.99 and f["attention moves forward"] == 1, 5),
    Row("seq2seq-plain", "seq2seq without attention on dates", "reported", dates("seq2seq-plain", 200),
        lambda f: True, 5),
    Row("transformer", "transformer on dates", ">= 99 % exact on held-out dates", dates("transformer", 200),
        lambda f: f["exact"] >= 0.99, 5),
    Row("english-chinese", "seq2seq on English-Chinese sentence pairs", "BLEU reported", english_chinese,
        lambda f: True, 10),
]  # fmt: skip
