"""What all models of text share, on a bigram model whose probabilities are a table that the test knows."""

import dataclasses

import numpy as np
import pytest

from minigen import nn
from minigen.datasets import TextSet, load_set
from minigen.errors import ConfigError, DataError
from minigen.models.language import LanguageModel, TextConfig

TEXT = "abcab\ncabbacab\n" * 20


class Bigram(LanguageModel):
    """p(x_t | x_{t−1}) from a table of logits (V, V)."""

    def __init__(self, config, *, rng):
        super().__init__(config)
        self.table = nn.Embedding(self.tokenizer.vocab_size, self.tokenizer.vocab_size, rng=rng)

    def forward(self, ids, rng=None):
        return self.table(ids)

    def begin(self, ids):
        return self.table(ids[:, -1]).data, None

    def step(self, ids, state):
        return self.table(ids).data, None


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text(TEXT)
    return str(path)


@pytest.fixture
def model(text):
    return Bigram(Bigram.learn(TextConfig(data=text, block=7)), rng=np.random.default_rng(0))


def log_softmax(l):
    return l - np.log(np.exp(l).sum(-1, keepdims=True))


def test_windows_begin_at_every_place_and_are_no_copies(model):
    (windows,) = model.prepare(TextSet(TEXT, "text"))
    assert windows.shape == (len(TEXT) - 7, 8) and windows.dtype == np.uint8
    assert model.tokenizer.decode(windows[3]) == TEXT[3:11]
    assert windows.base is not None and not windows.flags.owndata


def test_formula_A6_is_the_mean_of_minus_ln_p_in_nats(model):
    ids = model.encode(TEXT)
    table = log_softmax(model.table.weight.numpy().astype(np.float64))
    expected = -table[ids[:-1], ids[1:]]
    np.testing.assert_allclose(model.nll(ids), expected, rtol=1e-5)
    batch = np.stack([ids[:8], ids[5:13]])
    loss, _ = model.objective((batch,), None)
    np.testing.assert_allclose(loss.numpy(), -table[batch[:, :-1], batch[:, 1:]].mean(), rtol=1e-5)


@pytest.mark.parametrize("length", [2, 7, 8, 9, 15, 100])
def test_every_symbol_but_the_first_is_measured_once(model, length):
    assert model.nll(model.encode(TEXT[:length])).shape == (length - 1,)


def test_generation_draws_from_the_model(model):
    rng = np.random.default_rng(1)
    ids = np.array(list(model.generate(model.encode("a"), 4000, rng)))
    pairs = np.zeros((4, 4))
    np.add.at(pairs, (np.append(model.encode("a"), ids[:-1]), ids), 1)
    p = np.exp(log_softmax(model.table.weight.numpy().astype(np.float64)))
    expected = p * pairs.sum(1, keepdims=True)
    assert ((pairs - expected) ** 2 / expected).sum() < 36  # χ² with 12 degrees of freedom: p = 0.0003
    greedy = list(model.generate(model.encode("a"), 5, rng, temperature=0))
    assert greedy[0] == p[model.encode("a")[0]].argmax()
    assert len(list(model.generate(model.encode("ab"), 3, rng))) == 3


def test_writing_starts_from_the_prompt_or_from_a_line_end(model):
    def write(prompt, seed=0):
        return "".join(model.write(prompt, 20, np.random.default_rng(seed)))

    assert write("ab") == write("ab") != write("ab", 1)
    assert len(write("")) == 20 and write("") == write("\n")
    with pytest.raises(DataError, match="'x' .U.0078., '人'"):
        write("x人a")


def test_the_vocabulary_is_part_of_the_settings(text):
    config = Bigram.learn(TextConfig(data=text, lower=True))
    assert config.vocabulary["characters"] == ["\n", "a", "b", "c"] and Bigram.learn(config) is config
    with pytest.raises(ConfigError, match="vocabulary.*learn"):
        Bigram(TextConfig(data=text), rng=np.random.default_rng(0))
    model = Bigram(config, rng=np.random.default_rng(0))
    assert model.encode("ABC").tolist() == [1, 2, 3]
    pairs = Bigram.learn(dataclasses.replace(config, vocabulary=None, tokenizer="byte pairs", merges=3))
    assert len(pairs.vocabulary["merges"]) == 3
    model = Bigram(pairs, rng=np.random.default_rng(0))
    assert model.tokenizer.decode(model.encode(TEXT)) == TEXT and len(model.encode(TEXT)) < len(TEXT)


def test_a_text_too_short_for_a_window(model):
    with pytest.raises(DataError, match="at least 8 symbols for a window, came 5"):
        model.prepare(TextSet("abcab", "short"))


def test_the_splits_of_a_text_are_its_beginning_and_its_end(text):
    train, test = (load_set("text", text, split) for split in ("train", "test"))
    assert train.text + test.text == TEXT and len(test) == len(TEXT) // 10


def test_pairs_of_both_splits_are_disjoint(tmp_path):
    for name in ("dates", "numbers"):
        train, test = ({pair.source for pair in load_set("pairs", name, split).pairs} for split in ("train", "test"))
        assert train and test and not train & test
        assert load_set("pairs", name, "test").pairs == load_set("pairs", name, "test").pairs
    path = tmp_path / "pairs.txt"
    path.write_text("".join(f"{i}\t{i * i}\n" for i in range(100)))
    train, test = (load_set("pairs", str(path), split).pairs for split in ("train", "test"))
    assert len(train) == 80 and len(test) == 20
    with pytest.raises(DataError, match="did you mean dates"):
        load_set("pairs", "date")
