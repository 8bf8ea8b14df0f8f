# %% [markdown]
# # 18 · From sequence to sequence
#
# *30 minutes · after 16, 17 · formulas A1, A3, A6, A7*
#
# **How can a network answer one text with another, of another length?**
#
# Dates, as people write them, in; month and day, in digits, out. `21 Nov` and `November 21` are `11-21`. So is `21/11`,
# in London, and `11/21`, in New York. But `3/6` is two days, and nobody can know which: keep an eye on it.

# %%
from collections import Counter, defaultdict

import numpy as np
from matplotlib import pyplot as plt

from lessons.kit import FAST, show
from minigen import grad, nn, no_grad, ops
from minigen.datasets import CharTokenizer
from minigen.optim import Adam

MONTHS = "January February March April May June July August September October November December".split()
LENGTHS = 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31
train, held_out, answers = [], [], defaultdict(set)  # the answers of each source
for m, name in enumerate(MONTHS, 1):
    for d in range(1, LENGTHS[m - 1] + 1):
        for source in f"{d} {name[:3]}", f"{name} {d}", f"{d}/{m}", f"{m}/{d}":
            (held_out if (31 * m + d) % 10 == 0 else train).append((source, f"{m:02}-{d:02}"))
            answers[source].add(f"{m:02}-{d:02}")
held_out = [(source, target) for source, target in held_out if len(answers[source]) == 1]
print(len(train), "pairs to learn from,", len(held_out), "of other days;", *train[1280:1284])
print("3/6 is", *sorted(answers["3/6"]))

# %% [markdown]
# Three symbols are added: a text stands between `<bos>` and `<eos>`, begin and end, and shorter ones are filled up with
# `<pad>`. How many symbols of a row are real is kept beside it.

# %%
sources = CharTokenizer("".join(source for source, _ in train), special_tokens=True)
targets = CharTokenizer("0123456789-", special_tokens=True)
V, SYMBOLS = targets.vocab_size, ["<pad>", "<bos>", "<eos>", *targets.characters]


def batch(pairs):
    """Sources (N, S), their lengths (N,), targets (N, 7)"""
    x, lengths = sources.encode_batch([source for source, _ in pairs])
    return x, lengths, targets.encode_batch([target for _, target in pairs])[0]


x, lengths, y = batch([("3/6", "03-06"), ("21 Nov", "11-21")])
print(x, lengths, y, sep="\n")

# %% [markdown]
# ## Read it all, then write
#
# One LSTM, the **encoder**, reads the source. Its last state is all that is kept [A1], a vector of fixed length:
#
# $$E_X = f(X)$$
#
# A **decoder** writes the target from it. How? Article A, §4.2.1, gives a formula [A3] for the symbol at place $s$:
#
# $$y_s = \mathrm{softmax}(W_G E_X + b_G)$$
#
# Look for the $s$ on the right.


# %%
class Model(nn.Module):
    """All the models of this lesson have the same layers."""

    def __init__(self, rng, dtype=None):
        self.source, self.target = (nn.Embedding(t.vocab_size, 16, rng=rng, dtype=dtype) for t in (sources, targets))
        self.encoder, self.decoder = (nn.LSTM(16, 64, rng=rng, dtype=dtype) for _ in range(2))
        self.out = nn.Linear(64, V, rng=rng, dtype=dtype)

    def encode(self, x, lengths):
        """E_X: the state (h, c) after the last real symbol of each source"""
        return self.encoder(self.source(x), lengths=lengths)[1]


class A3(Model):
    def forward(self, x, lengths, y):
        """Logits of each symbol of y but <bos>        (N, S), (N,), (N, T + 1) -> (N, T, V)"""
        ((h, _),) = self.encode(x, lengths)
        return ops.stack([self.out(h)] * (y.shape[1] - 1), axis=1)


def learn(kind, steps):
    """A model, and its losses: the mean −ln p of a symbol [A6]"""
    rng = np.random.default_rng(0)
    model, data, losses = kind(rng), batch(train), []
    parameters = model.parameters()
    adam = Adam(parameters, 0.02)
    for step in range(steps):
        rows = rng.choice(len(train), 32 if FAST else 64)
        x, lengths, y = (a[rows] for a in data)
        loss = ops.softmax_cross_entropy(model(x, lengths, y), y[:, 1:])
        adam.lr = 0.02 * (1 - step / steps)
        adam.step(grad(loss, parameters))
        losses.append(loss.item())
    return model, losses


def tell(model, source, target):
    """p(y_s) for each place s of a target        -> (6, V)"""
    with no_grad():
        return ops.softmax(model(*batch([(source, target)])), -1).data[0]


STEPS = 240 if FAST else 600
losses = {}
a3, losses["A3"] = learn(A3, STEPS // 4)
p = tell(a3, "November 21", "11-21")
for s, row in enumerate(p, 1):
    print(f"s = {s}:  " + "  ".join(f"{SYMBOLS[i]} {row[i]:.2f}" for i in np.argsort(-row)[:5]))
assert np.ptp(p, axis=0).max() == 0
print(f"loss {np.mean(losses['A3'][-10:]):.2f}")

# %% [markdown]
# Six times the same distribution. It has found out *which* symbols the answer has: half of `11-21<eos>` is ones. It
# cannot say which comes first. And it is not a matter of more training: whatever the order of the symbols, the loss is
# the same.

# %%
for target in "11-21", "12-11", "-1112":
    x, lengths, y = batch([("November 21", target)])
    print(f"{target}: {ops.softmax_cross_entropy(a3(x, lengths, y), y[:, 1:]).item():.6f}")
    assert abs(ops.softmax_cross_entropy(a3(x, lengths, y), y[:, 1:]).item() + np.log(p[0, y[0, 1:]]).mean()) < 1e-5

# %% [markdown]
# ## A state that moves on
#
# What the decoder lacks is to know where it is, that is, what it has written. So it becomes an LSTM, too. It starts
# from $E_X$, reads the symbol before, and answers with the next:
#
# $$h_s = \mathrm{LSTM}(y_{s-1}, h_{s-1}), \quad h_0 = E_X \qquad
# p(y_s \mid y_1, \dots, y_{s-1}, X) = \mathrm{softmax}(W h_s + b)$$
#
# It is the character model of lesson 17 with another beginning: not silence, but a source. In training the symbols
# before are those of the *true* target, so that its input is the target, moved by one place:


# %%
class Right(Model):
    def forward(self, x, lengths, y):
        h, _ = self.decoder(self.target(y[:, :-1]), self.encode(x, lengths))
        return self.out(h)


_, _, y = batch([("21 Nov", "11-21")])
print("reads   ", *(f"{SYMBOLS[i]:>5}" for i in y[0, :-1]))
print("answers ", *(f"{SYMBOLS[i]:>5}" for i in y[0, 1:]))

# %% [markdown]
# That is **teacher forcing**: whatever the model would have written, it is told the truth, and asked for the next
# symbol. It is no trick. The logarithm of the probability of a whole answer *is* the sum of these,
#
# $$\ln p(Y \mid X) = \sum_s \ln p(y_s \mid y_1, \dots, y_{s-1}, X),$$
#
# and since all inputs are known beforehand, one call of the LSTM computes all steps.
#
# In use there is no teacher: the model reads what it wrote itself, until it writes `<eos>`.

# %%
right, losses["right"] = learn(Right, STEPS)


def write(model, texts, begin=""):
    """The likeliest symbol at each step, after those of `begin`, until all have written <eos>"""
    x, lengths = sources.encode_batch(texts)
    made = np.tile([targets.bos, *targets.encode(begin)], (len(texts), 1))
    with no_grad():
        h, state = model.decoder(model.target(made), model.encode(x, lengths))
        for _ in range(8):
            ids = model.out(h[:, -1]).data.argmax(-1)[:, None]
            made = np.append(made, ids, axis=1)
            if (made == targets.eos).any(1).all():
                break
            h, state = model.decoder(model.target(ids), state)
    return [targets.decode(row[: np.argmax(np.append(row, targets.eos) == targets.eos)]) for row in made]


def right_answers(model):
    made = write(model, [source for source, _ in held_out])
    return np.mean([ours == target for ours, (_, target) in zip(made, held_out)])


for source, target in held_out[:: len(held_out) // 7 + 1]:
    (made,) = write(right, [source])
    print(f"{source:14} {made}", "" if made == target else f"  it is {target}")
print(f"days that it has never seen: {right_answers(right):.0%} right; loss {np.mean(losses['right'][-10:]):.2f}")
assert right_answers(right) > (0.6 if FAST else 0.8) and len(write(right, ["July 4", "30 Sep"])) == 2

figure, panels = plt.subplots(1, 2, figsize=(6.4, 3.4), sharey=True)
shown = range(2, V)
for axes, (name, model) in zip(panels, {"A3, as written": a3, "a state that moves on": right}.items()):
    axes.imshow(tell(model, "November 21", "11-21").T[2:], vmin=0, vmax=1, cmap="Blues", aspect="auto")
    axes.set(title=name, xlabel="place s", xticks=range(6), yticks=range(V - 2))
    axes.set_xticklabels(range(1, 7))
    axes.set_yticklabels(SYMBOLS[2:])
    axes.grid(False)
show(figure, "The probability of each symbol at each place, for November 21: six equal columns, and 11-21 with its end")

# %% [markdown]
# ## Two faults in the article's code [A7]
#
# Article A, §5.2.1, has a decoder that is an LSTM and starts from the encoder's state, as it should. Its code says
#
# ```
# decoder_embedding = Embedding(…)(encoder_inputs)
# model.fit([encoder_input_data, decoder_input_data, decoder_target_data], decoder_target_data, …)
# ```
#
# **First**: what the decoder embeds is the encoder's input. It reads the source once more, and never learns what it has
# written. And since it writes a symbol for each that it reads, an answer longer than the source has no room:

# %%
short = [(source, target) for source, target in train if len(source) + 2 < len(target) + 1]
print(f"{len(short)} of {len(train)} pairs do not fit, such as {short[0]}")
assert short and all(len(source) == 3 for source, _ in short)


class ReadsSource(Model):
    """A7 as written; padding is read, too, so that there is room."""

    def forward(self, x, lengths, y):
        h, _ = self.decoder(self.source(x[:, : y.shape[1] - 1]), self.encode(x, lengths))
        return self.out(h)


def answers_of(model, source):
    """What it answers with at least 0.02, exactly: a product over the places, each with its symbols before it"""
    found = {"": 1.0}
    for s in range(5):
        longer = {}
        for begin, q in found.items():
            p = tell(model, source, (begin + "-----")[:5])[s]
            longer |= {begin + SYMBOLS[i]: q * p[i] for i in range(3, V) if q * p[i] > 0.02}
        found = longer
    return dict(sorted(found.items(), key=lambda item: -item[1]))


reads_source, losses["A7, reads the source"] = learn(ReadsSource, STEPS)
for name, model in {"right": right, "A7": reads_source}.items():
    for source in "21/6", "3/6":
        print(f"{name:6} {source:5}", *(f"  {text} {q:.2f}" for text, q in answers_of(model, source).items()))

# %% [markdown]
# Of `21/6` both know what it is. `3/6` has two answers, and the right model keeps to these two. It writes a `0` and
# then a `3` or a `6`; *having read which*, it writes the other one at the end. The decoder as written cannot read it.
# It throws a coin for the month, and again for the day: the 3rd of March, the 6th of June.

# %%
both = {name: answers_of(model, "3/6") for name, model in {"right": right, "A7": reads_source}.items()}
share = {name: sum(found.get(answer, 0) for answer in answers["3/6"]) for name, found in both.items()}
print(f"3/6, one of the two answers: right {share['right']:.2f}, A7 {share['A7']:.2f}")
assert share["right"] > (0.5 if FAST else 0.85) and share["A7"] < 0.6
mixed = {name: found.get("03-03", 0) + found.get("06-06", 0) for name, found in both.items()}
assert mixed["A7"] > (0.1 if FAST else 0.3) and mixed["right"] < mixed["A7"] / 2

# %% [markdown]
# **Second**: a model of two inputs is given three, and the third is the target itself. Suppose it were let in. A
# decoder that reads the target *not* moved by one is shown the symbol that it is asked for.


# %%
class ReadsAnswer(Model):
    def forward(self, x, lengths, y):
        h, _ = self.decoder(self.target(y[:, 1:]), self.encode(x, lengths))
        return self.out(h)


reads_answer, losses["A7, reads the answer"] = learn(ReadsAnswer, STEPS // 4)
x, lengths, y = batch(train)
with no_grad():
    shuffled = ops.softmax_cross_entropy(reads_answer(x[::-1], lengths[::-1], y), y[:, 1:]).item()
print(f"loss {np.mean(losses['A7, reads the answer'][-10:]):.4f}; with the source of another pair {shuffled:.4f}")
print(f"in use: {dict(zip(['July 4', '30 Sep', '3/6'], write(reads_answer, ['July 4', '30 Sep', '3/6'])))}")
print(f"days that it has never seen: {right_answers(reads_answer):.0%} right")
assert np.mean(losses["A7, reads the answer"][-10:]) < 0.02 and shuffled < 0.1 and right_answers(reads_answer) < 0.05

# %% [markdown]
# The loss goes to 0, the best of all four. It does not even look at the source. And in use, where no answer can be
# shown, it is worth nothing. When a loss is too good, see what the model has been shown.
#
# ## How low could they go?
#
# What each model can say at best follows from what it can see. Per symbol, on average over all pairs, with $H$ for the
# entropy:
#
# - right: $H(Y \mid X) / 6$, which is a coin where there are two answers;
# - A7, reading the source: $\sum_s H(y_s \mid X) / 6$, a coin for *each place* where the answers differ;
# - A3: the entropy of the symbols in a bag, whatever their place.


# %%
def entropy(things):
    n = np.array(list(Counter(things).values()))
    return -(n / n.sum() * np.log(n / n.sum())).sum()


ends = defaultdict(list)
for source, target in train:
    ends[source].append(target + "$")  # the end is a symbol, too
weigh = lambda f: np.average([f(found) for found in ends.values()], weights=[len(found) for found in ends.values()])
floor = {
    "right": weigh(lambda found: entropy(found) / 6),
    "A7, reads the source": weigh(lambda found: sum(entropy(column) for column in zip(*found)) / 6),
    "A3": weigh(lambda found: entropy("".join(found))),
    "A7, reads the answer": 0.0,
}
figure, axes = plt.subplots()
for i, (name, curve) in enumerate(losses.items()):
    reached = np.mean(curve[-10:])
    print(f"{name:22} loss {reached:.3f}, at best {floor[name]:.3f}")
    axes.semilogy(curve, color=f"C{i}", label=name, lw=1.2)
    axes.axhline(floor[name], color=f"C{i}", lw=1, ls=":")
    assert floor[name] - 0.03 < reached < floor[name] + 0.25
axes.set(xlabel="training step", ylabel="nats per symbol", ylim=(1e-3, 4), title="Four decoders")
axes.legend(fontsize=8)
show(figure, "Each loss comes down to its own floor, dotted; the lowest, 0, is that of the model that is worth least")
assert floor["right"] < floor["A7, reads the source"] < floor["A3"]

# %% [markdown]
# ## Without a teacher
#
# There is a price to teacher forcing. The model has only ever read right beginnings. Put a wrong one into its mouth, a
# 1 for a date in July, and see:

# %%
for begin in "", "0", "1":
    print(f"July 4, begun with {begin!r:4}: {write(right, ['July 4'], begin)[0]}")
assert write(right, ["July 4"])[0] == write(right, ["July 4"], "0")[0] == "07-04"
assert write(right, ["July 4"], "1")[0][:1] == "1"

# %% [markdown]
# It cannot take back what stands there. It goes on from it, as well as it can.
#
# ## The same in minigen
#
# `seq2seq-plain` is this model, with the article's width. Give it our layers in float64.

# %%
from minigen.models.seq2seq import Seq2Seq, Seq2SeqConfig, a3_output_as_written


def doubled(learnt):
    """The same model in float64"""
    model = type(learnt)(np.random.default_rng(0), dtype="float64")
    for p, q in zip(model.parameters(), learnt.parameters()):
        p.data = q.data.astype("float64")
    return model


ours, a3 = doubled(right), doubled(a3)
config = Seq2SeqConfig(
    embedding=16, width=64, attention=False, vocabulary={"source": sources.to_dict(), "target": targets.to_dict()}
)
theirs = Seq2Seq(config, rng=np.random.default_rng(0))
theirs.source_embedding, theirs.target_embedding, theirs.output = ours.source, ours.target, ours.out
theirs.encoder, theirs.decoder = ours.encoder, ours.decoder

x, lengths, y = batch(held_out)
np.testing.assert_allclose(ours(x, lengths, y).data, theirs(x, lengths, y[:, :-1]).data, rtol=1e-12)
loss = ops.softmax_cross_entropy(ours(x, lengths, y), y[:, 1:])
y_lengths = np.full(len(y), 7)
np.testing.assert_allclose(loss.data, theirs.objective((x, lengths, y, y_lengths), None)[0].data, rtol=1e-12)
assert write(ours, [source for source, _ in held_out]) == theirs.translate([source for source, _ in held_out])

((h, _),) = a3.encode(x, lengths)
as_written = a3_output_as_written(h, a3.out.weight, a3.out.bias, 6).data
np.testing.assert_allclose(as_written, ops.softmax(a3(x, lengths, y), -1).data, rtol=1e-12)
print("logits, loss and what it writes: equal")
