# %% [markdown]
# # 12 · The gradient penalty: differentiating a gradient
#
# *30 minutes · after 02, 11 · formulas B2*
#
# In lesson 08 a discriminator said how probable a sample is. Another kind of teacher says how *far* the samples are
# from the data, as a number of metres. To be worth anything its answer must not be too steep: one metre further may
# change it by one, not by a thousand.
#
# **How do you train a network so that its slope is 1?** The slope is itself a result of a backward pass. So it takes a
# backward pass through a backward pass.

# %%
import numpy as np
from matplotlib import pyplot as plt

from lessons.kit import FAST, show
from minigen import grad, ops, tensor
from minigen.errors import GraphError
from minigen.ops import mean, sqrt, tanh, where
from minigen.optim import Adam

# %% [markdown]
# ## How far
#
# Article B, (4), plays for $\mathbb{E}_x [D(x)] - \mathbb{E}_z [D(G(z))]$ with a probability $D$ [B2]. Lesson 11
# showed where that stands still, and what does not: the same difference for a **critic** $f$ that gives any number and
# is 1-Lipschitz, so that its slope nowhere exceeds 1. Its best value is the Wasserstein distance. The critic's loss is
#
# $$L_f = \mathbb{E}_z [f(G(z))] - \mathbb{E}_x [f(x)] \qquad |f(a) - f(b)| \le \|a - b\|.$$
#
# On a line there is a short way to the distance: sort both, and take the mean distance of the pairs.


# %%
def wasserstein(a, b):
    return np.abs(np.sort(a) - np.sort(b)).mean()


even = (np.arange(1000) + 0.5) / 1000
for d in (0.5, 1.0, 4.0):
    print(f"moved by {d}: {wasserstein(even, even + d):.3f}")
    assert abs(wasserstein(even, even + d) - d) < 1e-12

# %% [markdown]
# ## Clipping bends the critic
#
# How does one keep a network from being too steep? The first idea was to clip: after each step every weight is put back
# into $[-c, c]$. Surely then the slope is bounded. But by what?
#
# Data lie at −2 and 2, samples at 0, and the distance is known. Its $f$ is known, too: a V, with slope −1 on the left
# and 1 on the right. We train a critic of 1 → 32 → 32 → 1 for three $c$, and, in advance, one with the penalty that the
# rest of this lesson builds.

# %%
rng = np.random.default_rng(0)
real = (np.where(np.arange(120) < 60, -2, 2) + 0.1 * rng.standard_normal(120))[:, None]
fake = 0.1 * rng.standard_normal((120, 1))
W1 = wasserstein(real[:, 0], fake[:, 0])


def start(rng, *widths):
    """[weights, biases, weights, biases …], float64"""
    drawn = []
    for n, m in zip(widths, widths[1:]):
        drawn += [rng.standard_normal((n, m)) * np.sqrt(2 / n), rng.standard_normal(m) / 2]
    return [tensor(p, requires_grad=True) for p in drawn]


def critic(x, parameters):
    *hidden, V, c = parameters
    for W, b in zip(hidden[::2], hidden[1::2]):
        x = tanh(x @ W + b)
    return x @ V + c


def loss(parameters):
    return mean(critic(fake, parameters)) - mean(critic(real, parameters))


def norms(x, parameters):
    """‖∇ₓ f(x)‖ of each row, as a computation that can be differentiated: the subject of this lesson."""
    x = tensor(x, requires_grad=True)
    g = grad(critic(x, parameters).sum(), x, create_graph=True)
    return sqrt((g * g).sum(axis=1))


def penalty(rng, parameters):
    ε = rng.random((len(real), 1))
    return mean((norms(ε * real + (1 - ε) * fake, parameters) - 1) ** 2)


def train(c=None, steps=250 if FAST else 800):
    rng = np.random.default_rng(1)
    parameters = start(rng, 1, 32, 32, 1)
    optimiser = Adam(parameters, 5e-3, betas=(0.0, 0.9))
    for _ in range(steps):
        L = loss(parameters)
        if c is None:
            L = L + 10 * penalty(rng, parameters)
        optimiser.step(grad(L, parameters))
        if c is not None:
            for p in parameters:
                p.data = np.clip(p.data, -c, c)
    return parameters


critics = {"clipped to 0.1": train(0.1), "clipped to 0.3": train(0.3), "clipped to 0.5": train(0.5), "penalty": train()}

# %%
line = np.linspace(-3, 3, 601)[:, None]
between = (np.abs(line) > 0.4) & (np.abs(line) < 1.6)
figure, axes = plt.subplots(1, 2, figsize=(6.4, 3))
print(f"the distance: {W1:.2f}")
print("critic           E f(x) − E f(G(z))    |slope| between    weights at ±c")
said, steepness, edges = {}, {}, []
for name, parameters in critics.items():
    y = critic(line, parameters).data
    slope = np.abs(np.gradient(y[:, 0], line[:, 0]))[between[:, 0]]
    said[name], steepness[name] = -loss(parameters).item(), slope
    c = float(name[-3:]) if name != "penalty" else np.inf
    edge = np.mean(np.concatenate([np.abs(p.data).ravel() >= c for p in parameters]))
    print(f"{name:16} {said[name]:12.2f} {slope.min():18.2f} to {slope.max():5.2f} {100 * edge:12.0f} %")
    edges.append(edge)
    axes[0].plot(line, y - y[300], label=name)
    axes[1].plot(line, (y - y[300]) / said[name])
axes[0].set(title="$f(x) - f(0)$", ylim=(-1, 20))
axes[1].set(title="the same, over what each says", ylim=(-0.7, 1.6))
axes[0].legend()
show(figure, "Four critics: the steepness of a clipped one depends on c, and its shape is no V")
assert abs(said["penalty"] / W1 - 1) < 0.2 and 0.7 < steepness["penalty"].min() < steepness["penalty"].max() < 1.4
assert said["clipped to 0.1"] < 0.5 * W1 and said["clipped to 0.5"] > 4 * W1
assert min(edges[:3]) > 0.5
assert steepness["clipped to 0.5"].max() > 20 * steepness["clipped to 0.5"].min()

# %% [markdown]
# A clipped critic says 0.4 or 16 where the truth is 1.9, just as $c$ happens to be: its slope is bounded, but by
# something that depends on $c$, the widths and the depth. And it is bent. Most of its weights lie at the bounds. With
# 0.1 it has not made a V at all; with 0.5 it has a wall on either side, and is nearly flat before and behind it, where
# a sample needs a slope to follow.
#
# ## Asking for a slope
#
# The other idea is to ask for it, in the loss (Gulrajani et al. 2017):
#
# $$P = \mathbb{E}_{\hat x} \left( \| \nabla f(\hat x) \| - 1 \right)^2$$
#
# at points between data and samples, $\hat x = \varepsilon x + (1 - \varepsilon)\, G(z)$ with a random $\varepsilon$
# between 0 and 1. The best $f$ has slope 1 on the lines from samples to the data that they should become: that is where
# we ask.
#
# The critic that was trained so says a little more than the distance, and we can tell how much. A V of slope $s$ says
# $s W$. Its whole loss, with a weight of 10, is $-s W + 10 (s - 1)^2$, which is least not at 1 but at a slope of
# $1 + W / 20$.

# %%
middle = ((np.abs(line) > 0.5) & (np.abs(line) < 1.5))[:, 0]
mean_slope = np.abs(np.gradient(critic(line, critics["penalty"]).data[:, 0], line[:, 0]))[middle].mean()
print(f"mean slope between samples and data {mean_slope:.3f}, expected {1 + W1 / 20:.3f}")
assert abs(mean_slope - (1 + W1 / 20)) < 0.05

# %% [markdown]
# ## Through a backward pass
#
# $P$ must be differentiated with respect to the parameters $\theta$ of $f$. Inside it stands $\nabla f$, a slope with
# respect to $x$. Begin with one parameter, $f(x) = \sin(\theta x)$:
#
# $$f'(x) = \theta \cos(\theta x) \qquad \frac{d}{d\theta} f'(x) = \cos(\theta x) - \theta x \sin(\theta x)$$

# %%
θ, x = tensor(0.8, requires_grad=True, dtype="float64"), tensor(0.5, requires_grad=True, dtype="float64")
slope = grad(ops.sin(θ * x), x)
try:
    grad((slope - 1) ** 2, θ)
    raise AssertionError("expected an error")
except GraphError as error:
    print(error)

# %% [markdown]
# A gradient is numbers; how they came about has not been recorded. With `create_graph=True` the backward pass is itself
# a recorded computation, step by step, since each rule of lesson 02 is made of operations that have rules. Then it can
# be differentiated like anything else.

# %%
slope = grad(ops.sin(θ * x), x, create_graph=True)
P = (slope - 1) ** 2
twice = grad(P, θ)
by_hand = 2 * (0.8 * np.cos(0.4) - 1) * (np.cos(0.4) - 0.4 * np.sin(0.4))
print(f"f′(x) = {slope.item():.6f},   P = {P.item():.6f},   dP/dθ = {twice.item():.12f}, by hand {by_hand:.12f}")
np.testing.assert_allclose(twice.item(), by_hand, rtol=1e-12)

# %% [markdown]
# ## A small critic, three ways
#
# Now two inputs, three hidden numbers, $f(x) = v \cdot \tanh(x W + b)$. With $h = \tanh(x W + b)$ the slope is
#
# $$\nabla f(x) = \left( v \odot (1 - h^2) \right) W^\top,$$
#
# which we write down ourselves. Then $P$ is an ordinary expression of $W$, $b$ and $v$, one backward pass gives its
# slopes, and nothing is differentiated twice. That is the first way; `create_graph` is the second; shaking each
# parameter is the third.

# %%
rng = np.random.default_rng(2)
W, b, v = (tensor(rng.standard_normal(shape), requires_grad=True) for shape in ((2, 3), 3, 3))
points = rng.standard_normal((5, 2))


def penalty_by_hand(W, b, v):
    h = tanh(points @ W + b)
    gradient = (v * (1 - h * h)) @ W.T
    return mean((sqrt((gradient * gradient).sum(axis=1)) - 1) ** 2)


def penalty_by_machine(W, b, v):
    x = tensor(points, requires_grad=True)
    gradient = grad((tanh(x @ W + b) @ v).sum(), x, create_graph=True)
    return mean((sqrt((gradient * gradient).sum(axis=1)) - 1) ** 2)


def shaken(h=1e-5):
    """Central differences of the penalty, parameter by parameter, in plain NumPy."""
    values = [p.data.copy() for p in (W, b, v)]
    for p in values:
        differences = np.zeros(p.shape)
        for index in np.ndindex(p.shape):
            ends = []
            for sign in 1, -1:
                p[index] += sign * h
                ends.append(penalty_by_hand(*values))
                p[index] -= sign * h
            differences[index] = (ends[0] - ends[1]) / (2 * h)
        yield differences


first = grad(penalty_by_hand(W, b, v), [W, b, v])
second = grad(penalty_by_machine(W, b, v), [W, b, v])
for name, one, two, three in zip("Wbv", first, second, shaken(), strict=True):
    print(f"∂P/∂{name}   by hand {one.data.ravel()[0]:+.12f}   create_graph {two.data.ravel()[0]:+.12f}"
          f"   shaken {three.ravel()[0]:+.12f}")  # fmt: skip
    np.testing.assert_allclose(one.data, two.data, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(two.data, three, rtol=1e-7, atol=1e-9)

# %% [markdown]
# (Only the first number of each is printed; all are compared.) The bias of a last layer, had we one, would get no slope
# at all: it moves $f$ up and down and leaves $\nabla f$ alone.
#
# ## The point of the needle
#
# One thing can still go wrong. The norm is a root, $\|g\| = \sqrt{\sum g_i^2}$, and a root has an infinite slope at 0.
# A critic with relu can be flat at a point, exactly. Then the chain rule multiplies infinity by 0.


# %%
def rooted(g):
    return sqrt((g * g).sum())


def half_guarded(g):
    s = (g * g).sum()
    return where(s == 0, 0.0, sqrt(s))


def guarded(g):
    s = (g * g).sum()
    return where(s == 0, 0.0, sqrt(where(s == 0, 1.0, s)))


flat, steep = np.zeros(2), np.array([3.0, 4.0])
with np.errstate(divide="ignore", invalid="ignore"):
    for norm in rooted, half_guarded, guarded:
        slopes = []
        for point in steep, flat:
            g = tensor(point, requires_grad=True)
            slopes.append(grad((norm(g) - 1) ** 2, g).data)
        print(f"{norm.__name__:13} at (3, 4): {slopes[0]},  at (0, 0): {slopes[1]}")
        np.testing.assert_allclose(slopes[0], 2 * (5 - 1) * steep / 5, rtol=1e-12)
        assert np.isnan(slopes[1]).all() == (norm is not guarded)
assert (slopes[1] == 0).all()

# %% [markdown]
# The middle one is a trap that many have walked into. The value is right, 0, and the slope is NaN: `where` sends 0 back
# along the branch that it did not take, and there 0 meets infinity. The branch itself must be harmless, so we let it
# take the root of 1. A single NaN among the points of a batch would make every parameter NaN.
#
# At 0 a norm has no slope to give, it is the point of a cone; 0 is as good as any other, and lets the step be decided
# by the other points.
#
# ## The same in minigen
#
# `minigen.losses.wasserstein` has the loss, the clipping, and the penalty with its guard. Same points, same numbers,
# same slopes.

# %%
from minigen.losses import wasserstein as theirs

parameters = critics["penalty"]
L = theirs.critic_loss(critic(real, parameters), critic(fake, parameters))
np.testing.assert_allclose(L.item(), loss(parameters).item(), rtol=1e-12)

P, mean_norm = theirs.gradient_penalty(lambda x: critic(x, parameters), real, fake, np.random.default_rng(3))
ours = 10 * penalty(np.random.default_rng(3), parameters)
print(f"10 P = {ours.item():.12f}, minigen's {P.item():.12f}; the mean slope is {mean_norm.item():.3f}")
np.testing.assert_allclose(ours.item(), P.item(), rtol=1e-12)
for a, b in zip(grad(ours, parameters), grad(P, parameters), strict=True):
    np.testing.assert_allclose(a.data, b.data, rtol=1e-12, atol=1e-15)
their_norms = theirs.gradient_norm(lambda x: critic(x, parameters), real)
np.testing.assert_allclose(their_norms.data, norms(real, parameters).data, rtol=1e-12)

clipped = [tensor(p.data.copy(), requires_grad=True) for p in parameters]
theirs.clip_weights(clipped, 0.1)
assert all((q.data == np.clip(p.data, -0.1, 0.1)).all() for p, q in zip(parameters, clipped))
assert (theirs.gradient_norm(lambda x: ops.relu(x - 9), real).data == 0).all()
