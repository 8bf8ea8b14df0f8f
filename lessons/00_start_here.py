# %% [markdown]
# # 00 · Start here
#
# *15 minutes*
#
# How can a program make something that was not there before: a handwritten digit that nobody wrote, a sentence that
# nobody said? It can only compute. The same numbers in, the same numbers out.
#
# We make one right now, in five lines. Then comes the map.

# %%
import matplotlib.pyplot as plt
import numpy as np

from lessons.kit import catalog, show
from minigen import tensor
from minigen.datasets import load
from minigen.losses.vae import log_normal
from minigen.viz import image_grid

# %% [markdown]
# ## Sevens that people wrote

# %%
digits = load("digits")
sevens = digits.images[digits.labels == 7].reshape(-1, 28 * 28) / 255.0  # (n, 784), black 0, white 1
n, d = sevens.shape
print(f"{n} sevens, each of {d} numbers between {sevens.min():.0f} and {sevens.max():.0f}")
assert n > 900 and d == 784


def pictures(x):
    return image_grid(np.clip(x, 0, 1).astype(np.float32).reshape(-1, 1, 28, 28), columns=12, scale=2)


show(pictures(sevens[:24]), "Twenty-four sevens that people wrote")

# %% [markdown]
# ## First try: each pixel by itself
#
# A picture is a list of 784 numbers. Let us measure, for each, its mean $\mu$ and its spread $\sigma$ over all sevens,
# and then throw dice: a new picture is
#
# $$x = \mu + \sigma \odot z, \qquad z \sim \mathcal{N}(0, I)$$
#
# where $z$ is **noise**: 784 numbers from the bell curve. The sign $\odot$ multiplies number by number.

# %%
rng = np.random.default_rng(0)
z = rng.standard_normal((24, d))
mu, sigma = sevens.mean(axis=0), sevens.std(axis=0)
fog = mu + sigma * z
show(pictures(fog), "Each pixel drawn by itself: the ghost of a seven, in a snowstorm")

# %% [markdown]
# Every pixel is right, on average and in its spread. The picture is wrong. What is missing is what the pixels have to
# do *with each other*: in a real seven a white pixel has white neighbours. In the snow it has not.


# %%
def neighbours(x):
    """How strongly a pixel's deviation goes with that of the pixel to its right, from −1 to 1"""
    r = (x - mu).reshape(-1, 28, 28)[:, 6:22, 6:22]
    return float(np.corrcoef(r[:, :, :-1].ravel(), r[:, :, 1:].ravel())[0, 1])


print(f"neighbours: real {neighbours(sevens):.2f}, drawn {neighbours(fog):.2f}")
assert neighbours(sevens) > 0.6 and abs(neighbours(fog)) < 0.05

# %% [markdown]
# ## Second try: together
#
# So measure that, too: the **covariance** $\Sigma$, a table of 784 × 784 numbers that says how each pixel goes with
# each. Then find a table $A$ with $A A^\top = \Sigma$, and throw the same dice:
#
# $$x = \mu + A z$$

# %%
Sigma = np.cov(sevens.T)
values, directions = np.linalg.eigh(Sigma)
A = directions * np.sqrt(np.maximum(values, 0))
drawn = mu + z @ A.T
show(pictures(drawn), "Twenty-four sevens that nobody wrote")

np.testing.assert_allclose(A @ A.T, Sigma, atol=1e-12)
print(f"neighbours: real {neighbours(sevens):.2f}, drawn {neighbours(drawn):.2f}")
assert abs(neighbours(sevens) - neighbours(drawn)) < 0.1

# %% [markdown]
# The same dice, and a table that was measured: sevens. Smudged, but sevens, and each of them new. How do we know that
# it is not just a copy? Look for the nearest real one.

# %%
gaps = np.array([np.linalg.norm(sevens - x, axis=1) for x in drawn])  # (24, n)
nearest = sevens[gaps.argmin(axis=1)]
typical = float(np.median(np.linalg.norm(sevens[:100] - sevens[100:200], axis=1)))
print(f"two real sevens differ by {typical:.1f}, a drawn one from its nearest by {gaps.min():.1f} or more")
assert gaps.min() > 0.4 * typical
show(pictures(np.concatenate([drawn[:12], nearest[:12]])), "Above, drawn; below, the real seven nearest to each")

# %% [markdown]
# That is a **generative model**: noise goes in, something like the data comes out, $x = G(z)$, and $G$ was found by
# looking at data. All models in this book are that. They differ in what $G$ can be, and in how it is found.
#
# And here is why there is a book. Give the same five lines all ten digits at once.

# %%
everything = digits.images.reshape(-1, d) / 255.0
values, directions = np.linalg.eigh(np.cov(everything.T))
smudges = everything.mean(axis=0) + z @ (directions * np.sqrt(np.maximum(values, 0))).T
show(pictures(smudges), "The same recipe for all ten digits: ink, but no digits")

# %% [markdown]
# A table of covariances knows lines, not kinds. "A seven *or* a three, but nothing in between" is beyond it. For that,
# $G$ has to bend, and to find a bent $G$ one has to know which way to bend it. That is a slope, and there the road
# begins.
#
# ## The map
#
# - **01 to 04: slopes.** How to find them by hand, how a program finds them all at once, for arrays, on any machine.
# - **05 and 06: networks.** One that reads digits; the convolution, and how it draws.
# - **07 to 09: the oldest generators, and the game.** Counting, and then two networks that teach each other.
# - **10 to 14: pictures.** GANs that draw digits, what makes them fail and what helps; the variational auto-encoder.
# - **15 to 20: sequences.** Recurrence, attention, and a small GPT.
# - **21 and 22: how good, how fast.** Measures that fool you; a training step down to the floor.
#
# What is here today:

# %%
for lesson in catalog.lessons():
    after = ", ".join(f"{need:02d}" for need in lesson.needs)
    print(f"{lesson.number:02d}  {lesson.title:<50} {lesson.minutes} min{'   after ' + after if after else ''}")

# %% [markdown]
# ## How to read
#
# Each lesson is one file, and you choose how to meet it. As a page of the book. In the terminal, a step at a time,
# with a Python prompt wherever you want to look closer: `python -m lessons 1`. As a notebook: `python -m lessons
# notebook 1`. As a script: `python lessons/01_slopes.py`.
#
# Change things. Every lesson checks its own claims with `assert`, so that it tells you when you have broken one. At
# its end there are exercises, and `python -m lessons check 1` tells what is right.
#
# ## Five articles, and their errors
#
# minigen follows five Chinese articles on generative AI, A to E, and takes their formulas one by one. **A2** is the
# second formula of the first article. Some are wrong: a sign, a loss that pays the wrong player. Then a lesson writes
# the formula as the article does, *runs* it, looks at what happens, and puts the right one beside it. The book's last
# page lists them all.
#
# ## Notation
#
# | sign | means |
# |---|---|
# | $x$, $y$ | data, or the input and output of an operation |
# | $\hat x$, $\hat y$ | a reconstruction, a prediction |
# | $z$ | noise, or a latent variable: what a picture is made from |
# | $L$, $g = \partial L / \partial y$ | the loss; its slope with respect to an operation's output |
# | $x \odot w$, $x w$, $x^\top$ | product number by number; product of matrices; transposed |
# | $G$, $D$, $f$ | generator; discriminator, a probability; critic, any number |
# | $l$, $\sigma(l) = 1/(1 + e^{-l})$ | a logit; the probability that it stands for |
# | $\theta$, $\varphi$ | the numbers that are learned, in a generator or decoder; in an encoder |
# | $p$, $q$ | a distribution; one that stands in for it |
# | $\mathbb{E}_x[\cdot]$ | the mean over $x$ |
# | $\mathcal{N}(\mu, \sigma^2)$ | the normal distribution, the bell curve |
# | $\log$ | the natural logarithm, so that information is in nats |
# | $\mathrm{KL}(q \| p)$ | how far $q$ is from $p$: the mean of $\log q - \log p$ under $q$ |
#
# Shapes are written `(batch, channels, height, width)`, and `->` leads from an operation's input to its output.
#
# ## By hand, and then minigen's
#
# Every lesson ends in the same way: what we built by hand must equal what minigen computes. Here it is the height of
# the bell curve, whose logarithm the sums of later lessons are made of:
#
# $$\log \mathcal{N}(x; \mu, \sigma^2) = -\tfrac12 \left( (x - \mu)^2 / \sigma^2 + \log \sigma^2 + \log 2\pi \right)$$


# %%
def log_density(x, mu, sigma):
    return -0.5 * ((x - mu) ** 2 / sigma**2 + np.log(sigma**2) + np.log(2 * np.pi))


grid = np.linspace(-6, 8, 20001)
print(f"area under the curve: {np.trapezoid(np.exp(log_density(grid, 1.0, 0.8)), grid):.12f}")
np.testing.assert_allclose(np.trapezoid(np.exp(log_density(grid, 1.0, 0.8)), grid), 1.0, rtol=1e-12)

x, mean, spread = rng.standard_normal((3, 5, 4))
spread = np.exp(spread)
ours = log_density(x, mean, spread).sum(axis=-1)
theirs = log_normal(tensor(x), tensor(mean), tensor(np.log(spread**2))).numpy()
np.testing.assert_allclose(ours, theirs, rtol=1e-12)

figure, axes = plt.subplots()
for mean, spread in [(0, 1), (1, 0.8), (-2, 0.5)]:
    axes.plot(grid, np.exp(log_density(grid, mean, spread)), label=f"μ = {mean}, σ = {spread}")
axes.set(title="Bell curves", xlabel="x", ylabel="density")
axes.legend()
show(figure, "Three bell curves: μ moves one, σ widens it, and the area below stays 1")
