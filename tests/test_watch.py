"""Warnings in training: each of a run that goes wrong, none of one that does not."""

import io

import pytest

from minigen import backend, datasets, models
from minigen.training import Trainer
from minigen.training.watch import RULES, SPAN, Watch


def watched(name, settings, steps=220):
    """What is said of a training."""
    model = models.build(name, settings, rng=backend.generator(0))
    data = datasets.load_set(model.config.reads, model.config.data)
    data = data.subset(range(500)) if model.modality == "image" else data
    watch = Watch(io.StringIO())
    Trainer(model, model.prepare(data), batch_size=16, log_every=10, callbacks=[watch]).run(steps)
    return watch


GAN = {"generator": [8], "discriminator": [64], "latent": 8}
WRONG = {
    "generator.variety": ("gan", GAN | {"batch_norm": False, "lr": 5e-3}),
    "active": ("vae", {"hidden": [16], "latent": 4, "beta": 200.0, "lr": 1e-2}),
    "critic.gradient norm": ("ring-wgan-gp", {"widths": [16], "weight": 0.001, "critic_steps": 2}),
}
RIGHT = [
    ("gan", GAN | {"generator": [32], "discriminator": [32], "batch_norm": True, "lr": 1e-3}),
    ("vae", {"hidden": [16], "latent": 4}),
    ("ring-wgan-gp", {"widths": [16, 16], "critic_steps": 2, "lr": 5e-3}),
]


@pytest.mark.parametrize("metric", WRONG)
def test_a_run_that_goes_wrong(metric):
    watch = watched(*WRONG[metric])
    (said,) = [sentence for sentence in watch.said if sentence.startswith(metric)]
    assert said.endswith(".") and " try " in said and f"over the last {SPAN} steps" in said
    assert watch.stream.getvalue().splitlines() == [f"warning: {sentence}" for sentence in watch.said]


@pytest.mark.parametrize("name, settings", RIGHT)
def test_a_run_that_goes_well(name, settings):
    watch = watched(name, settings)
    assert watch.said == [] and watch.stream.getvalue() == ""


class Stub:
    step = 0


def told(metric, values, every=10, start=0):
    watch, trainer = Watch(io.StringIO()), Stub()
    trainer.step = start
    watch.start(trainer)
    said_at = []
    for i, value in enumerate(values, 1):
        before = len(watch.said)
        watch.log(trainer, {"step": start + i * every, metric: value})
        said_at += [start + i * every] * (len(watch.said) - before)
    return said_at


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.metric)
def test_once_after_a_span_and_not_of_the_start(rule):
    good = (rule.low + min(rule.high, rule.low + 2)) / 2
    bad = rule.low / 2
    assert told(rule.metric, [bad] * 50) == [2 * SPAN]  # the first SPAN steps may be anything
    assert told(rule.metric, [bad] * 10 + [good] * 40) == []
    assert told(rule.metric, [good] * 30 + [bad] * 20) != [] and told(rule.metric, [good] * 30 + [bad] * 2) == []
    assert told(rule.metric, [bad] * 50, start=1000) == [1000 + SPAN]
    assert told(rule.metric, [None] * 50) == []


def test_a_discriminator_that_has_won_is_noticed():
    """gan-b8 comes to a loss of 0.01 and stays there: the sentence has the number and the remedy."""
    watch = Watch(io.StringIO())
    watch.start(Stub())
    for step in range(2, 301, 2):
        watch.log(Stub(), {"step": step, "discriminator.loss": 0.0121, "generator.variety": 0.5})
    (said,) = watch.said
    assert "discriminator.loss was 0.012" in said and "batch_norm = true" in said
