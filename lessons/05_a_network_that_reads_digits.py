# %% [markdown]
# # 05 · A network that reads digits
#
# *30 minutes · after 02, 03 · formulas A6*
#
# A picture of a digit is 784 grey numbers. Nobody can write down the rule that makes a 7 of them. You can read it all
# the same, because you have seen examples.
#
# **How does a pile of numbers learn to read, from examples alone?**

# %%
import numpy as np
from matplotlib import pyplot as plt

from lessons.kit import FAST, show
from minigen import grad, ops, tensor
from minigen.datasets import load
from minigen.viz import image_grid

train, test = load("digits"), load("digits", "test")
x = train.images.reshape(-1, 784) / np.float32(255)
x_test = test.images.reshape(-1, 784) / np.float32(255)
labels, labels_test = train.labels, test.labels
print(
    f"{len(x):,} digits to learn from, {len(x_test):,} others to be asked about; pixels {x.min():.0f} to {x.max():.0f}"
)
show(image_grid(train.images[:30, None], columns=15), "The first thirty digits")

# %% [markdown]
# ## Ten scores
#
# The network takes the 784 pixels and gives ten numbers, one per digit, the higher the likelier. Such a score is called
# a **logit**. There are two layers, matrices with a bend between them:
#
# $$h = \max(0,\; x W_1 + b_1) \qquad l = h W_2 + b_2$$
#
# Without the bend the two matrices would be one. It is called **relu**, and $h$ has 128 numbers.


# %%
def start(rng, hidden=128, dtype="float32"):
    """Small random weights: their variance is 2 over the number of inputs, so that h is about as large as x."""
    W1 = rng.standard_normal((784, hidden)) * np.sqrt(2 / 784)
    W2 = rng.standard_normal((hidden, 10)) * np.sqrt(2 / hidden)
    return [tensor(p.astype(dtype), requires_grad=True) for p in (W1, np.zeros(hidden), W2, np.zeros(10))]


def network(x, W1, b1, W2, b2):
    return ops.relu(x @ W1 + b1) @ W2 + b2


parameters = start(np.random.default_rng(0))
print("parameters:", *(p.shape for p in parameters), "together", sum(p.size for p in parameters))
print("logits of the first digit, a 5:", network(x[:1], *parameters).data.round(2)[0])
assert labels[0] == 5

# %% [markdown]
# ## How wrong is it?
#
# A **softmax** makes probabilities of scores: all positive, together 1.
#
# $$p_k = \frac{e^{l_k}}{\sum_j e^{l_j}}$$
#
# The loss of one digit is the surprise at the right answer, $-\log p_{label}$. Its mean over the data is the
# **cross-entropy** [A6], in nats:
#
# $$L = -\mathbb{E} \left[ \log p(y \mid x) \right]$$
#
# Whoever gives each digit a tenth has $L = \log 10 = 2.303$. Whoever is sure and right has 0. Whoever is sure and wrong
# pays without limit.
#
# Written down just so, it breaks.


# %%
def naive(l, label):
    p = np.exp(l) / np.exp(l).sum()
    return -np.log(p[label])


with np.errstate(over="ignore", invalid="ignore"):
    for scores in ([2.0, 0.0], [50.0, 0.0], [100.0, 0.0]):
        print(f"logits {scores}: loss of label 0 is {naive(np.array(scores, 'float32'), 0) + 0:.4f}")
    assert np.isnan(naive(np.array([100.0, 0.0], "float32"), 0))

# %% [markdown]
# In float32 $e^{100}$ is infinite, and infinity over infinity is not a number. Nothing is wrong with logits of 100, so
# do not take the way through $p$. With the logarithm taken first,
#
# $$L = \log \sum_j e^{l_j} - l_{label} = m + \log \sum_j e^{l_j - m} - l_{label}, \qquad m = \max_j l_j,$$
#
# the largest power is $e^0$, and nothing can overflow.


# %%
def cross_entropy(l, labels):
    """Mean over the rows of l (N, 10); plain NumPy."""
    m = l.max(1, keepdims=True)
    log_sum = m[:, 0] + np.log(np.exp(l - m).sum(1))
    return (log_sum - l[np.arange(len(l)), labels]).mean()


print("logits [100, 0]:", cross_entropy(np.array([[100.0, 0.0]], "float32"), np.array([0])))
print("all logits 0:", cross_entropy(np.zeros((1, 10)), np.array([3])), "= log 10")
assert cross_entropy(np.array([[100.0, 0.0]], "float32"), np.array([0])) == 0
assert abs(cross_entropy(np.zeros((1, 10)), np.array([3])) - np.log(10)) < 1e-15

# %% [markdown]
# ## Its slope, by hand
#
# The slope of $\log \sum_j e^{l_j}$ with respect to $l_k$ is $e^{l_k} / \sum_j e^{l_j} = p_k$, and that of $-l_{label}$
# is $-1$ at the label:
#
# $$\frac{\partial L}{\partial l} = p - \mathrm{onehot}(label)$$
#
# What the network believes less what is true: it could hardly be simpler. From there, back through the two layers, with
# the matrix rules of lesson 03:


# %%
def backward(x, labels, W1, b1, W2, b2):
    """∂L/∂W₁, ∂L/∂b₁, ∂L/∂W₂, ∂L/∂b₂"""
    h = np.maximum(0, x @ W1 + b1)
    l = h @ W2 + b2
    p = np.exp(l - l.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    p[np.arange(len(x)), labels] -= 1
    to_l = p / len(x)  # L is a mean
    to_h = to_l @ W2.T * (h > 0)  # where the relu cut, nothing comes through
    return x.T @ to_h, to_h.sum(0), h.T @ to_l, to_l.sum(0)


double = start(np.random.default_rng(0), dtype="float64")
some, answers = x[:50].astype("float64"), labels[:50]
loss = ops.softmax_cross_entropy(network(some, *double), answers)
np.testing.assert_allclose(loss.item(), cross_entropy(network(some, *double).data, answers), rtol=1e-12)
for by_hand, theirs in zip(backward(some, answers, *(p.data for p in double)), grad(loss, double), strict=True):
    np.testing.assert_allclose(by_hand, theirs.data, rtol=1e-12, atol=1e-15)
    print(f"{str(by_hand.shape):12} by hand and by minigen's backward pass: equal")

# %% [markdown]
# From here on `grad` does it.
#
# ## A few examples at a time
#
# The slope over all 10,000 digits costs 10,000 forward and backward passes, and is good for one small step. But it is a
# mean, and a mean can be estimated from a few. Such a few are a **minibatch**. How good is the estimate? We measure the
# angle between the two directions: 0° is the same, 90° knows nothing.


# %%
def direction(rows):
    loss = ops.softmax_cross_entropy(network(x[rows], *parameters), labels[rows])
    return np.concatenate([g.data.ravel() for g in grad(loss, parameters)]).astype("float64")


rng = np.random.default_rng(1)
full = direction(np.arange(len(x)))
print("examples   angle to the slope over all")
angles = {}
for n in 1, 4, 16, 64, 256, 1024:
    guesses = [direction(rng.integers(len(x), size=n)) for _ in range(10)]
    cosines = [g @ full / np.linalg.norm(g) / np.linalg.norm(full) for g in guesses]
    angles[n] = np.degrees(np.arccos(cosines)).mean()
    print(f"{n:8} {angles[n]:12.0f}°")
assert angles[1] > 60 and angles[64] < 55 and angles[1024] < 20
assert all(a > b for a, b in zip(list(angles.values()), list(angles.values())[1:]))

# %% [markdown]
# 64 examples point roughly the right way, for 1/156 of the work. So take 156 rough steps rather than one exact one. In
# each **epoch** every digit has its turn once, in a new order.
#
# ## Learning


# %%
def accuracy(x, labels):
    return (network(x, *(p.data for p in parameters)).argmax(1) == labels).mean()


EPOCHS = 5 if FAST else 12
parameters = start(np.random.default_rng(0))
rng = np.random.default_rng(0)
curve, scores = [], [(accuracy(x, labels), accuracy(x_test, labels_test))]
print(f"before      loss {cross_entropy(network(x, *(p.data for p in parameters)), labels):.3f}")
for epoch in range(1, EPOCHS + 1):
    order = rng.permutation(len(x))
    for rows in np.split(order[: len(x) // 64 * 64], len(x) // 64):
        loss = ops.softmax_cross_entropy(network(x[rows], *parameters), labels[rows])
        for p, g in zip(parameters, grad(loss, parameters)):
            p.data -= 0.2 * g.data
        curve.append(loss.item())
    scores.append((accuracy(x, labels), accuracy(x_test, labels_test)))
    known, new = (100 * s for s in scores[-1])
    print(
        f"epoch {epoch:2}    loss {np.mean(curve[-156:]):.3f}    right: {known:.1f} % of these, {new:.1f} % of new ones"
    )
assert scores[0][1] < 0.25 and scores[-1][1] > 0.9 and scores[-1][0] > scores[-1][1] + 0.02

# %%
figure, axes = plt.subplots(1, 2)
axes[0].plot(curve, lw=0.6, alpha=0.5)
axes[0].plot(np.arange(25, len(curve) - 24), np.convolve(curve, np.ones(50) / 50, "valid"), "C0")
axes[0].set(xlabel="step", title="loss of each minibatch", ylim=(0, 2.5))
axes[1].plot(100 * np.array(scores), "o-", label=("digits that it learns from", "new digits"))
axes[1].set(xlabel="epoch", title="read correctly, %", ylim=(80, 100.5))
axes[1].legend(loc="lower right")
show(figure, "The loss, noisy because each step sees 64 digits, and the share of digits read correctly")

# %% [markdown]
# Two numbers matter, and they drift apart: the digits that it has learnt from it knows better than new ones. Only the
# second number says whether it can read. That is why the 2,000 digits were kept out of its sight.
#
# ## Which does it mistake for which?
#
# Row: what it was. Column: what the network read. What is right stands on the diagonal, and is left out here.

# %%
read = network(x_test, *(p.data for p in parameters)).argmax(1)
confusion = np.zeros((10, 10), int)
np.add.at(confusion, (labels_test, read), 1)
wrong = confusion * (1 - np.eye(10, dtype=int))
assert confusion.trace() + wrong.sum() == len(x_test) and confusion.trace() / len(x_test) == scores[-1][1]

figure, ax = plt.subplots(figsize=(4.2, 3.8))
ax.imshow(wrong, cmap="Blues")
for i, j in np.argwhere(wrong):
    ax.text(j, i, wrong[i, j], ha="center", va="center", color="white" if wrong[i, j] > wrong.max() / 2 else "#404040")
ax.set(xticks=range(10), yticks=range(10), xlabel="read as", ylabel="is", title="digits misread")
ax.grid(False)
show(figure, "How often each digit was read as each other one")
i, j = np.unravel_index(wrong.argmax(), wrong.shape)
print(f"{wrong.sum()} of {len(x_test):,} misread; most often, {wrong[i, j]} times, a {i} as a {j}")

# %% [markdown]
# And here are those of which it was *surest* that they are something else.

# %%
l = network(x_test, *(p.data for p in parameters))
p = np.exp(l - l.max(1, keepdims=True))
p /= p.sum(1, keepdims=True)
surest = sorted(np.flatnonzero(read != labels_test), key=lambda n: -p[n, read[n]])[:10]
print("is      ", *labels_test[surest])
print("read as ", *read[surest])
show(image_grid(test.images[surest, None], columns=10), "The ten misread digits of which the network was surest")

# %% [markdown]
# ## The same in minigen
#
# `minigen.nn` has these layers with names, the weights the other way round, $x W^\top$. The logits, the loss and every
# slope are the same.

# %%
from minigen import nn

layers = nn.Sequential(nn.Linear(784, 128, rng=rng), nn.ReLU(), nn.Linear(128, 10, rng=rng))
W1, b1, W2, b2 = (p.data.astype("float64") for p in parameters)
first, _, last = layers
first.weight, first.bias, last.weight, last.bias = (tensor(p, requires_grad=True) for p in (W1.T, b1, W2.T, b2))

loss = ops.softmax_cross_entropy(layers(some), answers)
np.testing.assert_allclose(loss.item(), cross_entropy(network(some, W1, b1, W2, b2), answers), rtol=1e-12)
ours = backward(some, answers, W1, b1, W2, b2)
for by_hand, theirs in zip(ours, grad(loss, [first.weight, first.bias, last.weight, last.bias]), strict=True):
    np.testing.assert_allclose(by_hand, theirs.data.T, rtol=1e-12, atol=1e-15)
print(layers)
