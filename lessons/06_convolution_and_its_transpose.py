# %% [markdown]
# # 06 · Convolution and its transpose
#
# *30 minutes · after 02, 03 · formulas A8*
#
# A network that reads a picture makes it smaller, layer by layer. A network that draws one must make it larger.
#
# **Which layer makes a picture larger, and why do so many generated pictures have a chessboard in them?**

# %%
import math

import numpy as np
from matplotlib import pyplot as plt

from lessons.kit import show
from minigen import grad, ops, tensor, trace
from minigen.datasets import load

rng = np.random.default_rng(0)

# %% [markdown]
# ## One row of pixels
#
# A **convolution** lays a small kernel $w$ on the row $x$, multiplies, adds up, moves on by the **stride** $s$, and
# does it again. Before the row stand $p_0$ zeros and behind it $p_1$, the **padding**:
#
# $$y_i = \sum_k x_{s i + k - p_0} \, w_k$$


# %%
def conv(x, w, s=1, p=(0, 0)):
    n, k = len(x), len(w)
    y = np.zeros((n + sum(p) - k) // s + 1)
    for i in range(len(y)):
        for t in range(k):
            j = s * i + t - p[0]
            if 0 <= j < n:
                y[i] += x[j] * w[t]
    return y


x, w = np.array([1.0, 0.0, 2.0, 5.0, 1.0]), np.array([1.0, 2.0, 3.0])
print("stride 1:", conv(x, w))
print("stride 2:", conv(x, w, s=2))
assert conv(x, w, s=2).tolist() == [1 + 2 * 3, 2 + 5 * 2 + 3]

# %% [markdown]
# Every $y_i$ is a weighted sum of the $x_j$, so the whole is a matrix, $y = C x$. Which matrix? Its column $j$ is what
# comes of a row with a single 1 at $j$.


# %%
def matrix(n, w, s=1, p=(0, 0)):
    return np.stack([conv(e, w, s, p) for e in np.eye(n)], axis=1)


C = matrix(5, w, s=2)
print(C)
np.testing.assert_allclose(C @ x, conv(x, w, s=2), rtol=1e-12)

# %% [markdown]
# The kernel stands in every row, moved on by the stride. Five numbers go in, two come out.
#
# ## Turned over
#
# $C^\top$ takes two numbers and gives five: it makes rows longer. Read down a column of $C$, and you read along a
# row of $C^\top$; as loops, it is the same two lines with $x$ and $y$ changing places. Each $y_i$ throws a whole
# kernel, $y_i w$, into the long row, and where kernels overlap, they add.
#
# $$z_{s i + k - p_0} \mathrel{+}= y_i \, w_k$$
#
# That is the **transposed convolution**.


# %%
def conv_transpose(y, w, s=1, p=(0, 0), size=None):
    k = len(w)
    z = np.zeros((len(y) - 1) * s + k - sum(p) if size is None else size)
    for i in range(len(y)):
        for t in range(k):
            j = s * i + t - p[0]
            if 0 <= j < len(z):
                z[j] += y[i] * w[t]
    return z


y = np.array([10.0, 1.0])
print(conv_transpose(y, w, s=2), "where the third is 10 · 3 + 1 · 1")
np.testing.assert_allclose(conv_transpose(y, w, s=2), C.T @ y, rtol=1e-12)

# %%
figure, axes = plt.subplots(1, 2, figsize=(6.4, 3), width_ratios=(1, 1))
for ax, M, title in zip(axes, (matrix(11, w, s=2), matrix(11, w, s=2).T), ("$C$: 11 → 5", r"$C^\top$: 5 → 11")):
    ax.imshow(np.where(M == 0, np.nan, M), cmap="viridis", vmin=0)
    ax.set(title=title, xticks=range(M.shape[1]), yticks=range(M.shape[0]), xlabel="comes in", ylabel="goes out")
    ax.grid(False)
show(figure, "The kernel 1, 2, 3 with stride 2, and the same matrix turned over")

# %% [markdown]
# It is not the inverse. Something has been lost on the way to the shorter row, and $C^\top$ does not bring it back.
# What it does is this, for *every* $x$ and $y$:
#
# $$\langle C x, y \rangle = \langle x, C^\top y \rangle \qquad \langle a, b \rangle = \sum_i a_i b_i$$
#
# An operation and its transpose with this property are called **adjoint**. Both sides are the same double sum over
# $x_j \, w_k \, y_i$, so it holds for every kernel, stride and padding.

# %%
assert not np.allclose(C.T @ C @ x, x)
for k in range(1, 6):
    for s in range(1, 4):
        for p in (0, 0), (1, 1), (1, 2), (0, 2):
            x_, w_ = rng.standard_normal(12), rng.standard_normal(k)
            y_ = rng.standard_normal(len(conv(x_, w_, s, p)))
            left, right = conv(x_, w_, s, p) @ y_, x_ @ conv_transpose(y_, w_, s, p, size=12)
            assert abs(left - right) < 1e-12
print(f"the last of 60 pairs: ⟨conv(x), y⟩ = {left:.12f}, ⟨x, conv_transpose(y)⟩ = {right:.12f}")

# %% [markdown]
# ## You have met it already
#
# By lesson 03 the gradient of $L = \langle C x, g \rangle$ with respect to $x$ is $C^\top g$. So the backward pass of
# every convolution *is* a transposed convolution, and the backward pass of a transposed convolution is a convolution.
# Watch $g$ come in at `conv2d` with two numbers, and go on to $x$ with five. (minigen writes a row as a picture of
# height 1, with axes for the batch and the channels.)

# %%
X = tensor(x.reshape(1, 1, 5), requires_grad=True, name="x")
W = tensor(w.reshape(1, 1, 3), requires_grad=True, name="w")
G = y.reshape(1, 1, 2)
show(trace(lambda: (ops.conv1d(X, W, stride=2) * G).sum()))

to_x, to_w = grad((ops.conv1d(X, W, stride=2) * G).sum(), [X, W])
print("∂L/∂x =", to_x.data.ravel(), "  ∂L/∂w =", to_w.data.ravel())
np.testing.assert_allclose(to_x.data.ravel(), conv_transpose(y, w, s=2), rtol=1e-12)
np.testing.assert_allclose(to_w.data.ravel(), [x[[0, 2]] @ y, x[[1, 3]] @ y, x[[2, 4]] @ y], rtol=1e-12)

# %% [markdown]
# ## Exactly twice as large
#
# From $n$ numbers a transposed convolution makes $(n - 1) s + k - p_0 - p_1$. With stride 2 that is $2n$ if
#
# $$p_0 + p_1 = k - 2.$$
#
# For $k = 4$ one zero on either side does it. For $k = 5$ the sum is 3, and 3 has no half. Keras, in which the articles
# are written, calls it **"same"** and puts the smaller half first: $(1, 2)$. In general a convolution with "same" makes
# $\lceil n/s \rceil$ numbers of $n$, with
#
# $$p_0 + p_1 = \max\left( (\lceil n/s \rceil - 1)\, s + k - n,\; 0 \right),$$
#
# and the transposed convolution with "same" is its transpose.


# %%
def same(n, k, s):
    total = max((math.ceil(n / s) - 1) * s + k - n, 0)
    return total // 2, total - total // 2


print(" k  padding   7 becomes   back again")
for k in 3, 4, 5, 6:
    p = same(14, k, 2)
    long = conv_transpose(np.ones(7), np.ones(k), 2, p)
    short = conv(long, np.ones(k), 2, p)
    print(f"{k:2}   {p}    {len(long):6}  {len(short):10}")
    assert sum(p) == k - 2 and len(long) == 14 and len(short) == 7
assert same(14, 5, 2) == (1, 2)

# %% [markdown]
# Other libraries pad 2 on either side and then add one number at the end, an *output padding*. That gives $2n$ as well,
# and the same numbers, but one place further left. Weights that were trained with the one draw shifted pictures with
# the other.

# %%
kernel, row = rng.standard_normal(5), rng.standard_normal(7)
keras = conv_transpose(row, kernel, 2, (1, 2), size=14)
padded = conv_transpose(row, kernel, 2, (2, 2), size=14)
np.testing.assert_allclose(padded[:-1], keras[1:], rtol=1e-12)
print("“same”     ", keras[:5].round(2), "…")
print("padding 2 ", padded[:5].round(2), "…")

# %% [markdown]
# ## The generator of article A
#
# Article A, §5.2.2 [A8], draws with these layers:
#
# - noise → 7 · 7 · 128 numbers, as 128 pictures of 7 × 7
# - transposed convolution 5 × 5, stride 2, "same", to 128 pictures, LeakyReLU
# - transposed convolution 5 × 5, stride 2, "same", to 64 pictures, LeakyReLU
# - all of these numbers in a row → a *softmax over a vocabulary*
#
# Follow the sizes, with "same", with no padding, and with 2 zeros on either side.

# %%
for padding, name in (("same", "same"), (0, "none"), (2, "2")):
    a = np.zeros((1, 128, 7, 7), "float32")
    b = ops.conv_transpose2d(a, np.zeros((128, 128, 5, 5), "float32"), stride=2, padding=padding)
    c = ops.conv_transpose2d(b, np.zeros((128, 64, 5, 5), "float32"), stride=2, padding=padding)
    print(f"padding {name:5} {a.shape[2]} → {b.shape[2]} → {c.shape[2]}, {c.size:,} numbers")
    assert (b.shape[2], c.shape[2]) == {"same": (14, 28), 0: (17, 37), 2: (13, 25)}[padding]

# %% [markdown]
# So far so good: with "same" the digits' 28 × 28 come out exactly. Then comes the last line. A **softmax** makes
# positive numbers that sum to 1. Suppose that its vocabulary were the 784 pixels, the kindest reading: then all ink of
# a picture together would be that of one white pixel.

# %%
ink = load("digits").images.reshape(-1, 784).sum(1) / 255  # 1 is a white pixel
scores = rng.standard_normal((100, 784)) * 3
softmaxed = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
print(f"ink: {ink.min():.0f} to {ink.max():.0f} white pixels in a digit, {softmaxed.sum(1).max():.6f} after a softmax")
np.testing.assert_allclose(softmaxed.sum(1), 1)
assert ink.min() > 10

# %% [markdown]
# What is right is a convolution from 64 pictures to one, and a tanh for each pixel by itself. minigen's DCGAN (lesson
# 10) ends so.
#
# ## Where the chessboard comes from
#
# Count how many kernels hit each place: a transposed convolution of ones with a kernel of ones.

# %%
counts = {k: conv_transpose(np.ones(8), np.ones(k), 2, same(16, k, 2)) for k in (3, 4, 5)}
for k, count in counts.items():
    print(f"kernel {k}, stride 2: ", *count.astype(int))
assert set(counts[3][2:-2]) == {1, 2} and set(counts[4][2:-2]) == {2} and set(counts[5][2:-2]) == {2, 3}

# %% [markdown]
# With $k = 5$ and $s = 2$ every second place is hit three times, and its neighbours twice: 5 is not divisible by 2. In
# a picture it happens along both axes, so some pixels are hit 9 times and others 4 times. Two such layers, one on the
# other, as in A8:


# %%
def picture(rows):
    """In two dimensions the counts multiply: one factor for the row, one for the column."""
    return np.outer(rows, rows)


def resized(y, w):
    """Each number twice, then a convolution that keeps the length."""
    long = np.repeat(y, 2)
    return conv(long, w, 1, same(len(long), len(w), 1))


def twice(layer):
    return layer(layer(np.ones(7)))


layers = {
    "k = 5, s = 2": lambda y: conv_transpose(y, np.ones(5), 2, same(2 * len(y), 5, 2)),
    "k = 4, s = 2": lambda y: conv_transpose(y, np.ones(4), 2, same(2 * len(y), 4, 2)),
    "each twice, k = 5": lambda y: resized(y, np.ones(5)),
}
assert set(picture(counts[5])[2:-2, 2:-2].ravel()) == {4, 6, 9}
figure, axes = plt.subplots(1, 3, figsize=(6.4, 2.5))
for ax, (name, layer) in zip(axes, layers.items()):
    hits = picture(twice(layer))
    inside = hits[8:-8, 8:-8]
    print(f"{name:18} inside, a pixel is hit between {inside.min():.0f} and {inside.max():.0f} times")
    assert (inside.min() == inside.max()) == (name != "k = 5, s = 2")
    ax.imshow(hits, cmap="gray", vmin=0)
    ax.set(title=name, xticks=[], yticks=[])
    ax.grid(False)
show(figure, "How often each of 28 × 28 pixels is hit, through two layers that double the size")

# %% [markdown]
# Nobody has trained anything yet: the pattern is there before the first step.
#
# Is it fate? No, the weights can even it out. All that counts is that the even places of the kernel weigh as much as
# the odd ones; but training must first find that. With $k = 4$ the *counts* are even from the start, although the
# weights may still differ. Doubling each number and then convolving treats all places alike: from an even row it gives
# an even row, whatever the weights.

# %%
flat = conv_transpose(np.ones(8), np.array([1.0, 2.0, 2.0, 2.0, 1.0]), 2, (1, 2), size=16)
print("kernel 1 2 2 2 1:", *flat.astype(int))
assert set(flat[2:-2]) == {4}

unevenness = {name: [] for name in ("k = 5, s = 2", "k = 4, s = 2", "each twice, k = 5")}
for _ in range(500):
    drawn = 1 + rng.standard_normal(5) / 2
    rows = (
        conv_transpose(np.ones(12), drawn, 2, (1, 2), size=24),
        conv_transpose(np.ones(12), drawn[:4], 2, (1, 1), size=24),
        resized(np.ones(12), drawn),
    )
    for name, out in zip(unevenness, rows, strict=True):
        unevenness[name].append(np.mean(out[6:18:2] - out[7:18:2]))  # even places less odd places
for name, difference in unevenness.items():
    print(f"{name:18} even less odd places: {np.mean(difference):5.2f} ± {np.std(difference):.2f}")
means = [abs(np.mean(difference)) for difference in unevenness.values()]
assert 0.8 < means[0] < 1.2 and means[1] < 0.2 and max(map(abs, unevenness["each twice, k = 5"])) < 1e-12

# %% [markdown]
# With $k = 5$ even and odd places differ by one kernel number on average; with $k = 4$ by none on average, but by
# chance; with doubling, never.
#
# ## The same in minigen
#
# One dimension and two, "same" and all the rest.

# %%
for k in range(1, 6):
    for s in range(1, 4):
        x_, w_ = rng.standard_normal(12), rng.standard_normal(k)
        p = same(12, k, s)
        theirs = ops.conv1d(x_[None, None], w_[None, None], stride=s, padding="same")[0, 0]
        np.testing.assert_allclose(conv(x_, w_, s, p), theirs, rtol=1e-12, atol=1e-14)
        back = ops.conv_transpose1d(theirs[None, None], w_[None, None], stride=s, padding="same")[0, 0]
        p = same(len(theirs) * s, k, s)
        np.testing.assert_allclose(conv_transpose(theirs, w_, s, p, len(theirs) * s), back, rtol=1e-12, atol=1e-14)

image, column, across = rng.standard_normal((6, 6)), rng.standard_normal(5), rng.standard_normal(5)
rows = np.stack([conv_transpose(line, across, 2, (1, 2), 12) for line in image])  # a kernel that is a product of two
by_hand = np.stack([conv_transpose(line, column, 2, (1, 2), 12) for line in rows.T], axis=1)
theirs = ops.conv_transpose2d(image[None, None], np.outer(column, across)[None, None], stride=2, padding="same")
np.testing.assert_allclose(by_hand, theirs[0, 0], rtol=1e-12, atol=1e-14)
print("the loops and minigen agree")
