# %% [markdown]
# # 15 · Recurrence, and backpropagation through time
#
# *30 minutes · after 02, 05, 07 · formulas B6*
#
# **How can a network of a fixed size read something of any length?**
#
# The Markov chain of lesson 07 knows the last $k$ characters, and one more costs it a table many times as large. A
# **recurrent network** reads one input at a time and keeps numbers, its **hidden state** $h$. At every step it makes
# a new state from the input and the old state, always with the same weights:
#
# $$h_t = \tanh(w\, x_t + u\, h_{t-1} + b)$$
#
# With one unit, every number can be seen. One input of 1, then silence:

# %%
import numpy as np
from matplotlib import pyplot as plt

from lessons.kit import FAST, show
from minigen import grad, nn, ops, tensor
from minigen.optim import Adam

w, u, b = 1.0, 0.8, 0.1
x = np.array([1.0, 0.0, 0.0, 0.0, 0.0])
h = [0.0]
for t in range(5):
    h.append(np.tanh(w * x[t] + u * h[t] + b))
    print(f"t = {t + 1}   x = {x[t]:.0f}   h = tanh({w} · {x[t]:.0f} + {u} · {h[t]:.3f} + {b}) = {h[t + 1]:.3f}")

silent = 0.0
for _ in range(5):
    silent = np.tanh(u * silent + b)
print(f"had the 1 not come, h = {silent:.3f}")
assert h[5] - silent > 0.05

# %% [markdown]
# Five steps later $h$ still tells whether the 1 came. Three weights would read five thousand inputs as well.
#
# ## Backward through time
#
# Let $L = h_5$. The weight $u$ was used five times, so $L$ depends on it along five paths, and their slopes add, as in
# lesson 02. Walk from the end. With $\delta_t = \partial L/\partial h_t$ and the slope of the tanh, $1 - h_t^2$:
#
# $$\delta_{t-1} = u (1 - h_t^2)\, \delta_t \qquad
# \frac{\partial L}{\partial u} = \sum_t \delta_t (1 - h_t^2)\, h_{t-1}$$
#
# That is **backpropagation through time**: the same chain rule, on a graph as long as the sequence.

# %%
delta, parts = 1.0, []
for t in reversed(range(1, 6)):
    parts.append(delta * (1 - h[t] ** 2) * h[t - 1])
    print(f"t = {t}   δ = {delta:.4f}   this step's part of ∂L/∂u = {parts[-1]:.4f}")
    delta *= u * (1 - h[t] ** 2)
print(f"∂L/∂u = {sum(parts):.12f}")


def run(u):
    h = 0.0
    for t in range(5):
        h = ops.tanh(w * x[t] + u * h + b)
    return h


U1 = tensor(np.array(u), requires_grad=True)
by_grad = grad(run(U1), U1).item()
shaken = (run(u + 1e-5) - run(u - 1e-5)) / 2e-5
print(f"grad    {by_grad:.12f}\nshaken  {shaken:.12f}")
assert abs(sum(parts) - by_grad) < 1e-14 and abs(sum(parts) - shaken) < 1e-9
print(f"the last step alone, as if h₄ did not depend on u: {parts[0]:.4f}")
assert parts[0] < 0.6 * sum(parts)

# %% [markdown]
# ## Many units
#
# With $H$ units, $u$ becomes a matrix $U$, and the slope goes back through its transpose:
# $\delta_{t-1} = U^T ((1 - h_t^2) \odot \delta_t)$.


# %%
def rnn(a, U):
    """h_t = tanh(a_t + U h_{t−1}), a_t = W x_t + b        a (T, H) -> h (T, H)"""
    h, hs = np.zeros(len(U)), []
    for a_t in a:
        h = np.tanh(a_t + U @ h)
        hs.append(h)
    return np.array(hs)


def rnn_back(g, U, h):
    """g = what reaches each h_t from L directly -> ∂L/∂a (T, H), ∂L/∂U"""
    da, dU, delta = np.zeros_like(h), np.zeros_like(U), np.zeros(len(U))
    for t in reversed(range(len(h))):
        delta = delta + g[t]
        da[t] = delta * (1 - h[t] ** 2)
        dU += np.outer(da[t], h[t - 1] if t else np.zeros(len(U)))
        delta = U.T @ da[t]
    return da, dU


# %% [markdown]
# ## A cell of two sigmoids [B6]
#
# Article B, §4.1, gives this network, and calls it WaveNet:
#
# $$a_t = \sigma(W_a [h_{t-1}; x_t] + b_a) \qquad h_t = \sigma(W_h [a_t; h_{t-1}] + b_h) \qquad
# \hat p_t = \mathrm{softmax}(W_p h_t + b_p)$$
#
# where $[\,;\,]$ puts two vectors end to end. Here it is exactly as written, up to $h_t$.


# %%
def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def two_sigmoid(x, h, W_a, b_a, W_h, b_h):
    """x (T, D) -> a (T, A), h (T, H)"""
    activations, hs = [], []
    for x_t in x:
        a = sigmoid(W_a @ np.concatenate([h, x_t]) + b_a)
        h = sigmoid(W_h @ np.concatenate([a, h]) + b_h)
        activations.append(a)
        hs.append(h)
    return np.array(activations), np.array(hs)


T, H, D = 50, 16, 1
rng = np.random.default_rng(0)
uniform = lambda *shape: rng.uniform(-1, 1, shape) / np.sqrt(H)  # as a network usually starts
cell = uniform(H, H + D), uniform(H), uniform(H, 2 * H), uniform(H)
x = rng.standard_normal((T, D))
_, h = two_sigmoid(x, np.zeros(H), *cell)

# %% [markdown]
# Is it a WaveNet? Ask what $h_{50}$ needs to know of the past. Hand over nothing but $h_{25}$, and throw the first 25
# inputs away:

# %%
_, second_half = two_sigmoid(x[25:], h[24], *cell)
print("largest difference without the first 25 inputs:", np.abs(second_half - h[25:]).max())
assert np.array_equal(second_half, h[25:])

# %% [markdown]
# Not a digit changes. All that this cell has of the past is in $h$: it is a plain recurrent network, whose step happens
# to have two layers. WaveNet has no state. It is made of convolutions that look back, each output at a fixed number of
# inputs. Compare the smallest of that kind, with a reach of 4, $y_t = \tanh(\sum_{k<4} v_k x_{t-k})$. Which inputs have
# a slope?

# %%
X = tensor(x[None], requires_grad=True)
out = ops.two_sigmoid(X, np.zeros((1, H)), *cell)
reach_cell = np.abs(grad(ops.sum(out[:, 29]), X).data[0, :, 0])

v = np.array([0.2, 0.3, -0.4, 0.5])  # v₃, …, v₀
y = ops.tanh(ops.sum(v * X[0, 26:30, 0]))
reach_convolution = np.abs(grad(y, X).data[0, :, 0])
print("inputs with a slope on the output at step 30:")
print("  two sigmoids", np.count_nonzero(reach_cell), "  convolution", np.count_nonzero(reach_convolution))
assert np.count_nonzero(reach_cell) == 30 and np.count_nonzero(reach_convolution) == 4

# %% [markdown]
# ## How fast it forgets
#
# All thirty inputs have a slope. But how large? One step multiplies what comes back by
#
# $$\frac{\partial h_t}{\partial h_{t-1}} = \mathrm{diag}(h (1 - h)) \left( W_{ha}\, \mathrm{diag}(a (1 - a))\, W_{ah}
# + W_{hh} \right)$$
#
# with $W_h = [W_{ha}\; W_{hh}]$ and $W_{ah}$ the first $H$ columns of $W_a$. A sigmoid's slope is at most ¼, at 0. The
# tanh's is at most 1. So one path through this step loses a factor 4, the other 16, and more if the sigmoids are not
# at ½. Both networks get weights of the same size, noise to read, and an $L$ that looks at the last $h$ alone.


# %%
def two_sigmoid_back(g, x, a, h, W_a, W_h):
    """∂L/∂x (T, D), ∂L/∂W_a, ∂L/∂W_h, and δ_t for every t        from the state 0"""
    dx, dW_a, dW_h, deltas = np.zeros_like(x), np.zeros_like(W_a), np.zeros_like(W_h), np.zeros_like(h)
    A, H = a.shape[1], h.shape[1]
    delta = np.zeros(H)
    for t in reversed(range(len(h))):
        before = h[t - 1] if t else np.zeros(H)
        deltas[t] = delta = delta + g[t]
        s = delta * h[t] * (1 - h[t])  # before the second sigmoid
        r = (W_h[:, :A].T @ s) * a[t] * (1 - a[t])  # before the first
        dW_h += np.outer(s, np.concatenate([a[t], before]))
        dW_a += np.outer(r, np.concatenate([before, x[t]]))
        dx[t] = W_a[:, H:].T @ r
        delta = W_h[:, A:].T @ s + W_a[:, :H].T @ r
    return dx, dW_a, dW_h, deltas


last = np.zeros((T, H))
last[-1] = rng.standard_normal(H)
a, h = two_sigmoid(x, np.zeros(H), *cell)
sizes = {"two sigmoids": np.linalg.norm(two_sigmoid_back(last, x, a, h, cell[0], cell[2])[3], axis=1)}
U, W = uniform(H, H), uniform(H, D)
for name, matrix in ("tanh", U), ("tanh, U three times as large", 3 * U):
    h = rnn(x @ W.T, matrix)
    da, _ = rnn_back(last, matrix, h)
    sizes[name] = np.linalg.norm(da / (1 - h**2), axis=1)  # δ_t

figure, axes = plt.subplots()
per_step = {}
for name, size in sizes.items():
    per_step[name] = (size[0] / size[-1]) ** (1 / (T - 1))
    print(f"{name:30} {size[0] / size[-1]:.1e} is left after {T - 1} steps: {per_step[name]:.2f} a step")
    axes.semilogy(np.arange(1, T + 1), size / size[-1], label=name)
print("smallest ordinary number in float32:", np.finfo("float32").tiny)
axes.set(xlabel="t", ylabel="$|\\delta_t|$, as a part of the last", title="What comes back from step 50")
axes.legend()
show(figure, "The slope on its way back to step 1: two sigmoids lose it at more than twice the rate of a tanh")
assert sizes["two sigmoids"][0] / sizes["two sigmoids"][-1] < np.finfo("float32").tiny
assert per_step["two sigmoids"] < 0.25 and 0.25 < per_step["tanh"] < 0.7
assert np.log(per_step["two sigmoids"]) < 2 * np.log(per_step["tanh"])

# %% [markdown]
# "Rate" is meant in powers of ten: each step of the article's cell costs more than two of the tanh's. What comes to
# step 1 is too small even for an ordinary number in float32, as the last line says: no step of learning would notice.
#
# With larger weights it grows, as the third line shows, and that is no cure: the slope is still a product, one factor a
# step, and a product of many factors shrinks or explodes unless they are near 1. An explosion can at least be cut:
# scale the gradients down where their length exceeds a limit, which is called **gradient clipping**.
#
# ## How far back can it learn?
#
# A task that needs memory only: the input is +1 or −1 at random, and the answer is the input of $k$ steps ago. Each
# network has the same 16 units and the same number of steps; $\log 2 = 0.693$ is a coin's loss.


# %%
def learn(layer, k, steps=60):
    rng = np.random.default_rng(0)
    memory, out = layer(1, H, rng=rng), nn.Linear(H, 1, rng=rng)
    parameters = [*memory.parameters(), *out.parameters()]
    adam = Adam(parameters, 0.02)
    for _ in range(steps):
        x = rng.choice([-1, 1], (32, 12, 1)).astype("float32")
        h, _ = memory(x)
        l, y = out(h[:, k:])[:, :, 0], (x[:, : 12 - k, 0] + 1) / 2
        loss = ops.mean(ops.softplus(l) - l * y)  # the cross-entropy of σ(l) with y
        adam.step(grad(loss, parameters))
    return loss.item()


loss = {}
for k in (0, 2) if FAST else (0, 1, 2, 3):
    loss[k] = learn(nn.RNN, k), learn(nn.TwoSigmoidRNN, k)
    print(f"{k} steps ago:   tanh {loss[k][0]:.3f}   two sigmoids {loss[k][1]:.3f}")
assert loss[0][0] < 0.1
assert loss[2][0] < 0.45 and loss[2][1] > 0.6

# %% [markdown]
# ## The same in minigen
#
# `ops.rnn` has the way back in closed form; `ops.two_sigmoid` is recorded step by step.

# %%
g, a_in = rng.standard_normal((T, H)), rng.standard_normal((T, H))
zero = np.zeros((1, H))
A_in, UU = tensor(a_in[None], requires_grad=True), tensor(U, requires_grad=True)
y = ops.rnn(A_in, UU, zero)
h = rnn(a_in, U)
for ours, theirs in zip((h[None], *rnn_back(g, U, h)), (y, *grad(y, [A_in, UU], g[None]))):
    np.testing.assert_allclose(ours.reshape(theirs.shape), theirs.data, rtol=1e-12, atol=1e-12)

layer = nn.TwoSigmoidRNN(D, H, rng=rng, dtype="float64")
weights = layer.cells[0]
W_a, b_a, W_h, b_h = (p.data for p in (weights.weight_a, weights.bias_a, weights.weight_h, weights.bias_h))
a, h = two_sigmoid(x, np.zeros(H), W_a, b_a, W_h, b_h)
y, _ = layer(X)
np.testing.assert_allclose(h, y.data[0], rtol=1e-12)
np.testing.assert_allclose(h, ops.two_sigmoid(x[None], zero, W_a, b_a, W_h, b_h)[0], rtol=1e-12)
dx, dW_a, dW_h, _ = two_sigmoid_back(g, x, a, h, W_a, W_h)
theirs = grad(y, [X, weights.weight_a, weights.weight_h], g[None])
for ours, their in zip((dx[None], dW_a, dW_h), theirs):
    np.testing.assert_allclose(ours, their.data, rtol=1e-12, atol=1e-12)
print("both cells, forward and back: equal to twelve digits")
