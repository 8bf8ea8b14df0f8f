# %% [markdown]
# # 09 · Three bugs in a published GAN
#
# *30 minutes · after 01, 05, 08 · formulas C6*
#
# A network that cannot learn looks, for a while, just like one that has not learnt yet: the program runs, and numbers
# scroll by.
#
# **How do you find out which one you have, before the night is over?**
#
# Article C, §5.2, prints the code of a GAN for handwritten digits [C6]. We write down what it says, run it, and look at
# it with one tool: the **gradient check**. It computes the slopes of a loss twice, once by the backward pass, once by
# shaking the parameters as in lesson 01, and compares. It finds three bugs, and says something different each time.

# %%
import numpy as np
from matplotlib import pyplot as plt

from lessons.kit import FAST, show
from minigen import grad, no_grad, tensor
from minigen.datasets import load, to_signed
from minigen.errors import GradientError, GraphError, ShapeError
from minigen.gradcheck import gradcheck
from minigen.ops import leaky_relu, linear, log, mean, sigmoid, softplus, tanh
from minigen.optim import Adam
from minigen.viz import image_grid

digits = to_signed(load("digits").images).reshape(-1, 784)  # pixels from −1 to 1
print(f"{len(digits):,} digits of {digits.shape[1]} pixels")

# %% [markdown]
# ## As printed
#
# Both players are layers $x W^\top + b$ with a LeakyReLU between them, which is $x$ for $x > 0$ and $0.2\,x$ below:
#
# - $G$: 100 → 256 → 128 → 3
# - $D$: 3 → 128 → 256 → 1, and nothing behind the last layer
#
# Both are trained with the **binary cross-entropy** of a probability $p$ and an answer $t$, 1 for real, 0 for forged:
#
# $$\mathrm{BCE}(p, t) = -t \log p - (1 - t) \log (1 - p)$$


# %%
def layers(*widths, rng, dtype="float64"):
    """[W₁, b₁, W₂, b₂, …], drawn from U(−1/√n, 1/√n) where n numbers come in"""
    drawn = []
    for n, m in zip(widths, widths[1:]):
        drawn += [rng.uniform(-1, 1, (m, n)) / np.sqrt(n), rng.uniform(-1, 1, m) / np.sqrt(n)]
    return [tensor(p.astype(dtype), requires_grad=True) for p in drawn]


def network(x, parameters):
    *hidden, W, b = parameters
    for W_i, b_i in zip(hidden[::2], hidden[1::2]):
        x = leaky_relu(linear(x, W_i, b_i), 0.2)
    return linear(x, W, b)


def BCE(p, t):
    return mean(-t * log(p) - (1 - t) * log(1 - p))


rng = np.random.default_rng(0)
G, D = layers(100, 256, 128, 3, rng=rng), layers(3, 128, 256, 1, rng=rng)
real, z = digits[:2].astype("float64"), rng.standard_normal((2, 100))

# %% [markdown]
# The tool. `gradcheck(f, parameters)` either reports how many slopes agree, or raises an error that says what it saw.
# It wants float64, because it subtracts numbers that are almost equal. Two digits and two forgeries are enough.


# %%
def check(loss, parameters):
    try:
        said = str(gradcheck(lambda *p: loss(list(p)), parameters))
    except (GradientError, ShapeError) as error:
        said = f"{type(error).__name__}: {error}"
    print(said)
    return said


# %% [markdown]
# ## Bug 1: three numbers are no picture


# %%
def loss_D_as_printed(D):
    return BCE(network(real, D), 1) + BCE(network(network(z, G), D), 0)


said = check(loss_D_as_printed, D)
assert "(2, 784) and (128, 3)" in said

# %% [markdown]
# The loss cannot even be computed: a digit has 784 pixels, and $D$ takes 3 numbers. (A picture in colour has three
# *channels*; perhaps that is where the 3 came from.)
#
# The mend that first comes to mind is to give $D$ what it can take: three pixels of each digit. Now everything runs.
# But look at the slopes of $D$'s answer with respect to the *picture*.


# %%
def answer_to_three_pixels(x):
    return network(x[:, :3], D)


report = gradcheck(answer_to_three_pixels, real[:1], limit=784)
flat = sum(slope.analytic == slope.numeric == 0 for slope in report.comparisons)
print(f"{len(report.comparisons)} slopes, all of them right; {flat} of them are 0")
print(f"different values that these three pixels take in {len(digits):,} digits: {len(np.unique(digits[:, :3]))}")
assert len(report.comparisons) == 784 and flat == 781 and len(np.unique(digits[:, :3])) == 1

# %% [markdown]
# The check passes, and its report still tells the story: $D$ is blind to 781 pixels, and the three that it sees are
# black in every digit. A slope of 0 can be correct. Ask of every slope that should not be 0 whether it is.
#
# What is right: 784 outputs, through a tanh, so that pixels lie between −1 and 1 as in the data, and $D$ takes 784.

# %%
rng = np.random.default_rng(0)
G, D = layers(100, 256, 128, 784, rng=rng), layers(784, 128, 256, 1, rng=rng)


def draw(z, G):
    return tanh(network(z, G))


# %% [markdown]
# ## Bug 2: a probability of −0.17


# %%
def loss_D_of_scores(D):
    return BCE(network(real, D), 1) + BCE(network(draw(z, G), D), 0)


with np.errstate(invalid="ignore"):
    of_real, of_fake = network(real, D).data.ravel(), network(draw(z, G), D).data.ravel()
    of_D = loss_D_of_scores(D)
    print("D(x) =", of_real.round(2), "  D(G(z)) =", of_fake.round(2), "  L_D =", of_D.item())
    said = check(loss_D_of_scores, D)
    slopes = grad(of_D, D)
assert np.isnan(of_D.item()) and round(of_real[0], 2) == -0.17 and "f itself is not finite" in said
assert all(np.isfinite(slope.data).all() for slope in slopes)

# %% [markdown]
# $D$ ends without a sigmoid, so what it gives is a *score*, any number at all, and BCE takes the logarithm of a
# negative one. The loss is not a number. That would be hard to miss, but look at the check's first line again: the
# backward pass came back with an ordinary number, and so it did for every parameter. The slope of $-\log s$ is $-1/s$,
# which is computed without any complaint at $s = -0.17$. An optimiser takes these slopes and goes on.
#
# Where does it go? Take the score itself as the only parameter, the score of one real digit, and descend.


# %%
def descend(loss, s, steps=30, rate=0.1):
    path = [s]
    for _ in range(steps):
        s = tensor(path[-1], requires_grad=True, dtype="float64")
        path.append(path[-1] - rate * grad(loss(s), s).item())
    return path


def on_logits(s):
    return softplus(-s)  # −log σ(s), as in lesson 08


with np.errstate(invalid="ignore"):
    paths = {(name, s): descend(loss, s) for s in (-0.5, 0.5)
             for name, loss in {"BCE(s, 1)": lambda s: BCE(s, 1.0), "softplus(−s)": on_logits}.items()}  # fmt: skip
figure, axes = plt.subplots()
for (name, s), path in paths.items():
    axes.plot(path, "-" if name[0] == "B" else "--", color="C1" if s < 0 else "C0", label=f"{name} from {s}")
    print(f"{name:13} from {s:4}: {path[-1]:5.2f} after {len(path) - 1} steps")
axes.set(xlabel="step", ylabel="the score $s$ of a real digit", title="BCE of a score runs away from 0, on either side")
axes.set_ylim(top=4.5)
axes.legend(loc="upper left", ncols=2)
show(figure, "With BCE on scores, a real digit that begins below 0 is pushed further down; with softplus it rises")
assert paths["BCE(s, 1)", -0.5][-1] < -2 and paths["BCE(s, 1)", 0.5][-1] > 2
assert paths["softplus(−s)", -0.5][-1] > 0.5

# %% [markdown]
# A real digit with a negative score is driven *down*, all the faster the nearer it is to 0, and the loss that would
# have told us is NaN.
#
# So, a sigmoid before the loss? That is what BCE asks for, and it holds until $D$ is sure. Here is a forgery with a
# growing score, in float32, in which networks are trained.

# %%
print("score   BCE(σ(s), 0)   slope       softplus(s)   slope")
with np.errstate(divide="ignore", invalid="ignore"):
    for s in 1.0, 10.0, 20.0, 100.0:
        s = tensor(s, requires_grad=True)
        squashed, stable = BCE(sigmoid(s), 0.0), softplus(s)
        row = squashed.item(), grad(squashed, s).item(), stable.item(), grad(stable, s).item()
        print(f"{s.item():5.0f} {row[0]:14.4f} {row[1]:7.4f} {row[2]:17.4f} {row[3]:7.4f}")
assert np.isinf(row[0]) and not np.isfinite(row[1])
assert row[2] == 100 and row[3] == 1

# %% [markdown]
# In float32 σ(20) is exactly 1, and $\log(1 - 1)$ is $-\infty$. What is right is lesson 08's: no probability at all,
# the loss is computed from the score, which then is called a **logit**:
#
# $$-\log \sigma(l) = \mathrm{softplus}(-l) \qquad -\log (1 - \sigma(l)) = \mathrm{softplus}(l)$$


# %%
def loss_D(real, fake, D):
    return mean(softplus(-network(real, D))) + mean(softplus(network(fake, D)))


said = check(lambda D: loss_D(real, draw(z, G).data, D), D)
assert "slopes agree" in said

# %% [markdown]
# ## Bug 3: a teacher behind a wall
#
# The article's round, in its order:
#
# 1. with the recording of gradients switched off, $\tilde x = G(z)$
# 2. $L_D$ from $D(x)$ and $D(\tilde x)$, its backward pass, a step of $D$
# 3. $L_G = \mathrm{BCE}(D(\tilde x), 1)$ from the *same* $D(\tilde x)$, its backward pass, a step of $G$
#
# Step 3 stops by itself: the backward pass of step 2 has freed what lies behind $D(\tilde x)$.

# %%
with no_grad():
    fake = draw(z, G)
logits = network(fake, D)
(mean(softplus(-network(real, D))) + mean(softplus(logits))).backward()
try:
    mean(softplus(-logits)).backward()
    raise AssertionError("expected an error")
except GraphError as error:
    print(error)

# %% [markdown]
# So one computes $D(\tilde x)$ again. And that runs.


# %%
def loss_G_behind_a_wall(G):
    with no_grad():
        fake = draw(z, G)
    return mean(softplus(-network(fake, D)))


said = check(loss_G_behind_a_wall, G)
assert "The analytic gradient is zero" in said and "not recorded" in said

# %% [markdown]
# Shake $G$ and the loss moves. The backward pass says that it does not: it cannot see $G$, since nothing was recorded
# of how $\tilde x$ came about. Switching the recording off is right while $D$ learns. While $G$ learns, it is a wall
# between the pupil and the teacher.


# %%
def loss_G(fake, D):
    return mean(softplus(-network(fake, D)))


said = check(lambda G: loss_G(draw(z, G), D), G)
assert "slopes agree" in said

# %% [markdown]
# ## What one would have seen
#
# Could we have told from the losses? Here are both rounds, with and without the wall, all else being equal, for the
# article's widths, in float32, with Adam: an optimiser that divides each parameter's steps by the usual size of its
# slope. (The article leaves Adam's averaging of slopes at 0.9; we take 0.5, as is usual for two players.)


# %%
def play(rounds, wall, pictures=(), batch=64):
    rng = np.random.default_rng(0)
    G = layers(100, 256, 128, 784, rng=rng, dtype="float32")
    D = layers(784, 128, 256, 1, rng=rng, dtype="float32")
    before, losses, drawn = [p.data.copy() for p in G], [], []
    step_G, step_D = (Adam(player, 2e-4, betas=(0.5, 0.999)).step for player in (G, D))
    z_shown = rng.standard_normal((200, 100), dtype="float32")
    for r in range(1, rounds + 1):
        real = digits[rng.integers(len(digits), size=batch)]
        fake = draw(rng.standard_normal((batch, 100), dtype="float32"), G)
        of_D = loss_D(real, fake.data, D)
        step_D(grad(of_D, D))
        of_G = loss_G(fake.data if wall else fake, D)
        step_G(grad(of_G, G))
        losses.append([of_D.item(), of_G.item()])
        if r in pictures:
            with no_grad():
                drawn.append(draw(z_shown, G).data)
    return np.array(losses), sum((p.data != q).sum() for p, q in zip(G, before)), drawn


short = 60 if FAST else 300
rounds = 60 if FAST else 1500
moments = [1, rounds // 6, rounds // 2, rounds]
walled, moved, (_, still) = play(short, wall=True, pictures=(1, short))
free, moved_free, drawn = play(rounds, wall=False, pictures=moments)
print("round      with the wall       without")
print("            L_D    L_G       L_D    L_G")
for r in (1, short // 4, short // 2, short):
    (a, b), (c, d) = walled[r - 1], free[r - 1]
    print(f"{r:5}     {a:5.2f}  {b:5.2f}     {c:5.2f}  {d:5.2f}")
print(f"of G's {sum(p.size for p in G):,} parameters, changed with the wall: {moved}, without: {moved_free:,}")
assert moved == 0 and moved_free > 100_000
assert walled[-1, 0] < 0.7 * walled[0, 0] and walled[-1, 1] > 1.5 * walled[0, 1]

# %%
figure, axes = plt.subplots()
axes.plot(walled[:, 0], "C0--", label="$L_D$, with the wall")
axes.plot(walled[:, 1], "C1--", label="$L_G$, with the wall")
axes.plot(free[:short, 0], "C0", label="$L_D$")
axes.plot(free[:short, 1], "C1", label="$L_G$")
axes.set(xlabel="round", title="Two games: in one of them G is never told anything")
axes.legend(ncols=2)
show(figure, "Losses of both games; where G cannot learn, its loss climbs, as it does whenever D is ahead")

# %% [markdown]
# The losses of the walled game look like those of many a GAN whose $D$ wins. Only $G$'s parameters give
# it away: not one has changed in its last bit.
#
# And the other game? Each row is one moment of it; the last row is what the walled $G$ draws.

# %%
centre = digits.mean(0)
rows = [*drawn, still]
distance = [float(np.linalg.norm(row.mean(0) - centre)) for row in rows]
for r, d in zip([*moments, "wall"], distance):
    print(f"{r:>5}: from the mean of what G draws to the mean digit, {d:5.2f}")
variety = drawn[-1].var(0).sum() / digits.var(0).sum()
print(f"variance of what G draws, in parts of that of the digits: {variety:.2f}")
assert distance[3] < 0.75 * distance[0] and abs(distance[4] - distance[0]) < 0.5 and variety < 0.6
show(
    image_grid((np.concatenate([row[:12] for row in rows]).reshape(-1, 1, 28, 28) + 1) / 2, columns=12),
    "What G draws, from the first round to the last; below, what the walled G draws",
)

# %% [markdown]
# The mended GAN learns. It does not learn well: what it draws varies much less than digits do. That is no bug, and
# lesson 11 is about it.
#
# ## What the check does not see
#
# It compares a loss with its own slopes. Whether it is the loss that you want, it cannot know. Here is lesson 08's A4,
# with which $G$ learns to be caught.


# %%
def A4(G):
    return mean(softplus(network(draw(z, G), D)))


assert "slopes agree" in check(A4, G)

# %% [markdown]
# ## The same in minigen
#
# `minigen.models.gan.MLPGAN` is this network with the three bugs mended. With our parameters in its layers, in float64,
# it draws the same pictures, and has the same losses and slopes.

# %%
from minigen import nn
from minigen.models.gan import MLPGAN, MLPGANConfig

model = MLPGAN(MLPGANConfig(generator=(256, 128), discriminator=(128, 256)), rng=np.random.default_rng(0))
for player, ours in (model.generator, G), (model.discriminator, D):
    linears = [layer for layer in player.modules() if isinstance(layer, nn.Linear)]
    for layer, W, b in zip(linears, ours[::2], ours[1::2], strict=True):
        layer.weight, layer.bias = W, b

batch = (real.reshape(-1, 1, 28, 28),)
z32 = np.random.default_rng(1).standard_normal((2, 100), dtype="float32")  # what the model draws for itself
np.testing.assert_allclose(model.generator(z32).data.reshape(2, 784), draw(z32, G).data, rtol=1e-12)
for ours, objective, parameters in [
    (loss_D(real, draw(z32, G).data, D), model.discriminator_objective, D),
    (loss_G(draw(z32, G), D), model.generator_objective, G),
]:
    theirs, _ = objective(batch, np.random.default_rng(1))
    np.testing.assert_allclose(ours.item(), theirs.item(), rtol=1e-12)
    for a, b in zip(grad(ours, parameters), grad(theirs, parameters), strict=True):
        np.testing.assert_allclose(a.data, b.data, rtol=1e-12, atol=1e-15)
print("pictures, losses and slopes of minigen's MLPGAN are the same")
