# %% [markdown]
# # 16 · The LSTM, gate by gate
#
# *30 minutes · after 02, 15 · formulas D6*
#
# **How can a network know, at step fifty, what it saw at step one?**
#
# It has a few numbers, its state, and at each step it computes new ones from them. What it is to remember must survive
# every one of these steps. Take the smallest recurrent network, with one number, and leave it alone:
#
# $$h_t = \tanh(u\, h_{t-1})$$
#
# It starts at 0.3 or at 0.6, and shall still know after fifty steps at which.

# %%
import numpy as np
from matplotlib import pyplot as plt

from lessons.kit import FAST, show
from minigen import grad, nn, ops, tensor, trace
from minigen.optim import Adam

T = 50
figure, panels = plt.subplots(1, 3, sharey=True, figsize=(6.4, 2.6))
ends = {}
for u, axes in zip((0.9, 1.0, 1.5), panels):
    for start in 0.3, 0.6:
        path, slope = [start], 1.0
        for _ in range(T):
            path.append(np.tanh(u * path[-1]))
            slope *= u * (1 - path[-1] ** 2)  # ∂h_t/∂h_{t−1}
        ends[u, start] = path[-1]
        axes.plot(path, label=f"{start}")
        print(f"u = {u}: from {start} to {path[-1]:.6f}   ∂h₅₀/∂h₀ = {slope:.1e}")
    axes.set(title=f"u = {u}", xlabel="step", ylim=(0, 1))
panels[0].legend(title="start")
show(figure, "Three ways to forget: the state fades to 0, fades slowly, or snaps to 0.859 from wherever it came")
assert ends[0.9, 0.6] < 0.01
assert abs(ends[1.0, 0.3] - ends[1.0, 0.6]) < 0.03
assert abs(ends[1.5, 0.3] - 0.859) < 1e-3 and abs(ends[1.5, 0.3] - ends[1.5, 0.6]) < 1e-12

# %% [markdown]
# None of the three will do. And the last column says why it cannot be learnt, either. The slope
#
# $$\frac{\partial h_{50}}{\partial h_0} = \prod_{t=1}^{50} u\,(1 - h_t^2)$$
#
# tells how much the end moves when the start is shaken. Where all starts come to the same end, it goes to 0. To forget
# and to lose the slope are the same thing.
#
# Without the tanh and with $u = 1$ the number would stay: $h_t = h_{t-1}$, slope 1. But then everything that comes in
# is added, for ever, and nothing can be erased. What is missing is a hand on the valve.
#
# ## Three gates
#
# A **gate** is a number between 0 and 1, from a sigmoid, that multiplies something: 0 is shut, 1 is open. The **LSTM**
# (long short-term memory) has two numbers for each unit. The **cell** $c$ is kept, the hidden state $h$ is shown to the
# others. The **input gate** $i$ lets something new in, the **forget gate** $f$ says how much of the old cell stays, the
# **output gate** $o$ shows it:
#
# $$i, f, o = \sigma(W x_t + U h_{t-1} + b) \qquad g = \tanh(W x_t + U h_{t-1} + b)$$
#
# $$c_t = f \odot c_{t-1} + i \odot g \qquad h_t = o \odot \tanh(c_t)$$
#
# Each of the four has its own $W$, $U$ and $b$. The articles use LSTMs [A7, B10, B11, D6] and do not write them out.
#
# Here is one unit whose weights we choose ourselves. Its inputs are a number and two switches, *write* and *read*.
# All $U$ are 0. A weight of 20 makes the sigmoid into a switch.


# %%
def sigmoid(x):
    return 1 / (1 + np.exp(-x))


#             number  write  read      bias
W = np.array([[0.0, 20.0, 0.0],      # i: open on write
              [0.0, -20.0, 0.0],     # f: shut on write
              [1.0, 0.0, 0.0],       # g: the number
              [0.0, 0.0, 20.0]])  # o: open on read  # fmt: skip
b = np.array([-10.0, 10.0, 0.0, -10.0])

letter = np.array([
    [0.8, 1, 0], [-0.5, 0, 0], [0.3, 0, 0], [-0.9, 0, 1], [0.4, 0, 0], [-0.6, 1, 0], [0.7, 0, 0], [0.1, 0, 1],
])  # fmt: skip
c, cells, hidden = 0.0, [], []
print("number write read |     i     f       g     o |       c       h")
for x in letter:
    a = W @ x + b
    i, f, g, o = sigmoid(a[0]), sigmoid(a[1]), np.tanh(a[2]), sigmoid(a[3])
    c = f * c + i * g
    h = o * np.tanh(c)
    cells.append(c)
    hidden.append(h)
    print(f"{x[0]:6} {x[1]:5.0f} {x[2]:4.0f} | {i:.3f} {f:.3f} {g:7.3f} {o:.3f} | {c:7.3f} {h:7.3f}")

assert abs(cells[3] - np.tanh(0.8)) < 1e-3 and abs(cells[7] - np.tanh(-0.6)) < 1e-3
assert np.abs(np.delete(hidden, [3, 7])).max() < 1e-4

# %% [markdown]
# Follow the column $c$. It takes 0.664 = tanh 0.8 on the first *write*, does not care about the numbers that pass, and
# is written over at step 6. $h$ is 0 but where *read* is on. The cell goes through no tanh on its way from step to
# step, and is multiplied by nothing but $f$.
#
# ## One step back
#
# Training has to find such weights, with slopes. Give the four sums names, $a_i, a_f, a_g, a_o$, and step through one
# unit, one step. On the way, `v1` to `v4` are $i$, $f$, $g$ and $o$, and `v7` is $c_t$.

# %%
a_i, a_f, a_g, a_o, before = sums = [
    tensor(np.array(value), requires_grad=True, name=name)
    for name, value in [("a_i", 0.5), ("a_f", 2.0), ("a_g", -1.0), ("a_o", 1.0), ("c", 0.7)]
]


def one_step():
    """h_t and c_t from the four sums and c_{t−1}"""
    i, f, g, o = ops.sigmoid(a_i), ops.sigmoid(a_f), ops.tanh(a_g), ops.sigmoid(a_o)
    c = f * before + i * g
    return o * ops.tanh(c), c


show(trace(lambda: one_step()[0]))

# %% [markdown]
# Two slopes arrive from later steps: $\delta = \partial L/\partial h_t$, and at the cell what step $t + 1$ hands back,
# say $\kappa$. Write $\gamma = \partial L/\partial c_t$ for their sum at the cell:
#
# $$\gamma = \kappa + \delta\, o\, (1 - \tanh^2 c_t)$$
#
# $$\frac{\partial L}{\partial a_i} = \gamma\, g\, i (1 - i) \quad
# \frac{\partial L}{\partial a_f} = \gamma\, c_{t-1} f (1 - f) \quad
# \frac{\partial L}{\partial a_g} = \gamma\, i\, (1 - g^2) \quad
# \frac{\partial L}{\partial a_o} = \delta \tanh(c_t)\, o (1 - o)$$
#
# and the cell before gets
#
# $$\kappa_{t-1} = \gamma f.$$
#
# These lines, and a product with $U^T$ for $h_{t-1}$, are all that there is to the way back.


# %%
def step_back(delta, kappa, i, f, g, o, c_before, c):
    """∂L/∂a_i, ∂L/∂a_f, ∂L/∂a_g, ∂L/∂a_o and γ"""
    gamma = kappa + delta * o * (1 - np.tanh(c) ** 2)
    return (
        gamma * g * i * (1 - i),
        gamma * c_before * f * (1 - f),
        gamma * i * (1 - g**2),
        delta * np.tanh(c) * o * (1 - o),
        gamma,
    )


i, f, g, o = sigmoid(0.5), sigmoid(2.0), np.tanh(-1.0), sigmoid(1.0)
*by_hand, gamma = step_back(1.5, -0.4, i, f, g, o, 0.7, f * 0.7 + i * g)
by_hand.append(gamma * f)
by_grad = grad(list(one_step()), sums, [np.array(1.5), np.array(-0.4)])
for x, ours, theirs in zip(sums, by_hand, by_grad):
    print(f"∂L/∂{x.name:4} by hand {ours:+.12f}   grad {theirs.item():+.12f}")
    np.testing.assert_allclose(ours, theirs.item(), rtol=1e-12)

# %% [markdown]
# ## The path through the cells
#
# With $h_{t-1}$ held still,
#
# $$\frac{\partial c_t}{\partial c_{t-1}} = f_t \qquad\text{and over many steps}\qquad \prod_t f_t.$$
#
# No weight, no $1 - \tanh^2$. There is a second way from cell to cell, through $h$ and $U$ into the gates: that of any
# recurrent network. The first is new. Here are all the steps of several units, forward and back.


# %%
def forward(a, U):
    """a (T, 4H) = W x_t + b for each t, in the order i, f, g, o -> h (T, H), c (T, H), gates (T, 4, H)"""
    H = U.shape[1]
    h, c, hs, cs, gates = np.zeros(H), np.zeros(H), [], [], []
    for a_t in a:
        s = (a_t + U @ h).reshape(4, H)
        i, f, g, o = sigmoid(s[0]), sigmoid(s[1]), np.tanh(s[2]), sigmoid(s[3])
        c = f * c + i * g
        h = o * np.tanh(c)
        hs.append(h)
        cs.append(c)
        gates.append((i, f, g, o))
    return np.array(hs), np.array(cs), np.array(gates)


def backward(g_h, U, h, c, gates):
    """∂L/∂h (T, H), what reaches each h_t from L directly -> ∂L/∂a (T, 4H), ∂L/∂U, ∂L/∂c_t (T, H)"""
    H = U.shape[1]
    da, dc = np.zeros((len(h), 4 * H)), np.zeros_like(h)
    delta, kappa, zero = np.zeros(H), np.zeros(H), np.zeros(H)
    for t in reversed(range(len(h))):
        delta = delta + g_h[t]
        i, f, g, o = gates[t]
        *parts, dc[t] = step_back(delta, kappa, i, f, g, o, c[t - 1] if t else zero, c[t])
        da[t] = np.concatenate(parts)
        delta, kappa = U.T @ da[t], dc[t] * f
    return da, da.T @ np.concatenate([zero[None], h[:-1]]), dc


# %% [markdown]
# Now fifty steps of 16 units with weights as a network starts with, noise for an input, and an $L$ that looks at the
# last $h$ alone. How large is the slope that comes back to each step? Beside it a plain network,
# $h_t = \tanh(a_t + U h_{t-1})$, through which it goes as $\delta_{t-1} = U^T (\delta_t \odot (1 - h_t^2))$.

# %%
rng = np.random.default_rng(0)
H = 16
U = rng.uniform(-1, 1, (4 * H, H)) / np.sqrt(H)
noise = rng.standard_normal((T, 4 * H)) / 2
last = np.zeros((T, H))
last[-1] = rng.standard_normal(H)

u, h, hs = U[:H], np.zeros(H), []
for a_t in noise[:, :H]:
    h = np.tanh(a_t + u @ h)
    hs.append(h)
delta, sizes = last[-1], {}
plain = []
for h in reversed(hs):
    plain.append(np.linalg.norm(delta))
    delta = u.T @ (delta * (1 - h**2))
sizes["plain"] = np.array(plain[::-1])
for bias in 0, 1, 5:
    a = noise + np.repeat([0, bias, 0, 0], H)
    h, c, gates = forward(a, U)
    dc = backward(last, U, h, c, gates)[2]
    sizes[f"LSTM, {bias}"] = np.linalg.norm(dc, axis=1)

figure, axes = plt.subplots()
for name, size in sizes.items():
    left = size[0] / size[-1]
    print(f"{name:8} of the slope at step 50, step 1 still gets {left:.1e}")
    axes.semilogy(np.arange(1, T + 1), size / size[-1], label=name.replace(",", ", forget bias"))
axes.set(xlabel="step", ylabel="slope, as a part of the last", title="What comes back from step 50")
axes.legend()
show(
    figure, "The slope on its way back from step 50 to step 1: straight lines down, but for a forget gate that is open"
)
kept = {name: size[0] / size[-1] for name, size in sizes.items()}
assert kept["plain"] < 1e-10 and kept["LSTM, 0"] < 1e-10 and kept["LSTM, 5"] > 0.3
assert 1e-10 < kept["LSTM, 1"] < 1e-4
print(f"σ(0)⁴⁹ = {sigmoid(0.0) ** 49:.1e}   σ(1)⁴⁹ = {sigmoid(1.0) ** 49:.1e}   σ(5)⁴⁹ = {sigmoid(5.0) ** 49:.2f}")

# %% [markdown]
# An LSTM does not remember by itself. With a bias of 0 its forget gates are half open, and the slope is as good as
# gone, like the plain network's. What it has is a number, the **forget bias**, that decides. It can be learnt, and one
# may start it high. (More comes back than $\prod f$ alone, which the last line shows for $f = \sigma(b)$: the rest came
# through $h$ and $U$.)
#
# ## Does it matter?
#
# A task with nothing but memory: the first input is +1 or −1, then come 49 numbers of noise. Which sign was it? Loss
# $\log 2 = 0.693$ is a coin.


# %%
def learn(layer, forget_bias, steps=90 if FAST else 200):
    rng = np.random.default_rng(0)
    memory, out = layer(1, H, rng=rng), nn.Linear(H, 1, rng=rng)
    if forget_bias:
        memory.cells[0].bias.data[H : 2 * H] += forget_bias
    parameters = [*memory.parameters(), *out.parameters()]
    adam, losses = Adam(parameters, 0.02), []
    for _ in range(steps):
        x, y = rng.normal(0, 0.5, (64, T, 1)).astype("float32"), rng.integers(0, 2, 64).astype("float32")
        x[:, 0, 0] = 2 * y - 1
        h, _ = memory(x)
        l = out(h[:, -1])[:, 0]
        loss = ops.mean(ops.softplus(l) - l * y)  # the cross-entropy of σ(l) with y
        adam.step(grad(loss, parameters))
        losses.append(loss.item())
    return losses


figure, axes = plt.subplots()
final = {}
for name, layer, bias in [
    ("plain", nn.RNN, 0), ("LSTM, forget bias 0", nn.LSTM, 0), ("LSTM, forget bias 5", nn.LSTM, 5),
]:  # fmt: skip
    losses = learn(layer, bias)
    final[name] = np.mean(losses[-10:])
    print(f"{name:20} loss {final[name]:.3f}")
    axes.plot(losses, label=name)
axes.axhline(np.log(2), color="grey", lw=1, ls=":")
axes.set(xlabel="training step", ylabel="loss", ylim=(0, 1), title="Which sign did the first of 50 inputs have?")
axes.legend()
show(figure, "Only the network whose forget gates start open learns to answer; the other two toss a coin")
assert final["LSTM, forget bias 5"] < 0.2
assert min(final["plain"], final["LSTM, forget bias 0"]) > 0.6

# %% [markdown]
# ## The same in minigen
#
# `ops.lstm` takes all the steps of a batch at once, and its way back is `backward` above, in closed form and not
# recorded step by step. `nn.LSTM` adds $a_t = W x_t + b$.

# %%
a, g_h = rng.standard_normal((T, 4 * H)), rng.standard_normal((T, H))
h, c, gates = forward(a, U)
da, dU, _ = backward(g_h, U, h, c, gates)

A, UU = tensor(a[None], requires_grad=True), tensor(U, requires_grad=True)
zero = np.zeros((1, H))
y, c_T = ops.lstm(A, UU, zero, zero)
gA, gU = grad(y, [A, UU], g_h[None])
for ours, theirs in [(h, y[0]), (c[-1], c_T[0]), (da, gA[0]), (dU, gU)]:
    np.testing.assert_allclose(ours, theirs.data, rtol=1e-12, atol=1e-12)

layer = nn.LSTM(3, H, rng=rng, dtype="float64")
x = rng.standard_normal((T, 3))
weights = layer.cells[0]
h, c, _ = forward(x @ weights.weight_ih.data.T + weights.bias.data, weights.weight_hh.data)
y, [(h_T, c_T)] = layer(x[None])
np.testing.assert_allclose(h, y.data[0], rtol=1e-12, atol=1e-12)
np.testing.assert_allclose(c[-1], c_T.data[0], rtol=1e-12, atol=1e-12)
print("ops.lstm, its gradients, and nn.LSTM: equal to twelve digits")
assert np.array_equal(y.data[0, -1], h_T.data[0])
