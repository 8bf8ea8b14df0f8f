"""Warnings while there is still time: what the logged signals of a model say, and what to do about it."""

from __future__ import annotations

import sys
from collections import deque
from dataclasses import dataclass
from typing import TextIO

from .loop import Callback, Record, Trainer

SPAN = 100  # steps that a signal must be off on average, after as many in which everything may be


@dataclass(frozen=True)
class Rule:
    """A metric by its name in the log, the range in which all is well, what is wrong outside it, and the remedy."""

    metric: str
    low: float
    high: float
    wrong: str
    remedy: str


GAME = "try a smaller --lr, batch_norm = true in the generator, or the game of wgan-gp"
RULES = (
    Rule("discriminator.loss", 0.1, float("inf"), "the discriminator has won and the generator learns nothing", GAME),
    Rule("generator.variety", 0.1, float("inf"), "the samples are nearly all the same, as the data are not", GAME),
    Rule("active", 0.15, float("inf"), "the posterior has collapsed onto the prior in most dimensions of z",
         "try a smaller beta or a smaller latent"),
    Rule("critic.gradient norm", 0.7, 1.3, "the penalty does not hold the critic's slope at 1",
         "try a larger weight, more critic_steps or a smaller --lr"),
)  # fmt: skip


class Watch(Callback):
    """Says once, in one sentence, what a metric of :data:`RULES` has been telling for SPAN steps.

    Only what was logged is looked at: nothing waits for the device on its account.
    """

    def __init__(self, stream: TextIO | None = None):
        self.stream = stream
        self.seen: dict[Rule, deque[tuple[int, float]]] = {}
        self.said: list[str] = []

    def start(self, trainer: Trainer) -> None:
        self.seen = {rule: deque() for rule in RULES}
        self.quiet = trainer.step + SPAN if trainer.step == 0 else trainer.step

    def log(self, trainer: Trainer, record: Record) -> None:
        step = record["step"]
        if step <= self.quiet:
            return
        for rule in list(self.seen):
            value = record.get(rule.metric)
            if value is None:
                continue
            values = self.seen[rule]
            values.append((step, value))
            while values[0][0] <= step - SPAN:
                values.popleft()
            mean = sum(v for _, v in values) / len(values)
            if step >= self.quiet + SPAN and not rule.low <= mean <= rule.high:
                self._say(f"{rule.metric} was {mean:.2g} over the last {SPAN} steps: {rule.wrong}; {rule.remedy}.")
                del self.seen[rule]

    def _say(self, sentence: str) -> None:
        from tqdm import tqdm

        self.said.append(sentence)
        tqdm.write(f"warning: {sentence}", file=self.stream or sys.stderr)
