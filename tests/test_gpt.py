"""GPT and the Transformer: nobody sees the future, a cache changes nothing, small texts are learnt."""

from __future__ import annotations

import dataclasses
import importlib

import numpy as np
import pytest

import minigen
from minigen import backend, no_grad
from minigen.datasets import Pair, PairSet, TextSet
from minigen.kernels import KERNELS
from minigen.models import gpt, transformer
from minigen.models.gpt import GPT, GPTConfig
from minigen.models.transformer import Transformer, TransformerConfig
from minigen.optim import cosine
from minigen.training.loop import Trainer

TEXT = "the cat sat on the mat; the dog sat on the cat.\n" * 30
SMALL = GPTConfig(block=12, layers=2, heads=2, width=16, batch_size=16, steps=100, lr=2e-2, warmup=10)
PAIRS = [Pair(f"{a}{b}", f"{b}.{a}", "") for a in "abcd" for b in "abcdef"] + [Pair("a", "a.", "")]
TINY = TransformerConfig(layers=1, heads=2, width=16, batch_size=20, steps=200, lr=1e-2, warmup=10, longest=8)


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text(TEXT)
    return str(path)


def made(text, seed=0, **settings):
    config = GPT.learn(dataclasses.replace(SMALL, data=text, **settings))
    return GPT(config, rng=backend.generator(seed)).eval()


@pytest.fixture
def pairs(tmp_path):
    path = tmp_path / "pairs.txt"
    path.write_text("".join(f"{pair.source}\t{pair.target}\n" for pair in PAIRS))
    return str(path)


def translator(pairs, **settings):
    config = Transformer.learn(dataclasses.replace(TINY, data=pairs, **settings))
    return Transformer(config, rng=backend.generator(0)).eval()


# -- the future -------------------------------------------------------------------------------------------------------


def test_formula_C5(text, pairs, backend_name):
    """L = −Σ log P(x_i | x_<i, h): another symbol at place t leaves the logits before t as they were, bit for bit, and
    changes all from t on; of another source it changes all."""
    model = made(text)
    ids = model.encode(TEXT[:12])[None]
    whole = model(backend.asarray(ids)).numpy()
    for t in range(12):
        other = ids.copy()
        other[0, t] = (ids[0, t] + 1) % model.tokenizer.vocab_size
        logits = model(backend.asarray(other)).numpy()
        np.testing.assert_array_equal(logits[:, :t], whole[:, :t])
        assert (np.abs(logits[0, t:] - whole[0, t:]).max(1) > 1e-6).all()

    model = translator(pairs)
    source, lengths, target, _ = map(backend.asarray, model.prepare(PairSet(tuple(PAIRS), "pairs")))
    source, target = source.astype("int64"), target.astype("int64")
    whole = model(source, lengths, target).numpy()
    other = target.copy()
    other[:, 2] = model.target.vocab_size - 1 - other[:, 2]
    logits = model(source, lengths, other).numpy()
    np.testing.assert_array_equal(logits[:, :2], whole[:, :2])
    assert (np.abs(logits[:, 2:] - whole[:, 2:]).max(2) > 1e-6).all()
    logits = model(source[::-1], lengths[::-1], target).numpy()
    assert (np.abs(logits[:12] - whole[:12]).max((1, 2)) > 1e-6).all()


def test_the_loss_is_the_mean_over_the_windows(text):
    model = made(text)
    (windows,) = model.prepare(TextSet(TEXT, "text"))
    batch = windows[[0, 5, 40]]
    logits = model(batch[:, :-1].astype(np.int64)).numpy().astype(np.float64)
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    expected = -np.log(np.take_along_axis(p, batch[:, 1:, None].astype(np.int64), -1)).mean()
    loss, _ = model.objective((batch,), backend.generator(0))
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    assert model.nll(model.encode(TEXT[:100])).shape == (99,)


# -- writing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prompt", [1, 5, 12, 30])
def test_cached_generation_is_full_recomputation(text, prompt, backend_name):
    """Within the block and beyond it, every symbol has the logits of reading the last `block` symbols anew."""
    model = made(text)
    ids = backend.asarray(model.encode(TEXT[:40])[None])
    with no_grad():
        logits, state = model.begin(ids[:, :prompt])
        for t in range(prompt, 40):
            expected = model(ids[:, max(0, t - 12) : t]).numpy()[:, -1]
            np.testing.assert_allclose(backend.to_host(logits), expected, rtol=0, atol=2e-6)
            logits, state = model.step(ids[:, t], state)


def test_within_the_block_only_the_new_symbol_is_computed(text, monkeypatch):
    model, seen = made(text), []
    model.tokens.forward, plain = lambda ids: seen.append(ids.shape[1]) or plain(ids), model.tokens.forward
    step = gpt.kernels.gpt_step
    monkeypatch.setattr(gpt.kernels, "gpt_step", lambda ids, *a, **k: seen.append(ids.size) or step(ids, *a, **k))
    list(model.generate(model.encode("the"), 12, np.random.default_rng(0)))
    assert seen == [3, *[1] * 9, 12, 12]


def test_translation_with_kept_keys_is_teacher_forcing(pairs, backend_name):
    """Step by step, each symbol has the logits that it has in the whole target; padding of other sources is nothing."""
    model = translator(pairs)
    source, lengths, target, _ = map(backend.asarray, model.prepare(PairSet((*PAIRS[:3], PAIRS[-1]), "pairs")))
    source, target = source.astype("int64"), target.astype("int64")
    with no_grad():
        whole = model(source, lengths, target).numpy()
        state = model.read(source, lengths)
        for t in range(target.shape[1]):
            logits, state = model.step(target[:, t], state)
            np.testing.assert_allclose(backend.to_host(logits), whole[:, t], rtol=0, atol=2e-6)
        alone = model(source[3:, :3], lengths[3:], target[3:]).numpy()
    np.testing.assert_allclose(alone, whole[3:], rtol=0, atol=2e-6)
    assert model.translate(["ab", "a"], beam=1) == [model.translate(["ab"])[0], model.translate(["a"])[0]]


def random_step(n, t, layers=2, heads=3, d=5, hidden=22, symbols=11, room=9, dtype=np.float32):
    """Arguments of `kernels.gpt_step`"""
    rng, c = np.random.default_rng(n + t), heads * d
    shapes = {"norm1": (layers, 2, c), "qkv": (layers, 3 * c, c), "qkv_bias": (layers, 3 * c), "out": (layers, c, c),
              "out_bias": (layers, c), "norm2": (layers, 2, c), "up": (layers, hidden, c), "up_bias": (layers, hidden),
              "down": (layers, c, hidden), "down_bias": (layers, c), "norm": (2, c),
              "tokens": (symbols, c), "positions": (room, c)}  # fmt: skip
    weights = {name: 0.5 * rng.standard_normal(shape).astype(dtype) for name, shape in shapes.items()}
    ids, past = rng.integers(0, symbols, n), rng.standard_normal((layers, 2, n, heads, room, d))
    return ids, past.astype(dtype), t, 1e-5, weights


@pytest.mark.parametrize("n, t", [(1, 0), (1, 8), (3, 4), (5, 1)])
def test_the_compiled_step_is_that_of_the_reference(n, t, monkeypatch):
    twin, found = importlib.import_module("minigen.kernels.cpu.gpt").gpt_step, []
    for threads in (1, 2, 3):
        monkeypatch.setattr("minigen.kernels.cpu.threads.get_num_threads", lambda threads=threads: threads)
        ids, past, _, eps, weights = random_step(n, t)
        before = past.copy()
        logits = twin(ids, past, t, eps, **weights)
        found.append((logits.tobytes(), past.tobytes()))
        wide_past = before.astype("f8")
        expected = KERNELS["gpt_step"](ids, wide_past, t, eps, **{k: w.astype("f8") for k, w in weights.items()})
        np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
        np.testing.assert_allclose(past, wide_past, rtol=0, atol=1e-5)
        others = np.arange(past.shape[4]) != t
        np.testing.assert_array_equal(past[:, :, :, :, others], before[:, :, :, :, others])
        np.testing.assert_array_equal(ids, random_step(n, t)[0])
    assert found[0] == found[1] == found[2]
    ids, past, _, eps, weights = random_step(n, t, dtype=np.float64)
    kept = past.copy()
    np.testing.assert_array_equal(twin(ids, past, t, eps, **weights), KERNELS["gpt_step"](ids, kept, t, eps, **weights))
    for wrong in (11, -12):
        with pytest.raises(IndexError):
            twin(ids * 0 + wrong, past, t, eps, **random_step(n, t)[4])


# -- learning ---------------------------------------------------------------------------------------------------------


def test_gpt_learns_a_text(text):
    model = made(text)
    Trainer(model, model.prepare(TextSet(TEXT, "text")), batch_size=16).run(SMALL.steps)
    model.eval()
    assert model.nll(model.encode(TEXT)).mean() < 0.4  # the first symbols of a block have little before them
    assert "".join(model.write("the cat sat", 6, np.random.default_rng(0), temperature=0)) == " on th"


def test_the_transformer_learns_pairs(pairs):
    model = translator(pairs)
    Trainer(model, model.prepare(PairSet(tuple(PAIRS), "pairs")), batch_size=20).run(TINY.steps)
    model.eval()
    sources, targets = [pair.source for pair in PAIRS], [pair.target for pair in PAIRS]
    assert model.translate(sources) == targets
    assert model.translate(sources[:4], beam=3) == targets[:4]


def test_how_weights_start_and_are_trained(text):
    model = made(text, layers=3, width=32, dropout=0.1)
    for name, p in model.named_parameters():
        if p.ndim == 2:
            shrunk = 1 / np.sqrt(6) if name.endswith(("attention.output.weight", "mlp.2.weight")) else 1
            assert p.numpy().std() == pytest.approx(0.02 * shrunk, rel=0.15), name
        else:
            assert (p.numpy() == float(name.split(".")[-2].startswith("norm") and name.endswith("weight"))).all(), name
    assert "output.weight" not in dict(model.named_parameters())  # tied to the tokens
    (player,) = model.players
    assert player.clip == 1.0
    for step in (0, 9, 80, 99):
        assert player.schedule(step) == cosine(step, 100, 10, 2e-2, 2e-3)
    before = [p.numpy().copy() for p in player.parameters]
    player.optimizer.step([np.zeros_like(p) for p in before])
    for p, old in zip(player.parameters, before):
        np.testing.assert_allclose(p.numpy(), old * (1 - 2e-2 * 0.1 if p.ndim == 2 else 1), rtol=1e-6)


def test_dropout_in_training_and_not_in_use(text, pairs):
    model, batch = made(text, dropout=0.3), (np.arange(26).reshape(2, 13) % 5,)
    losses = [[model.train(mode).objective(batch, backend.generator(seed))[0].item() for seed in (1, 2)]
              for mode in (True, False)]  # fmt: skip
    assert losses[0][0] != losses[0][1] and losses[1][0] == losses[1][1]
    model = translator(pairs, dropout=0.3).train()
    batch = model.prepare(PairSet(tuple(PAIRS), "pairs"))
    assert len({model.objective(batch, backend.generator(seed))[0].item() for seed in (1, 2, 1)}) == 2


def test_presets():
    """nanoGPT's setting for the CPU, with twice its learning rate."""
    c = gpt.PRESETS["gpt"].config
    assert (c.layers, c.heads, c.width, c.block, c.batch_size, c.steps) == (4, 4, 128, 64, 12, 2000)
    assert (c.lr, c.warmup, c.beta2, c.weight_decay, c.clip, c.dropout) == (2e-3, 100, 0.99, 0.1, 1.0, 0.0)
    assert transformer.PRESETS["transformer"].config.data == "dates"


# -- PyTorch ----------------------------------------------------------------------------------------------------------


@pytest.mark.oracle
def test_torch_agrees_on_a_gpt(text):
    """Logits and the gradient of every parameter, of the whole model with the same weights."""
    torch = pytest.importorskip("torch")
    model = made(text)
    weights = {name: torch.tensor(p.numpy().copy(), requires_grad=True) for name, p in model.named_parameters()}
    ids = model.encode(TEXT[:24]).reshape(2, 12)
    f = torch.nn.functional

    def norm(x, name):
        return f.layer_norm(x, x.shape[-1:], weights[f"{name}.weight"], weights[f"{name}.bias"])

    def linear(x, name):
        return f.linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])

    x = f.embedding(torch.tensor(ids), weights["tokens.weight"]) + weights["positions.weight"]
    for i in range(2):
        h = norm(x, f"layers.{i}.norm1")
        parts = linear(h, f"layers.{i}.attention.query_key_value").chunk(3, -1)
        heads = [part.unflatten(-1, (2, 8)).transpose(1, 2) for part in parts]
        y = f.scaled_dot_product_attention(*heads, is_causal=True).transpose(1, 2).flatten(2)
        x = x + linear(y, f"layers.{i}.attention.output")
        x = x + linear(f.gelu(linear(norm(x, f"layers.{i}.norm2"), f"layers.{i}.mlp.0")), f"layers.{i}.mlp.2")
    expected = norm(x, "norm") @ weights["tokens.weight"].T
    logits = model(ids)
    np.testing.assert_allclose(logits.numpy(), expected.detach().numpy(), rtol=1e-5, atol=1e-5)
    g = np.random.default_rng(3).standard_normal(logits.shape).astype(np.float32)
    expected.backward(torch.tensor(g))
    for (name, p), gradient in zip(model.named_parameters(), minigen.grad(logits, model.parameters(), g)):
        theirs = weights[name].grad.numpy()
        np.testing.assert_allclose(gradient.numpy(), theirs, rtol=0, atol=1e-5 * np.abs(theirs).max(), err_msg=name)
        assert p.shape == gradient.shape
