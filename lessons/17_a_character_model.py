# %% [markdown]
# # 17 · A character model, and how to let it speak
#
# *30 minutes · after 05, 07, 16 · formulas B11*
#
# **A machine knows how probable each next character is. Which one should it write?**
#
# The likeliest, one would say. Article B says so, too. We build its machine, let it write, and look.
#
# The data are a text in lower case, cut into characters; each has a number, its **id**.

# %%
from math import comb

import numpy as np
from matplotlib import pyplot as plt

from lessons.kit import FAST, show
from minigen import grad, nn, no_grad, ops
from minigen.datasets import CharTokenizer, load_text, random_windows
from minigen.errors import ShapeError
from minigen.optim import Adam

text = load_text("python-docs").lower()
text, new = text[:150_000], text[150_000:160_000]
characters = CharTokenizer(text + new)
V = characters.vocab_size
ids = characters.encode(text)
print(f"{len(text):,} characters, {V} different; 'the' is", characters.encode("the"))

# %% [markdown]
# ## A row for each character
#
# An id is a name, not a quantity: 57 is not more than 56. So the network gives each character a vector that it can
# learn, a row of a matrix $E$. That is an **embedding**, and to look one up is the same as to multiply by a **one-hot**
# vector, which is 1 at the id and 0 elsewhere:
#
# $$e = E_{i} = \mathrm{onehot}(i)^T E$$

# %%
rng = np.random.default_rng(0)
embed, lstm, out = nn.Embedding(V, 50, rng=rng), nn.LSTM(50, 128, rng=rng), nn.Linear(128, V, rng=rng)
window = ids[:40]
one_hot = np.eye(V, dtype="float32")[window]  # (40, V)
assert np.array_equal(one_hot @ embed.weight.data, embed(window).data)

# %% [markdown]
# Either do the one or the other. Article B does both: its code makes one-hot vectors of every window and hands them to
# an embedding [B11]. An embedding takes whole numbers for ids. What does it see?

# %%
seen = embed(one_hot.astype(int)[None])
print(f"a window of {window.shape} ids as one-hot {one_hot.shape} becomes {seen.shape}")
print("different rows of E that it has looked up:", len(np.unique(seen.data.reshape(-1, 50), axis=0)))
assert len(np.unique(seen.data.reshape(-1, 50), axis=0)) == 2
try:
    lstm(seen)
except ShapeError as error:
    print("ShapeError:", error)
else:
    raise AssertionError("four axes should not pass")

# %% [markdown]
# Every 0 was taken for character number 0, and every 1 for character number 1. The LSTM stops it, since there is an
# axis too many. So: ids.
#
# ## The network
#
# The sizes are the article's: embedding 50, LSTM 128, windows of 40. After each character it gives a logit for each
# possible next one:
#
# $$h_t = \mathrm{LSTM}(E_{x_t}, h_{t-1}) \qquad p(x_{t+1} \mid x_1, \dots, x_t) = \mathrm{softmax}(W h_t + b)$$
#
# The article asks it for one answer a window, the character behind it. But all 40 states are computed anyway, and each
# may answer: the target of a window is the window one character further on.


# %%
def read(ids, state=None):
    """(N, T) -> the logits after each (N, T, V), the state after the last"""
    h, state = lstm(embed(ids), state)
    return out(h), state


x, y = random_windows(ids, 40, 2, rng)
print("in: ", repr(characters.decode(x[0])), "\nout:", repr(characters.decode(y[0])), "\nlogits:", read(x)[0].shape)
assert np.array_equal(x[:, 1:], y[:, :-1])

parameters = [*embed.parameters(), *lstm.parameters(), *out.parameters()]
adam, STEPS = Adam(parameters, 0.01), 90 if FAST else 600
for step in range(STEPS):
    x, y = random_windows(ids, 40, 32, rng)
    loss = ops.softmax_cross_entropy(read(x)[0], y)
    adam.lr = 0.01 * (1 - step / STEPS)  # ever smaller steps: it settles
    adam.step(grad(loss, parameters))
    if step in (0, 9, 29, STEPS // 3, STEPS - 1):
        print(f"step {step + 1:3}: {loss.item():.2f} nats per character")


def surprise(text):
    """−ln p of each character but the first, after all before it"""
    ids = characters.encode(text)[None]
    with no_grad():
        return ops.softmax_cross_entropy(read(ids[:, :-1])[0], ids[:, 1:], "none").data[0]


found = surprise(new).mean()
print(f"new text: {found:.2f} nats; it is as unsure as between {np.exp(found):.1f} equal choices, not {V}")
assert found < (2.4 if FAST else 1.75)

# %% [markdown]
# $e^L$ is the **perplexity**: among how many equally probable characters one would be as unsure.
#
# ## It writes, as the article has it
#
# The article's `generate_text` keeps a window of 40 one-hot vectors, and overwrites it in two places. Here it is, line
# by line, with the one-hot vectors multiplied by $E$, so that it runs.


# %%
def as_written(seed, length=40):
    for character in seed:
        window = np.zeros((1, length, V), "float32")
        window[0, np.arange(length), characters.encode(character)] = 1
    text, left = "", []
    for i in range(length):
        with no_grad():
            h, _ = lstm(window @ embed.weight.data)
            index = out(h[:, -1]).data[0].argmax()
        text += characters.decode([index])
        window = np.zeros((1, length, V), "float32")
        window[0, i, index] = 1
        left.append(int(window.sum()))
    return text, left


first, left = as_written("return a list of strings")
second, _ = as_written("x is")
print(repr(first), repr(second), f"filled places of the window: {set(left)} of 40", sep="\n")
assert first == second and set(left) == {1}

# %% [markdown]
# Two seeds, one text. The first loop fills *all* 40 places with one character, and the next character starts anew, so
# of a seed only the last letter is left: `s`. The second loop empties the window, and puts one character into it. The
# network reads 39 times nothing.
#
# And the article's seed, `The quick brown fox…`, does not even get so far:

# %%
assert "T" not in characters.characters
print("T is among the characters:", "T" in characters.characters, "  t:", "t" in characters.characters)

# %% [markdown]
# The text was put into lower case, the seed was not. (The four lines that the article shows as its result begin with
# *The*. A model without a T did not write them.)
#
# ## It writes, and remembers
#
# An LSTM needs no window. Its state is what it has of the past: read the seed, choose a character, read that one, and
# so on. What is left to settle is `choose`, which gets the logits.


# %%
def write(seed, n, choose, copies=1):
    """`copies` texts of n characters that go on from the seed, and the states h on the way (n, copies, 128)"""
    x, state, made, states = np.repeat(characters.encode(seed)[None], copies, 0), None, [], []
    with no_grad():
        for _ in range(n):
            l, state = read(x, state)
            x = choose(l.data[:, -1].astype("float64"))[:, None]
            made.append(x[:, 0])
            states.append(state[0][0].data)
    return [characters.decode(row) for row in np.array(made).T], np.array(states)


def greedy(l):
    return l.argmax(-1)


def period(text):
    """The smallest p with which the second half of a text repeats itself, or None"""
    half = text[len(text) // 2 :]
    return next((p for p in range(1, len(half) // 2) if half[p:] == half[:-p]), None)


for seed in "the ", "a class ", "if you ":
    (greedy_text,), h = write(seed, 400, greedy)
    p = period(greedy_text)
    print(f"{seed}{greedy_text[:150]}…\n   repeats itself every {p} characters")
    assert p is not None and p < 100
    print(f"   the largest difference of h₄₀₀ from h {p} steps before: {np.abs(h[-1, 0] - h[-1 - p, 0]).max():.0e}\n")
    assert np.abs(h[-1, 0] - h[-1 - p, 0]).max() < 1e-3

# %% [markdown]
# There is the **argmax loop** [B11]. Nothing is broken. The same state gives the same likeliest character, which gives
# the same next state; once the state comes back to where it was, and the last number says that it does, it goes round
# for ever.
#
# But why does it come back so soon? Because the likeliest text is not at all like a text. Here is how surprised the
# model is by each character of a real text, of its own greedy one, and of one that is *drawn*: each character with just
# the probability that the model gives it.


# %%
def softmax(l):
    e = np.exp(l - l.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def draw(p, rng):
    """i with probability p_i: where a number from 0 to 1 falls if the p lie end to end        (N, V) -> (N,)"""
    return (p.cumsum(-1) > rng.random((len(p), 1))).argmax(-1)


rng = np.random.default_rng(0)
(drawn_text,), _ = write(seed, 300, lambda l: draw(softmax(l), rng))
print(seed + drawn_text)
figure, panels = plt.subplots(3, 1, figsize=(6.4, 4.2), sharex=True, sharey=True)
average = {}
for axes, (name, made) in zip(
    panels, [("a real text", new), ("likeliest", seed + greedy_text), ("drawn", seed + drawn_text)]
):
    s = surprise(made[:300])[len(seed) :]
    average[name] = s.mean()
    axes.bar(np.arange(len(s)), s, width=1)
    axes.set(title=f"{name}: {average[name]:.2f} nats a character", xlim=(0, 200))
    print(f"{name:12} {average[name]:.2f}")
panels[1].set_ylabel("surprise, −ln p")
panels[-1].set_xlabel("character")
show(figure, "A real text surprises the model again and again, and so does a drawn one; its likeliest text hardly does")
assert average["likeliest"] < 0.5 * average["a real text"]
assert abs(average["drawn"] - average["a real text"]) < 0.5 * average["a real text"]

# %% [markdown]
# It is like a coin that falls on heads with 0.6. Of all rows of a hundred throws, the single likeliest is a hundred
# heads. Nobody would take it for throws. Any one row with 60 heads is far less likely, but there are so many of them:

# %%
rows = comb(100, 60)
print(f"100 heads: {0.6**100:.1e}   one row with 60 heads: {0.6**60 * 0.4**40:.1e}")
print(f"all {rows:.1e} rows with 60 heads: {rows * 0.6**60 * 0.4**40:.3f}")
assert 0.6**100 > 1e6 * 0.6**60 * 0.4**40 and rows * 0.6**60 * 0.4**40 > 0.08

# %% [markdown]
# ## Between the two: temperature
#
# The greedy text says nothing, and the drawn one invents words. Something between: divide the logits by a number
# $\tau$, the **temperature**, before the softmax.
#
# $$p_i \propto e^{l_i / \tau} = (e^{l_i})^{1 / \tau}$$
#
# At $\tau = 1$ nothing changes. Towards 0 the largest takes everything: argmax. Towards infinity all become equal.
#
# ## Cut the tail: top-k, top-p
#
# What spoils a drawn text? Let us look at the characters that the model finds quite improbable, below 0.01 each.

# %%
with no_grad():
    p = softmax(read(characters.encode(new[:2000])[None])[0].data[0].astype("float64"))
tail = np.where(p < 0.01, p, 0).sum(1).mean()
print(f"on average {(p < 0.01).sum(1).mean():.0f} of {V} characters, {tail:.1%} together")
print(f"a line of 60 characters gets one of them with {1 - (1 - tail) ** 60:.0%}")
assert tail < 0.2 and 1 - (1 - tail) ** 60 > 0.8

# %% [markdown]
# Hardly a line without one, and what is read cannot be unread: the text goes on from there. So cut them off. **Top-k**
# keeps the $k$ most probable. **Top-p**, or nucleus, keeps as many as it takes to reach a probability of $p$ together.
# What is kept is scaled to the sum 1.


# %%
def probabilities(l, temperature=1.0, top_k=None, top_p=None):
    """(N, V) -> (N, V)"""
    p = softmax(l / temperature)
    order = np.argsort(-p, axis=-1, kind="stable")  # the most probable first
    ranked = np.take_along_axis(p, order, -1)
    if top_k is not None:
        ranked[:, top_k:] = 0
        ranked /= ranked.sum(-1, keepdims=True)
    if top_p is not None:
        before = ranked.cumsum(-1) - ranked  # what those before it have together
        ranked[before >= top_p] = 0
        ranked /= ranked.sum(-1, keepdims=True)
    np.put_along_axis(p, order, ranked, -1)
    return p


def drawn(**settings):
    rng = np.random.default_rng(0)
    return lambda l: draw(probabilities(l, **settings), rng)


contexts = "this is a functio", "return the "
with no_grad():
    l = {context: read(characters.encode(context)[None])[0].data[0, -1:].astype("float64") for context in contexts}
figure, panels = plt.subplots(1, 2, figsize=(6.4, 2.8), sharey=True)
kept = {}
for axes, (context, logits) in zip(panels, l.items()):
    order = np.argsort(-logits[0])[:15]
    for i, τ in enumerate((0.5, 1.0, 2.0)):
        axes.bar(np.arange(15) + 0.27 * (i - 1), probabilities(logits, τ)[0, order], 0.27, label=f"τ = {τ}")
    axes.set(title=f"after “{context}”", xticks=range(15), xlabel="next character")
    axes.set_xticklabels([repr(characters.decode([i]))[1:-1].replace(" ", "␣") for i in order])
    kept[context] = [int((probabilities(logits, **how) > 0).sum()) for how in ({"top_k": 5}, {"top_p": 0.9})]
    print(f"after {context!r}: top-k 5 keeps {kept[context][0]}, top-p 0.9 keeps {kept[context][1]}")
panels[0].set_ylabel("probability")
panels[0].legend()
show(
    figure,
    "One place where the model is sure, and one where it is not: a temperature below 1 sharpens, above 1 flattens",
)
cold, hot = (probabilities(l["return the "], τ)[0] for τ in (0.001, 1000))
assert cold.max() > 0.99 and cold.argmax() == l["return the "].argmax() and np.ptp(hot) < 0.01
sure, open_ = (kept[context] for context in contexts)
assert sure[0] == open_[0] == 5 and sure[1] < open_[1]

# %% [markdown]
# Top-k keeps five characters in either place. Top-p keeps few where the model is sure, and many where it is not: the
# number follows the question.
#
# ## What you gain, what you pay
#
# Sixteen texts for each setting. Two counts: how many of the words that it writes stand in the training text, and how
# many of them differ from each other.

# %%
known = set(text.split())
N = 120 if FAST else 300
settings = {
    "argmax": greedy,
    "τ = 0.5": drawn(temperature=0.5),
    "τ = 0.8": drawn(temperature=0.8),
    "τ = 1": drawn(),
    "τ = 1.5": drawn(temperature=1.5),
    "top-k 5": drawn(top_k=5),
    "top-p 0.9": drawn(top_p=0.9),
    "τ = 0.8, top-p 0.9": drawn(temperature=0.8, top_p=0.9),
}
real = new[: 16 * N].split()
points = {"a real text": (np.mean([word in known for word in real]), len(set(real)) / len(real))}
for name, choose in settings.items():
    made, _ = write("the ", N, choose, copies=16)
    words = [word for one in made for word in one.split()[1:-1]]  # the first and the last may be cut
    points[name] = np.mean([word in known for word in words]), len(set(words)) / len(words)
    print(f"— {name} —\n{' '.join(made[0].split())[:120]}")

figure, axes = plt.subplots()
print("\n                      words that exist   different words")
for i, (name, (spelt, varied)) in enumerate(points.items()):
    print(f"{name:20} {spelt:17.0%} {varied:17.0%}")
    axes.plot(varied, spelt, "o" if i else "*", ms=7 if i else 13, color="C0" if i else "C1")
    where = {"xytext": (-8, -9), "ha": "right"} if "top" in name else {"xytext": (8, 4)}
    axes.annotate(name, (varied, spelt), **where, textcoords="offset points", fontsize=8, color="grey")
axes.set(xlabel="different words", ylabel="words that exist", title="Spelling against variety", xlim=(-0.03, 1.1))
show(figure, "From a loop that spells well down to nonsense that never repeats itself; the star is a real text")
assert points["argmax"][1] < 0.05
spelt, varied = points["a real text"]
assert not any(a >= spelt and b >= varied for name, (a, b) in points.items() if name != "a real text")
assert points["τ = 0.5"][0] > points["τ = 1"][0] > points["τ = 1.5"][0]
assert points["τ = 0.5"][1] < points["τ = 1"][1] < points["τ = 1.5"][1]

# %% [markdown]
# No setting has as much of both as the real text. The choice trades the one for the other. To have more of both takes a
# better model.
#
# ## The same in minigen
#
# `minigen.models.decoding` chooses, and `charlm-b11` is this network. Give it our layers, in float64, and compare with
# the LSTM of lesson 16, in NumPy.

# %%
from minigen.models import decoding
from minigen.models.charlm import CharLM, CharLMConfig

l = rng.normal(0, 3, (100, V))
for how in {}, {"temperature": 0.7}, {"top_k": 5}, {"top_p": 0.9}, {"temperature": 1.3, "top_k": 20, "top_p": 0.8}:
    np.testing.assert_allclose(probabilities(l, **how), decoding.probabilities(l, **how), rtol=1e-12)
assert np.array_equal(greedy(l), decoding.greedy(l))

config = CharLMConfig(
    vocabulary=characters.to_dict(), lower=True, block=40, embedding=50, width=128, layers=1, dropout=0.0
)
model = CharLM(config, rng=rng)
model.embedding, model.cell, model.output = (
    nn.Embedding(V, 50, rng=rng, dtype="float64"), nn.LSTM(50, 128, rng=rng, dtype="float64"),
    nn.Linear(128, V, rng=rng, dtype="float64"),
)  # fmt: skip
for theirs, ours in zip(model.parameters(), parameters):
    theirs.data = ours.data.astype("float64")

E, W, U, b, W_out, b_out = (p.data for p in model.parameters())
h, c, logits = np.zeros(128), np.zeros(128), []
for i in ids[:100]:
    i, f, g, o = np.split(W @ E[i] + U @ h + b, 4)
    i, f, o = (1 / (1 + np.exp(-a)) for a in (i, f, o))
    c = f * c + i * np.tanh(g)
    h = o * np.tanh(c)
    logits.append(W_out @ h + b_out)
np.testing.assert_allclose(logits, model(ids[None, :100]).data[0], rtol=1e-12, atol=1e-12)

embed, lstm, out = model.embedding, model.cell, model.output
(ours,), _ = write("the ", 100, greedy)
assert ours == "".join(model.write("the ", 100, rng, temperature=0))
print("the choice, the network, and what it writes: equal")
