# %% [markdown]
# # 11 · Mode collapse on a ring
#
# *35 minutes · after 05, 08 · formulas B2, B14, C8*
#
# **A forger has one painting that fools the expert every time. Why paint another?**
#
# A generator is paid for samples that pass, not for variety. Let the data lie in eight places, **modes**, and count in
# how many of them a GAN draws. When it is content with a few, that is **mode collapse**. In the plane it can be seen.

# %%
import numpy as np
from matplotlib import pyplot as plt

from lessons.kit import FAST, show
from minigen import grad, ops, tensor
from minigen.datasets import ring_of_gaussians
from minigen.optim import Adam, RMSprop
from minigen.viz import scatter

STD = 0.1
centres = 2 * np.array([(np.cos(t), np.sin(t)) for t in 2 * np.pi * np.arange(8) / 8])


def ring(n, rng):
    """Each point near one of the eight, all equally likely."""
    return ring_of_gaussians(n, rng, std=STD)[0]


def covered(points):
    """Which modes have samples: at least a tenth of their fair share within 3σ."""
    distance = np.sqrt(((points[:, None] - centres) ** 2).sum(2))
    nearest, near = distance.argmin(1), distance.min(1) <= 3 * STD
    counts = np.bincount(nearest[near], minlength=8)
    return counts >= 0.1 * len(points) / 8


def network(rng, *widths):
    """The weights and biases of fully connected layers."""
    pairs = zip(widths, widths[1:])
    arrays = [a for i, o in pairs for a in (rng.normal(0, np.sqrt(2 / i), (o, i)), np.zeros(o))]
    return [tensor(a.astype("float32"), requires_grad=True) for a in arrays]


def run(weights, x, slope=0.2):
    for w, b in zip(weights[:-2:2], weights[1:-2:2]):
        x = ops.leaky_relu(ops.linear(x, w, b), slope)
    return ops.linear(x, *weights[-2:])


data = ring(2000, np.random.default_rng(0))
print("modes that the data cover:", covered(data).sum())
assert covered(data).all() and covered(data[data[:, 0] > 1]).sum() == 3

# %% [markdown]
# ## Playing
#
# The game of lesson 08, with a network for each player. Three things can be chosen besides sizes and rates: how often
# $D$ moves for each move of $G$, whether the optimizer has momentum (Adam has; RMSprop is Adam without), and what is
# played for. `log` is the game of lesson 08; the others come below.

# %%
LOSSES = {
    "log": (lambda real, fake: ops.mean(ops.softplus(-real)) + ops.mean(ops.softplus(fake)),
            lambda fake: ops.mean(ops.softplus(-fake))),
    "hinge": (lambda real, fake: ops.mean(ops.relu(1 - real)) + ops.mean(ops.relu(1 + fake)),
              lambda fake: -ops.mean(fake)),
    "B2": (lambda real, fake: ops.mean(ops.sigmoid(fake)) - ops.mean(ops.sigmoid(real)),
           lambda fake: -ops.mean(ops.sigmoid(fake))),
    "Wasserstein": (lambda real, fake: ops.mean(fake) - ops.mean(real),
                    lambda fake: -ops.mean(fake)),
}  # fmt: skip


def play(loss="log", batch=64, width=32, rate=2e-3, updates=1, momentum=True, clip=None, seed=0):
    rng = np.random.default_rng(seed)
    G, D = network(rng, 2, 32, 32, 2), network(rng, 2, width, width, 1)
    loss_D, loss_G = LOSSES[loss]
    step_G = Adam(G, 2e-3) if momentum else RMSprop(G, 2e-3)
    step_D = Adam(D, rate) if momentum else RMSprop(D, rate)
    noise = lambda n: rng.standard_normal((n, 2), dtype="float32")
    frames = []
    for step in range(STEPS + 1):
        if step % (STEPS // 12) == 0:
            frames.append(
                run([w.data for w in G], np.random.default_rng(1).standard_normal((1000, 2), dtype="float32"))
            )
        for _ in range(updates):
            fake = run([w.data for w in G], noise(batch))
            logits = run(D, np.concatenate([ring(batch, rng), fake]))
            step_D.step(grad(loss_D(logits[:batch], logits[batch:]), D))
            if clip:
                for w in D:
                    w.data = np.clip(w.data, -clip, clip)
        step_G.step(grad(loss_G(run(D, run(G, noise(batch)))), G))
    return frames, D


STEPS = 132 if FAST else 996
plain, D = play()
history = np.array([covered(points) for points in plain])
print("step    modes covered")
for i, row in enumerate(history):
    print(f"{i * (STEPS // 12):4}    {''.join('●' if c else '·' for c in row)}")
average = lambda frames: np.mean([covered(points).sum() for points in frames[-5:]])
print(f"at a time, in the end: {average(plain):.1f};  in one of these moments or another: {history.any(0).sum()}")
assert average(plain) < 4

# %%
moments = [scatter(points, data, size=240) for points in plain]
show(moments, "the plain game: the samples, in blue, move from mode to mode; data in grey")

# %% [markdown]
# The cloud of samples swings about, meets a mode or two, and leaves them again. Why does it not spread over all eight,
# and stay? Hold $D$ still and ask what $G$ wants: that each sample lies where $D$ is largest. Nothing in its loss looks
# at two samples at once. So *one* point, used for every $z$, beats perfect samples.

# %%
axis = np.linspace(-3, 3, 121)
plane = np.stack(np.meshgrid(axis, axis), axis=2).reshape(-1, 2).astype("float32")
_, loss_G = LOSSES["log"]
logits = run([w.data for w in D], plane)
one_point = loss_G(logits.max(keepdims=True))
perfect = loss_G(run([w.data for w in D], data))
print(f"L_G of 1000 samples in one point {plane[logits.argmax()]}: {one_point:.3f};  of perfect samples: {perfect:.3f}")
assert one_point < perfect

# %% [markdown]
# Then $D$ moves, learns that this point is false, and $G$ goes elsewhere, with everything it has.
#
# ## Five remedies, counted [B14, C8]
#
# Article B, in its questions and answers, has four remedies: keep the players in balance; a bigger $D$; more data;
# other learning rates. Try each alone. The data here are drawn afresh in every step, so "more" means more in each
# batch. For balance, $D$ moves three times in each round, and in another game both players lose their momentum: with it
# a player keeps going where it went before the other one answered.
#
# Article C, in its own answers, has better losses [C8]. The **hinge** loss is one. It leaves a sample alone as soon as
# its logit is on the right side by 1:
#
# $$L_D = \mathbb{E}_x \max(0, 1 - l(x)) + \mathbb{E}_z \max(0, 1 + l(G(z))) \qquad L_G = -\mathbb{E}_z\, l(G(z))$$

# %%
games = {
    "bigger D: 128 wide": {"width": 128},
    "more data: batch of 256": {"batch": 256},
    "rate of D times four": {"rate": 8e-3},
    "hinge loss": {"loss": "hinge"},
    "D moves three times": {"updates": 3},
    "no momentum": {"momentum": False},
    "three moves, no momentum": {"updates": 3, "momentum": False},
}
results = {"plain": plain} | {name: play(**options)[0] for name, options in games.items()}
for name, frames in results.items():
    print(f"{name:26} {average(frames):.1f} of 8 modes")
balanced = results["three moves, no momentum"]
assert average(balanced) >= average(plain) + (1 if FAST else 3)
assert average(results["more data: batch of 256"]) < average(results["no momentum"]) <= average(balanced)
assert average(results["hinge loss"]) < 4

# %%
side = [np.hstack([scatter(a, data, size=240), scatter(b, data, size=240)]) for a, b in zip(plain, balanced)]
show(side, "left: the plain game; right: three moves of D, and no momentum")

# %% [markdown]
# Most is gained by losing momentum, and by it and more moves of $D$ together: keeping the two players in balance. More
# data do little: there was no lack of them. Nor does another loss, by itself. One seed is not a proof; exercise 4 asks
# how surely a difference like these could be chance.
#
# ## Another prize [B2]
#
# When $D$ is good, does $G$ still hear which way to go? Article B, eq. 4, plays for
#
# $$\min_G \max_D \; \mathbb{E}_x[D(x)] - \mathbb{E}_z[D(G(z))], \qquad D \in [0, 1].$$
#
# Let the data lie evenly on $[0, 1]$ and the samples on $[a, a + 1]$. For each $a$ the best $D$ is 1 where the data are
# denser and 0 elsewhere, so the best value is $\int \max(p - q, 0)\, dx$. This is the **total variation** of the two.
# Beside it: half of $V + \log 4$ of lesson 08, for its best $D$. And the **Wasserstein distance** $W$: how far the mass
# has to be carried, on average. On a line that is the area between the two cumulative distributions.

# %%
x = np.linspace(-0.5, 4.5, 5001)
dx = x[1] - x[0]
shifts = np.linspace(0, 3, 61)
p = ((x >= 0) & (x < 1)).astype(float)
p /= p.sum() * dx
tv, js, w1 = [], [], []
for a in shifts:
    q = ((x >= a - 1e-9) & (x < a + 1 - 1e-9)).astype(float)
    q /= q.sum() * dx
    best = p > q  # D at every x
    tv.append(((p - q) * best).sum() * dx)
    v = [
        np.where(u > 0, u * np.log(np.where(u > 0, u, 1) / np.where(p + q > 0, p + q, 1)), 0).sum() * dx for u in (p, q)
    ]
    js.append((sum(v) + np.log(4)) / 2)
    w1.append(np.abs(np.cumsum(p - q)).sum() * dx * dx)
tv, js, w1 = np.array(tv), np.array(js), np.array(w1)

figure, axes = plt.subplots()
axes.plot(shifts, w1, label="Wasserstein")
axes.plot(shifts, tv, label="total variation (B2)")
axes.plot(shifts, js, label="½ (V + log 4)")
axes.set(xlabel="a: data on [0, 1], samples on [a, a + 1]", title="Which of them says that 3 is worse than 2?")
axes.legend()
show(figure, "Total variation and the game of lesson 08 are flat where the intervals do not meet; Wasserstein is not")

np.testing.assert_allclose(w1, shifts, atol=2e-3)
np.testing.assert_allclose(tv, np.minimum(shifts, 1), atol=2e-3)
apart = shifts > 1.01
assert np.ptp(tv[apart]) < 1e-9 and np.ptp(js[apart]) < 1e-9
np.testing.assert_allclose(np.diff(w1[apart]) / np.diff(shifts[apart]), 1, atol=1e-2)
for name, curve in ("B2", tv), ("½ (V + log 4)", js), ("W", w1):
    print(f"{name:15} at a = 2: {curve[40]:.3f}   at a = 3: {curve[60]:.3f}")

# %% [markdown]
# Where the intervals do not meet, B2 stands at 1: no step of $G$ changes it, so none is better than another. Lesson 08
# has the same trouble. $W$ falls with slope 1 all the way.
#
# $W$ can be played for. It is the best value of B2's own objective if $D$, now called a **critic** $f$, may give *any*
# number, but must not be steep:
#
# $$W = \max_f \; \mathbb{E}_x f(x) - \mathbb{E}_z f(G(z)), \qquad |f(x) - f(y)| \le |x - y|.$$
#
# Such an $f$ is **1-Lipschitz**. Without the condition one could double $f$ for ever. For our intervals the best one is
# $f(x) = -x$.

# %%
q = ((x >= 2 - 1e-9) & (x < 3 - 1e-9)).astype(float)
q /= q.sum() * dx
f = -x
for name, critic in ("−x", f), ("−2x", 2 * f):
    print(f"a = 2, f(x) = {name}:   E f(x) − E f(G(z)) = {((p - q) * critic).sum() * dx:.3f}")
assert abs(((p - q) * f).sum() * dx - w1[40]) < 2e-3

# %% [markdown]
# How does one keep a network from being steep? The oldest way is to clip its weights after each step: then its slope is
# at most some number, no matter which. On the ring, both against the best game so far:

# %%
settings = {"updates": 3, "momentum": False}
results["B2, D in [0, 1]"] = play("B2", **settings)[0]
results["Wasserstein, clipped"] = play("Wasserstein", clip=0.3, **settings)[0]
for name in ("three moves, no momentum", "B2, D in [0, 1]", "Wasserstein, clipped"):
    print(f"{name:26} {average(results[name]):.1f} of 8 modes")
assert average(results["B2, D in [0, 1]"]) < average(results["Wasserstein, clipped"]) - (0 if FAST else 3)

figure, axes = plt.subplots()
for name in ("plain", "three moves, no momentum", "B2, D in [0, 1]", "Wasserstein, clipped"):
    axes.plot(np.arange(13) * (STEPS // 12), [covered(points).sum() for points in results[name]], "o-", label=name)
axes.set(xlabel="rounds", ylabel="modes covered", ylim=(-0.3, 10.5), title="How many of eight")
axes.legend(ncols=2)
show(figure, "Modes covered by four games over time")

# %% [markdown]
# B2 as written loses the data altogether: soon $D$ is sure, the objective flat, and $G$ stays where it is. The critic,
# with the same lines but for a sigmoid and a clip, goes on. On this ring it needs no more than the balanced game of
# logarithms does, and no less: a distance that keeps its slope helps where the supports do not meet, and here, once the
# samples are spread, they do.
#
# ## The same in minigen
#
# `minigen/metrics/modes.py` counts, `minigen/losses/wasserstein.py` has the critic's game, and
# `minigen/models/ring.py` plays on the ring. We give its two networks our weights, in float64. It has ReLU
# between its layers, which is leaky ReLU with slope 0.

# %%
from minigen.losses import gan, wasserstein
from minigen.metrics import mode_report, ring_centres
from minigen.models.ring import RingConfig, RingGAN

np.testing.assert_allclose(ring_centres(), centres, atol=1e-12)
for frames in results.values():
    assert mode_report(frames[-1], centres, STD).covered == covered(frames[-1]).sum()

rng = np.random.default_rng(2)
real, fake = rng.normal(size=(2, 50))
np.testing.assert_allclose(LOSSES["Wasserstein"][0](real, fake), wasserstein.critic_loss(real, fake), rtol=1e-12)
np.testing.assert_allclose(LOSSES["Wasserstein"][1](fake), wasserstein.generator_loss(fake), rtol=1e-12)
np.testing.assert_allclose(LOSSES["log"][0](real, fake), gan.discriminator_loss(real, fake), rtol=1e-12)
np.testing.assert_allclose(LOSSES["hinge"][0](real, fake), gan.discriminator_loss(real, fake, "hinge"), rtol=1e-12)
np.testing.assert_allclose(LOSSES["hinge"][1](fake), gan.generator_loss(fake, "hinge"), rtol=1e-12)
weight = tensor(rng.normal(size=(3, 4)), requires_grad=True)
clipped = np.clip(weight.data, -0.3, 0.3)
wasserstein.clip_weights([weight], 0.3)
assert np.array_equal(weight.data, clipped)

G, D = (
    [tensor(w.data.astype("float64"), requires_grad=True) for w in network(rng, *widths)]
    for widths in ((2, 32, 32, 2), (2, 32, 32, 1))
)
model = RingGAN(RingConfig(widths=(32, 32)), rng=rng)
for ours, theirs in (G, model.generator), (D, model.discriminator):
    for i, layer in enumerate((theirs[0], theirs[2], theirs[4])):
        layer.weight, layer.bias = ours[2 * i], ours[2 * i + 1]
x = ring(64, rng).astype("float64")
z = np.random.default_rng(3).standard_normal((64, 2), dtype="float32")
ours = LOSSES["log"][0](run(D, x, 0.0), run(D, run(G, z, 0.0).data, 0.0))
theirs, _ = model.discriminator_objective((x,), np.random.default_rng(3))
np.testing.assert_allclose(ours.data, theirs.data, rtol=1e-12)
print(f"L_D = {ours.item():.12f} both ways")
