# %% [markdown]
# # 21 · How good is it?
#
# *40 minutes · after 08, 13 · formulas B13*
#
# **Two models draw digits. Which is better?** One looks, of course. But one looks at twenty pictures, and a model that
# has learnt twenty pictures by heart would win. So one wants a number.
#
# Every number has a way to be fooled. Here are four that people report, computed by hand, and what each does not see.

# %%
import numpy as np
from matplotlib import pyplot as plt
from scipy.spatial.distance import cdist
from scipy.special import logsumexp

from lessons.kit import FAST, show
from minigen.datasets import load
from minigen.models.classifier import load_classifier
from minigen.viz import image_grid

rng = np.random.default_rng(0)
N, M = (1000, 100) if FAST else (5000, 500)
digits, held_out = load("digits"), load("digits", split="test")
train, test = ((s.images[:n].reshape(n, -1) + rng.random((n, 784))) / 256 for s, n in ((digits, N), (held_out, M)))
print(f"{N} digits to learn from, {M} held out, pixels from {test.min():.3f} to {test.max():.3f}")

# %% [markdown]
# (Stored pixels are whole numbers, and a density could put infinite weight on them. We spread each evenly over its
# step, so that densities can be compared.)
#
# ## Likelihood, and samples [Theis et al. 2016]
#
# A first number: how probable does the model find digits that it has not seen? Take a model that everybody
# understands. To draw, pick a training digit and add noise of width $h$ to each pixel:
#
# $$p(x) = \frac1N \sum_i \mathcal{N}(x;\, x_i,\, h^2 I)$$


# %%
def log_p(squares, h):
    """log p(x) in nats, from ‖x − xᵢ‖² for each x, a row, and each training digit"""
    return logsumexp(-squares / (2 * h * h), axis=1) - np.log(N) - 784 * np.log(h * np.sqrt(2 * np.pi))


def draw(h, n):
    return train[rng.integers(N, size=n)] + h * rng.standard_normal((n, 784))


widths = np.array([0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.5, 1.0])
squares = cdist(test, train, "sqeuclidean")
nats = np.array([log_p(squares, h).mean() for h in widths])
for h, value in zip(widths, nats):
    print(f"h = {h:4}   log p of a held-out digit: {value:10,.0f} nats")
best = widths[nats.argmax()]
assert 0.05 < best < 0.4 and nats[0] < -10_000 < 0 < nats.max()
shown = np.concatenate([draw(h, 10) for h in (0.01, best)])
caption = "Samples. Above: h = 0.01. Below: the width that gives the best likelihood."
show(image_grid(shown.reshape(-1, 1, 28, 28), columns=10), caption)

# %% [markdown]
# - $h = 0.01$: perfect samples, and an abysmal likelihood. The model is sure that each digit is a copy of one that it
#   knows.
# - The best width: a good likelihood, and samples full of snow.
#
# It gets worse. Take that best model, and 99 times in 100 draw plain noise in its place, $u(x) = 1$ on $[0, 1]^{784}$:
#
# $$q(x) = \tfrac{1}{100}\, p(x) + \tfrac{99}{100}\, u(x) \quad\Rightarrow\quad \log q(x) \ge \log p(x) - \log 100.$$
#
# The price is at most $\log 100 = 4.6$ nats, for all 784 pixels together.

# %%
good = log_p(squares, best)
mixed = np.logaddexp(np.log(0.01) + good, np.log(0.99))
loss = good - mixed
bits = np.log(100) / 784 / np.log(2)
print(f"log p of a held-out digit: {good.mean():.1f} nats;  with 99 % noise: {mixed.mean():.1f}")
gain = (loss < 0).mean()
print(f"no digit loses more than {loss.max():.3f} nats, or {bits:.4f} bits per pixel; {gain:.0%} of them gain")
assert np.log(100) - 0.01 < loss.max() <= np.log(100) + 1e-9 and bits < 0.01 and loss.min() < 0
noise = np.where(rng.random((40, 1)) < 0.01, draw(best, 40), rng.random((40, 784)))
show(image_grid(noise.reshape(-1, 1, 28, 28), columns=10), "40 samples of the model with almost the same likelihood")

# %% [markdown]
# Some digits even gain: those far from all training digits are more probable as noise. Likelihood and looks are two
# questions. Likelihood asks: *is there something that the model does not expect?* Samples ask: *does it draw something
# that is not there?*
#
# ## A distance between clouds of features
#
# A GAN has no likelihood to ask for. So compare its samples with real digits, not pixel by pixel but as a classifier
# sees them: 64 numbers per picture, its last hidden layer. Take each cloud for a Gaussian and measure how far apart the
# two are. This is the **Fréchet distance**:
#
# $$d^2 = \|\mu_1 - \mu_2\|^2 + \mathrm{tr}\left(\Sigma_1 + \Sigma_2 - 2\, (\Sigma_1 \Sigma_2)^{1/2}\right)$$
#
# With one number per picture it is $(\mu_1 - \mu_2)^2 + (\sigma_1 - \sigma_2)^2$. (The "FID" of many papers is this
# formula with the features of one certain large network. Ours are others: our distances compare with each other only.)


# %%
def root(matrix):
    """The symmetric square root"""
    values, vectors = np.linalg.eigh(matrix)
    return vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T


def frechet(x, y):
    """d² of two sets of features, (n, D) and (m, D); tr (Σ₁Σ₂)^½ = tr (Σ₁^½ Σ₂ Σ₁^½)^½, which is symmetric"""
    a, b = (np.cov(s.T).reshape(s.shape[1], -1) for s in (x, y))
    r = root(a)
    return ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(a + b - 2 * root(r @ b @ r))


line = rng.normal(0, 1, (500, 1)), rng.normal(3, 2, (500, 1))
by_formula = (line[0].mean() - line[1].mean()) ** 2 + (line[0].std(ddof=1) - line[1].std(ddof=1)) ** 2
print(f"N(0, 1) and N(3, 2²): {frechet(*line):.3f}; of the true moments: {3**2 + 1}")
np.testing.assert_allclose(frechet(*line), by_formula, rtol=1e-10)

# %% [markdown]
# **What it does not see**: anything but mean and covariance. A ring of eight modes, and one cloud in the middle with
# the same moments:

# %%
angle = 2 * np.pi * np.arange(8) / 8
ring = np.repeat(2 * np.stack([np.cos(angle), np.sin(angle)], 1), 500, axis=0) + 0.05 * rng.standard_normal((4000, 2))
cloud = rng.standard_normal((4000, 2)) * np.sqrt(2)
shifted = ring + 0.3
print(
    f"ring and cloud: {frechet(ring, cloud):.4f};   ring and the same ring, moved by 0.3: {frechet(ring, shifted):.4f}"
)
assert frechet(ring, cloud) < 0.02 < frechet(ring, shifted)

# %% [markdown]
# **And it depends on how many samples there are.** Two halves of *real* digits should have distance 0:

# %%
classifier = load_classifier()
features = classifier.features(digits.images[: 1200 if FAST else 4000]).astype("float64")
sizes = [75, 150, 300, 600] if FAST else [125, 250, 500, 1000, 2000]
floor = []
for n in sizes:
    orders = [rng.permutation(len(features)) for _ in range(5)]
    floor.append(np.mean([frechet(features[o[:n]], features[o[n : 2 * n]]) for o in orders]))
    print(f"{n:5} real digits against {n:5} others: {floor[-1]:.2f},  times n: {floor[-1] * n:.0f}")
assert all(0.3 < b / a < 0.75 for a, b in zip(floor, floor[1:]))

figure, axes = plt.subplots()
axes.loglog(sizes, floor, "o-", label="real against real")
axes.loglog(sizes, floor[-1] * sizes[-1] / np.array(sizes), ":", color="grey", label="1/n")
axes.set(xlabel="n, digits in each half", ylabel="Fréchet distance", title="Perfect samples are not at zero")
axes.set_xticks(sizes, sizes)
axes.set_xticks([], minor=True)
axes.legend()
show(figure, "The distance between real and real falls about as 1/n, and is never zero")

# %% [markdown]
# Twice the samples, about half the distance. Never compare two distances of different $n$, and say what real data get.
#
# ## Clarity and diversity [B13]
#
# Article B, in its cases, judges pictures by their "clarity and diversity". One number cannot say both; two can. Put a
# ball around each real picture in feature space, as far as its fifth nearest neighbour. All the balls together stand
# for "where digits are".
#
# - **Precision**: the share of samples inside some real ball. Clarity, more or less.
# - **Recall**: the share of real pictures inside some ball around a *sample*. Diversity.
# - **Coverage**: the share of real balls with a sample inside. Diversity again, harder to fool.


# %%
def scores(real, made, k=5):
    """(precision, recall, coverage)"""
    radius = lambda x: np.sort(cdist(x, x), axis=1)[:, k]  # the first is the point itself
    d = cdist(real, made)
    in_real = d <= radius(real)[:, None]
    return in_real.any(0).mean(), (d <= radius(made)).any(1).mean(), in_real.any(1).mean()


def blurred(x):
    for axis in (1, 2, 1, 2):
        x = (np.roll(x, 1, axis) + x + np.roll(x, -1, axis)) / 3
    return x


n = 400 if FAST else 1000
unit = digits.images / 255.0
other, kinds = unit[n : 2 * n], digits.labels
generators = {
    "other real digits": other,
    "the same, blurred": blurred(other),
    "with snow": np.clip(other + 0.4 * rng.standard_normal(other.shape), 0, 1),
    "ones and sevens": unit[n:][np.isin(kinds[n:], (1, 7))][:n],
    "ten digits, again and again": unit[n : n + 10].repeat(n // 10, axis=0) + 0.001,
    "the real ones, copied": unit[:n],
}
real = features[:n]
table = {}
print(f"{'':28} Fréchet  precision  recall  coverage   classifier sure")
for name, pictures in generators.items():
    h, p = classifier.features_and_probabilities(np.clip(pictures, 0, 1)[:, None])
    table[name] = row = [max(0, frechet(real, h.astype("float64"))), *scores(real, h), (p.max(1) > 0.9).mean()]
    print("{:28} {:7.1f}  {:9.2f}  {:6.2f}  {:8.2f}   {:15.2f}".format(name, *row))

fair = table["other real digits"]
assert all(
    row[0] > fair[0] for name, row in table.items() if name not in ("other real digits", "the real ones, copied")
)
assert table["with snow"][1] < fair[1] and table["with snow"][3] < 0.4
assert table["the same, blurred"][1] > fair[1] - 0.05 and table["the same, blurred"][2] < fair[2] - 0.2
assert table["ones and sevens"][1] > 0.8 > 0.4 > table["ones and sevens"][3]
assert table["ten digits, again and again"][1] > 0.6 and table["ten digits, again and again"][3] < 0.3
assert table["the real ones, copied"][0] < 1e-4 and min(table["the real ones, copied"][1:4]) == 1

# %%
figure, axes = plt.subplots(figsize=(6.4, 3.6))
for name, (distance, precision, _, coverage, _) in table.items():
    axes.plot(precision, coverage, "o", ms=4 + 2 * np.log1p(distance), label=name)
axes.set(xlim=(-0.05, 1.08), ylim=(-0.08, 1.12), xlabel="precision", ylabel="coverage", title="Clarity and diversity")
for handle in axes.legend(loc="upper left").legend_handles:
    handle.set_markersize(6)
show(figure, "Each generator by precision and coverage; a larger dot has a larger Fréchet distance")

# %% [markdown]
# Ones and sevens, or ten digits for ever, keep their precision and lose coverage: that is mode collapse in numbers.
# Snow loses everywhere. Blur does *not* lose precision: to this classifier, blurred digits lie in the middle of the
# sharp ones. What gives them away is recall.
#
# And the last row is the best of all: copying the real digits beats other real digits. No number in this table sees it.
# The first one in this lesson did: a copier's likelihood of a held-out digit.
#
# ## BLEU, and what it takes for a good translation [B13]
#
# For text, article B names BLEU, ROUGE and METEOR. **BLEU** counts how many runs of 1, 2, 3 and 4 words (n-grams) of a
# sentence also stand in a reference, each at most as often as there, and takes the geometric mean of the four shares
# $p_n$. A sentence that is shorter than its reference pays, with $c$ and $r$ for the lengths:
#
# $$\mathrm{BLEU} = 100 \cdot \min(1, e^{1 - r/c}) \cdot (p_1 p_2 p_3 p_4)^{1/4}$$

# %%
from collections import Counter


def grams(words, n):
    return Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))


def bleu(sentence, reference):
    s, r = sentence.split(), reference.split()
    shares = [(grams(s, n) & grams(r, n)).total() / max(1, len(s) - n + 1) for n in (1, 2, 3, 4)]
    return 100 * min(1, np.exp(1 - len(r) / len(s))) * np.prod(shares) ** 0.25


reference = "the doctor said that the patient should take the medicine after every meal"
sentences = {
    "word for word": reference,
    "the opposite": "the doctor said that the patient should not take the medicine after every meal",
    "in other words": "according to the physician , the medication is to be taken whenever one has eaten",
    "stuttering": "the the the the the the the the the the the the the",
    "two halves, exchanged": "the patient should take the medicine after every meal the doctor said that",
    "half of it": "the doctor said that the patient should",
}
points = {name: bleu(sentence, reference) for name, sentence in sentences.items()}
print("reference:", reference)
for name, sentence in sentences.items():
    print(f"{points[name]:6.1f}  {name}: {sentence}")
assert points["word for word"] == 100 and points["stuttering"] == 0 == points["in other words"]
assert points["the opposite"] > 70 and points["two halves, exchanged"] > 80 > points["half of it"]

# %% [markdown]
# A sentence that could kill the patient gets most of the points, a good translation none. BLEU was made for averages
# over many sentences, and between systems of one kind it can be of use. As praise for one sentence it says little.
#
# So: more than one number; each with the figure that real data get, with its $n$, and with what it cannot see. And look
# at the pictures.
#
# ## The same in minigen
#
# `minigen/metrics` has the Fréchet distance and the manifold's scores; it computes the root's trace in another way, so
# that the two agree to rounding. For BLEU minigen asks the library sacrebleu, where it is installed
# (`pip install -e ".[metrics]"`).

# %%
from minigen.metrics import bits_per_dimension, frechet_distance, log_mean_exp, manifold_scores

for pictures in generators.values():
    h = classifier.features(np.clip(pictures, 0, 1)[:, None][:200]).astype("float64")
    np.testing.assert_allclose(frechet_distance(real, h), frechet(real, h), rtol=1e-6, atol=1e-4)
    theirs = manifold_scores(real[:200], h, k=5)
    assert (theirs.precision, theirs.recall, theirs.coverage) == scores(real[:200], h)
np.testing.assert_allclose(frechet_distance(*line), by_formula, rtol=1e-12)

terms = -squares / (2 * best**2) - 784 * np.log(best * np.sqrt(2 * np.pi))
np.testing.assert_allclose(log_mean_exp(terms, axis=1), log_p(squares, best), rtol=1e-12)
np.testing.assert_allclose(bits_per_dimension(-np.log(100), 784), bits, rtol=1e-12)

try:
    from sacrebleu.metrics import BLEU
except ModuleNotFoundError:
    print("sacrebleu is not installed: BLEU was compared with nothing")
else:
    theirs = BLEU(tokenize="none", smooth_method="none")
    for name, sentence in sentences.items():
        np.testing.assert_allclose(theirs.corpus_score([sentence], [[reference]]).score, points[name], rtol=1e-12)
    print("BLEU as sacrebleu has it")
