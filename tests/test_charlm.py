"""The recurrent language model: its state, its measure, the settings of article B."""

import dataclasses
import importlib

import numpy as np
import pytest

from minigen import backend
from minigen.datasets import TextSet, load_set
from minigen.kernels import KERNELS
from minigen.models import charlm
from minigen.models.charlm import CharLM, CharLMConfig
from minigen.models.language import LanguageModel
from minigen.training.loop import Trainer

TEXT = "the cat sat on the mat; the dog sat on the cat.\n" * 30
SMALL = CharLMConfig(block=12, embedding=8, width=16, dropout=0.0, batch_size=16, steps=150, lr=1e-2)


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text(TEXT)
    return str(path)


def made(text, seed=0, **settings):
    config = CharLM.learn(dataclasses.replace(SMALL, data=text, **settings))
    return CharLM(config, rng=backend.generator(seed)).eval()


def plain_nll(model, ids):
    """−ln p of each symbol after all before it, one symbol at a time, on logits of the whole text at once."""
    logits = model(ids[None, :-1]).numpy()[0].astype(np.float64)
    logits -= logits.max(1, keepdims=True)
    return np.log(np.exp(logits).sum(1)) - logits[np.arange(len(ids) - 1), ids[1:]]


@pytest.mark.parametrize("cell", list(charlm.CELLS))
def test_reading_on_is_reading_from_the_start(text, cell, backend_name):
    """Generation with a kept state gives the logits of reading everything anew, to rounding."""
    model = made(text, cell=cell)
    ids = backend.asarray(model.encode(TEXT[:40])[None])
    whole = model(ids).numpy()[0]
    logits, state = model.begin(ids[:, :25])
    for t in range(25, 40):
        np.testing.assert_allclose(backend.to_host(logits)[0], whole[t - 1], rtol=0, atol=2e-6)
        logits, state = model.step(ids[:, t], state)
    np.testing.assert_allclose(backend.to_host(logits)[0], whole[-1], rtol=0, atol=2e-6)


@pytest.mark.parametrize("n, layers", [(1, 1), (3, 2), (20, 3)])
def test_the_compiled_symbol_is_that_of_the_reference(n, layers, monkeypatch):
    twin, found = importlib.import_module("minigen.kernels.cpu.recurrent").lstm_symbol, []
    size, symbols, k = 7, 11, 5

    def arguments(dtype):
        rng = np.random.default_rng(n)
        draw = lambda *shape: rng.standard_normal(shape).astype(dtype)
        weights = [draw(4 * size, size if l else k) for l in range(layers)]
        return [rng.integers(0, symbols, n), draw(layers, n, size), draw(layers, n, size), draw(symbols, k), weights,
                draw(layers, 4 * size, size), draw(layers, 4 * size), draw(symbols, size), draw(symbols)]  # fmt: skip

    exact = arguments("f8")
    expected = KERNELS["lstm_symbol"](*exact)
    for threads in (1, 2, 3):
        monkeypatch.setattr("minigen.kernels.cpu.threads.get_num_threads", lambda threads=threads: threads)
        ours = arguments("f4")
        logits = twin(*ours)
        assert logits.dtype == np.float32
        for a, e in zip((logits, *ours[1:3]), (expected, *exact[1:3]), strict=True):
            np.testing.assert_allclose(a, e, rtol=0, atol=1e-5)
        found.append([a.tobytes() for a in (logits, *ours[1:3])])
    assert found[0] == found[1] == found[2]
    again = arguments("f8")
    np.testing.assert_array_equal(twin(*again), expected)
    with pytest.raises(IndexError):
        twin(np.full(n, symbols), *arguments("f4")[1:])


@pytest.mark.parametrize("length", [2, 13, 60, 95, 97, 500])
def test_every_symbol_is_measured_after_all_before_it(text, length):
    model = made(text)
    ids = model.encode(TEXT[:length])
    parts = max(1, (length - 1) // (8 * SMALL.block))
    size = -(-(length - 1) // parts)
    expected = [plain_nll(model, ids[i : i + size + 1]) for i in range(0, length - 1, size)]
    np.testing.assert_allclose(model.nll(ids), np.concatenate(expected), rtol=0, atol=1e-5)


def test_it_learns_and_remembers_beyond_its_window(text):
    model = made(text)
    ids = model.encode(TEXT)
    (player,) = model.players
    Trainer(model, model.prepare(TextSet(TEXT, "text")), batch_size=16).run(SMALL.steps)
    model.eval()
    assert model.nll(ids).mean() < 0.2  # a text of period 48 has no entropy; a chain of order 1 has more than 1.2
    assert model.nll(ids).mean() < LanguageModel.nll(model, ids).mean()
    assert "".join(model.write("the cat sat", 6, np.random.default_rng(0), temperature=0)) == " on th"
    assert player.clip == 1.0 and player.optimizer.lr == SMALL.lr


def test_formula_B11():
    """Windows of 40 in lower case, Embedding 50 → LSTM 128 → Dense, RMSprop 0.01, batches of 128, the last symbol."""
    config = charlm.PRESETS["charlm-b11"].config
    assert config.lower and config.block == 40 and config.batch_size == 128
    vocabulary = CharLM.learn(config).vocabulary
    model = CharLM(dataclasses.replace(config, vocabulary=vocabulary), rng=backend.generator(0))
    v = len(vocabulary["characters"])
    assert {name: p.shape for name, p in model.named_parameters()} == {
        "embedding.weight": (v, 50), "cell.cells.0.weight_ih": (512, 50), "cell.cells.0.weight_hh": (512, 128),
        "cell.cells.0.bias": (512,), "output.weight": (v, 128), "output.bias": (v,),
    }  # fmt: skip
    assert type(model.players[0].optimizer).__name__ == "RMSprop" and model.players[0].optimizer.lr == 0.01
    windows = model.prepare(load_set("text", config.data, "train"))[0]
    assert 9 < config.steps * 128 / len(windows) < 11  # epochs; the default text differs with Python's version
    batch = windows[:128]
    loss, _ = model.objective((batch,), None)
    h = model.cell(model.embedding(batch[:, :40].astype(int)))[0].numpy()[:, -1]
    logits = h @ model.output.weight.numpy().T + model.output.bias.numpy()
    expected = np.log(np.exp(logits).sum(1)) - logits[np.arange(128), batch[:, 40]]
    np.testing.assert_allclose(loss.item(), expected.mean(), rtol=1e-5)


def test_formula_B11_always_the_likeliest_symbol_runs_in_circles(text):
    """argmax on a text with two continuations of equal right: the same words for ever; drawn, both come."""
    model = made(text)
    Trainer(model, model.prepare(TextSet(TEXT, "text")), batch_size=16).run(60)
    model.eval()
    write = lambda **settings: "".join(model.write("the ", 300, np.random.default_rng(1), **settings))
    likeliest = write(temperature=0)
    period = min(p for p in range(1, 120) if likeliest[-120:-p] == likeliest[-120 + p :])
    assert period <= 60
    drawn = write(temperature=1.5)
    assert not any(drawn[-120:-p] == drawn[-120 + p :] for p in range(1, 61))


def test_dropout_draws_from_the_loops_generator(text):
    model = made(text, dropout=0.5)
    batch = (model.prepare(TextSet(TEXT, "text"))[0][:4],)
    model.train()
    losses = [model.objective(batch, backend.generator(seed))[0].item() for seed in (1, 1, 2)]
    assert losses[0] == losses[1] != losses[2]
    model.eval()
    np.testing.assert_array_equal(model(batch[0]).numpy(), model(batch[0]).numpy())
