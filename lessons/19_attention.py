# %% [markdown]
# # 19 · Attention
#
# *35 minutes · after 05, 18*
#
# **Must all that was read fit into one vector?**
#
# The encoder of lesson 18 reads a text, and hands over its last state. Whether the text was long or short, the decoder
# gets 64 numbers and their cells. For a month and a day that was enough. Now give it whole dates:

# %%
import datetime

import numpy as np
from matplotlib import pyplot as plt

from lessons.kit import FAST, show
from minigen import grad, nn, no_grad, ops, tensor
from minigen.datasets import CharTokenizer
from minigen.datasets.dates import FIRST, FORMATS, LAST, is_held_out
from minigen.optim import Adam

NAMES = "2026.11.21", "21 November 2026", "Nov 21, 2026", "Saturday, 21 November 2026"
rng = np.random.default_rng(0)
days = np.arange(FIRST.toordinal(), LAST.toordinal() + 1)


def pairs(n, held_out):
    """n pairs of a date in one of the four ways to write it, and in digits; some days are held out from learning"""
    dates = map(datetime.date.fromordinal, rng.choice(days[is_held_out(days) == held_out], n).tolist())
    return [(FORMATS[NAMES[rng.integers(4)]](date), date.isoformat()) for date in dates]


train, test = pairs(3000 if FAST else 8000, False), pairs(200, True)
sources = CharTokenizer("".join(source for source, _ in train), special_tokens=True)
targets = CharTokenizer("0123456789-", special_tokens=True)
for name in NAMES:
    date = datetime.date(2026, 11, 21)
    print(f"{FORMATS[name](date):28} {date.isoformat()}")


def batch(pairs):
    """Sources (N, S), their lengths (N,), targets (N, 12)"""
    x, lengths = sources.encode_batch([source for source, _ in pairs])
    return x, lengths, targets.encode_batch([target for _, target in pairs])[0]


class Plain(nn.Module):
    """The model of lesson 18"""

    H = 64

    def __init__(self, rng, dtype=None):
        H = self.H
        self.source, self.target = (nn.Embedding(t.vocab_size, 32, rng=rng, dtype=dtype) for t in (sources, targets))
        self.encoder, self.decoder = (nn.LSTM(32, H, rng=rng, dtype=dtype) for _ in range(2))
        self.out = nn.Linear(H, targets.vocab_size, rng=rng, dtype=dtype)

    def forward(self, x, lengths, y):
        """Logits of each symbol of y but <bos>"""
        _, last = self.encoder(self.source(x), lengths=lengths)
        h, _ = self.decoder(self.target(y[:, :-1]), last)
        return self.out(h)


data, STEPS = batch(train), 130 if FAST else 300


def learn(kind):
    rng = np.random.default_rng(0)
    model = kind(rng)
    parameters = model.parameters()
    adam = Adam(parameters, 0.01)
    for step in range(STEPS):
        x, lengths, y = (a[rows] for rows in [rng.choice(len(train), 32)] for a in data)
        loss = ops.softmax_cross_entropy(model(x, lengths, y), y[:, 1:])
        adam.lr = 0.01 * (1 - step / STEPS)
        adam.step(grad(loss, parameters))
    return model


def right(model):
    """Is each symbol of the answers the likeliest, given those before it?        (200, 11)"""
    x, lengths, y = batch(test)
    with no_grad():
        return model(x, lengths, y).data.argmax(-1) == y[:, 1:]


plain = learn(Plain)
places = {"the last state alone": right(plain).mean(0)}
print(f"after {STEPS} steps, share of right symbols on new days:")
print(*(f"{symbol:>4}" for symbol in "YYYY-MM-DD$"))
print(*(f"{share:4.0%}" for share in places["the last state alone"]))
print(f"whole dates: {right(plain).all(1).mean():.0%}")
assert right(plain).all(1).mean() < 0.6

# %% [markdown]
# It is far from done. The encoder has *seen* all that is needed, and had a state for each symbol. All but the last were
# thrown away. So keep them all, and let the decoder look up what it needs, when it needs it.
#
# ## To look up, softly
#
# A dictionary has keys and values. It takes a query, finds the key that is equal, and gives its value. That is all or
# nothing, and has no slope. Make it soft: score how well each key fits the query, turn the scores into weights that sum
# to 1, and give the weighted mean of *all* values:
#
# $$\alpha = \mathrm{softmax}(s) \qquad z = \sum_j \alpha_j v_j$$
#
# That is **attention**. Here are three keys, at 0°, 120° and 240°, with the values 10, 20 and 30. The score is the
# product $q \cdot k$, and the query walks round the circle.


# %%
def softmax(s):
    e = np.exp(s - s.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def direction(degrees):
    return np.stack([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))], axis=-1)


keys, values = direction(np.array([0, 120, 240])), np.array([10.0, 20.0, 30.0])
for degrees in 0, 60, 120, 200:
    q = 3 * direction(degrees)
    α = softmax(keys @ q)
    print(f"{degrees:3}°: scores {np.round(keys @ q, 2)}   weights {α.round(2)}   z = {α @ values:.2f}")
assert abs(softmax(keys @ (3 * direction(60))) @ values - 15) < 0.3

angles = np.arange(-60, 301)
figure, axes = plt.subplots(figsize=(6.4, 2.8))
for length in 1, 3, 30:
    axes.plot(angles, softmax(length * direction(angles) @ keys.T) @ values, label=f"query of length {length}")
axes.set(
    xlabel="direction of the query, in degrees", ylabel="z", title="A dictionary, softened", xticks=range(0, 301, 60)
)
axes.legend()
show(figure, "A long query picks one value, with steep steps; a short one mixes all three, and its slope is everywhere")

# %% [markdown]
# ## Two ways to score
#
# How well does a key $k_j$ fit a query $h_i$? **Additive** attention asks a small network:
#
# $$s_{ij} = v \cdot \tanh(W_q h_i + W_k k_j)$$
#
# **Scaled dot-product** attention takes the product of the two, of $d$ numbers each, and divides it by a number that we
# shall come to:
#
# $$S = \frac{Q K^T}{\sqrt d}$$
#
# The second is one product of matrices. The first needs the tanh of $d$ numbers for each query with each key.


# %%
def additive_scores(q, k, v):
    """s_ij = v · tanh(q_i + k_j)        (…, T, d), (…, U, d), (d) -> (…, T, U)"""
    return ops.tanh(ops.expand_dims(q, -2) + ops.expand_dims(k, -3)) @ v


def dot_scores(q, k):
    """S = Q Kᵀ / √d        (…, T, d), (…, U, d) -> (…, T, U)"""
    return q @ k.swapaxes(-1, -2) / q.shape[-1] ** 0.5


q, k, v = rng.standard_normal((200, 64)), rng.standard_normal((300, 64)), rng.standard_normal(64)
between = ops.expand_dims(q, -2) + ops.expand_dims(k, -3)
print("200 queries, 300 keys: scores", dot_scores(q, k).shape, "  additive, on the way:", between.shape)
assert additive_scores(q, k, v).shape == dot_scores(q, k).shape
assert np.abs(additive_scores(q, k, v)).max() <= np.abs(v).sum()  # a tanh lies between −1 and 1

# %% [markdown]
# ## Why √d
#
# Suppose the numbers in $q$ and $k$ are independent, with mean 0 and variance 1. Then each product $q_i k_i$ has mean 0
# and variance 1, and $q \cdot k$, a sum of $d$ of them, has variance $d$: its standard deviation is $\sqrt d$. So the
# scores of long vectors lie far apart, and what the softmax makes of that is a hard choice between keys that mean
# nothing yet. A hard choice has no slope: since $\partial \alpha_j / \partial s_j = \alpha_j (1 - \alpha_j)$, the
# slopes of all weights add up to $1 - \sum_j \alpha_j^2$. Sixteen keys:

# %%
sizes, slopes = [4, 16, 64, 256, 1024], {"q · k": [], "q · k / √d": []}
print("   d   √d   std of q · k   largest weight, slope:   of q · k      of q · k / √d")
for d in sizes:
    q, k = rng.standard_normal((500, 1, d)), rng.standard_normal((500, 16, d))
    s = (q @ k.swapaxes(1, 2))[:, 0]
    row = []
    for name, scores in {"q · k": s, "q · k / √d": s / np.sqrt(d)}.items():
        α = softmax(scores)
        slopes[name].append((1 - (α**2).sum(1)).mean())
        row += [α.max(1).mean(), slopes[name][-1]]
    print(f"{d:4} {np.sqrt(d):4.0f} {s.std():14.2f} {row[0]:30.2f}, {row[1]:.2f} {row[2]:13.2f}, {row[3]:.2f}")
    assert abs(s.std() / np.sqrt(d) - 1) < 0.05
assert slopes["q · k"][-1] < 0.1 and min(slopes["q · k / √d"]) > 0.75

figure, axes = plt.subplots(figsize=(6.4, 2.8))
for name, slope in slopes.items():
    axes.plot(slope, "o-", label=name)
axes.set(
    xlabel="d",
    ylabel="slope left, $1 - \\sum\\alpha^2$",
    ylim=(0, 1),
    title="What can still be learnt",
    xticks=range(5),
)
axes.set_xticklabels(sizes)
axes.legend()
show(figure, "Without the √d the slope is lost as the vectors grow; with it, it stays")

# %% [markdown]
# Divided by $\sqrt d$, the scores have variance 1 whatever the length. The softmax begins undecided, and can be taught.
#
# ## The dates, with attention
#
# The decoder's state $h_t$ is the query; the encoder's states are keys and, as they are, values. What comes back stands
# beside $h_t$ when the next symbol is asked for:
#
# $$z_t = \sum_s \alpha_{ts} k_s \qquad p = \mathrm{softmax}(W [h_t; z_t] + b)$$
#
# One thing must not be looked at: padding. Its scores become $-\infty$, that is a number so low that its weight is 0.


# %%
class Attentive(Plain):
    def __init__(self, rng, dtype=None):
        super().__init__(rng, dtype)
        H = self.H
        self.W_q, self.W_k = nn.Linear(H, H, rng=rng, dtype=dtype), nn.Linear(H, H, bias=False, rng=rng, dtype=dtype)
        self.v = nn.Linear(H, 1, bias=False, rng=rng, dtype=dtype)
        self.out = nn.Linear(2 * H, targets.vocab_size, rng=rng, dtype=dtype)

    def look(self, x, lengths, y):
        """h (N, T, H), z (N, T, H) and α (N, T, S)"""
        k, last = self.encoder(self.source(x), lengths=lengths)
        h, _ = self.decoder(self.target(y[:, :-1]), last)
        s = additive_scores(self.W_q(h), self.W_k(k), self.v.weight[0])
        real = np.arange(x.shape[1]) < lengths[:, None]
        α = ops.softmax(ops.where(real[:, None], s, -1e30), -1)
        return h, α @ k, α

    def forward(self, x, lengths, y):
        h, z, _ = self.look(x, lengths, y)
        return self.out(ops.concatenate([h, z], axis=2))


attentive = learn(Attentive)
places["attention"] = right(attentive).mean(0)
print(f"whole dates, after {STEPS} steps: {right(attentive).all(1).mean():.0%} right")
assert right(attentive).all(1).mean() > (0.6 if FAST else 0.95)

figure, axes = plt.subplots(figsize=(6.4, 2.6))
for i, (name, share) in enumerate(places.items()):
    axes.bar(np.arange(11) + 0.4 * i - 0.2, share, 0.4, label=name)
axes.set(title="Right symbols, by place", xticks=range(11), ylim=(0, 1.3), yticks=[0, 0.5, 1])
axes.set_xticklabels("YYYY-MM-DD$")
axes.legend(ncols=2, loc="upper left")
show(figure, "After the same number of steps, each place of the answer on days that neither model has seen")

# %% [markdown]
# ## What it looks at
#
# The weights can be looked at themselves. A row for each symbol that is written, a column for each that was read. (The
# state at a place has read those before it, too, so that one place may do for two symbols.)

# %%
x, lengths, y = batch(test)
with no_grad():
    α = attentive.look(x, lengths, y)[2].data
way = np.array([next(n for n in NAMES if FORMATS[n](datetime.date.fromisoformat(t)) == s) for s, t in test])
assert np.allclose(α.sum(-1), 1, atol=1e-5) and α[np.arange(x.shape[1]) >= lengths[:, None, None] + 0 * α].max() == 0

examples = [int(np.flatnonzero(way == name)[0]) for name in (NAMES[0], NAMES[3])]
widths = [len(test[i][0]) for i in examples]
figure, panels = plt.subplots(1, 2, figsize=(6.4, 3), width_ratios=widths, sharey=False)
for axes, i in zip(panels, examples):
    source, target = test[i]
    axes.imshow(α[i, :10, 1 : len(source) + 1], vmin=0, vmax=1, cmap="Blues", aspect="auto")
    axes.set(xticks=range(len(source)), yticks=range(10))
    axes.set_xticklabels(source.replace(" ", "␣"), fontsize=8)
    axes.set_yticklabels(target, fontsize=8)
    axes.grid(False)
panels[0].set_ylabel("written")
figure.supxlabel("read", fontsize=10, color="grey")
show(figure, "Where it looks: step by step to the right; and first at the year, then at the month, then at the day")

# %% [markdown]
# In the short form the parts stand in the order in which they are written, and the look moves to the right. In the long
# one the year comes last: there it looks first. Nobody told it. Is it so for all? We leave out the first two digits,
# since there are only two centuries.

# %%
digits = [2, 3, 5, 6, 8, 9]  # places of the answer
looked_at = α.argmax(-1)
forward = {}
for name in NAMES:
    rows = np.flatnonzero(way == name)
    forward[name] = (np.diff(looked_at[rows][:, digits], axis=1) >= 0).mean()
    on_year = np.mean(
        [α[i, 2:4, : lengths[i]][:, slice(1, 5) if name == NAMES[0] else slice(-5, -1)].sum(1) for i in rows]
    )
    print(
        f"{name:28} {forward[name]:4.0%} of the steps go on, not back; writing the year, {on_year:.0%} is on the year"
    )
    assert on_year > (0.5 if FAST else 0.9)
assert forward[NAMES[0]] > 0.88 and max(forward[name] for name in NAMES[1:]) < 0.85

# %% [markdown]
# ## A text that looks at itself
#
# Nothing says that queries and keys must come from two texts. In **self-attention** they come from one: each place of a
# text looks at all its places. No state is handed on, and no place waits for another.
#
# But a model that is to *write* a text must not see what comes next. Lesson 18 had one that read the answer: loss 0,
# and worth nothing. So place $i$ may look at $j \le i$ only, which is the **causal mask**. It goes where padding went:
#
# $$S_{ij} = -\infty \quad\text{for}\quad j > i$$
#
# Is the future really out of sight? Don't read the code, ask it: change the text at place $j$, and see which outputs
# change.


# %%
def attend(q, k, v, mask=None):
    """Y and P: P = softmax(Q Kᵀ / √d) where the mask is true, Y = P V"""
    s = dot_scores(q, k)
    P = softmax(s if mask is None else np.where(mask, s, -np.inf))
    return P @ v, P


def masked_too_late(q, k, v, mask):
    P = softmax(dot_scores(q, k)) * mask
    return P @ v, P


T, d = 8, 16
text, W = rng.standard_normal((T, d)), rng.standard_normal((3, d, d)) / np.sqrt(d)
causal = np.tril(np.ones((T, T), bool))


def changes(look):
    """How much output i changes if the text is changed at place j        (T, T)"""
    found = np.zeros((T, T))
    for j in range(T):
        other = text.copy()
        other[j] = rng.standard_normal(d)
        before, after = (look(*(x @ w for w in W))[0] for x in (text, other))
        found[:, j] = np.abs(after - before).max(1)
    return found


seen = {
    "no mask": changes(attend),
    "before the softmax": changes(lambda q, k, v: attend(q, k, v, causal)),
    "after the softmax": changes(lambda q, k, v: masked_too_late(q, k, v, causal)),
}
figure, panels = plt.subplots(1, 3, figsize=(6.4, 2.5), sharey=True)
for axes, (name, found) in zip(panels, seen.items()):
    future = found[~causal]
    print(f"{name:20} the largest change in an output before the place: {future.max():.3f}")
    axes.imshow(np.where(found > 0, np.log10(np.maximum(found, 1e-6)), np.nan), vmin=-3, vmax=1, cmap="Blues")
    axes.set(title=name, xlabel="changed place j", xticks=range(T), yticks=range(T))
    axes.grid(False)
panels[0].set_ylabel("output i")
show(figure, "Outputs that change, darker for more; only the mask before the softmax leaves the upper half empty")
assert seen["no mask"].min() > 0
assert seen["before the softmax"][~causal].max() == 0 and seen["before the softmax"][causal].min() > 0
assert seen["after the softmax"][~causal].min() > 0

# %% [markdown]
# With the mask before the softmax the future changes nothing: not little, 0. A mask *after* the softmax looks right,
# too: its weights are 0 above the diagonal. But the softmax had divided by a sum over all places, and through that sum
# the future shows.
#
# ## The same in minigen
#
# The way back is short. With $g = \partial L / \partial Y$, and $\odot$ as always number by number:
#
# $$\frac{\partial L}{\partial V} = P^T g \qquad \frac{\partial L}{\partial P} = g V^T$$
#
# $$\frac{\partial L}{\partial S} = P \odot
# \left( \frac{\partial L}{\partial P} - \sum_j P \odot \frac{\partial L}{\partial P} \right)$$
#
# and to $Q$ and $K$ through $S = Q K^T / \sqrt d$. `ops.scaled_dot_product_attention` has it in closed form. The last
# lines give minigen's `seq2seq` the layers of our model.


# %%
def attend_back(g, q, k, v, P):
    """∂L/∂Q, ∂L/∂K, ∂L/∂V"""
    dP = g @ v.T
    dS = P * (dP - (P * dP).sum(-1, keepdims=True))
    return dS @ k / np.sqrt(d), dS.T @ q / np.sqrt(d), P.T @ g


Q, K, V = (text @ w for w in W)
g = rng.standard_normal((T, d))
q, k, v = (tensor(array, requires_grad=True) for array in (Q, K, V))
for mask, options in (None, {}), (causal, {"causal": True}), (causal, {"mask": causal}):
    Y, P = attend(Q, K, V, mask)
    y = ops.scaled_dot_product_attention(q, k, v, **options)
    for ours, theirs in zip((Y, *attend_back(g, Q, K, V, P)), (y, *grad(y, [q, k, v], g))):
        np.testing.assert_allclose(ours, theirs.data, rtol=1e-12, atol=1e-12)

from minigen.models.seq2seq import Seq2Seq, Seq2SeqConfig

ours = Attentive(np.random.default_rng(0), dtype="float64")
for mine, learnt in zip(ours.parameters(), attentive.parameters()):
    mine.data = learnt.data.astype("float64")
config = Seq2SeqConfig(embedding=32, width=64, vocabulary={"source": sources.to_dict(), "target": targets.to_dict()})
theirs = Seq2Seq(config, rng=np.random.default_rng(0))
theirs.source_embedding, theirs.target_embedding, theirs.output = ours.source, ours.target, ours.out
theirs.encoder, theirs.decoder = ours.encoder, ours.decoder
theirs.query, theirs.key, theirs.score = ours.W_q, ours.W_k, ours.v

x, lengths, y = batch(test[:50])
np.testing.assert_allclose(ours(x, lengths, y).data, theirs(x, lengths, y[:, :-1]).data, rtol=1e-12, atol=1e-12)
source, target = test[0]
x, lengths, y = batch(test[:1])
α = ours.look(x, lengths, y)[2].data[0, :, 1:-1]
np.testing.assert_allclose(α, theirs.attention(source, target)[1], rtol=1e-12, atol=1e-12)
print("attention, its gradients, the model and what it looks at: equal to twelve digits")
