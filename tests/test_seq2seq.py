"""LSTM encoder and decoder: what the decoder may see, padding, search, attention."""

import dataclasses
import itertools

import numpy as np
import pytest

from minigen import backend, nn, ops
from minigen.datasets import Pair, PairSet, load_set, split_pairs
from minigen.errors import ConfigError, DataError
from minigen.models import decoding, seq2seq
from minigen.models.seq2seq import Seq2Seq, Seq2SeqConfig, a3_output_as_written
from minigen.tensor import grad, no_grad, tensor
from minigen.training.loop import Trainer

COPIES = [(text, text.upper()) for n in (1, 2, 3, 4) for text in map("".join, itertools.product("abcd", repeat=n))]
PAIRS = PairSet(tuple(Pair(source, target, "") for source, target in COPIES), "copies")
SMALL = Seq2SeqConfig(embedding=16, width=32, batch_size=32, steps=250, lr=1e-2, schedule="cosine", longest=8)


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    path = tmp_path_factory.mktemp("pairs") / "copies.txt"
    path.write_text("".join(f"{source}\t{target}\n" for source, target in COPIES))
    return Seq2Seq.learn(dataclasses.replace(SMALL, data=str(path)))


def made(config, seed=0, **settings):
    return Seq2Seq(dataclasses.replace(config, **settings), rng=backend.generator(seed)).eval()


@pytest.fixture(scope="module")
def trained(config):
    with backend.use("numba"):
        model = made(config)
        Trainer(model, model.prepare(PAIRS), batch_size=32).run(SMALL.steps)
        return model.eval()


def batch(model, *pairs):
    return model.prepare(PairSet(tuple(Pair(*pair, "") for pair in pairs), "some"))


def distributions(model, source, target):
    """p(· | y_1, …, y_{t−1}, x) for each symbol of a target and its end        (T, V)"""
    ids, lengths = model.source.encode_batch([source])
    written, _ = model.target.encode_batch([target])
    with no_grad():
        return ops.softmax(model(ids, lengths, written[:, :-1]), -1).numpy()[0]


@pytest.mark.parametrize("attention", [True, False])
def test_formula_A1(config, attention, backend_name):
    """Writing symbol by symbol, each fed back, has the distributions of the whole target given at once."""
    model = made(config, attention=attention)
    ids, lengths = map(backend.asarray, model.source.encode_batch(["abc"]))
    with no_grad():
        state, ids = model.read(ids, lengths), np.array([model.target.bos])
        logits, written = [], []
        for _ in range(5):
            out, state = model.step(backend.asarray(ids), state)
            logits.append(backend.to_host(out))
            ids = decoding.greedy(logits[-1])
            written.append(ids)
        source = tuple(map(backend.asarray, model.source.encode_batch(["abc"])))
        given = backend.asarray(np.stack([[model.target.bos], *written[:-1]], axis=1))
        whole = model(*source, given).numpy()
    np.testing.assert_allclose(np.stack(logits, axis=1), whole, rtol=0, atol=2e-6)


def test_formula_A1_without_attention_the_summary_is_all(config):
    """The decoder of seq2seq-plain sees the source through E_X, two vectors of fixed length, alone."""
    model = made(config, attention=False)
    last, memory = model.read(*model.source.encode_batch(["abcd"]))
    assert memory is None and [[a.shape for a in state] for state in last] == [[(1, 32), (1, 32)]]
    other, _ = model.read(*model.source.encode_batch(["d"]))
    ids = np.array([model.target.bos])
    given = [tuple(tensor(a.numpy()) for a in state) for state in last]
    np.testing.assert_array_equal(model.step(ids, (given, None))[0], model.step(ids, (last, None))[0])
    assert (model.step(ids, (other, None))[0] != model.step(ids, (last, None))[0]).any()


@pytest.mark.parametrize("attention", [True, False])
def test_a_symbol_is_predicted_from_those_before_it(config, attention):
    model = made(config, attention=attention)
    one, two = distributions(model, "abc", "ABCD"), distributions(model, "abc", "ABAA")
    np.testing.assert_array_equal(one[:3], two[:3])
    assert (one[3] != two[3]).any()


@pytest.mark.parametrize("attention", [True, False])
def test_padding_is_neither_read_nor_learnt_from(config, attention):
    model = made(config, attention=attention, seed=3)
    pairs = [("a", "A"), ("abcd", "ABCD"), ("ab", "BA")]
    together, _ = model.objective(batch(model, *pairs), None)
    alone = [model.objective(batch(model, pair), None)[0].item() for pair in pairs]
    counts = [len(target) + 1 for _, target in pairs]
    np.testing.assert_allclose(together.item(), np.average(alone, weights=counts), rtol=1e-5)
    assert model.translate([source for source, _ in pairs]) == [model.translate([source])[0] for source, _ in pairs]


def test_formula_A3():
    """y_s = softmax(W_G E_X + b_G) is the same for every s: it learns 0, 1, 2 no better than ln 3; a state h_s does."""
    rng = np.random.default_rng(0)
    target = np.array([[0, 1, 2]])
    weight, bias = (tensor(a, requires_grad=True) for a in (rng.standard_normal((3, 4)), np.zeros(3)))
    summary = tensor(rng.standard_normal((1, 4)), requires_grad=True)
    y = a3_output_as_written(summary, weight, bias, 3).numpy()
    assert y.shape == (1, 3, 3) and (y == y[:, :1]).all()

    def learn(probabilities, parameters):
        for _ in range(200):
            chosen = ops.take_along_axis(probabilities(), target[..., None], -1)
            loss = -ops.mean(ops.log(chosen))
            for p, g in zip(parameters, grad(loss, parameters)):
                p.data -= 0.5 * g.numpy()
        return loss.item()

    as_written = learn(lambda: a3_output_as_written(summary, weight, bias, 3), [weight, bias, summary])
    np.testing.assert_allclose(as_written, np.log(3), atol=1e-3)
    decoder = nn.LSTM(1, 4, rng=rng, dtype="float64")
    state = lambda: decoder(np.zeros((1, 3, 1)), [(summary, np.zeros((1, 4)))])[0]
    parameters = [weight, bias, summary, *decoder.parameters()]
    assert learn(lambda: ops.softmax(ops.linear(state(), weight, bias), -1), parameters) < 0.1


def test_formula_A7():
    """Embedding → LSTM(128) twice, the second from the first one's states; Dense; RMSprop; a fifth held out."""
    config = Seq2Seq.learn(seq2seq.PRESETS["seq2seq-plain"].config)
    model = Seq2Seq(config, rng=backend.generator(0))
    s, t = model.source.vocab_size, model.target.vocab_size
    assert s != t  # the decoder embeds the target
    assert {name: p.shape for name, p in model.named_parameters()} == {
        "source_embedding.weight": (s, 64), "target_embedding.weight": (t, 64),
        "encoder.cells.0.weight_ih": (512, 64), "encoder.cells.0.weight_hh": (512, 128), "encoder.cells.0.bias": (512,),
        "decoder.cells.0.weight_ih": (512, 64), "decoder.cells.0.weight_hh": (512, 128), "decoder.cells.0.bias": (512,),
        "output.weight": (t, 128), "output.bias": (t,),
    }  # fmt: skip
    assert type(model.players[0].optimizer).__name__ == "RMSprop"
    training, validation = split_pairs(list(PAIRS.pairs), np.random.default_rng(0))
    assert len(validation) / len(PAIRS) == pytest.approx(0.2, abs=0.01) and len(training) + len(validation) == len(
        PAIRS
    )


def test_it_learns_to_copy(trained):
    sources = [source for source, _ in COPIES]
    exact = np.mean([a == b for a, (_, b) in zip(trained.translate(sources), COPIES, strict=True)])
    assert exact >= 0.99
    some = sources[::20]
    assert trained.translate(some, beam=4) == [source.upper() for source in some]


def test_beam_search_finds_what_is_at_least_as_likely(config):
    """On a model that has learnt nothing, where greedy search is often wrong."""
    model = made(config, seed=5, longest=3)

    def log_prob(source, text):
        p = distributions(model, source, text)
        ids = np.append(model.target.encode(text), model.target.eos)[:3]
        return np.log(p[np.arange(len(ids)), ids]).sum()

    for source in ("a", "dc", "abcd"):
        greedy, wide = model.translate([source])[0], model.translate([source], beam=400, alpha=0.0)[0]
        assert log_prob(source, wide) >= log_prob(source, greedy) - 1e-6


def test_attention_follows_the_source(trained):
    """Copying, each symbol looks most at its own in the source; the weights are a distribution over real symbols."""
    text, weights = trained.attention("dbca")
    assert text == "DBCA" and weights.shape == (5, 4)
    assert (np.diff(weights[:4].argmax(1)) > 0).all()
    ids, lengths = trained.source.encode_batch(["dbca", "ab"])
    with no_grad():
        _, _, alpha = trained._write(np.array([[1], [1]]), trained.read(ids, lengths))
    np.testing.assert_allclose(alpha.numpy().sum(-1), 1, rtol=1e-6)
    assert not alpha.numpy()[1, :, 4:].any()
    _, given = trained.attention("dbca", "AB")
    assert given.shape == (3, 4)


def test_long_pairs_are_not_learnt_from(config):
    found = batch(made(config, longest=3), ("abcd", "A"), ("a", "ABCD"), ("abc", "ABC"))
    assert [len(a) for a in found] == [1] * 4 and found[0].tolist() == [[1, 3, 4, 5, 2]]
    with pytest.raises(DataError, match="some: no pair has texts of at most longest = 3 symbols"):
        batch(made(config, longest=3), ("abcd", "A"))


def test_the_vocabulary_is_part_of_the_settings(config):
    assert config.vocabulary["source"]["characters"] == list("abcd") and Seq2Seq.learn(config) is config
    with pytest.raises(ConfigError, match="vocabulary.*learn"):
        Seq2Seq(SMALL, rng=backend.generator(0))
    with pytest.raises(DataError, match="'x' .U.0078."):
        made(config).translate(["ax"])
    assert made(config).translate([]) == []
    assert len(load_set("pairs", config.data, "test")) == len(COPIES) // 5
