# %% [markdown]
# # 08 · The GAN game
#
# *30 minutes · after 02, 05 · formulas A2, A4, A5, B7, C1, C2, C3, E1, E4*
#
# **How can a machine learn to draw when nobody ever tells it what is wrong with its drawing?**
#
# A *generator* $G$ turns noise $z$ into a sample. A *discriminator* $D$ looks at one sample and says how probable it
# finds that it is real: $D(x)$ near 1 for data, $D(G(z))$ near 0 for forgeries. $D$ learns to tell them apart. $G$
# learns from $D$, and from nothing else. They play over one number [C1]:
#
# $$V(D, G) = \mathbb{E}_x \log D(x) + \mathbb{E}_z \log (1 - D(G(z))), \qquad \min_G \max_D V.$$
#
# Here both players are so small that you can watch every number of them. The data are numbers around 2. $G$ has two
# parameters: where its samples lie, and how far apart.

# %%
import numpy as np
from matplotlib import pyplot as plt

from lessons.kit import FAST, show
from minigen import grad, tensor, trace
from minigen.ops import mean, sigmoid, softplus

CENTRE, WIDTH = 2.0, 0.5


def data(n, rng):
    """x ~ N(2, ½²)"""
    return CENTRE + WIDTH * rng.standard_normal(n)


def G(theta, z):
    """G(z) = θ₀ + θ₁ z"""
    return theta[0] + theta[1] * z


def logit(w, x):
    """l(x) = w₀ + w₁ x + w₂ x²,   D(x) = σ(l(x))"""
    return w[0] + w[1] * x + w[2] * x * x


# %% [markdown]
# ## Two losses
#
# $D$ wants $V$ large, so its loss is $-V$. $G$ can only change the second term; more of that in a moment [C2, E1]:
#
# $$L_D = -\mathbb{E}_x \log D(x) - \mathbb{E}_z \log (1 - D(G(z))), \qquad L_G = -\mathbb{E}_z \log D(G(z)).$$
#
# $D$ ends in a sigmoid, $D = \sigma(l)$, so both logarithms are softplus, $\ln(1 + e^l)$, of the number before it:
# $\log D = -\mathrm{softplus}(-l)$ and $\log(1 - D) = -\mathrm{softplus}(l)$. Nothing is ever rounded to $\log 0$.


# %%
def loss_D(real, fake):
    return mean(softplus(-real)) + mean(softplus(fake))


def loss_G(fake):
    return mean(softplus(-fake))


# %% [markdown]
# ## The whole game
#
# In each round: sample $z$, update $D$, update $G$ [E4]. Each loss is differentiated with respect to *its own
# player's* parameters. Every number that a player has is in `w` and `theta`, and the lines below are all of the
# training. ($D$ gets five steps a round, and a pull of its parameters towards 0: it should answer $G$'s moves, not
# outrun them. Lesson 11 shows what happens otherwise.)


# %%
def play(loss_D, loss_G, rounds, start=-1.0):
    rng, w, theta, record = (
        np.random.default_rng(0),
        tensor(np.zeros(3), True),
        tensor(np.array([start, 0.5]), True),
        [],
    )
    for _ in range(rounds):
        for _ in range(5):
            real, fake = data(256, rng), G(theta.data, rng.standard_normal(256))
            w = tensor(0.998 * w.data - 0.1 * grad(loss_D(logit(w, real), logit(w, fake)), w).data, True)
        fake = logit(w.data, G(theta, rng.standard_normal(256)))
        theta = tensor(theta.data - 0.05 * grad(loss_G(fake), theta).data, True)
        record.append([*theta.data, *w.data, sigmoid(logit(w.data, real)).mean(), sigmoid(fake.data).mean()])
    return np.array(record)


ROUNDS = 600 if FAST else 2000
right = play(loss_D, loss_G, ROUNDS)

print("round   G draws N(θ₀, θ₁²)      D(x)   D(G(z))")
for r in (1, 20, 50, 100, 200, ROUNDS):
    theta0, theta1, *_, d_real, d_fake = right[r - 1]
    print(f"{r:5}   θ₀ = {theta0:6.3f}  θ₁ = {theta1:.3f}   {d_real:.2f}   {d_fake:.2f}")

final = right[-100:].mean(0)
assert abs(final[0] - CENTRE) < 0.05 and abs(final[1] - WIDTH) < 0.08

# %% [markdown]
# $G$ has never seen a data point, and it has found both where they are and how far they scatter. On the way it
# overshot: at round 200 its samples lie too close together. The two players circle each other before they settle.


# %%
def scene(row, title):
    """The densities of the data and of G, and D between 0 and 1."""
    theta0, theta1, w = row[0], max(abs(row[1]), 0.02), row[2:5]
    x = np.linspace(-3.5, 5, 400)
    density = lambda m, s: np.exp(-((x - m) ** 2) / (2 * s * s)) / (s * np.sqrt(2 * np.pi))
    figure, axes = plt.subplots(figsize=(6.4, 2.6))
    axes.fill_between(x, density(CENTRE, WIDTH), alpha=0.4, label="data")
    axes.fill_between(x, np.minimum(density(theta0, theta1), 1.4), alpha=0.4, label="$G(z)$")
    axes.plot(x, sigmoid(logit(w, x)), color="C2", label="$D(x)$")
    axes.set(xlim=(-3.5, 5), ylim=(0, 1.45), title=title)
    axes.legend(loc="upper left", ncols=3)
    return figure


def frame(row, title):
    figure = scene(row, title)
    figure.set_facecolor("white")
    figure.canvas.draw()
    picture = np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()
    plt.close(figure)
    return picture


moments = [0, 5, 10, 15, 20, 25, 30, 35, 40, 50, 60, 80, 100, 150, 200, 300, 500, 700, ROUNDS - 1]
show([frame(right[r], f"round {r + 1}") for r in (moments[::6] if FAST else moments)], "the game, round by round")

# %% [markdown]
# ## One move, number by number
#
# Two data points, two forgeries, and $L_D$ on their four logits. Step through it: the slope of $L_D$ is $D - 1$ on a
# real sample and $D$ on a forgery, each divided by 2 because of the mean.

# %%
real = tensor(np.array([1.0, -0.5]), requires_grad=True, name="l(x)")
fake = tensor(np.array([0.0, 2.0]), requires_grad=True, name="l(G(z))")
show(trace(lambda: loss_D(real, fake)))

by_hand = (sigmoid(real.data) - 1) / 2, sigmoid(fake.data) / 2
for slope, expected in zip(grad(loss_D(real, fake), [real, fake]), by_hand, strict=True):
    np.testing.assert_allclose(slope.data, expected, rtol=1e-12)

# %% [markdown]
# ## Where the game ends: ½, log 2 and −log 4
#
# Hold $G$ fixed and let $D$ play as well as it can. At each $x$ it maximises
# $p_{data} \log D + p_g \log(1 - D)$; the derivative vanishes at
#
# $$D^*(x) = \frac{p_{data}(x)}{p_{data}(x) + p_g(x)}.$$
#
# With two Gaussians $l^* = \ln p_{data} - \ln p_g$ is a parabola, so our $D$ can be exactly $D^*$, and $V$ is an
# integral that a fine grid gives to many digits.

# %%
x = np.linspace(-10, 14, 20001)
dx = x[1] - x[0]
log_p = lambda m, s: -((x - m) ** 2) / (2 * s * s) - np.log(s * np.sqrt(2 * np.pi))


def best_value(m, s):
    """V(D*, G) for G(z) ~ N(m, s²)"""
    l = log_p(CENTRE, WIDTH) - log_p(m, s)
    return ((-np.exp(log_p(CENTRE, WIDTH)) * softplus(-l)) - np.exp(log_p(m, s)) * softplus(l)).sum() * dx


for m, s in (-1, 0.5), (1, 0.5), (2, 0.3), (2, 0.5):
    print(f"G(z) ~ N({m:2}, {s}²):   V(D*, G) = {best_value(m, s):.6f}")

assert abs(best_value(-1, 0.5)) < 0.01  # far apart: D is always right, and V is 0
assert abs(best_value(CENTRE, WIDTH) + np.log(4)) < 1e-12
assert abs(loss_G(np.zeros(1)) - np.log(2)) < 1e-15 and abs(final[5] - 0.5) < 0.02 and abs(final[6] - 0.5) < 0.02

# %% [markdown]
# When $p_g = p_{data}$ the best $D$ can do is to answer ½ to everything; then $V = -\log 4$ and $L_G = \log 2 = 0.693$.
#
# **Article B, eq. 14 [B7]** sets derivatives to zero and ends in $\mathbb{E}_z[-\log D(G(z))] = 0$. That is not a
# derivative, it is $L_G$ itself, and 0 would need $D(G(z)) = 1$: a discriminator that takes every forgery for real.
# The number just printed says what it is at the end of the game: 0.693.

# %% [markdown]
# ## Three signs in a published article
#
# Article A, §4.1.2 and §4.2.2, writes
#
# | | as written | right |
# |---|---|---|
# | A2 | $\min_G \max_D$ of $-\mathbb{E} \log D(x) - \mathbb{E} \log(1 - D(G(z)))$ | no minus signs |
# | A4 | $L_G = -\mathbb{E} \log (1 - D(G(z)))$ | $+$, or $-\mathbb{E} \log D(G(z))$ |
# | A5 | $L_D = -\mathbb{E} \log D(x) - \mathbb{E} \log D(G(z))$ | $1 - D$ in the second logarithm |
#
# They look like slips of the pen. Play them. Here are the articles' losses, and the game of before.


# %%
def A5(real, fake):
    return mean(softplus(-real)) + mean(softplus(-fake))


def A4(fake):
    return mean(softplus(fake))


def A2_for_D(real, fake):  # max over D of −V: D descends +V
    return -loss_D(real, fake)


short = 100 if FAST else 600
games = {
    "right": right[:short],
    "A4": play(loss_D, A4, short),
    "A5": play(A5, loss_G, short),
    "A2": play(A2_for_D, A4, short),
}
print("game    θ₀: started at −1, data at 2    D(x)   D(G(z))")
for name, record in games.items():
    print(f"{name:8}{record[-1, 0]:20.2f} {record[-1, 5]:18.2f} {record[-1, 6]:8.2f}")

assert games["A4"][-1, 0] < -1.3 and games["A4"][-1, 6] < 0.05
assert games["A5"][-1, 0] < -1.3 and games["A5"][-1, 5:].min() > 0.95
assert abs(games["A2"][-1, 0] + 1) < 0.2 and games["A2"][-1, 5] < 1e-6

figure, axes = plt.subplots(figsize=(6.4, 2.8))
for name, record in games.items():
    axes.plot(record[:, 0], label=name)
axes.axhline(CENTRE, color="grey", lw=1, ls=":")
axes.set(xlabel="round", ylabel="θ₀, the centre of $G$'s samples", title="Only one of four games reaches the data")
axes.legend(ncols=4)
show(figure, "the centre of G's samples in four games; the data are at 2")

# %% [markdown]
# - **A4**: $G$ minimises $-\log(1 - D(G(z)))$, whose minimum is $D(G(z)) = 0$. It learns to be *caught*: its samples
#   walk away from the data.
# - **A5**: $D$ is paid for calling forgeries real. It calls everything real. What it tells $G$ is worth nothing.
# - **A2**: this is $-V$. Maximising it makes $D$ answer 0 to real data, more surely with every step: its parameters run
#   to the edge where only our pull towards 0 holds them, its slopes vanish, and $G$ stands still.
#
# ## Why not the other sign? Saturating and not
#
# Put the sign of A4 right and $L_G = +\mathbb{E} \log(1 - D(G(z)))$ is the very term of $V$. Its slope on a logit is
# $-D$; that of $-\log D$ is $-(1 - D)$. At the start $D(G(z))$ is small, and the first slope is, too: it *saturates*
# just where $G$ has everything to learn.


# %%
def saturating(fake):
    return -mean(softplus(fake))


print("D(G(z))   slope of log(1 − D)   slope of −log D")
for d in 0.01, 0.1, 0.5, 0.9:
    l = tensor(np.log(d / (1 - d)), requires_grad=True)
    slopes = grad(saturating(l), l).data, grad(loss_G(l), l).data
    print(f"{d:7} {slopes[0]:18.2f} {slopes[1]:18.2f}")
    np.testing.assert_allclose(slopes, (-d, -(1 - d)), rtol=1e-12)

far = {
    name: play(loss_D, loss, 100, start=-4.0)[:, 0]
    for name, loss in {"−log D": loss_G, "log(1 − D)": saturating}.items()
}
for name, path in far.items():
    print(f"{name:11} from θ₀ = −4, after 50 rounds: {path[49]:5.2f}   after 100: {path[99]:5.2f}")
assert far["−log D"][99] > 1.5 and far["log(1 − D)"][99] < -3.9

# %% [markdown]
# ## One loss for both? Article C, [C3]
#
# Article C sums them: $L = L_G + \lambda L_D$, to be minimised over everything at once. On a forgery's logit the two
# terms pull against each other,
#
# $$\frac{\partial L}{\partial l} = -(1 - D) + \lambda D = (1 + \lambda) D - 1,$$
#
# zero at $D = 1/(1 + \lambda)$, for *both* players. No one gains by moving on: $D$ need not become good, and $G$ need
# not come near.


# %%
def joint(lam):
    together = lambda real, fake: loss_G(fake) + lam * loss_D(real, fake)
    return play(together, lambda fake: loss_G(fake) + lam * mean(softplus(fake)), short)


for lam in 1.0, 3.0:
    record = joint(lam)
    print(f"λ = {lam}: D(G(z)) = {record[-1, 6]:.2f}, 1 / (1 + λ) = {1 / (1 + lam):.2f}, θ₀ = {record[-1, 0]:.2f}")
    assert abs(record[-1, 6] - 1 / (1 + lam)) < 0.05
    assert abs(record[-1, 0] - CENTRE) > 1

# %% [markdown]
# Two players need two losses, and turns.
#
# ## The same in minigen
#
# `minigen/losses/gan.py` has these losses, `minigen/losses/documents.py` those of the articles, and
# `minigen/models/gan.py` plays them with networks instead of five numbers. The arithmetic is this page's.

# %%
from minigen.losses import documents, gan

real, fake = np.random.default_rng(1).normal(0, 3, (2, 100))
for ours, theirs in [
    (loss_D(real, fake), gan.discriminator_loss(real, fake)),
    (-loss_D(real, fake), gan.value(real, fake)),
    (loss_G(fake), gan.generator_loss(fake)),
    (saturating(fake), gan.generator_loss(fake, "saturating")),
    (A4(fake), documents.a4_generator_loss_as_written(fake)),
    (A5(real, fake), documents.a5_discriminator_loss_as_written(real, fake)),
    (-A2_for_D(real, fake), documents.a2_value_as_written(real, fake)),
    (loss_G(fake) + 2 * loss_D(real, fake), documents.c3_joint_loss_as_written(real, fake, 2)),
]:
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)
print("eight losses, equal to twelve digits")
