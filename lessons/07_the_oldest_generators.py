# %% [markdown]
# # 07 · The oldest generators: Markov chain, AR(p), Gaussian mixture
#
# *40 minutes · after 02, 05 · formulas D3, D6, E3*
#
# Before there were networks there were machines that wrote, hummed and drew. They count, they solve for a few numbers,
# or they group. Each fits on a page.
#
# **What is the least that a machine needs in order to go on where the data stop?**
#
# The answer is the same three times: a probability of what comes next, learnt from examples, and a die.

# %%
from collections import Counter

import numpy as np
from matplotlib import pyplot as plt

from lessons.kit import FAST, show
from minigen import grad, tensor
from minigen.datasets import load, load_text
from minigen.viz import image_grid

# %% [markdown]
# ## A text: the Markov chain
#
# A **Markov chain** of order $k$ supposes that a character depends on the $k$ before it and on nothing else [D3, D6].
# To know with which probability, count:
#
# $$p(x \mid c) = \frac{a(c x)}{\sum_{x'} a(c x')}$$
#
# where $a(c x)$ is how often the context $c$ is followed by $x$. The text is the documentation that comes with Python.

# %%
whole = load_text("python-docs")
SIZE = 20_000 if FAST else 150_000
text, new = whole[:SIZE], whole[SIZE : SIZE + SIZE // 10]
alphabet = sorted(set(text + new))
V = len(alphabet)
print(f"{len(text):,} characters to count, {len(new):,} new ones, {V} different")


def grams(text, n):
    """How often each run of n characters comes"""
    return Counter(text[i : i + n] for i in range(len(text) - n + 1))


def write(choose, start, n, seed=0):
    """n characters after `start`: choose(written) gives the candidates and their weights."""
    rng, written = np.random.default_rng(seed), start
    for _ in range(n):
        candidates, weights = choose(written)
        weights = np.array(weights, float)
        written += candidates[rng.choice(len(candidates), p=weights / weights.sum())]
    return written


def followers(k):
    after = {}
    for gram, n in grams(text, k + 1).items():
        after.setdefault(gram[:-1], []).append((gram[-1], n))
    return lambda written: zip(*after[written[len(written) - k :]])


start = text[2000:2006]
for k in 0, 1, 3, 6:
    written = write(followers(k), start, 160)[6:]
    copied = np.mean([written[i : i + 10] in text for i in range(151)])
    print(f"— order {k}; of its runs of 10 characters {copied:.0%} stand in the text —\n{written}\n")
assert copied > 0.2

# %% [markdown]
# Order 0 knows which letters are frequent. Order 3 knows words. Order 6 writes phrases, and many of them stand in the
# text: with a context that came only once there is only one way to go on.
#
# That is the trouble. How surprised is the chain by each character of the *new* text, in nats, on average, as in lesson
# 05? And how often was a probability 0, which is a surprise without end?

# %%
ORDERS = range(7)
known, never = [], []
for k in ORDERS:
    a, b = grams(text, k + 1), grams(text, k)
    p = [a[text[i - k : i + 1]] / b[text[i - k : i]] for i in range(k, len(text))]
    known.append(-np.log(p).mean())
    never.append(np.mean([a[new[i - k : i + 1]] == 0 for i in range(k, len(new))]))
    print(
        f"order {k}: {known[-1]:.2f} nats per character of its own text; of a new one {never[-1]:5.1%} are impossible"
    )
assert known[6] < 0.6 * known[1] and never[6] > 0.05 and never[0] < 0.01

# %% [markdown]
# The longer the context, the better it knows its own text, and the oftener it declares a new one impossible.
#
# ## Give some away
#
# The cure is old and good: take a little, a **discount** $D$, off every count, and give what was taken to the chain one
# order shorter. That one gives to a shorter one still, and the shortest gives everything the same.
#
# $$p_k(x \mid c) = \frac{a(c x) - D}{\sum_{x'} a(c x')} + \gamma(c)\, p_{k-1}(x \mid c') \qquad p_{-1} = \frac{1}{V}$$
#
# $c'$ is $c$ without its first character, and $\gamma(c)$ is the share that was taken, so that all still sums to 1.
#
# Two refinements make it good (Kneser and Ney, in Chen and Goodman's form). $D$ depends on whether the count is 1, 2,
# or 3 and more, and is computed from how many grams were seen once, twice, three and four times. And a shorter chain is
# asked only where the longer context is new. So it should not count how *often* a gram came, but after how many
# *different* characters: one that comes often, but always after the same, is not likely anywhere else.

# %%
often, different = grams(text, 3), Counter(longer[1:] for longer in grams(text, 4))
tied = max((gram for gram in often if different[gram] == 1), key=often.get)
print(f"{tied!r} comes {often[tied]} times, each time after the same character")
assert often[tied] > 10


def discounts(counts):
    n = Counter(counts)
    Y = n[1] / (n[1] + 2 * n[2]) if n[1] and n[2] else 0.5
    D = [0.0]
    for a in 1, 2, 3:
        estimate = a - (a + 1) * Y * n[a + 1] / n[a] if n[a] else 0.0
        D.append(estimate if 0 < estimate < a else Y)  # too few to estimate from
    return D


def smoothed(text, k):
    """For each order up to k: the counts a, their discounts, and for each context the sum of a and what was taken"""
    counts = [grams(text, j + 1) for j in range(k + 1)]
    chain = []
    for j, a in enumerate(counts):
        if j < k:
            a = Counter(longer[1:] for longer in counts[j + 1])  # after how many different characters
            a[text[: j + 1]] += 1  # the beginning of the text is one
        D, total, taken = discounts(a.values()), Counter(), Counter()
        for gram, n in a.items():
            total[gram[:-1]] += n
            taken[gram[:-1]] += D[min(n, 3)]
        chain.append((a, D, total, taken))
    return chain


def probability(chain, context, x):
    p = 1 / V
    for j, (a, D, total, taken) in enumerate(chain):
        c = context[len(context) - j :]
        if j > len(context) or not total[c]:
            break
        n = a[c + x]
        p = (n - D[min(n, 3)]) / total[c] + taken[c] / total[c] * p
    return p


surprise = []
for k in ORDERS:
    chain = smoothed(text, k)
    surprise.append(-np.mean([np.log(probability(chain, new[max(i - k, 0) : i], x)) for i, x in enumerate(new)]))
    print(f"order {k}: {surprise[-1]:.3f} nats per new character")
print(f"sum over all characters after 'the ': {sum(probability(chain, 'the ', x) for x in alphabet):.12f}")
assert abs(sum(probability(chain, "the ", x) for x in alphabet) - 1) < 1e-12
assert min(surprise) < 0.75 * surprise[0] and surprise[6] < surprise[2]

figure, axes = plt.subplots()
axes.plot(ORDERS, surprise, "o-", label="a new text, smoothed")
axes.plot(ORDERS, known, "o-", label="its own text, counted")
axes.set(xlabel="order", ylabel="nats per character", ylim=(0, None), title="What it knows, and what it knows by heart")
axes.legend()
show(figure, "By counting, its own text becomes ever less surprising; a new one soon does not")

# %% [markdown]
# Now a long context helps, or at least no longer harms: where it is unknown, a shorter one answers.
#
# ## A series: AR(p)
#
# For numbers, the next value itself can be a weighted sum of the last $p$, and chance [E3]:
#
# $$x_t = \sum_{i=1}^{p} \varphi_i \, x_{t-i} + \varepsilon_t \qquad L = \frac{1}{n} \sum_t (x_t - \hat x_t)^2$$
#
# It is called **autoregressive**, AR(p). The article sums over all $t$; but the first value that has $p$ values before
# it is $x_{p+1}$, so the sum begins there, and has $n - p$ terms. (Who begins at 1 must invent what was before, and
# that changes the result a little.) The series is 800 voltages from someone's scalp, an electroencephalogram.

# %%
from minigen.models.autoregressive import load_eeg

series = load_eeg()[:, 0]
z = (series - series.mean()) / series.std()


def lags(x, p):
    """A row for each t = p + 1 … n: the p values before it, the latest first"""
    return np.stack([x[p - i : len(x) - i] for i in range(1, p + 1)], axis=1)


def fit(z, p, tolerance=1e-10):
    """φ by plain gradient descent, the number of its steps, and the largest over the smallest curvature of L"""
    X, x, steps = tensor(lags(z, p)), tensor(z[p:]), 0
    φ = tensor(np.zeros(p), requires_grad=True)
    curvature = np.linalg.eigvalsh(2 / len(x) * X.data.T @ X.data)
    while True:
        g = grad(((x - X @ φ) ** 2).mean(), φ).data
        if g @ g < tolerance**2:
            return φ.data, steps, curvature[-1] / curvature[0]
        φ.data -= 2 / (curvature[0] + curvature[-1]) * g  # the best step that stays the same
        steps += 1


print(" p   by descent and by least squares agree to   steps   largest over smallest curvature")
for p in 1, 2, 3:
    φ, steps, ratio = fit(z, p)
    exact = np.linalg.lstsq(lags(z, p), z[p:], rcond=None)[0]
    print(f"{p:2} {np.abs(φ - exact).max():30.0e} {steps:18} {ratio:12.0f}")
    assert np.abs(φ - exact).max() < 1e-6
padded = np.append(np.zeros(3), z)  # the article's sum: as if there had been silence before
print(
    "p = 3:", exact.round(4), "  with the sum from t = 1:", np.linalg.lstsq(lags(padded, 3), z, rcond=None)[0].round(4)
)
assert steps > 300

# %% [markdown]
# $L$ is quadratic, so its minimum can be had in one line, by **least squares**. Descent finds the same numbers, as it
# must, and shows why it can take long: neighbouring voltages are alike, the valley of $L$ is long and narrow, and the
# number of steps grows with the ratio of its curvatures.
#
# Let the model with $p = 8$ go on where the series stops.

# %%
p = 8
φ = np.linalg.lstsq(lags(z, p), z[p:], rcond=None)[0]
σ = np.sqrt(np.mean((z[p:] - lags(z, p) @ φ) ** 2))
print(f"what one step leaves unexplained: σ = {σ:.2f} of the standard deviation 1")
rng = np.random.default_rng(4)
noise, made = rng.standard_normal(200), list(z)
for e in noise:
    made.append(φ @ made[: -p - 1 : -1] + σ * e)
assert σ < 0.9 and 0.4 < np.std(made[800:]) < 2.5

figure, axes = plt.subplots(figsize=(6.4, 2.6))
axes.plot(np.arange(600, 800), made[600:800], lw=1, label="measured")
axes.plot(np.arange(799, 1000), made[799:], lw=1, label="made")
axes.set(xlabel="t", title="An electroencephalogram that nobody has measured")
axes.legend(ncols=2)
show(figure, "The last 200 of 800 measured voltages, and 200 that the AR(8) model added")

# %% [markdown]
# ## A picture: the mixture of Gaussians
#
# A picture of $14 \times 14$ pixels is a point with 196 coordinates. One **Gaussian**, a mean $\mu$ and a covariance
# $\Sigma$, is one cloud of points. Digits are several clouds: a **mixture** [D3].
#
# $$p(x) = \sum_{k} w_k \, \mathcal{N}(x;\; \mu_k, \Sigma_k)$$
#
# To draw: choose $k$ with probability $w_k$, then a point of that cloud. To learn: if we knew which point belongs to
# which cloud, each cloud's mean and covariance would be averages. If we knew the clouds, we could say with which
# probability, $\gamma_{ik}$, point $i$ belongs to cloud $k$. Neither is known, so take turns:
#
# $$\gamma_{ik} = \frac{w_k \, \mathcal{N}(x_i; \mu_k, \Sigma_k)}{\sum_j w_j \, \mathcal{N}(x_i; \mu_j, \Sigma_j)}
# \qquad \mu_k = \frac{\sum_i \gamma_{ik} x_i}{\sum_i \gamma_{ik}}$$
#
# and so on for $w_k$ and $\Sigma_k$. This is **expectation maximisation**, and the likelihood of the data rises in
# every turn.
#
# One trap: the corners of all digits are black. In that direction the covariance is 0, the density infinite, and the
# likelihood with it. So no variance may fall below a floor.


# %%
def halved(images):
    """Four pixels become one: (N, 28, 28) of uint8 -> (N, 196) from 0 to 1"""
    return images.reshape(-1, 14, 2, 14, 2).mean((2, 4)).reshape(-1, 196) / 255


points, new_points = halved(load("digits").images[: 1500 if FAST else 5000]), halved(load("digits", "test").images)
FLOOR = 1e-3
smallest = np.linalg.eigvalsh(np.cov(points.T))[0]
print(
    f"{len(points):,} points of {points.shape[1]} coordinates; smallest variance in any direction {abs(smallest):.0e}"
)
assert abs(smallest) < 1e-12


def log_gaussian(x, mean, values, axes):
    """log N(x; μ, U diag(values) Uᵀ)"""
    d = (x - mean) @ axes
    return -0.5 * (np.log(2 * np.pi * values).sum() + (d * d / values).sum(1))


def maximise(x, γ):
    """w, μ and, of each covariance, variances with their axes; the variances not below the floor"""
    N = γ.sum(0)
    means = γ.T @ x / N[:, None]
    clouds = []
    for weight, mean in zip(γ.T, means):
        d = x - mean
        values, axes = np.linalg.eigh((weight[:, None] * d).T @ d / weight.sum())
        clouds.append((mean, np.maximum(values, FLOOR), axes))
    return N / N.sum(), clouds


def expect(x, w, clouds):
    """γ, and the mean log-likelihood"""
    joint = np.stack([np.log(w_k) + log_gaussian(x, *cloud) for w_k, cloud in zip(w, clouds)], axis=1)
    m = joint.max(1, keepdims=True)
    log_p = m + np.log(np.exp(joint - m).sum(1, keepdims=True))  # as in lesson 05
    return np.exp(joint - log_p), log_p.mean()


def mixture(x, nearest, turns):
    """From a first grouping: nearest[i] is the cloud of point i"""
    w, clouds = maximise(x, np.eye(nearest.max() + 1)[nearest])
    history = []
    for _ in range(turns):
        γ, log_likelihood = expect(x, w, clouds)
        history.append(log_likelihood)
        w, clouds = maximise(x, γ)
    return w, clouds, history


# %% [markdown]
# The turns need a first grouping. **k-means** makes one: each point goes to the nearest of $K$ centres, each centre to
# the middle of its points, by turns.

# %%
from minigen.models.mixture import GaussianMixture, k_means

K, TURNS = (3, 3) if FAST else (8, 6)
_, nearest = k_means(points, K, np.random.default_rng(0))
w, clouds, history = mixture(points, nearest, TURNS)
one = mixture(points, 0 * nearest, 1)
print(f"log p(x): one cloud {one[2][0]:.1f} nats; {K} clouds, turn by turn:", *(f"{h:.1f}" for h in history))
new_one, new_many = expect(new_points, *one[:2])[1], expect(new_points, w, clouds)[1]
print(f"of digits that they have not seen: one cloud {new_one:.1f}, {K} clouds {new_many:.1f}")
assert all(b > a for a, b in zip(history, history[1:])) and new_many > new_one + 5

rng = np.random.default_rng(1)


def draw(n, w, clouds):
    drawn = []
    for k in rng.choice(len(w), size=n, p=w):
        mean, values, axes = clouds[k]
        drawn.append(mean + axes @ (np.sqrt(values) * rng.standard_normal(len(mean))))
    return np.array(drawn)


rows = np.concatenate([points[:15], draw(15, *one[:2]), draw(30, w, clouds)])
show(
    image_grid(rows.reshape(-1, 1, 14, 14), columns=15, scale=3),
    "First row: digits. Second: drawn from one cloud. The others: drawn from the mixture",
)

# %% [markdown]
# One cloud draws something between all digits; with several, some can be read. That is the mark to beat: a network that
# draws worse than this was not worth training.
#
# All three machines can say how probable a given thing is. The next lesson's cannot, and must learn without.
#
# ## The same in minigen
#
# `minigen.models` has all three. The chain agrees in every probability, AR(p), which descends along cleverer
# directions, in its coefficients, the mixture in its weights, means and covariances.

# %%
from minigen.models.autoregressive import AutoRegressive
from minigen.models.markov import MarkovChain

ids = np.array([alphabet.index(x) for x in text + new])
theirs = MarkovChain(6, V).fit(ids[: len(text)])
ours = [np.log(probability(chain, new[max(i - 6, 0) : i], x)) for i, x in enumerate(new)]
np.testing.assert_allclose(ours, theirs.log_prob(ids[len(text) :]), rtol=1e-12, atol=1e-12)

model = AutoRegressive(8)
model.fit(series)
np.testing.assert_allclose(φ, model.phi.data, rtol=0, atol=1e-9)
sample = np.array(made[800:]) * series.std() + series.mean()
np.testing.assert_allclose(sample, model.sample(series, 200, np.random.default_rng(4)), rtol=0, atol=1e-6)

theirs = GaussianMixture(K, floor=FLOOR).fit(points, np.random.default_rng(0), iterations=TURNS, tolerance=-np.inf)
np.testing.assert_allclose(history, theirs.history, rtol=1e-9)
np.testing.assert_allclose(w, theirs.weights, rtol=1e-9)
for (mean, values, axes), their_mean, covariance in zip(clouds, theirs.means, theirs.covariances, strict=True):
    np.testing.assert_allclose(mean, their_mean, rtol=0, atol=1e-9)
    np.testing.assert_allclose((axes * values) @ axes.T, covariance, rtol=0, atol=1e-9)
print("the chain, AR(8) and the mixture: equal to minigen's")
