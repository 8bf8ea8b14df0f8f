# %% [markdown]
# # 23 · From a primer to a score you can hear
#
# *30 minutes · after 16, 17 · formulas A9, A10, A11, B10*
#
# **You hum two bars. What comes next?**
#
# A machine that goes on from your two bars has to say, at every moment, what may happen now and how probable each of it
# is. So first: what *can* happen at a moment of a melody? Article A gives an answer that cannot be right, and you will
# hear why.

# %%
import tempfile
from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt

from lessons.kit import FAST, show
from minigen import grad, nn, no_grad, ops, tensor
from minigen.datasets import load_set
from minigen.optim import Adam

tunes = load_set("music", "folk").scores
new = load_set("music", "folk", "test").scores
jacques = tunes[0]
print(f"{len(tunes)} melodies, and {len(new)} held out. {jacques.title}, {jacques.metre[0]}/{jacques.metre[1]}:")
for note in jacques.notes[:5]:
    print(note)
assert jacques.notes[0] == (0, 4, 65)

# %% [markdown]
# A **note** is when it begins, how long it sounds and which key is struck. Time is counted in sixteenth notes, so 4 is
# a quarter. A **pitch** is the number of a key, as MIDI counts them: 60 is the C in the middle of the piano, one more
# is one key to the right, black or white. Drawn over time, that is a **piano roll**:


# %%
def roll(score, given=0):
    """Notes as bars over time; those before the step `given` are lighter"""
    figure, axes = plt.subplots(figsize=(6.8, 2.4))
    for start, length, pitch in score.notes:
        axes.barh(pitch, length - 0.4, left=start + 0.2, height=0.8, color="C0", alpha=0.4 if start < given else 1)
    ticks = np.arange(0, score.steps + 1, score.bar)
    axes.set(xticks=ticks, xticklabels=ticks // score.bar + 1, xlabel="bar", ylabel="pitch", title=score.title)
    axes.grid(axis="x")
    return figure


show(roll(jacques), "Frère Jacques as a piano roll: eight bars, of which every second one repeats the one before")
first, second = (sorted(n.pitch for n in jacques.notes if 16 * b <= n.start < 16 * (b + 1)) for b in (0, 1))
assert first == second

# %% [markdown]
# ## A token for each sixteenth
#
# Cut time into sixteenths. In each of them a melody does one of three things: a note begins, or the last one **holds**,
# or there is a **rest**. That makes 128 pitches and two more symbols, one symbol a step: a text.

# %%
HOLD, REST = 128, 129


def encode(score):
    """One token for each step"""
    tokens = np.full(score.steps, REST)
    for start, length, pitch in score.notes:
        tokens[start : start + length] = HOLD
        tokens[start] = pitch
    return tokens


names = ["C", "C♯", "D", "D♯", "E", "F", "F♯", "G", "G♯", "A", "A♯", "B"]
word = lambda token: "·" if token == HOLD else "-" if token == REST else f"{names[token % 12]}{token // 12 - 1}"
print(" ".join(map(word, encode(jacques)[:48])))
stream = np.concatenate([encode(tune) for tune in tunes])
print(f"{len(stream):,} tokens, of which {np.mean(stream == HOLD):.0%} are HOLD")
assert np.mean(stream == HOLD) > 0.6

# %% [markdown]
# ## The stop word that carries the tune
#
# Article A prepares its data by removing stop words: the most frequent words, which mean nothing by themselves [A10].
# To find out what a text is about, that is fine. To write one it is not. In our text the most frequent word is HOLD.
# Here are two melodies. Take it out of both:

# %%
quick, slow = [60, 62, HOLD, 64, HOLD, HOLD, HOLD, HOLD], [60, HOLD, HOLD, HOLD, 62, HOLD, 64, HOLD]
kept = [[token for token in tune if token != HOLD] for tune in (quick, slow)]
print(kept[0], kept[1])
assert quick != slow and kept[0] == kept[1]

# %% [markdown]
# One tune is left of two, and no machine that has learnt from the cleaned data can tell how long a note is: it has
# never seen one last. The same happens to words.

# %%
sentence = "the end of the song is the beginning of the song"
stop_words = {"the", "of", "is"}
print(" ".join(w for w in sentence.split() if w not in stop_words))
gone = sum(w in stop_words for w in sentence.split())
print(f"{gone} of {len(sentence.split())} words are gone, and so is the sentence")
assert gone == 7

# %% [markdown]
# ## A pitch as one number
#
# Now the prediction. Article A ends its network for music in one number, squeezed into $(0, 1)$ by a sigmoid, and takes
# the binary cross-entropy between it and the next pitch, scaled to $(0, 1)$ as well [A9]:
#
# $$\hat y = \sigma(l), \qquad y = \frac{\text{pitch}}{127}, \qquad L = -y \ln \hat y - (1 - y) \ln(1 - \hat y)$$
#
# Give it the smallest question there is. After a certain note comes C (60) or G (67), each as often as the other. Let
# the one number $l$ learn what to answer.


# %%
def as_written(l, pitches):
    y = pitches / 127
    return ops.mean(ops.softplus(l) - y * l)  # as −ln σ(l) = softplus(l) − l and −ln(1 − σ(l)) = softplus(l)


either = np.array([60.0, 67.0])
l = tensor(np.zeros(1), requires_grad=True)
for _ in range(400):
    l = tensor(l.data - 5 * grad(as_written(l, either), l).data, requires_grad=True)
answer = 127 * ops.sigmoid(l).item()
print(f"it answers {answer:.3f}: between {word(63)} and {word(64)}, which is neither C nor G")
assert abs(answer - 63.5) < 1e-6

# %% [markdown]
# The slope of $L$ is $\hat y - y$, so the best answer is the *mean* of what may come. The mean of two right notes is a
# wrong one. And a loss that is 0 when nothing is left to learn? Let the next pitch be C every time:

# %%
y = 60 / 127
certain = as_written(tensor(np.array([np.log(y / (1 - y))])), np.array([60.0])).item()
print(f"always C, and the answer is exactly C: L = {certain:.4f}; a coin has ln 2 = {np.log(2):.4f}")
assert abs(certain - (-y * np.log(y) - (1 - y) * np.log(1 - y))) < 1e-12 and 0.69 < certain < np.log(2)

# %% [markdown]
# Perfect knowledge costs nearly as much as a coin. The formula takes 60/127 for a *probability*, that a coin falls on
# heads, and no one can know how it will fall.
#
# ## A pitch as a class
#
# A pitch is a name, not a quantity: between C and G there is no "half C, half G". So it gets what a character got in
# lesson 17: a probability of its own.
#
# $$p(x_{t+1} = k \mid x_1, \dots, x_t) = \mathrm{softmax}(l)_k, \qquad L = -\ln p(x_{t+1} \mid x_1, \dots, x_t)$$
#
# What do the two answer on real music? Take every C4 of the melodies, and the note after it.

# %%
pairs = [(a.pitch, b.pitch) for tune in tunes for a, b in zip(tune.notes, tune.notes[1:])]
after = np.array([b for a, b in pairs if a == 60])
counts = np.bincount(after, minlength=128)
mean = after.mean()
figure, axes = plt.subplots(figsize=(6.4, 2.6))
axes.bar(range(128), counts / counts.sum(), label="a probability for each pitch")
axes.axvline(mean, color="C1", label=f"one number: {mean:.1f}")
axes.set(xlim=(54, 78), xlabel="the pitch after C4", ylabel="how often")
axes.set_xticks(range(55, 78, 2), [word(p) for p in range(55, 78, 2)], fontsize=7)
axes.legend()
show(figure, "What follows a C in the melodies, and the one number that stands for all of it in article A")
nearest = round(float(mean))
print(f"{len(after)} times; the nearest note to the mean is {word(nearest)}, which came {counts[nearest]} times")
print(f"the most frequent: {', '.join(f'{word(p)} {counts[p]}' for p in np.argsort(-counts)[:3])}")
assert counts[nearest] == 0

guesses = {"the mean": 0, "the most frequent": 0}
for pitch in {a for a, b in pairs}:
    after = np.array([b for a, b in pairs if a == pitch])
    guesses["the mean"] += (after == round(float(after.mean()))).sum()
    guesses["the most frequent"] += np.bincount(after).max()
for name, right in guesses.items():
    print(f"after any note, {name}: right {right / len(pairs):.0%} of {len(pairs):,} times")
assert guesses["the mean"] < 0.6 * guesses["the most frequent"]

# %% [markdown]
# After C the mean is a black key that never came. And one number has no way to be unsure: it cannot say "D, or C again,
# or E", with how much it believes each. A softmax can, and we may draw from it.
#
# ## A network that reads a melody
#
# The rest is lesson 17 with other symbols. Article B has it nearly so: LSTM layers over each other and a softmax over
# 128 pitches [B10]; it forgets the two other things that can happen. Here is a small one: a vector for each token, an
# LSTM, a logit for each token. Of every melody we also tell how long its bar is, with a token before the first: 130 for
# 2/4, 131 for 3/4 and 6/8, 132 for 4/4. To count to three one has to know that it is three.

# %%
V, BARS = 134, {8: 130, 12: 131, 16: 132}
with_bar = lambda tune: np.append(BARS[tune.bar], encode(tune))
stream = np.concatenate([with_bar(tune) for tune in tunes])
rng = np.random.default_rng(0)
embed, lstm, out = nn.Embedding(V, 32, rng=rng), nn.LSTM(32, 96, rng=rng), nn.Linear(96, V, rng=rng)


def read(ids, state=None):
    """(N, T) -> the logits after each (N, T, V), the state after the last"""
    h, state = lstm(embed(ids), state)
    return out(h), state


def surprise(tune):
    """−ln p of each token of a melody, after all before it"""
    ids = with_bar(tune)[None]
    with no_grad():
        return ops.softmax_cross_entropy(read(ids[:, :-1])[0], ids[:, 1:], "none").data[0]


parameters = [*embed.parameters(), *lstm.parameters(), *out.parameters()]
adam, STEPS, T = Adam(parameters, 0.01), 60 if FAST else 500, 64
for step in range(STEPS):
    start = rng.integers(0, len(stream) - T, 16)
    window = stream[start[:, None] + np.arange(T + 1)]
    loss = ops.softmax_cross_entropy(read(window[:, :-1])[0], window[:, 1:])
    adam.lr = 0.01 * (1 - step / STEPS)
    adam.step(grad(loss, parameters))
    if step in (0, 19, STEPS // 2, STEPS - 1):
        print(f"step {step + 1:3}: {loss.item():.2f} nats per sixteenth")

found = np.concatenate([surprise(tune) for tune in new]).mean()
print(f"held-out melodies: {found:.2f} nats; all tokens equally likely would be {np.log(V):.2f}")
assert found < (1.6 if FAST else 1.1)

# %% [markdown]
# ## From the primer on
#
# To **go on from a primer** is to read it and then to write: the state of the LSTM after its last token is all that the
# network knows of it [A11]. Each token is drawn and read in its turn. The network may write whatever a bar can hold but
# no new melody, so 130 to 133 are not drawn. We stop at a bar line, as music does.


# %%
def go_on(ids, n, rng, temperature=1.0):
    """n tokens that follow the ids, drawn one by one"""
    made, x, state = [], ids[None], None
    with no_grad():
        for _ in range(n):
            l, state = read(x, state)
            l = l.data[0, -1, :130].astype("float64") / temperature
            p = np.exp(l - l.max())
            x = np.array([[rng.choice(130, p=p / p.sum())]])
            made.append(int(x[0, 0]))
    return made


primer = next(tune for tune in new if tune.metre == (4, 4))
beginning = with_bar(primer)[: 1 + 2 * primer.bar]  # two bars
made = np.append(beginning, go_on(beginning, 6 * primer.bar, np.random.default_rng(3), temperature=0.8))
print(f"{primer.title}:", " ".join(map(word, beginning[1:])))
print("goes on:", " ".join(map(word, made[len(beginning) :])))
assert (len(made) - 1) % primer.bar == 0

# %% [markdown]
# Tokens back to notes: a note lasts until something else than HOLD comes.


# %%
def decode(tokens):
    starts = [i for i, token in enumerate(tokens) if token != HOLD]
    ends = [*starts[1:], len(tokens)]
    return [(i, end - i, int(tokens[i])) for i, end in zip(starts, ends) if tokens[i] != REST]


for tune in (*tunes, *new):
    assert decode(encode(tune)) == list(tune.notes)

from minigen.datasets import Note, Score, read_midi, write_midi, write_wav
from minigen.datasets.synthesizer import RATE, synthesize

score = Score(tuple(Note(*note) for note in decode(made[1:])), len(made) - 1, primer.metre, primer.title)
show(roll(score, given=2 * primer.bar), "Two bars that were given, in a lighter colour, and six that the network wrote")
folder = Path(tempfile.gettempdir())
write_midi(folder / "lesson-23.mid", score)
write_wav(folder / "lesson-23.wav", synthesize(score), RATE)
print(f"to hear it, play {folder / 'lesson-23.wav'}; any program for music shows {folder / 'lesson-23.mid'} as a score")
back = read_midi(folder / "lesson-23.mid")
assert back.notes == score.notes and back.steps == 8 * primer.bar

# %% [markdown]
# The WAV file is made of sines: a pitch $p$ has $440 \cdot 2^{(p - 69)/12}$ vibrations a second, and twice, three times
# and more of it sound along, ever softer.
#
# ## Several notes at once
#
# A chord is no class: ten fingers on 88 keys make more chords than one could list. Here the sigmoid and the binary
# cross-entropy are at home, if each key has its own [A9]. A step is 88 coins $x_k$, and its surprise the sum of theirs:
#
# $$-\ln p(x \mid \text{past}) = \sum_{k=1}^{88} \left[ \mathrm{softplus}(l_k) - x_k l_k \right]$$
#
# What it gives up: the coins do not know of each other. Let the next chord be C–E–G or G–B–D, equally often.

# %%
chords = np.zeros((2, 88))
chords[0, [60 - 21, 64 - 21, 67 - 21]] = 1
chords[1, [67 - 21, 71 - 21, 74 - 21]] = 1
p = chords.mean(0)  # the best coins
drawn = np.random.default_rng(0).random((4000, 88)) < p
right = np.mean([any((x == chord).all() for chord in chords) for x in drawn])
print(f"G always sounds, C, E, B and D each half of the time; {right:.1%} of the chords are one of the two")
print(f"by calculation 2 · (1/2)⁴ = {2 / 16:.1%}")
assert p[67 - 21] == 1 and abs(right - 1 / 8) < 0.02

# %% [markdown]
# A network with such coins learns which keys go with which past, and still hits wrong notes where it is of two minds.
# `python -m minigen.train pianoroll --data jsb` trains it on Bach's chorales; listen for just that.
#
# ## The same in minigen
#
# `melody` is our network; its tokens, its loss and what article A wrote are those of this lesson, in float64.

# %%
from minigen.datasets import encode_melody
from minigen.losses.documents import a9_loss_as_written
from minigen.models.melody import Melody, MelodyConfig
from minigen.models.pianoroll import PianoRoll, PianoRollConfig

for tune in (*tunes, *new):
    assert np.array_equal(with_bar(tune), encode_melody(tune))
l = rng.normal(0, 2, 50)
pitches = rng.integers(0, 128, 50).astype("float64")
np.testing.assert_allclose(as_written(l, pitches), a9_loss_as_written(l, pitches), rtol=1e-12)

model = Melody(MelodyConfig(embedding=32, widths=(96,)), rng=rng).eval()
model.embedding, model.layers = (
    nn.Embedding(V, 32, rng=rng, dtype="float64"),
    [nn.LSTM(32, 96, rng=rng, dtype="float64")],
)
model.output = nn.Linear(96, V, rng=rng, dtype="float64")
for theirs, ours in zip(model.parameters(), parameters, strict=True):
    theirs.data = ours.data.astype("float64")
embed, lstm, out = model.embedding, model.layers[0], model.output
np.testing.assert_allclose(surprise(primer), model.nll(primer), rtol=1e-12)

polyphonic = PianoRoll(PianoRollConfig(width=8), rng=rng).eval()
x = (rng.random((1, 5, 88)) < 0.1).astype("float32")
before = np.concatenate([np.zeros((1, 1, 88), "float32"), x[:, :-1]], axis=1)
l = polyphonic(before)[0].data
by_hand = (np.logaddexp(0, l) - x * l).sum(-1).mean()
np.testing.assert_allclose(by_hand, polyphonic.objective((x, np.array([5])), None)[0].item(), rtol=1e-6)
print("tokens, both losses, and the network: equal")
