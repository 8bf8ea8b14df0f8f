# %% [markdown]
# # 10 · DCGAN on digits
#
# *30 minutes · after 06, 08, 09 · formulas A8*
#
# The networks of lesson 09 do not know what a neighbour is: shuffle the 784 pixels of all digits in one fixed way, and
# nothing would change for them.
#
# **How does one build a generator that draws strokes, not pixels, and why does it need help to start at all?**

# %%
import numpy as np
from matplotlib import pyplot as plt

from lessons.kit import FAST, show
from minigen import grad, ops, tensor
from minigen.datasets import load, to_signed
from minigen.optim import Adam
from minigen.viz import image_grid

digits = to_signed(load("digits").images)  # (N, 1, 28, 28), pixels from −1 to 1
print(f"{len(digits):,} digits, of mean brightness {digits.mean():.3f}")

# %% [markdown]
# ## The trunk of article A, and its end [A8]
#
# Article A, §5.2.2: noise → a dense layer to 128 pictures of 7 × 7 → two transposed convolutions 5 × 5 with stride 2,
# each doubling the picture → all numbers in a row → `Dense(vocab_size, activation='softmax')`. Lesson 06 followed the
# sizes. Here is how it looks. A softmax gives positive numbers of sum 1; give it one number for each pixel.

# %%
rng = np.random.default_rng(0)
unit = (digits[:10] + 1) / 2
softmaxed = ops.softmax(rng.normal(0, 1, (10, 784)), axis=1).reshape(10, 1, 28, 28)
closest = unit / unit.sum(axis=(1, 2, 3), keepdims=True)  # the digit itself, made to sum to 1
for name, images in ("digits", unit), ("softmax of noise", softmaxed), ("digits, made to sum to 1", closest):
    brightest = images.max(axis=(1, 2, 3)).mean()
    print(f"{name:32} sum {images.sum(axis=(1, 2, 3)).mean():7.2f}   brightest pixel {brightest:.3f}")
caption = "Digits; what a softmax makes of noise; the same digits, made to sum to 1. The last two rows are black."
show(image_grid(np.concatenate([unit, softmaxed, closest]), columns=10), caption)
np.testing.assert_allclose(softmaxed.sum(axis=(1, 2, 3)), 1)
assert closest.max() < 0.05 and unit.sum(axis=(1, 2, 3)).min() > 20

# %% [markdown]
# A discriminator needs one number to tell them apart: the sum. The right end gives each pixel its own range, $(-1, 1)$,
# with a tanh, after a convolution from 64 pictures to one.
#
# The article's discriminator is a name that is never defined. The usual one is the trunk backwards: convolutions of
# stride 2, then one logit. All of it, for any width ($128 = 2 \cdot 64$ in the article):


# %%
def normal(*shape):
    """N(0, 0.02²), as Radford et al. start every layer"""
    return tensor((0.02 * rng.standard_normal(shape)).astype("float32"), requires_grad=True)


def filled(value, n):
    return tensor(np.full(n, value, "float32"), requires_grad=True)


def new_generator(w, latent):
    """Weights and biases in order; w is the finer width, 64 in the article"""
    return [normal(49 * 2 * w, latent), filled(0, 49 * 2 * w),
            normal(2 * w, 2 * w, 5, 5), filled(0, 2 * w), filled(1, 2 * w), filled(0, 2 * w),
            normal(2 * w, w, 5, 5), filled(0, w), filled(1, w), filled(0, w),
            normal(1, w, 5, 5), filled(0, 1)]  # fmt: skip


def G(weights, z, batch_norm=True, seen=None):
    """z (N, latent) -> images (N, 1, 28, 28)"""
    dense, b, *layers, out, out_b = weights
    x = ops.reshape(ops.linear(z, dense, b), (len(z), -1, 7, 7))
    for i in 0, 4:
        w, b, scale, shift = layers[i : i + 4]
        x = ops.conv_transpose2d(x, w, b, stride=2, padding="same")
        if batch_norm:
            x = ops.batch_norm(x, scale, shift, None, None, training=True)
        if seen is not None:
            seen.append(x)
        x = ops.leaky_relu(x, 0.2)
    return ops.tanh(ops.conv2d(x, out, out_b, padding="same"))


def new_discriminator(w):
    return [normal(w, 1, 5, 5), filled(0, w), normal(2 * w, w, 5, 5), filled(0, 2 * w), normal(1, 98 * w), filled(0, 1)]


def D(weights, x):
    """images (N, 1, 28, 28) -> logits (N, 1)"""
    a, a_b, b, b_b, c, c_b = weights
    x = ops.leaky_relu(ops.conv2d(x, a, a_b, stride=2, padding="same"), 0.2)
    x = ops.leaky_relu(ops.conv2d(x, b, b_b, stride=2, padding="same"), 0.2)
    return ops.linear(ops.reshape(x, (len(x), -1)), c, c_b)


count = lambda weights: sum(w.size for w in weights)
WIDTH, LATENT = 8, 32
g, d = new_generator(WIDTH, LATENT), new_discriminator(WIDTH)
z = rng.standard_normal((64, LATENT), dtype="float32")
print("one picture:", G(g, z).shape[1:], "  one verdict:", D(d, G(g, z)).shape[1:])
print(f"width {WIDTH}: G has {count(g):,} numbers, D {count(d):,}")
article = 100 * 6272 + 6272 + 128 * 128 * 25 + 128 + 128 * 64 * 25 + 64
print(f"the article's trunk: {article:,};  its softmax over 784 pixels alone: {28 * 28 * 64 * 784 + 784:,}")
assert G(g, z).shape == (64, 1, 28, 28) and D(d, G(g, z)).shape == (64, 1)

# %% [markdown]
# ## Batch normalisation
#
# A8 has none. Look at what goes through the layers at the start: weights are small, $\mathcal{N}(0, 0.02^2)$, and each
# layer makes the numbers smaller still. So are the slopes on the way back.
#
# **Batch normalisation** puts the numbers of each channel to mean 0 and variance 1, over the batch and all places, and
# then lets two learnt numbers choose another scale and shift:
#
# $$y = \gamma \, \frac{x - \mu}{\sqrt{\sigma^2 + 10^{-5}}} + \beta$$


# %%
def batch_norm(x, scale, shift):
    mu = x.mean(axis=(0, 2, 3), keepdims=True)
    variance = ((x - mu) ** 2).mean(axis=(0, 2, 3), keepdims=True)
    return scale[:, None, None] * (x - mu) / np.sqrt(variance + 1e-5) + shift[:, None, None]


x, scale, shift = rng.normal(3, 5, (6, 4, 7, 7)), rng.normal(size=4), rng.normal(size=4)
theirs = ops.batch_norm(x, scale, shift, None, None, training=True)
np.testing.assert_allclose(batch_norm(x, scale, shift), theirs, rtol=1e-12, atol=1e-12)

reached = {}
for on in False, True:
    seen = []
    images = G(g, z, on, seen)
    slope = grad(ops.mean(ops.softplus(-D(d, images))), g[0]).data
    reached[on] = np.abs(slope).mean()
    spread = [f"{s.data.std():.5f}" for s in (*seen, images)]
    print(f"batch norm {on!s:5}: spread after each layer {', '.join(spread)};  slope at the first {reached[on]:.1e}")
assert reached[True] > 50 * reached[False] and images.data.std() > 0.02

# %% [markdown]
# Without it the pictures are all grey, whatever $z$ is, and the first layer is told next to nothing. With it, $z$
# matters from the first step.
#
# It has a price: a picture now depends on which other pictures are in its batch.

# %%
alone = G(g, z[:32]).data[:8]
together = G(g, z).data[:8]
print(f"the same z in two batches: pixels differ by up to {np.abs(alone - together).max():.4f}")
assert np.abs(alone - together).max() > 1e-4

# %% [markdown]
# That is why $D$ gets real pictures and forgeries as two batches, and why a trained generator takes averages that were
# collected on the way, in place of the batch's own numbers: see the end.
#
# ## Playing
#
# The game of lesson 08. Adam's first number is ½: lesson 11 shows what momentum does to two players. The width is 8
# instead of 64, so that you can wait for it.

# %%
STEPS, BATCH = (60, 32) if FAST else (1000, 32)
adam_G, adam_D = Adam(g, 2e-3, (0.5, 0.999)), Adam(d, 1e-3, (0.5, 0.999))
noise = lambda n: rng.standard_normal((n, LATENT), dtype="float32")
fixed, frames = noise(100), []
steps = sorted({*np.linspace(0, STEPS, 11).astype(int)})
print(" step    D(x)  D(G(z))   brightness of G(z)")
for step in range(STEPS + 1):
    if step in steps:
        frames.append(G(g, fixed).data)
        believed = [ops.sigmoid(D(d, x)).data.mean() for x in (digits[:100], frames[-1])]
        print(f"{step:5}    {believed[0]:.2f}     {believed[1]:.2f}   {frames[-1].mean():8.3f}")
    real, fake = digits[rng.integers(len(digits), size=BATCH)], G(g, noise(BATCH)).data
    adam_D.step(grad(ops.mean(ops.softplus(-D(d, real))) + ops.mean(ops.softplus(D(d, fake))), d))
    adam_G.step(grad(ops.mean(ops.softplus(-D(d, G(g, noise(BATCH))))), g))

show([image_grid((f[:40] + 1) / 2, columns=10) for f in frames], f"The same 40 codes over {STEPS} steps")


def neighbours(images):
    """How much a pixel is like the one to its right: their correlation"""
    return np.corrcoef(images[..., :-1].ravel(), images[..., 1:].ravel())[0, 1]


likeness = [neighbours(images) for images in (frames[0], frames[-1], digits[:500])]
print("correlation of neighbours: at the start {:.2f}, at the end {:.2f}, digits {:.2f}".format(*likeness))
assert abs(frames[-1].mean() - digits.mean()) < 0.2 < abs(frames[0].mean() - digits.mean())
assert abs(likeness[1] - likeness[2]) < abs(likeness[0] - likeness[2])

# %% [markdown]
# ## Are they digits?
#
# Let somebody else judge: a classifier that has been trained on real digits, which comes with minigen. For each picture
# it gives ten probabilities. Two questions: how often is it sure, and of which digits?

# %%
from minigen.metrics import class_counts
from minigen.models.classifier import load_classifier

classifier = load_classifier()
judged = {
    "real digits": classifier.probabilities((digits[:100] + 1) / 2),
    "G at the start": classifier.probabilities((frames[0] + 1) / 2),
    "G at the end": classifier.probabilities((frames[-1] + 1) / 2),
}
for name, p in judged.items():
    print(f"{name:15} sure (> 0.9) of {(p.max(1) > 0.9).mean():4.0%};  how many of each digit: {class_counts(p)}")
kinds = (class_counts(judged["G at the end"]) > 0).sum()
assert (judged["real digits"].max(1) > 0.9).mean() > 0.9
assert (class_counts(judged["G at the start"]) > 0).sum() <= 2 < kinds
assert FAST or (kinds >= 7 and (judged["G at the end"].max(1) > 0.9).mean() > 0.2)

figure, axes = plt.subplots()
for name, p in judged.items():
    axes.plot(np.sort(p.max(1)), np.linspace(0, 1, len(p)), label=name)
axes.set(xlabel="probability of the likeliest digit", ylabel="share of pictures", title="How sure is the classifier?")
axes.legend()
show(figure, "The classifier is sure of almost all real digits, of some of the generator's, and of grey noise")

# %% [markdown]
# It is sure of the grey noise at the start, too, and sees one digit in all of it. A classifier has to say something;
# how many kinds it sees tells more than how sure it is.
#
# Strokes, ends, loops: yes. Digits: some; many are letters of no alphabet. A bare thousand steps with a width of 8 do
# not do more. `python -m minigen.train dcgan` trains the real size for longer.
#
# ## The same in minigen
#
# `minigen/models/gan.py` has `DCGAN`, with the article's widths. Ours, at 64, has as many numbers, in the same shapes
# and order; with its weights in float64, it draws the same pictures and gives the same losses.

# %%
from minigen.models.gan import DCGAN, GANConfig

model = DCGAN(GANConfig(), rng=np.random.default_rng(1))
shapes = lambda weights: [w.shape for w in weights]
g, d = new_generator(64, 100), new_discriminator(64)
assert shapes(g) == shapes(model.generator.parameters()) and shapes(d) == shapes(model.discriminator.parameters())
print(f"G {count(g):,} numbers, D {count(d):,}, the same in minigen")

for module in model.modules():
    for name in "weight", "bias":
        if hasattr(module, name):
            doubled = tensor(getattr(module, name).data, requires_grad=True, dtype="float64")
            setattr(module, name, doubled)
g, d = model.generator.parameters(), model.discriminator.parameters()
z = np.random.default_rng(2).standard_normal((4, 100), dtype="float32")
fake = G(g, z.astype("float64"))
np.testing.assert_allclose(fake.data, model(z.astype("float64")).data, rtol=1e-12, atol=1e-14)
real = digits[:4].astype("float64")
ours = ops.mean(ops.softplus(-D(d, real))) + ops.mean(ops.softplus(D(d, fake.data)))
theirs, _ = model.discriminator_objective((real,), np.random.default_rng(2))
np.testing.assert_allclose(ours.data, theirs.data, rtol=1e-12)

alone, together = model.sample(1, None, noise=z[:1]), model.sample(4, None, noise=z)
print(f"L_D = {ours.item():.12f} both ways")
print(f"alone or in a batch, its samples differ by {np.abs(alone - together[:1]).max():.0e}")
np.testing.assert_allclose(alone, together[:1], atol=1e-5)
