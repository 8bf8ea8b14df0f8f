# %% [markdown]
# # 13 · The VAE
#
# *40 minutes · after 05, 08 · formulas B3, B4, B5, B9, C4, D1, D2, E2*
#
# **How can we train a model to make our data probable, if we cannot compute how probable it makes them?**
#
# A **latent variable model** tells a story about each observation $x$. First a hidden number $z$ was drawn, its code;
# then $x$ was drawn around a point that the code decides:
#
# $$z \sim \mathcal{N}(0, 1), \qquad x \sim \mathcal{N}(g(z), s^2).$$
#
# The first distribution is the **prior**, $p(z)$; $g$ is the **decoder**. Here is a story so small that every integral
# in this lesson can be done exactly, on a grid of values of $z$.

# %%
import numpy as np
from matplotlib import pyplot as plt

from lessons.kit import FAST, show
from minigen import grad, ops, tensor, trace

s = np.sqrt(0.5)
z = np.linspace(-8, 8, 2001)
dz = z[1] - z[0]


def g(z):
    return 3 * np.tanh(2 * z)


def log_N(x, mean, deviation):
    """log N(x; mean, deviation²)"""
    return -(((x - mean) / deviation) ** 2) / 2 - np.log(deviation * np.sqrt(2 * np.pi))


log_prior = log_N(z, 0, 1)


def likelihood(x):
    """log p(x|z) for every z of the grid"""
    return log_N(x, g(z), s)


def log_p(x):
    """log p(x) = log ∫ p(z) p(x|z) dz"""
    return np.log(np.exp(log_prior + likelihood(x)).sum() * dz)


rng = np.random.default_rng(0)
stories = g(rng.standard_normal(50_000)) + s * rng.standard_normal(50_000)
xs = np.linspace(-7, 7, 701)
dx = xs[1] - xs[0]
p = np.exp([log_p(x) for x in xs])

figure, axes = plt.subplots()
axes.hist(stories, bins=100, density=True, alpha=0.4, label="50 000 stories")
axes.plot(xs, p, label="$p(x) = \\int p(z)\\, p(x|z)\\, dz$")
axes.set(xlabel="x", ylabel="density", ylim=(0, 0.28))
axes.legend(ncols=2)
show(figure, "Two humps: a tanh pushes most codes to one of its two ends")
print(f"∫ p(x) dx = {p.sum() * dx:.6f}")
assert abs(p.sum() * dx - 1) < 1e-6
assert abs((stories > 1).mean() - p[xs > 1].sum() * dx) < 0.02

# %% [markdown]
# Training would mean: change $g$ until $\log p(x)$ is large for the data. With one number for $z$ a grid will do. With
# twenty, a grid of only ten values each has $10^{20}$ points.
#
# Almost all of them would be wasted: for a given $x$ only few codes are plausible. So let a second network, the
# **encoder**, guess them, as a Gaussian: $q(z|x)$. How does it enter?
#
# ## An integral with the wrong measure [B3, B4]
#
# Article B, §4.1, says how:
#
# $$q_\varphi(z|x) = \mathcal{N}(z; \mu(z|x), \sigma^2(z|x)), \qquad
# \log p_\theta(x) = \log \int q_\varphi(z|x)\, p_\theta(x|z)\, dz.$$
#
# **B3** first. A mean that depends on $z$ does not give a distribution over $z$. Take it at its word, with
# $\mu(z|x) = z/2$ and $\sigma = 1$, and integrate. Moments are functions of what is *given*: $\mu_\varphi(x)$ and
# $\sigma_\varphi(x)$.

# %%
total = np.exp(log_N(z, z / 2, 1)).sum() * dz
print(f"∫ N(z; z/2, 1) dz = {total:.4f}")
assert abs(total - 2) < 1e-3  # 2 on the whole line; the grid ends at ±8

# %% [markdown]
# **B4**: the article integrates $q$ where the story has the prior. Ask both for the density at one observation, with
# three encoders.

# %%
x = 2.0


def b4(x, mean, deviation):
    """log ∫ q(z|x) p(x|z) dz"""
    return np.log(np.exp(log_N(z, mean, deviation) + likelihood(x)).sum() * dz)


print(f"log p(x = {x:g}) = {log_p(x):.4f}")
for name, mean, deviation in ("one that fits", 0.4, 0.1), ("one that does not", -1.0, 0.3), ("the prior itself", 0, 1):
    print(f"B4 with an encoder N({mean}, {deviation}²), {name}: {b4(x, mean, deviation):.4f}")
assert b4(x, 0.4, 0.1) > log_p(x) + 1 and b4(x, -1.0, 0.3) < log_p(x) - 1
assert abs(b4(x, 0, 1) - log_p(x)) < 1e-12

# %% [markdown]
# Above, below, and right only where $q$ is the prior. It is not even a density. The best encoder for B4 puts all of
# $q$ on the one code that explains $x$ best; every $x$ gets the density of a perfect hit, and together they get more
# than there is.

# %%
best = np.array([np.exp(likelihood(x).max()) for x in xs])  # q → the best z alone
print(f"∫ exp(B4 with the best encoder) dx = {best.sum() * dx:.2f}")
assert best.sum() * dx > 4

# %% [markdown]
# Nothing in B4 mentions the prior, so nothing asks the codes to lie where we shall later draw them. It is an
# **auto-encoder** with noise: good at copying, useless as a story.
#
# ## A bound that holds for every encoder
#
# Multiply and divide by $q$, and move the logarithm inside the average (it is concave, so the average of logarithms is
# the smaller one):
#
# $$\log p(x) = \log \mathbb{E}_q\!\left[\frac{p(z)\, p(x|z)}{q(z|x)}\right]
# \ge \mathbb{E}_q[\log p(x|z)] - \mathrm{KL}(q(z|x) \,\|\, p(z)) = \mathrm{ELBO}.$$
#
# The right side is the **ELBO**, the evidence lower bound: how well codes from $q$ explain $x$, minus what the codes
# cost. That cost is a **Kullback–Leibler divergence**, $\mathrm{KL}(q \| p) = \mathbb{E}_q[\log q - \log p]$, which is
# 0 where $q = p$ and positive elsewhere. Between two Gaussians it has a closed form:
#
# $$\mathrm{KL}(\mathcal{N}(\mu, \sigma^2) \,\|\, \mathcal{N}(0, 1))
# = \tfrac12 (\mu^2 + \sigma^2 - \log \sigma^2 - 1).$$
#
# Where the form is not at hand, averages over samples do.


# %%
def kl(mean, deviation):
    """KL(N(μ, σ²) ‖ N(0, 1))"""
    return (mean**2 + deviation**2 - np.log(deviation**2) - 1) / 2


mean, deviation = 0.8, 0.3
print(f"closed form      {kl(mean, deviation):.4f}")
for n in 10, 1000, 100_000:
    draws = mean + deviation * rng.standard_normal(n)
    terms = log_N(draws, mean, deviation) - log_N(draws, 0, 1)
    error = terms.std() / np.sqrt(n)
    print(f"{n:7} samples  {terms.mean():.4f} ± {error:.4f}")
    assert abs(terms.mean() - kl(mean, deviation)) < 4 * error
log_q = log_N(z, mean, deviation)
assert abs((np.exp(log_q) * (log_q - log_prior)).sum() * dz - kl(mean, deviation)) < 1e-12

# %% [markdown]
# Now every encoder gives a bound. And what is missing to $\log p(x)$ has a name, too. It is
# $\mathrm{KL}(q(z|x) \,\|\, p(z|x))$, the distance to the **posterior** $p(z|x) = p(z)\, p(x|z) / p(x)$: the codes that
# $x$ may really have come from. We compute ELBO and gap separately, and add.


# %%
def explains(x, mean, deviation):
    """E_q[log p(x|z)]"""
    return (np.exp(log_N(z, mean, deviation)) * likelihood(x)).sum() * dz


def elbo(x, mean, deviation):
    return explains(x, mean, deviation) - kl(mean, deviation)


def gap(x, mean, deviation):
    """KL(q(z|x) ‖ p(z|x))"""
    log_q, log_posterior = log_N(z, mean, deviation), log_prior + likelihood(x) - log_p(x)
    return (np.exp(log_q) * (log_q - log_posterior)).sum() * dz


print("encoder             ELBO      gap      sum   log p(x)")
for m, d in (0.4, 0.1), (-1.0, 0.3), (0, 1), (0.6, 0.25):
    bound, rest = elbo(x, m, d), gap(x, m, d)
    print(f"N({m:4}, {d:4}²)  {bound:8.4f} {rest:8.4f} {bound + rest:8.4f}   {log_p(x):8.4f}")
    assert rest > 0 and abs(bound + rest - log_p(x)) < 1e-9

means = np.linspace(-0.5, 2, 126)
figure, axes = plt.subplots()
axes.axhline(log_p(x), color="grey", label="log p(x)")
axes.plot(means, [elbo(x, m, 0.2) for m in means], label="ELBO")
axes.plot(means, [b4(x, m, 0.2) for m in means], "--", label="B4")
axes.set(xlabel="μ of an encoder N(μ, 0.2²)", ylim=(-10, 0.5), title="A bound never crosses the line")
axes.legend()
show(figure, "The ELBO stays below log p(x) for every encoder; B4 crosses it")
assert max(elbo(x, m, 0.2) for m in means) < log_p(x) < max(b4(x, m, 0.2) for m in means)

# %% [markdown]
# ## Two losses that almost say this [B5, E2]
#
# Training minimises the negative ELBO over both networks:
#
# $$L = -\mathbb{E}_q[\log p_\theta(x|z)] + \mathrm{KL}(q_\varphi(z|x) \,\|\, p(z)).$$
#
# | | as written | what is wrong |
# |---|---|---|
# | B5 | $L = -\log p_\theta(x) + \mathrm{KL}(q \Vert p(z))$ | the first term does not contain $q$ |
# | E2 | $L_q = \mathrm{KL}(q \Vert p(z \mid x))$, $L_p = \mathbb{E} \Vert x - \hat x \Vert^2$ | not the prior |
#
# Let each choose its encoder for $x = 2$. With our $s^2 = \tfrac12$ the squared error *is* $-\log p(x|z)$, up to a
# constant, so E2 differs in one thing only.

# %%
assert np.allclose((x - g(z)) ** 2, -likelihood(x) - np.log(np.pi) / 2)

candidates = [(m, d) for m in np.linspace(-0.5, 1.5, 41) for d in np.linspace(0.05, 1.2, 47)]
q = np.exp([log_N(z, m, d) for m, d in candidates]) * dz
to_prior = np.array([kl(m, d) for m, d in candidates])
error = q @ (x - g(z)) ** 2
to_posterior = np.array([(w * (log_N(z, m, d) - log_prior - likelihood(x))).sum() for w, (m, d) in zip(q, candidates)])
to_posterior += log_p(x)

chosen = {}
for name, loss in ("−ELBO", error + to_prior), ("B5", -log_p(x) + to_prior), ("E2", to_posterior + error):
    chosen[name] = m, d = candidates[loss.argmin()]
    print(f"{name:6} chooses q = N({m:6.3f}, {d:.3f}²), gap to the posterior {gap(x, m, d):.3f}")

assert np.allclose(chosen["B5"], (0, 1))
assert gap(x, *chosen["−ELBO"]) == min(gap(x, *encoder) for encoder in chosen.values())
assert chosen["E2"][1] < 0.8 * chosen["−ELBO"][1]

figure, axes = plt.subplots()
axes.fill_between(z, np.exp(log_prior + likelihood(x) - log_p(x)), alpha=0.3, label="posterior $p(z|x)$")
for name, (m, d) in chosen.items():
    axes.plot(z, np.exp(log_N(z, m, d)), label=name)
axes.set(xlim=(-2, 2.5), xlabel="z", title="The codes of x = 2")
axes.legend()
show(figure, "The encoder of −ELBO covers the posterior; B5's is the prior; E2's is too narrow")

# %% [markdown]
# - **B5**: whatever $x$ is, the cheapest encoder is the prior. The code says nothing about the picture.
# - **E2**: as gap $= \log p(x) - \mathrm{ELBO}$, the error is counted twice, and $q$ comes out too sure. (Besides, its
#   $L_q$ asks for $p(z|x)$. If we had that, we should not need $q$.)
#
# ## Whose cross-entropy? [D1]
#
# Article D, §2.2.1, calls $L = -\sum_x p(x) \log p_\theta(x)$ "the KL loss of the VAE". Here $p$ is the distribution of
# the data. That sum is the **cross-entropy** $H(p, p_\theta)$, and
#
# $$H(p, p_\theta) = H(p) + \mathrm{KL}(p \,\|\, p_\theta) \;\le\; \mathbb{E}_p[-\mathrm{ELBO}].$$
#
# The entropy $H(p)$ is the data's own and no model can remove it. Let the data be two Gaussians, the model our story,
# and the encoder a fixed one for all $x$, and compute all five.

# %%
data = 0.7 * np.exp(log_N(xs, 2.5, 0.5)) + 0.3 * np.exp(log_N(xs, -2.5, 0.5))
model = np.array([log_p(x) for x in xs])
H = -(data * np.log(data)).sum() * dx
cross = -(data * model).sum() * dx
KL = (data * (np.log(data) - model)).sum() * dx
encoder = lambda x: (x / 4, 0.4)
negative_elbo = -sum(w * elbo(x, *encoder(x)) for w, x in zip(data * dx, xs))
mean_gap = sum(w * gap(x, *encoder(x)) for w, x in zip(data * dx, xs))
for name, nats in {
    "H(p)": H, "KL(p ‖ p_θ)": KL, "H(p, p_θ)": cross, "E[gap]": mean_gap, "E[−ELBO]": negative_elbo
}.items():  # fmt: skip
    print(f"{name:12} {nats:.4f}")
assert abs(cross - (H + KL)) < 1e-9 and abs(negative_elbo - (cross + mean_gap)) < 1e-6
assert KL > 0 and mean_gap > 0

# %% [markdown]
# D1 is neither the KL nor what a VAE minimises, which is the last line: the cross-entropy and the gap.
#
# The same article has the VAE proposed in 1982 in §1.4.1 and in 2013 in §2.2, and the GAN in 2009 in §1.4.1 and in 2004
# in §2.1 [D2]. Such things can be looked up: both papers are on arXiv, where a paper's number begins with the year and
# the month in which it came.

# %%
for name, paper, written in ("VAE", "1312.6114", (1982, 2013)), ("GAN", "1406.2661", (2009, 2004)):
    year = 2000 + int(paper[:2])
    print(f"{name}: arXiv {paper} came in month {int(paper[2:4])} of {year}; the article says {written}")
    assert written.count(year) == (name == "VAE")

# %% [markdown]
# ## A sample with a slope [B9]
#
# $\mathbb{E}_q$ will be an average over samples, in practice over one. But the encoder must learn from it: how does the
# loss change when $\mu$ and $\sigma$ do? A number that came out of a random generator has no history. So let the
# randomness enter from the side:
#
# $$z = \mu + \sigma \odot \varepsilon, \qquad \varepsilon \sim \mathcal{N}(0, I).$$
#
# This is the **reparameterisation**: the same distribution, but now $\partial z / \partial \mu = 1$ and
# $\partial z / \partial \sigma = \varepsilon$. Networks give $\log \sigma^2$, which may be any number.


# %%
def reparameterise(mean, log_variance, noise):
    return mean + ops.exp(0.5 * log_variance) * noise


def kl_per_dimension(mean, log_variance):
    return 0.5 * (mean**2 + ops.exp(log_variance) - log_variance - 1)


n = 20_000
mean = tensor(np.full(n, 0.4), requires_grad=True)  # one copy for each sample, so that each shows its own slope
log_variance = tensor(np.full(n, 2 * np.log(0.3)), requires_grad=True)
code = reparameterise(mean, log_variance, rng.standard_normal(n))
square = (x - 3 * ops.tanh(2 * code)) ** 2
slopes = grad(ops.sum(square), [mean, log_variance])

R = lambda m, v: -explains(x, m, np.exp(v / 2))
v, h = 2 * np.log(0.3), 1e-5
exact = [(R(0.4 + h, v) - R(0.4 - h, v)) / (2 * h), (R(0.4, v + h) - R(0.4, v - h)) / (2 * h)]
for name, slope, e in zip(("μ", "log σ²"), slopes, exact):
    average, uncertain = slope.data.mean(), slope.data.std() / np.sqrt(n)
    print(f"slope of E_q[−log p(x|z)] along {name:6}: {average:.3f} ± {uncertain:.3f} from samples, {e:.3f} exactly")
    assert abs(average - e) < 4 * uncertain

# %% [markdown]
# One sample, step by step: on the way back, see how $\varepsilon$ comes to stand before the slope of $\sigma$.

# %%
m = tensor(0.4, requires_grad=True, dtype="float64", name="μ")
v = tensor(-2.4, requires_grad=True, dtype="float64", name="log σ²")
epsilon = tensor(-0.5, dtype="float64", name="ε")
show(trace(lambda: (x - 3 * ops.tanh(2 * reparameterise(m, v, epsilon))) ** 2 + kl_per_dimension(m, v)))

# %% [markdown]
# Article B's digit VAE (§4.3) computes `z_mean` and `z_log_var`, and then takes
# `z = Dense(20, activation='sigmoid')(encoded)`. Build it, and ask for the slopes.

# %%
h = rng.standard_normal((8, 32))  # what the convolutions made of 8 pictures
picture = rng.random((8, 784))
weights = {name: tensor(0.1 * rng.standard_normal((32, 20)), requires_grad=True) for name in ("μ", "log σ²", "z")}
V = tensor(0.1 * rng.standard_normal((20, 784)), requires_grad=True)
mean, log_variance = h @ weights["μ"], h @ weights["log σ²"]
code = ops.sigmoid(h @ weights["z"])
ops.mean((picture - ops.sigmoid(code @ V)) ** 2).backward()
for name, w in weights.items():
    print(
        f"slope along the weights of {name:6}:", "none" if w.grad is None else f"norm {np.linalg.norm(w.grad.data):.4f}"
    )
assert weights["μ"].grad is None and weights["log σ²"].grad is None and weights["z"].grad is not None

again = ops.sigmoid(h @ weights["z"]).data
draws = np.random.default_rng(1).standard_normal((100_000, 20))
share = ((draws > 0) & (draws < 1)).mean()
print(f"the same code every time: {np.array_equal(code.data, again)}")
print(f"numbers of the prior that lie in (0, 1): {share:.3f}; all twenty of a code: {share**20:.0e}")
assert np.array_equal(code.data, again) and abs(share - 0.3413) < 0.002 and share**20 < 1e-9

# %% [markdown]
# The two layers that should be the encoder are connected to nothing. What reaches them is at most the KL term, whose
# minimum is $\mu = 0$, $\sigma = 1$ for every picture. The code is no sample, and lies in a cube in which codes of the
# prior practically never lie: the decoder would be asked for pictures of codes that it has never seen.
#
# ## The same loss in pieces [C4]
#
# Article C, §4.1 and §4.2, has the VAE's loss as a sum of four terms (with $D$ for the decoder, $E$ for the encoder):
#
# $$\tfrac12 \|x - E(D(x))\|^2 + \tfrac12 \|x - \mu(x)\|^2 + \tfrac12 \sigma(x)^2
# - \tfrac{\lambda}{2} \log \det \sigma(x)^2.$$
#
# A decoder reads codes, not pictures; and a picture has 784 numbers where $\mu$ has 20. (In §4.2 the first slip is
# gone and $D(E(x))$ stands there.) Read $\tfrac12\|\mu(x)\|^2$ in the middle, and with $\lambda = 1$ the sum is an old
# acquaintance: a Gaussian likelihood with variance 1, plus KL, plus the constant $d/2$.

# %%
for wrong in lambda: picture @ V.data, lambda: picture - mean.data:
    try:
        wrong()
    except ValueError as error:
        print("as written:", str(error).splitlines()[0])
    else:
        raise AssertionError

d = 20
x_hat = ops.sigmoid(reparameterise(mean, log_variance, rng.standard_normal((8, d))) @ V).data
mu, variance = mean.data, np.exp(log_variance.data)
reconstruction = ((picture - x_hat) ** 2).sum(1) / 2
log_det = np.array([np.linalg.slogdet(np.diag(row))[1] for row in variance])
four = reconstruction + (mu**2).sum(1) / 2 + variance.sum(1) / 2 - log_det / 2
two = reconstruction + kl(mu, np.sqrt(variance)).sum(1)
print("C4, read with goodwill, minus ½‖x − x̂‖² + KL:", (four - two)[:3], "…")
np.testing.assert_allclose(four, two + d / 2, rtol=1e-12)

# %% [markdown]
# ## Digits
#
# Everything is in place: an encoder and a decoder of one hidden layer each, one sample per picture. Pixels are
# probabilities of white, so $\log p(x|z)$ is a sum of 784 logarithms, in logits: $x\,l - \mathrm{softplus}(l)$.

# %%
from minigen.datasets import load, to_unit
from minigen.optim import Adam

images = to_unit(load("digits").images[: 2000 if FAST else None]).reshape(-1, 784)
HIDDEN, LATENT = (100, 10) if FAST else (400, 20)
rng = np.random.default_rng(0)


def layer(inputs, outputs):
    return [tensor(rng.normal(0, np.sqrt(1 / inputs), (inputs, outputs)).astype("float32"), requires_grad=True),
            tensor(np.zeros(outputs, "float32"), requires_grad=True)]  # fmt: skip


E1, E2, D1, D2 = layer(784, HIDDEN), layer(HIDDEN, 2 * LATENT), layer(LATENT, HIDDEN), layer(HIDDEN, 784)
parameters = [*E1, *E2, *D1, *D2]


def encode(x):
    both = ops.relu(x @ E1[0] + E1[1]) @ E2[0] + E2[1]
    return both[:, :LATENT], both[:, LATENT:]


def decode(z):
    return ops.relu(z @ D1[0] + D1[1]) @ D2[0] + D2[1]


def loss(x, noise):
    """−ELBO: (mean over pictures, −log p(x|z), KL)"""
    mean, log_variance = encode(x)
    l = decode(reparameterise(mean, log_variance, noise))
    nll = ops.sum(ops.softplus(l) - x * l, axis=1)
    kl = ops.sum(kl_per_dimension(mean, log_variance), axis=1)
    return ops.mean(nll + kl), nll, kl


adam = Adam(parameters, lr=2e-3)
steps = 150 if FAST else 2000
curve = []
for step in range(steps):
    x = images[rng.integers(len(images), size=100)]
    total, nll, cost = loss(x, rng.standard_normal((100, LATENT), dtype="float32"))
    adam.step(grad(total, parameters))
    curve.append(total.item())
    if step in (0, steps // 10, steps - 1):
        print(f"step {step:5}   −ELBO {curve[-1]:6.1f} nats   of which KL {cost.data.mean():5.1f}")
assert curve[-1] < (230 if FAST else 115) and 1 < cost.data.mean() < 40

# %%
from minigen.viz import image_grid

x = images[:10]
mean, log_variance = encode(x)
rows = [x, ops.sigmoid(decode(mean)).data]
rows += [ops.sigmoid(decode(rng.standard_normal((10, LATENT), dtype="float32"))).data for _ in range(2)]
caption = (
    "First row: digits. Second: from their codes. Below: from codes drawn from the prior, digits that nobody wrote."
)
show(image_grid(np.concatenate(rows).reshape(-1, 1, 28, 28), columns=10), caption)
assert ((rows[0] - rows[1]) ** 2).mean() < ((rows[0] - images.mean(0)) ** 2).mean()

# %% [markdown]
# ## The same in minigen
#
# `minigen/losses/vae.py` and `minigen/losses/likelihood.py` have the terms, `minigen/models/vae.py` the networks. We
# hand our weights to its VAE, both in float64, and ask for the two terms of one batch.

# %%
from minigen.losses import vae
from minigen.losses.likelihood import bernoulli_nll
from minigen.models.vae import VAE, VAEConfig

theirs = VAE(VAEConfig(hidden=(HIDDEN,), latent=LATENT), rng=rng)
layers = theirs.encoder[0], theirs.head, theirs.decoder[0], theirs.decoder[2]
for ours, linear in zip((E1, E2, D1, D2), layers):
    linear.weight, linear.bias = (
        tensor(np.ascontiguousarray(w.data.T), requires_grad=True, dtype="float64") for w in ours
    )
parameters = E1, E2, D1, D2 = [
    [tensor(w.data, requires_grad=True, dtype="float64") for w in ours] for ours in (E1, E2, D1, D2)
]

x, noise = images[:50].astype("float64"), rng.standard_normal((50, LATENT))
total, nll, cost = loss(x, noise)
their_nll, their_cost = theirs(tensor(x.reshape(-1, 1, 28, 28)), noise)
np.testing.assert_allclose(nll.data, their_nll.data, rtol=1e-12)
np.testing.assert_allclose(cost.data, their_cost.data, rtol=1e-12)

mean, log_variance = encode(x)
for ours, same in [
    (total, vae.negative_elbo(their_nll, their_cost)),
    (reparameterise(mean, log_variance, noise), vae.reparameterise(mean, log_variance, noise)),
    (cost, vae.kl_standard_normal(mean, log_variance)),
    (nll, bernoulli_nll(decode(reparameterise(mean, log_variance, noise)), tensor(x))),
    (
        log_N(x, 0.5, 2.0).sum(1),
        vae.log_normal(tensor(x), tensor(np.full(784, 0.5)), tensor(np.full(784, np.log(4.0)))).data,
    ),
]:
    np.testing.assert_allclose(getattr(ours, "data", ours), getattr(same, "data", same), rtol=1e-12)
print("the same to twelve digits")
