# %% [markdown]
# # 14 · Walking in latent space
#
# *35 minutes · after 11, 13*
#
# **What lies between a 3 and an 8?** And how do you ask a generator for a 3, when all it takes is noise?
#
# A VAE has laid its digits out in a space of codes. With two numbers per code that space is a map. We draw it, walk in
# it, and see what changes with a hundred numbers. Then we tell the networks which digit they are looking at.

# %%
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.patheffects import withStroke
from scipy.stats import chi2, norm

from lessons.kit import FAST, show
from minigen import grad, ops, tensor
from minigen.datasets import load, to_unit
from minigen.models.classifier import load_classifier
from minigen.optim import Adam, RMSprop
from minigen.viz import image_grid

digits = load("digits")
images, labels = to_unit(digits.images).reshape(-1, 784), digits.labels
classifier = load_classifier()
HIDDEN = 128 if FAST else 256


def layer(rng, inputs, outputs):
    return [tensor(rng.normal(0, np.sqrt(1 / inputs), (outputs, inputs)).astype("float32"), requires_grad=True),
            tensor(np.zeros(outputs, "float32"), requires_grad=True)]  # fmt: skip


def told(x, y):
    """x and, where there is a label, a one-hot vector beside it"""
    return x if y is None else ops.concatenate([x, ops.one_hot(y, 10)], axis=1)


def encode(net, x, y=None):
    """μ and log σ²"""
    h = ops.relu(ops.linear(told(x, y), *net[0:2]))
    return ops.split(ops.linear(h, *net[2:4]), 2, axis=1)


def decode(net, z, y=None):
    """The logits of 784 pixels"""
    return ops.linear(ops.relu(ops.linear(told(z, y), *net[4:6])), *net[6:8])


def terms(net, x, noise, y=None):
    """−log p(x|z) and KL, for each picture, as in lesson 13"""
    mean, log_variance = encode(net, x, y)
    l = decode(net, mean + ops.exp(0.5 * log_variance) * noise, y)
    nll = ops.sum(ops.softplus(l) - x * l, axis=1)
    return nll, 0.5 * ops.sum(mean**2 + ops.exp(log_variance) - log_variance - 1, axis=1)


def train(latent, steps, conditional=False):
    rng = np.random.default_rng(0)
    seen = 10 if conditional else 0
    sizes = (784 + seen, HIDDEN), (HIDDEN, 2 * latent), (latent + seen, HIDDEN), (HIDDEN, 784)
    net = [w for size in sizes for w in layer(rng, *size)]
    adam = Adam(net, 3e-3)
    for _ in range(steps):
        i = rng.integers(len(images), size=100)
        noise = rng.standard_normal((100, latent), dtype="float32")
        nll, kl = terms(net, images[i], noise, labels[i] if conditional else None)
        adam.step(grad(ops.mean(nll + kl), net))
    print(f"{latent} numbers per code{', told the digit' * conditional}: −ELBO {np.mean(nll.data + kl.data):.1f} nats")
    return net


def draw(net, z, y=None):
    return ops.sigmoid(decode(net, np.asarray(z, "float32"), y).data)


# %% [markdown]
# ## The map
#
# A code of the prior falls into each tenth of an axis equally often if the tenths are cut at the **quantiles** of the
# normal distribution. So a lattice of quantiles shows the model's digits in the proportions in which it draws them.

# %%
flat = train(2, 150 if FAST else 2500)
n = 14
ticks = norm.ppf((np.arange(n) + 0.5) / n)
lattice = np.array([(a, b) for b in ticks[::-1] for a in ticks])
pictures = draw(flat, lattice).reshape(-1, 1, 28, 28)
show(image_grid(pictures, columns=n, gap=0, scale=1 if FAST else 2), "The map: a digit at each place of the plane")

seen = np.unique(classifier.probabilities(pictures).argmax(1))
print(f"the classifier finds {len(seen)} kinds of digit on the map: {seen}")
assert abs(norm.cdf(ticks).mean() - 0.5) < 1e-12 and len(seen) >= (3 if FAST else 7)

# %%
some = np.arange(1500)
codes = encode(flat, images[some])[0].data
figure, axes = plt.subplots(figsize=(6.4, 4.2))
for digit in range(10):
    at = codes[labels[some] == digit]
    axes.scatter(*at.T, s=4, alpha=0.5, color=plt.cm.tab10(digit))
    name = axes.text(*np.median(at, axis=0), str(digit), fontsize=16, weight="bold", color=plt.cm.tab10(digit))
    name.set(ha="center", va="center", path_effects=[withStroke(linewidth=3, foreground="white")])
axes.set(xlim=(-4, 4), ylim=(-4, 4), title="Where the encoder puts 1500 digits")
show(figure, "The codes of 1500 digits, coloured by label. Nobody told the encoder the labels.")
inside, between = [], []
for digit in range(10):
    at = codes[labels[some] == digit]
    inside.append(at.var(0).sum())
    between.append(((at.mean(0) - codes.mean(0)) ** 2).sum())
print(f"spread within a digit {np.mean(inside):.2f}, of the digits' centres {np.mean(between):.2f}")
assert np.mean(inside) < codes.var(0).sum()

# %% [markdown]
# ## From one digit to another
#
# Take two digits, a 3 and an 8 that come through their two numbers well. Mixing their pixels gives a double exposure.
# Mixing their *codes* and decoding gives one picture at a time, each a plausible one. In numbers: how far is a mixture
# from the nearest real digit?


# %%
def mix(a, b, steps):
    """The straight line from a to b"""
    t = np.linspace(0, 1, steps)[:, None]
    return (1 - t) * a + t * b


def clearest(digit):
    """Of the first of its kind the one whose code, decoded, the classifier is surest of"""
    kind = np.flatnonzero(labels[:1000] == digit)
    decoded = draw(flat, encode(flat, images[kind])[0].data).reshape(-1, 1, 28, 28)
    return kind[classifier.probabilities(decoded)[:, digit].argmax()]


a, b = clearest(3), clearest(8)
start, end = encode(flat, images[[a, b]])[0].data
rows = [mix(images[a], images[b], 10), draw(flat, mix(start, end, 10))]
show(image_grid(np.concatenate(rows).reshape(-1, 1, 28, 28).astype("float32"), columns=10),
     "Above: pixels mixed. Below: codes mixed, then decoded.")  # fmt: skip

rng = np.random.default_rng(0)
pairs = rng.integers(len(images), size=(30, 2))
pixels = images[pairs].mean(1)
halfway = draw(flat, encode(flat, images[pairs.ravel()])[0].data.reshape(30, 2, 2).mean(1))
nearest = {
    name: np.mean([np.sqrt(((images[:1000] - x) ** 2).sum(1).min()) for x in middles])
    for name, middles in (("mixed pixels", pixels), ("mixed codes", halfway))
}
for name, distance in nearest.items():
    print(f"{name:13} of 30 pairs: {distance:.2f} from the nearest of 1000 digits")
assert nearest["mixed codes"] < nearest["mixed pixels"]

# %% [markdown]
# ## A hundred dimensions are not two
#
# GANs often take a hundred numbers of noise. In so many dimensions almost all draws have nearly the same length,
# $\sqrt{100} = 10$: the square of the length is a sum of a hundred squares of mean 1. And the *middle* of two draws is
# shorter, by $\sqrt 2$: half the sum of two independent draws has variance ½.

# %%
d = 100
x, y = rng.standard_normal((2, 10_000, d))
lengths, middle = np.linalg.norm(x, axis=1), np.linalg.norm((x + y) / 2, axis=1)
print(f"lengths of draws: {lengths.mean():.2f} ± {lengths.std():.2f}, shortest of 10 000: {lengths.min():.2f}")
print(f"middles of two:   {middle.mean():.2f} ± {middle.std():.2f}")
print(f"probability that a draw is as short as √50: {chi2.cdf(d / 2, d):.0e}")
assert abs(lengths.mean() - 10) < 0.05 and abs(middle.mean() - np.sqrt(50)) < 0.05
assert chi2.cdf(d / 2, d) < 1e-5 and lengths.min() > middle.mean() - 0.5

# %% [markdown]
# Halfway, a straight path is at a place where the generator has practically never been asked to draw. The way out is
# to turn instead of cutting across: **spherical interpolation**. With $\omega$ the angle between the two codes,
#
# $$z_t = \frac{\sin((1 - t)\,\omega)}{\sin \omega}\, a + \frac{\sin(t\,\omega)}{\sin \omega}\, b.$$


# %%
def turn(a, b, steps):
    omega = np.arccos(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
    t = np.linspace(0, 1, steps)[:, None]
    return (np.sin((1 - t) * omega) * a + np.sin(t * omega) * b) / np.sin(omega)


figure, axes = plt.subplots()
axes.axhspan(*np.quantile(lengths, (0.005, 0.995)), alpha=0.2, label="99 % of all draws")
t = np.linspace(0, 1, 41)
for name, path, colour in ("straight", mix, "C1"), ("spherical", turn, "C2"):
    lines = [np.linalg.norm(path(a, b, 41), axis=1) for a, b in zip(x[:5], y[:5])]
    axes.plot(t, np.transpose(lines), color=colour, lw=1, label=[name, *[None] * 4])
axes.set(xlabel="t", ylabel="length", ylim=(6, 12.5), title="Five paths between codes of 100 numbers")
axes.legend(ncols=3)
show(figure, "Straight paths sink far below the lengths that draws have; spherical ones do not")

a, b = x[0], y[0] * lengths[0] / np.linalg.norm(y[0])  # of equal length: then the path has that length all the way
np.testing.assert_allclose(np.linalg.norm(turn(a, b, 9), axis=1), lengths[0], rtol=1e-12)
assert abs(np.linalg.norm(mix(a, b, 3)[1]) / lengths[0] - np.sqrt((1 + a @ b / lengths[0] ** 2) / 2)) < 1e-12

# %% [markdown]
# For a VAE with two numbers none of this matters: its straight paths were fine.
#
# ## Telling the digit
#
# To ask for a digit, let both networks see the label $y$, as ten numbers of which one is 1:
#
# $$\log p(x|y) \ge \mathbb{E}_{q(z|x,y)}[\log p(x|z, y)] - \mathrm{KL}(q(z|x,y) \,\|\, p(z)).$$
#
# This is a **conditional VAE**. Nothing else changes. And the code is free for other things: what the label says, it
# need not say again. Each row below has one code $z$ for all ten labels.

# %%
conditional = train(8, 150 if FAST else 1500, conditional=True)
z = rng.standard_normal((4, 8))
sheet = draw(conditional, z.repeat(10, axis=0), np.tile(np.arange(10), 4))
show(image_grid(sheet.reshape(-1, 1, 28, 28), columns=10), "One code in each row, one label in each column")

asked = np.tile(np.arange(10), 30)
made = draw(conditional, rng.standard_normal((300, 8)), asked).reshape(-1, 1, 28, 28)
share = (classifier.probabilities(made).argmax(1) == asked).mean()
print(f"of 300 pictures, the classifier sees the digit that was asked for in {share:.0%}; by chance it would be 10 %")
assert share > (0.15 if FAST else 0.5)

# %% [markdown]
# ## A GAN that is told
#
# A **conditional GAN** does the same: $G(z, y)$, and $D(x, y)$, which asks "is $x$ a real $y$?". On the ring of lesson
# 11, let $y$ be the number of the mode. A sample in the wrong mode is then a mistake that $D$ sees, even if it is a
# perfect sample of another. The game without momentum of lesson 11, with and without the label: how many modes are
# covered, and how many samples lie nearest to the mode that was asked for?

# %%
from minigen.datasets import ring_of_gaussians
from minigen.metrics import mode_report, ring_centres

STD, ROUNDS = 0.1, 200 if FAST else 1000
eye = np.eye(8, dtype="float32")


def ring_game(tell):
    rng = np.random.default_rng(0)
    extra = 8 if tell else 0
    G = [w for size in ((2 + extra, 32), (32, 32), (32, 2)) for w in layer(rng, *size)]
    D = [w for size in ((2 + extra, 32), (32, 32), (32, 1)) for w in layer(rng, *size)]

    def run(net, x, y):
        x = ops.concatenate([x, eye[y]], axis=1) if tell else x
        for i in 0, 2:
            x = ops.leaky_relu(ops.linear(x, *net[i : i + 2]), 0.2)
        return ops.linear(x, *net[4:6])

    step_G, step_D = RMSprop(G, 2e-3), RMSprop(D, 2e-3)
    noise = lambda n: rng.standard_normal((n, 2), dtype="float32")
    for _ in range(ROUNDS):
        x, y = ring_of_gaussians(64, rng, std=STD)
        fake = run(G, noise(64), y).data
        step_D.step(grad(ops.mean(ops.softplus(-run(D, x, y))) + ops.mean(ops.softplus(run(D, fake, y))), D))
        step_G.step(grad(ops.mean(ops.softplus(-run(D, run(G, noise(64), y), y))), G))
    y = np.arange(1600) % 8
    return run(G, noise(1600), y).data, y


for tell in False, True:
    points, y = ring_game(tell)
    report = mode_report(points, ring_centres(), STD)
    nearest_mode = ((points[:, None] - ring_centres()) ** 2).sum(2).argmin(1)
    right = (nearest_mode == y).mean()
    print(f"told the mode: {tell!s:5}   modes covered {report.covered}   nearest to the mode asked for {right:.0%}")
assert right > (0.3 if FAST else 0.8)

# %% [markdown]
# ## The same in minigen
#
# `minigen/models/vae.py` has `VAE` with `interpolate`, and `ConditionalVAE`. With our weights, in float64, they give
# our numbers. `minigen/models/cgan.py` is the conditional GAN for digits. There $D$ is told the label by a
# **projection**: if $h(x)$ is its last hidden layer, the logit is $w \cdot h + b + v_y \cdot h$, with a learnt vector
# $v_y$ for each label.

# %%
from minigen.metrics import fraction_asked_for
from minigen.models.cgan import CGANConfig, Projection
from minigen.models.vae import VAE, ConditionalVAE, VAEConfig

rng = np.random.default_rng(1)
x = images[:20].astype("float64")
for kind, net, latent, y in (VAE, flat, 2, None), (ConditionalVAE, conditional, 8, labels[:20]):
    net = [tensor(w.data, requires_grad=True, dtype="float64") for w in net]
    model = kind(VAEConfig(hidden=(HIDDEN,), latent=latent), rng=rng)
    for i, linear in enumerate((model.encoder[0], model.head, model.decoder[0], model.decoder[2])):
        linear.weight, linear.bias = net[2 * i : 2 * i + 2]
    noise = rng.standard_normal((20, latent))
    ours, theirs = terms(net, x, noise, y), model(tensor(x.reshape(-1, 1, 28, 28)), noise, y)
    for mine, same in zip(ours, theirs):
        np.testing.assert_allclose(mine.data, same.data, rtol=1e-12)
    if y is None:
        ends = encode(net, x[:2])[0].data
        walk = ops.sigmoid(decode(net, mix(*ends, 6)).data).reshape(-1, 1, 28, 28)
        pair = x[:2].reshape(-1, 1, 28, 28)
        np.testing.assert_allclose(walk, model.interpolate(*pair, steps=6), rtol=1e-12, atol=1e-14)

assert share == fraction_asked_for(classifier.probabilities(made), asked)

D = Projection(CGANConfig(), rng)
pictures, y = 2 * images[:5].reshape(-1, 1, 28, 28) - 1, labels[:5]
h = D.body(pictures).data
by_hand = h @ D.head.weight.data[0] + D.head.bias.data[0] + (D.label.weight.data[y] * h).sum(1)
np.testing.assert_allclose(by_hand, D(pictures, y).data[:, 0], rtol=1e-4, atol=1e-6)
print("two VAEs, a walk and a projection: the same in minigen")
