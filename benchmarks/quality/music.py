"""Music: nats per step of held-out chorales and melodies, beside what counting gives."""

from __future__ import annotations

from .rows import Bench, Figures, Row


def held_out(model: str, data: str, quick: int):
    """Nats per step of the held-out pieces, of the model and of the baselines that learnt from the same pieces."""

    def measure(bench: Bench) -> Figures:
        run = bench.train(model, data=data, quick={"steps": quick})
        found = bench.evaluate(run)
        figures = {("nats" if row == "model" else row): value["mean"] for row, value in found["nats"].items()}
        return figures | {"s.e.": found["nats"]["model"]["standard_error"],
                          "in scale": found["in scale"]["written"],
                          "in scale, held out": found["in scale"]["held-out pieces"]}  # fmt: skip

    return measure


def below_chains(figures: Figures) -> bool:
    return figures["nats"] < min(value for name, value in figures.items() if "-gram" in name)


ROWS = [
    Row("pianoroll", "pianoroll on JSB chorales: 88 keys, a step each quarter note, 229 pieces to train in twelve "
        "keys, mean over all steps of the 77 test pieces but their first", "<= 8.7 nats per step",
        held_out("pianoroll", "jsb", 60), lambda f: f["nats"] <= 8.7, 8),
    Row("melody", "melody on 53 folk melodies in twelve keys, beside chains of n-grams of the same tokens with "
        "modified Kneser-Ney smoothing, in twelve keys and in their own; 13 held out", "below every chain",
        held_out("melody", "folk", 60), below_chains, 4),
    Row("melody-a9", "melody-a9, article A's encoder and decoder [A9], behind primers of 64 steps", "reported",
        held_out("melody-a9", "folk", 60), lambda f: True, 4),
    Row("melody-b10", "melody-b10, article B's LSTM 256, 512, 512 [B10]", "reported",
        held_out("melody-b10", "folk", 20), lambda f: True, 40),
]  # fmt: skip
