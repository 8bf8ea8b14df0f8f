# %% [markdown]
# # 20 · GPT
#
# *45 minutes · after 05, 13, 17, 19 · formulas C5, D5*
#
# Lay a finger on this line, move it to the right, and guess each letter before you see it. You use everything to the
# left of the finger, and nothing to the right.
#
# **How can a network make all these guesses at once when it learns, and one by one when it writes, and be the same
# network?**

# %%
import math
import re
import time

import numpy as np
from matplotlib import pyplot as plt

from lessons.kit import FAST, show
from minigen import grad, ops, tensor
from minigen.datasets import CharTokenizer, load_text
from minigen.models.gpt import GPT, GPTConfig
from minigen.optim import Adam

# %% [markdown]
# ## One chain of guesses [C5]
#
# The probability of a text is a product, whatever the model: of the first symbol, of the second after the first, of the
# third after both. So its surprise is a sum:
#
# $$p(x_1, \dots, x_T) = \prod_{t} p(x_t \mid x_{<t}) \qquad L = -\sum_t \log p(x_t \mid x_{<t})$$
#
# where $x_{<t}$ is everything before $x_t$. Article C, §4.1, has a second condition, $P(x_i \mid x_{<i}, h)$, where
# $h$ comes from an encoder that has read something else, as in lesson 18. Leave $h$ away and what remains of the
# Transformer is its decoder alone: a **GPT**. It reads a text and gives, at each place, the distribution of what comes
# next.
#
# ## All of it, in one cell
#
# Lesson 19 has its heart: each place asks, $\mathrm{softmax}(Q K^T / \sqrt d)\, V$, and may look only at itself and
# what is before it. Several **heads** do so side by side, each on its share of the numbers. The rest is
#
# $$x \leftarrow x + \mathrm{attention}(\mathrm{LN}(x)) \qquad
# x \leftarrow x + W_2\, \mathrm{GELU}(W_1 \mathrm{LN}(x) + b_1) + b_2$$
#
# **Layer normalisation**, LN, puts the numbers at each place to mean 0 and variance 1, then scales and shifts them.
# **GELU** is a ReLU without a corner, $a\, \Phi(a)$, where $\Phi(a) = \frac12 (1 + \mathrm{erf}(a / \sqrt 2))$ is the
# share of a Gaussian that lies below $a$. Both branches *add* to $x$: that is the **residual** path. In the end one
# matrix turns $x$ into logits: the one that turned symbols into $x$.
#
# Everything below is arithmetic that works on arrays and on tensors alike. `w` holds the weights by name.

# %%
LAYERS, HEADS = 2, 4


def linear(w, name, x):
    return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]


def norm(w, name, x):
    d = x - x.mean(axis=-1, keepdims=True)
    r = 1 / ((d * d).mean(axis=-1, keepdims=True) + 1e-5) ** 0.5
    return d * r * w[f"{name}.weight"] + w[f"{name}.bias"]


def heads(x):
    """(N, T, C) -> (N, HEADS, T, C / HEADS)"""
    return x.reshape(*x.shape[:2], HEADS, -1).swapaxes(1, 2)


def attention(w, name, x, cache):
    q, k, v = map(heads, ops.split(linear(w, f"{name}.query_key_value", x), 3, -1))
    if cache is not None:  # for later
        k, v = cache[name] = [ops.concatenate(both, 2) for both in zip(cache.get(name, [k[:, :, :0]] * 2), (k, v))]
    T, U = q.shape[2], k.shape[2]
    hidden = np.where(np.arange(U) <= np.arange(T)[:, None] + U - T, 0, -np.inf).astype(x.dtype)
    s = q @ k.swapaxes(2, 3) / math.sqrt(q.shape[3]) + hidden
    return linear(w, f"{name}.output", (ops.softmax(s, -1) @ v).swapaxes(1, 2).reshape(x.shape))


def mlp(w, name, x):
    a = linear(w, f"{name}.0", x)
    return linear(w, f"{name}.2", a * (0.5 * (1 + ops.erf(a / math.sqrt(2)))))


def gpt(w, ids, cache=None, start=0, attention=attention, mlp=mlp, norm=norm, keep=1):
    """ids (N, T) -> logits of the symbol after each (N, T, V)"""
    x = w["tokens.weight"][ids] + w["positions.weight"][start : start + ids.shape[1]]
    for l in range(LAYERS):
        x = keep * x + attention(w, f"layers.{l}.attention", norm(w, f"layers.{l}.norm1", x), cache)
        x = keep * x + mlp(w, f"layers.{l}.mlp", norm(w, f"layers.{l}.norm2", x))
    return norm(w, "norm", x) @ w["tokens.weight"].T


# %% [markdown]
# (`keep` and the functions among its arguments let us take parts away later.) It has nothing else. The weights start as
# small random numbers, biases at 0, scales at 1.


# %%
def weights(V, T, C, dtype="float32"):
    matrices = {"tokens": (V, C), "positions": (T, C)}
    norms = ["norm"]
    for l in range(LAYERS):
        part = f"layers.{l}.attention"
        matrices |= {f"{part}.query_key_value": (3 * C, C), f"{part}.output": (C, C)}
        matrices |= {f"layers.{l}.mlp.0": (4 * C, C), f"layers.{l}.mlp.2": (C, 4 * C)}
        norms += [f"layers.{l}.norm1", f"layers.{l}.norm2"]
    rng = np.random.default_rng(0)
    w = {f"{name}.weight": 0.08 * rng.standard_normal(shape) for name, shape in matrices.items()}
    w |= {f"{name}.weight": np.ones(C) for name in norms}
    w |= {f"{name}.bias": np.zeros(shape[0]) for name, shape in matrices.items() if "." in name}
    w |= {f"{name}.bias": np.zeros(C) for name in norms}
    return {name: a.astype(dtype) for name, a in w.items()}


text = re.sub(r"\n[*=~-]{3,}(?=\n)", "", load_text("python-docs"))[:100_000]  # without the rules under titles
alphabet = "".join(sorted(set(text)))
ids = np.array([alphabet.index(c) for c in text])
V, T, C = len(alphabet), 32, 48
w = weights(V, T, C, "float64")
for name in ("tokens.weight", "layers.0.attention.query_key_value.weight", "layers.0.mlp.0.weight", "norm.bias"):
    print(f"{name:38} {w[name].shape}")
size = sum(a.size for a in w.values())
print(f"{len(w)} arrays, {size:,} numbers; the text: {len(text):,} characters, {V} different")
assert size == V * C + T * C + LAYERS * (12 * C * C + 13 * C) + 2 * C

# %% [markdown]
# ## Who sees whom?
#
# One look at a window of 32 characters gives 32 distributions, each after a text of another length. That is 32 guesses
# to learn from, in one go. It is honest only if no guess has seen what it is to guess. Do not trust the mask: change
# one character and see which logits move.


# %%
def moved(model):
    """At each place, how far the logits move when the character at another place changes"""
    window = ids[None, 5000 : 5000 + T]
    before, changes = model(window), np.zeros((T, T))
    for j in range(T):
        other = window.copy()
        other[0, j] = (other[0, j] + 1) % V
        changes[:, j] = np.abs(model(other) - before)[0].max(1)
    return changes


def open_attention(w, name, x, cache):
    """Attention that looks everywhere"""
    q, k, v = map(heads, ops.split(linear(w, f"{name}.query_key_value", x), 3, -1))
    y = ops.softmax(q @ k.swapaxes(2, 3) / math.sqrt(q.shape[3]), -1) @ v
    return linear(w, f"{name}.output", y.swapaxes(1, 2).reshape(x.shape))


causal, open_ = moved(lambda i: gpt(w, i)), moved(lambda i: gpt(w, i, attention=open_attention))
figure, axes = plt.subplots(1, 2, figsize=(6.4, 3.1))
for panel, changes, title in zip(axes, (causal, open_), ("with the mask", "without")):
    with np.errstate(divide="ignore"):
        panel.imshow(np.log10(changes), vmin=-4, vmax=0.5)
    panel.set(title=title, xlabel="changed character", ylabel="logits at this place")
    panel.grid(False)
show(
    figure, "Above the diagonal nothing moves: no place sees what comes after it. Without the mask every place sees all"
)
print("places whose logits moved before the change:", np.count_nonzero(np.triu(causal, 1)))
assert not np.triu(causal, 1).any() and np.tril(causal).any(0).all() and np.triu(open_, 1)[0, 1:].all()
assert np.count_nonzero(causal) == T * (T + 1) // 2

# %% [markdown]
# Not a small number: exactly 0. A term that is multiplied by 0 in the softmax is not there.
#
# ## Nothing hidden [D5]
#
# So the model gives each text a probability, and all texts of one length together must have 1. For five symbols and
# four places one can ask for every one of the 625.


# %%
def log_p(logits, ids):
    """log p of each row of ids (N, T), from logits (N, T, V) after a start symbol and then all but the last"""
    return np.take_along_axis(ops.log_softmax(logits, -1), ids[:, :, None], 2)[:, :, 0].sum(1)


START = 5  # a sixth symbol, which stands before each text and is never guessed
every = np.stack(np.meshgrid(*[np.arange(5)] * 4, indexing="ij"), -1).reshape(-1, 4)
before = np.concatenate([np.full((625, 1), START), every[:, :-1]], 1)
small = weights(6, 4, 8, "float64")
small = {name: 5 * a for name, a in small.items()}  # so that texts differ
p = np.exp(log_p(gpt(small, before)[:, :, :START], every))
print(f"625 texts, the likeliest with p = {p.max():.4f}, the least with {p.min():.1e}; together {p.sum():.15f}")
assert abs(p.sum() - 1) < 1e-12 and p.max() > 10 * p.min()

# %% [markdown]
# A model that takes the probability of a text apart in this way is **autoregressive**. It has no latent variable: there
# is no $z$, no encoder, and no ELBO below the likelihood, but the likelihood.
#
# Article D, §5.1.3, takes WaveNet for a VAE [D5]. WaveNet is of this family. In place of attention it has convolutions
# that look back, with gaps of 1, 2, 4 … between their taps. Here is the skeleton of one, and the same questions to it.

# %%
rng = np.random.default_rng(1)
filters, gates = ([rng.standard_normal((8, channels, 2)) for channels in (6, 8)] for _ in "fg")
last = rng.standard_normal((START, 8, 1))


def wavenet(ids):
    """Two dilated causal convolutions, tanh(W_f * x) ⊙ σ(W_g * x)        (N, T) -> (N, T, 5)"""
    x = np.eye(6)[ids].swapaxes(1, 2)
    for W_f, W_g, d in zip(filters, gates, (1, 2)):
        f, g = (ops.conv1d(x, W, padding="causal", dilation=d) for W in (W_f, W_g))
        x = np.tanh(f) * ops.sigmoid(g)
    return ops.conv1d(x, last).swapaxes(1, 2)


p = np.exp(log_p(wavenet(before), every))
print(f"WaveNet: together {p.sum():.15f}")
assert abs(p.sum() - 1) < 1e-12

second = {first: np.exp(ops.log_softmax(wavenet(np.array([[START, first, 0, 0]])), -1))[0, 1] for first in (0, 1)}
for first, distribution in second.items():
    print(f"after symbol {first}, the next one has", np.round(distribution, 3))
assert np.abs(second[0] - second[1]).max() > 0.05

# %% [markdown]
# All chance is in the drawing of the symbols, one by one, and each draw changes the next distribution. In the VAE of
# lesson 13 it is the other way round: once $z$ is drawn, each pixel is drawn for itself, and what one becomes changes
# nothing for the others; and $p(x)$ is an integral that it can only bound.
#
# ## Learning
#
# Cut windows out of the text at random. The input is all but the last character, the targets are all but the first:
# the same text, moved by one.


# %%
def train(steps, watch=lambda step, w: None, frozen=(), **parts):
    """(weights, the loss of each step)"""
    rng, w = np.random.default_rng(0), weights(V, T, C)
    w = {name: tensor(0 * a if name in frozen else a, requires_grad=name not in frozen) for name, a in w.items()}
    learnt = [p for p in w.values() if p.requires_grad]
    adam, losses = Adam(learnt, 0.01, (0.9, 0.99)), []
    for step in range(steps):
        adam.lr = 0.01 * min(1, (step + 1) / 30)
        at = rng.integers(0, len(ids) - T, 8 if FAST else 16)
        window = ids[at[:, None] + np.arange(T + 1)]
        loss = ops.softmax_cross_entropy(gpt(w, window[:, :-1], **parts), window[:, 1:])
        adam.step(grad(loss, learnt))
        losses.append(loss.item())
        watch(step + 1, w)
    return {name: p.data for name, p in w.items()}, np.array(losses)


def write(w, prompt, n, temperature=0.8):
    """n characters after the prompt, with a window that moves on"""
    rng, written = np.random.default_rng(0), [alphabet.index(c) for c in prompt]
    for _ in range(n):
        logits = gpt(w, np.array([written[-T:]]))[0, -1].astype("float64")
        written.append(rng.choice(V, p=ops.softmax(logits / temperature, -1)))
    return "".join(alphabet[i] for i in written)


STEPS, EARLY = (120, 60) if FAST else (700, 300)
moments, early = (1, 50, 200, STEPS), {}


def look(step, w):
    if step == EARLY:
        early.update({name: p.data.copy() for name, p in w.items()})
    if step in moments:
        print(
            f"— after {step} steps —\n{write({name: p.data for name, p in w.items()}, 'The ', 40 if FAST else 240)}\n"
        )


trained, losses = train(STEPS, look)

# %% [markdown]
# What has it learnt? Compare with lesson 07: the surprise of a Markov chain that counted this very text. Order 0 knows
# how often each character comes, order 1 also what came before it.


# %%
def entropy(counts):
    """The mean surprise, in nats, of one who knows these counts, the last axis for what comes next"""
    p = counts / np.maximum(counts.sum(-1, keepdims=True), 1)
    return -(counts * np.log(np.where(p > 0, p, 1))).sum() / counts.sum()


pairs = np.zeros((V, V))
np.add.at(pairs, (ids[:-1], ids[1:]), 1)
order0, order1 = entropy(pairs.sum(0)), entropy(pairs)
smooth = np.convolve(losses, np.ones(20) / 20, "valid")
print(
    f"all {V} alike {np.log(V):.2f}   order 0 {order0:.2f}   order 1 {order1:.2f}   GPT {losses[-20:].mean():.2f} nats"
)
figure, axes = plt.subplots()
axes.plot(np.arange(len(smooth)) + 20, smooth)
for level, name in (np.log(V), "all alike"), (order0, "order 0"), (order1, "order 1"):
    axes.axhline(level, color="grey", lw=1, ls=":")
    axes.text(len(losses), level + 0.03, name, ha="right", color="grey")
axes.set(xlabel="step", ylabel="nats per character", title="The surprise of a small GPT")
show(figure, "The loss falls quickly to what single characters tell, then through what pairs tell, and goes on falling")
assert losses[-20:].mean() < (order0 - 0.2 if FAST else order1 - 0.4)

# %% [markdown]
# It went through the stages that you can read in the samples: letters as often as they should come, then pairs, then
# words. Nobody told it of words.
#
# ## Writing without doing everything twice
#
# `write` reads the whole window anew for each character. But with the mask, a place sees only what is before it. So
# what was computed at a place stays true when the text grows: a new character asks the old ones for their keys and
# values, and those have not changed. Keep them. That is the **cache** in `attention`: new $K$ and $V$ go behind the
# old.

# %%
exact = {name: a.astype("float64") for name, a in trained.items()}
window = ids[None, 7000 : 7000 + T]
cache = {}
one_by_one = [gpt(exact, window[:, t : t + 1], cache, start=t)[:, 0] for t in range(T)]
difference = np.abs(np.stack(one_by_one, 1) - gpt(exact, window)).max()
held = sum(a.size for pair in cache.values() for a in pair)
print(f"logits one by one and all at once differ by {difference:.1e}; the cache holds {held:,} numbers")
assert difference < 1e-12 and held == 2 * LAYERS * T * C

# %% [markdown]
# Learning reads all places at once, writing reads them one by one, and it is the same network. What does it save? Let a
# model with a longer window read 256 characters one after another, both ways.

# %%
N = 128 if FAST else 256
long, places, seconds = weights(V, N, C), {}, {}
page = ids[None, :N]
for way in "anew", "cached":
    cache, places[way], begin = {}, 0, time.perf_counter()
    for t in range(N):
        new = page[:, : t + 1] if way == "anew" else page[:, t : t + 1]
        logits = gpt(long, new, *((cache, t) if way == "cached" else ()))
        places[way] += new.size
    seconds[way] = time.perf_counter() - begin
    print(f"{way:7} {places[way]:6,} places read, {seconds[way]:.2f} s")
assert places["cached"] == N and places["anew"] == N * (N + 1) // 2
assert seconds["cached"] < seconds["anew"]

# %% [markdown]
# One place for each character, and not $t$. (It saves less time than places. At each call, Python takes its share,
# however little there is to compute.)
#
# One thing the cache cannot do. When the window is full and moves on, the oldest character should be forgotten. Throw
# its key and value away, and see whether that is the same as never having read it:

# %%
cache = {}
gpt(exact, window, cache)
dropped = {name: [a[:, :, 1:] for a in pair] for name, pair in cache.items()}
following = ids[None, 7000 + T : 7001 + T]
shifted = gpt(exact, following, dropped, start=T - 1)[0, -1]
fresh = gpt(exact, ids[None, 7001 : 7001 + T])[0, -1]
print(f"the logits differ by up to {np.abs(shifted - fresh).max():.2f}")
assert np.abs(shifted - fresh).max() > 0.05

# %% [markdown]
# It is not. Each of the other characters now stands one place earlier, and `positions` gives that place other numbers.
# And in the second layer, their keys still know the character that was dropped. So minigen reads a full window anew.
#
# ## What each part buys
#
# Take one part away, train a new network, and ask for its surprise on the same windows.


# %%
def surprise(w, places=slice(None), **parts):
    """Mean of −log p over many windows of the text"""
    at = np.random.default_rng(1).integers(0, len(ids) - T, 100 if FAST else 400)
    seen = ids[at[:, None] + np.arange(T + 1)]
    nll = ops.softmax_cross_entropy(gpt(w, seen[:, :-1], **parts), seen[:, 1:], "none")
    return nll[:, places].mean()


nothing = lambda w, name, x, cache=None: 0 * x
without = {
    "attention": {"attention": nothing},
    "positions": {"frozen": ("positions.weight",)},
    "mlp": {"mlp": nothing},
    "residual path": {"keep": 0},
    "normalisation": {"norm": lambda w, name, x: x},
}
found = {"nothing": surprise(early)}
for part, changes in without.items():
    if FAST and part in ("positions", "mlp", "normalisation"):
        continue
    w, _ = train(EARLY, **changes)
    found[part] = surprise(w, **{name: value for name, value in changes.items() if name != "frozen"})
print(f"after {EARLY} steps, without …")
for part, nats in found.items():
    print(f"  {part:14} {nats:.2f} nats")

figure, axes = plt.subplots(figsize=(6.4, 2.4))
for i, nats in enumerate(found.values()):
    axes.plot(nats, -i, "o", ms=9, color="C1" if i else "C0")
axes.axvline(order1, color="grey", lw=1, ls=":")
axes.set(xlabel="nats per character; the dotted line is order 1", title=f"Without … after {EARLY} steps")
axes.set_yticks(-np.arange(len(found)), list(found))
show(figure, "The surprise of networks that lack one part each: each part buys something, the residual path most")
assert found["residual path"] > found["nothing"] + (0.05 if FAST else 0.5)
assert found["attention"] > order1 - 0.1

# %% [markdown]
# - **Attention** is the only part that brings anything from one place to another. Without it, each guess knows a single
#   character, and no training can bring it below order 1.
# - **Positions** tell where. Without them attention sees a heap of characters. (Not quite: see below.)
# - **The MLP** is what is computed with what was brought.
# - **The residual path** is the way for slopes: each part adds to $x$, so that what is right already need not be learnt
#   by every layer anew.
# - **Normalisation** buys little in a network of two layers.
#
# The first two can be seen exactly. Without attention, only the diagonal moves. And without positions, let two earlier
# characters change places:

# %%
w = {name: 1.5 * a for name, a in weights(V, T, C, "float64").items()}
print("places that see a change, without attention:", np.count_nonzero(moved(lambda i: gpt(w, i, attention=nothing))))
assert np.count_nonzero(moved(lambda i: gpt(w, i, attention=nothing))) == T

first_only = lambda w, name, x, cache: attention(w, name, x, cache) if ".0." in name else 0 * x
swapped = window.copy()
swapped[0, [3, 8]] = window[0, [8, 3]]
assert swapped[0, 3] != swapped[0, 8]
for name, positions in ("positions", 1), ("no positions", 0):
    v = w | {"positions.weight": positions * w["positions.weight"]}
    one, two = (
        np.abs(gpt(v, swapped, attention=a)[0, -1] - gpt(v, window, attention=a)[0, -1]).max()
        for a in (first_only, attention)
    )
    print(f"{name:13} attention in one layer: the last logits move by {one:.1e}   in two: {two:.1e}")
    assert one < 1e-12 or positions
    assert two > 1e-6

# %% [markdown]
# With one layer of attention, order is invisible. With two, it is not: what a place makes of its past in the first
# layer depends on which characters the mask let it see, and those are the ones before it. So the mask itself tells
# something of the order.
#
# And what does the mask buy? Without it, the loss is wonderful:

# %%
STEPS_OPEN = 80 if FAST else 150
w, losses = train(STEPS_OPEN, attention=open_attention)
all_but_last = surprise(w, slice(T - 1), attention=open_attention)
last = surprise(w, slice(T - 1, T), attention=open_attention)
print(f"without the mask, after {STEPS_OPEN} steps: {all_but_last:.2f} nats; at the last place alone {last:.2f}")
assert last > all_but_last + (0.3 if FAST else 2)

# %% [markdown]
# It has learnt to look one place ahead, where the answer stands. Only the last place has no such neighbour, and that is
# the place from which a text is written. A loss that is too good to be true is a reason to change one character and see
# what moves.
#
# ## The same in minigen
#
# `minigen/models/gpt.py` is this model with fused kernels. Give it our weights, in float64.

# %%
vocabulary = CharTokenizer(alphabet).to_dict()
model = GPT(GPTConfig(layers=LAYERS, heads=HEADS, width=C, block=T, vocabulary=vocabulary), rng=rng)
for name, a in exact.items():
    module, (*path, last) = model, name.split(".")
    for part in path:
        module = module[int(part)] if part.isdigit() else getattr(module, part)
    setattr(module, last, tensor(a, requires_grad=True))
assert {name for name, _ in model.named_parameters()} == set(exact)
assert np.array_equal(model.encode(text), ids)

batch = ids[np.arange(0, 4000, 1000)[:, None] + np.arange(T + 1)]
ours = {name: tensor(a, requires_grad=True) for name, a in exact.items()}
L = ops.softmax_cross_entropy(gpt(ours, batch[:, :-1]), batch[:, 1:])
theirs, _ = model.objective((batch,), rng)
slopes = zip(grad(L, list(ours.values())), grad(theirs, [dict(model.named_parameters())[name] for name in ours]))
np.testing.assert_allclose(gpt(exact, window), model(window).data, rtol=1e-12, atol=1e-12)
np.testing.assert_allclose(L.item(), theirs.item(), rtol=1e-12)
for a, b in slopes:
    np.testing.assert_allclose(a.data, b.data, rtol=1e-10, atol=1e-12)

logits, state = model.begin(window[:, :3])
cache = {}
np.testing.assert_allclose(logits, gpt(exact, window[:, :3], cache)[:, -1], rtol=1e-12, atol=1e-12)
for t in range(3, T):
    logits, state = model.step(window[:, t], state)
    np.testing.assert_allclose(logits, gpt(exact, window[:, t : t + 1], cache, t)[:, 0], rtol=1e-12, atol=1e-12)
print("logits, loss, every slope, and each step of writing: equal to twelve digits")
