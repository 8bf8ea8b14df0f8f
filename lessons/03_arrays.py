# %% [markdown]
# # 03 · Broadcasting and matrix gradients
#
# *25 minutes · after 02*
#
# Our autograd remembers every single product. One layer of a small network multiplies 64 pictures of 784 pixels by a
# table of 784 × 100 numbers. That is five million products, and five million things to remember.
#
# Can we walk back through a whole matrix in one step?

# %%
import itertools
import math

import matplotlib.pyplot as plt
import numpy as np

from lessons.kit import show
from minigen import grad, ops, tensor, trace

rng = np.random.default_rng(0)
assert 64 * 784 * 100 == 5_017_600

# %% [markdown]
# ## The gradient has the shape of the thing
#
# Let $y$ be an array somewhere in a computation that ends in a single number $L$. Write $g$ for the array of all its
# slopes:
#
# $$g_{ij} = \frac{\partial L}{\partial y_{ij}}$$
#
# It has the shape of $y$, and it is all that the rest of the computation has to say to whoever made $y$. A **gradient
# rule** answers one question: given $g$, what are the slopes of $L$ with respect to the inputs?
#
# For operations on each element nothing is new. $y = \tanh x$ has slope $1 - y^2$ at each place, so
# $\partial L / \partial x = g \odot (1 - y^2)$. It gets interesting where places meet.
#
# ## Repeating is using many times
#
# Add a row $b$ of shape $(m)$ to each row of a table $x$ of shape $(n, m)$. NumPy repeats the row without being told;
# that is **broadcasting**. So $b_j$ is used $n$ times. And what is used many times *adds up* its gradients: lesson 02
# in one line.
#
# $$\frac{\partial L}{\partial b_j} = \sum_i g_{ij}$$


# %%
def sum_to(g, shape):
    """The gradient of an array of this shape that was broadcast to the shape of g: sum over what was repeated."""
    extra = g.ndim - len(shape)
    repeated = tuple(i for i, n in enumerate(shape, extra) if n == 1 and g.shape[i] != 1)
    return g.sum(axis=(*range(extra), *repeated), keepdims=True).reshape(shape)


g = np.arange(6.0).reshape(2, 3)
for shape in [(3,), (1, 3), (2, 1), ()]:
    print(f"{shape!s:<7}", sum_to(g, shape).tolist())
assert sum_to(g, (3,)).tolist() == [3.0, 5.0, 7.0] and sum_to(g, (2, 1)).tolist() == [[3.0], [12.0]]

# %% [markdown]
# The other way round, a sum repeats its gradient. If $y = \sum_i x_i$, each $x_i$ moves $y$ by as much as itself, so
# each gets $g$. Repeating and summing are each other's way back. There will be more such pairs.
#
# ## The product of matrices
#
# $$y_{ij} = \sum_k x_{ik} w_{kj}$$
#
# Look for everything that $x_{ik}$ touches: the whole row $i$ of $y$, each place $j$ with the weight $w_{kj}$. Add up:
#
# $$\frac{\partial L}{\partial x_{ik}} = \sum_j g_{ij} w_{kj}$$
#
# And $w_{kj}$ touches the whole column $j$, each place $i$ with the input $x_{ik}$:
#
# $$\frac{\partial L}{\partial w_{kj}} = \sum_i x_{ik} g_{ij}$$
#
# Both sums are matrix products again:
#
# $$\frac{\partial L}{\partial x} = g\, w^\top \qquad \frac{\partial L}{\partial w} = x^\top g$$
#
# You need not remember where the transposes go. Shapes leave no choice: of $g$, which is $(n, m)$, and $w$, which is
# $(k, m)$, there is only one product that is $(n, k)$.

# %%
x, w, g = rng.standard_normal((4, 3)), rng.standard_normal((3, 2)), rng.standard_normal((4, 2))
slope_of_x, slope_of_w = g @ w.T, x.T @ g


def L(x, w):
    return float(np.sum(g * (x @ w)))  # a loss whose slope with respect to y = x w is g


h = 1e-6
for place in itertools.product(range(4), range(3)):
    step = np.zeros_like(x)
    step[place] = h
    assert abs((L(x + step, w) - L(x - step, w)) / (2 * h) - slope_of_x[place]) < 1e-8
for place in itertools.product(range(3), range(2)):
    step = np.zeros_like(w)
    step[place] = h
    assert abs((L(x, w + step) - L(x, w - step)) / (2 * h) - slope_of_w[place]) < 1e-8
print("all", x.size + w.size, "slopes agree with shaking")

# %% [markdown]
# There is a picture in $x^\top g$. Each example $i$ proposes a table of its own: its input, times what its output is
# told. Such a table of products is an **outer product**. The gradient of the weights is their sum.

# %%
proposals = x[:, :, None] * g[:, None, :]  # (example, k, m)
np.testing.assert_allclose(proposals.sum(axis=0), slope_of_w, rtol=1e-12)

figure, axes = plt.subplots(1, 5, figsize=(6.4, 2.2))
limit = abs(slope_of_w).max()
for i, (ax, table) in enumerate(zip(axes, [*proposals, slope_of_w])):
    ax.imshow(table, cmap="RdBu", vmin=-limit, vmax=limit)
    ax.set(title=f"example {i + 1}" if i < 4 else "sum", xticks=[], yticks=[])
    ax.grid(False)
show(figure, "Four examples, four proposals for the weights' gradient, and their sum; red is negative, blue positive")

# %% [markdown]
# ## Autograd for arrays
#
# Now lesson 02 again, with arrays for numbers. A step no longer keeps its slope, which for a matrix product would be a
# table of all outputs by all inputs. It keeps a rule: a function from $g$ to the gradient of one input.


# %%
class Array:
    made = itertools.count()

    def __init__(self, value, parents=()):
        self.value = np.asarray(value, dtype=np.float64)
        self.parents = parents  # pairs: (array that this one was made from, rule)
        self.order = next(Array.made)
        self.grad = None

    def __add__(self, other):
        return Array(self.value + other.value, [(self, lambda g: g), (other, lambda g: g)])

    def __mul__(self, other):
        x, w = self.value, other.value
        return Array(x * w, [(self, lambda g: g * w), (other, lambda g: g * x)])

    def __matmul__(self, other):
        x, w = self.value, other.value
        return Array(x @ w, [(self, lambda g: g @ w.T), (other, lambda g: x.T @ g)])


def tanh(x):
    y = np.tanh(x.value)
    return Array(y, [(x, lambda g: g * (1 - y * y))])


def total(x):
    shape = x.value.shape
    return Array(x.value.sum(), [(x, lambda g: np.broadcast_to(g, shape))])


def backward(output):
    output.grad = np.ones(())
    waiting = {output}
    while waiting:
        array = max(waiting, key=lambda a: a.order)  # the latest: everything has arrived
        waiting.remove(array)
        for parent, rule in array.parents:
            g = sum_to(rule(array.grad), parent.value.shape)
            parent.grad = g if parent.grad is None else parent.grad + g
            waiting.add(parent)


# %% [markdown]
# Notice where `sum_to` stands: in the walk, once. No rule knows of broadcasting.
#
# ## A rule that was never asked
#
# How would you check a rule for **softmax**, which turns scores into probabilities?
#
# $$y_i = \frac{e^{x_i}}{\sum_j e^{x_j}} \qquad \frac{\partial L}{\partial x} = y \odot \Big(g - \sum_j g_j y_j\Big)$$
#
# One is tempted to take $L = \sum_i y_i$ and compare with shaking. Then $g$ is all ones. But probabilities sum to 1
# *whatever the scores*, so the true gradient is zero. A rule that returns nothing but zeros passes.


# %%
def softmax(x):
    e = np.exp(x - x.max())
    return e / e.sum()


def right_rule(g, y):
    return y * (g - np.sum(g * y))


def lazy_rule(g, y):
    return np.zeros_like(g)


def shaken(x, g):
    """∂/∂x of Σ g ⊙ softmax(x), by central differences"""
    steps = 1e-6 * np.eye(x.size)
    return np.array([np.sum(g * (softmax(x + s) - softmax(x - s))) / 2e-6 for s in steps])


x = rng.standard_normal(5)
for name, g in [("ones", np.ones(5)), ("random", rng.standard_normal(5))]:
    for rule in (right_rule, lazy_rule):
        error = abs(rule(g, softmax(x)) - shaken(x, g)).max()
        print(f"g = {name:<6} {rule.__name__}: {'passes' if error < 1e-8 else f'fails, wrong by {error:.2f}'}")
        assert (error < 1e-8) == (name == "ones" or rule is right_rule)

# %% [markdown]
# So a check needs a random $g$. minigen's always has one.
#
# ## Watch a layer
#
# $\tanh(x w + b)$, and back. See how $b$ gets a row and not a table, and how each gradient has the shape of its array.

# %%
X = tensor(rng.standard_normal((4, 3)), requires_grad=True, name="x")
W = tensor(rng.standard_normal((3, 2)), requires_grad=True, name="w")
B = tensor(np.zeros(2), requires_grad=True, name="b")
show(trace(lambda: ops.sum(ops.tanh(X @ W + B))))

# %% [markdown]
# ## The same, in minigen
#
# Two layers with biases, and a loss. Once by hand, once in minigen, and every gradient the same to the last digits. And
# count what is remembered: a handful of steps, where single numbers would need a hundred times as many.

# %%
shapes = {"x": (8, 5), "w1": (5, 6), "b1": (6,), "w2": (6, 3), "b2": (1, 3), "target": (8, 3)}
values = {name: rng.standard_normal(shape) for name, shape in shapes.items()}

hand = {name: Array(value) for name, value in values.items()}
first = next(Array.made)
error = tanh(hand["x"] @ hand["w1"] + hand["b1"]) @ hand["w2"] + hand["b2"] + hand["target"]
loss = total(error * error)
steps = next(Array.made) - first - 1
backward(loss)
n, k, m, p = 8, 5, 6, 3
singles = n * m * (2 * k - 1 + 2) + n * p * (2 * m - 1 + 3) + n * p - 1  # each product, addition and tanh
print(f"{steps} steps remembered; as single numbers, {singles:,}")
assert steps == 8 and singles == 887

mine = {name: tensor(value, requires_grad=True) for name, value in values.items()}
error = ops.tanh(mine["x"] @ mine["w1"] + mine["b1"]) @ mine["w2"] + mine["b2"] + mine["target"]
gradients = grad(ops.sum(error * error), list(mine.values()))
for (name, array), theirs in zip(hand.items(), gradients):
    print(f"{name:<7}{array.grad.shape!s:<8} agrees to {abs(array.grad - theirs.numpy()).max():.0e}")
    np.testing.assert_allclose(array.grad, theirs.numpy(), rtol=1e-12, atol=1e-12)
assert math.isclose(float(loss.value), float(ops.sum(error * error)), rel_tol=1e-12)
