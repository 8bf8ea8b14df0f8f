# %% [markdown]
# # 02 · Autograd in a hundred lines
#
# *30 minutes · after 01*
#
# To find one slope by hand we ran the program twice. A network with a million numbers to adjust would need two million
# runs to know where to go. Yet it is trained every day, and finding all the slopes takes about as long as a run or two.
#
# How can one walk give all the slopes at once?

# %%
import heapq
import itertools
import math

import matplotlib.pyplot as plt
import numpy as np

from lessons.kit import FAST, show
from minigen import grad, ops, tensor, trace

# %% [markdown]
# ## A number that remembers
#
# Every program, however long, is made of small steps: a sum, a product, a sine. Of each small step we know the slope.
# For $y = x w$:
#
# $$\frac{\partial y}{\partial x} = w \qquad \frac{\partial y}{\partial w} = x$$
#
# So let a number remember what it was made from, and the slope of that one step. That is all there is to a **graph**.
# We write the steps as methods, so that `x * w` is recorded without anybody asking.


# %%
class Number:
    made = itertools.count()

    def __init__(self, value, parents=()):
        self.value = value
        self.parents = parents  # pairs: (number that this one was made from, slope of this one with respect to it)
        self.order = next(Number.made)  # 0, 1, 2 …: parents always have a smaller one
        self.grad = 0.0

    def __add__(self, other):
        other = constant(other)
        return Number(self.value + other.value, [(self, 1.0), (other, 1.0)])

    def __mul__(self, other):
        other = constant(other)
        return Number(self.value * other.value, [(self, other.value), (other, self.value)])

    def __pow__(self, p):
        return Number(self.value**p, [(self, p * self.value ** (p - 1))])

    def __neg__(self):
        return self * -1.0

    def __sub__(self, other):
        return self + -constant(other)

    def __truediv__(self, other):
        return self * constant(other) ** -1.0

    __radd__, __rmul__ = __add__, __mul__

    def __rsub__(self, other):
        return constant(other) - self


def constant(x):
    return x if isinstance(x, Number) else Number(float(x))


def sin(x):
    return Number(math.sin(x.value), [(x, math.cos(x.value))])


def exp(x):
    y = math.exp(x.value)
    return Number(y, [(x, y)])


def log(x):
    return Number(math.log(x.value), [(x, 1 / x.value)])


# %% [markdown]
# The slope of $e^x$ is $e^x$ itself, so `exp` keeps its own output. That is no accident of this toy: what an operation
# must keep for the way back is what a training step spends its memory on.
#
# A first graph: $L = (x + w)\,x$ at $x = 2$, $w = 3$.

# %%
x, w = Number(2.0), Number(3.0)
s = x + w
L = s * x
print("L =", L.value)
for parent, slope in L.parents:
    print(f"  made from {parent.value}, slope {slope}")

# %% [markdown]
# ## Back along every path
#
# The **chain rule** says how slopes combine: along a path they multiply. If $L$ moves 2 for each step of $s$, and $s$
# moves 1 for each step of $x$, then $L$ moves $2 \cdot 1$ for each step of $x$ *on that path*.
#
# But $x$ reaches $L$ on two paths: through $s$, and directly. Move $x$ a little and both happen. So the slopes of
# different paths **add**:
#
# $$\frac{\partial L}{\partial x} = \sum_{\text{paths}} \; \prod_{\text{steps}} \text{slope of the step}$$
#
# Here is exactly that sentence as code. It carries $g$, the product so far, down every path, and adds it up where the
# path passes.


# %%
def backward_by_paths(number, g=1.0):
    global calls
    calls += 1
    number.grad += g
    for parent, slope in number.parents:
        backward_by_paths(parent, g * slope)


calls = 0
backward_by_paths(L)
print("∂L/∂x =", x.grad, "  ∂L/∂w =", w.grad)
assert x.grad == 2 * 2.0 + 3.0  # L = x² + wx, so the slope is 2x + w
assert w.grad == 2.0

# %% [markdown]
# Right. And what if we had written `number.grad = g`, as one does at first? The last path to arrive would wipe out the
# others. No error, no warning: only a wrong slope.


# %%
def backward_without_adding(number, g=1.0):
    number.grad = g
    for parent, slope in number.parents:
        backward_without_adding(parent, g * slope)


backward_without_adding(L)
print("without adding, ∂L/∂x =", x.grad)
assert x.grad == 5.0  # one of the two paths: the other, worth 2, is lost

# %% [markdown]
# ## Too many paths
#
# There is one thing wrong with walking every path: their number. Double a number twenty times, by adding it to itself:
# each addition has two arrows to the same number below. That shape is called a **diamond**, and each one doubles the
# paths.


# %%
def doubled(x, times):
    for _ in range(times):
        x = x + x
    return x


depths = range(1, 13 if FAST else 18)
paths = []
for depth in depths:
    calls, x = 0, Number(1.0)
    backward_by_paths(doubled(x, depth))
    assert x.grad == 2.0**depth
    paths.append(calls)
print(f"{depths[-1]} additions: {paths[-1]:,} calls")
assert paths[-1] == 2 ** (depths[-1] + 1) - 1

# %% [markdown]
# Correct every time, and hopeless: with a hundred additions, at a billion calls a second, it would not finish while the
# sun burns. And networks are full of diamonds: everything that is used twice makes one.

# %%
years = 2**101 / 1e9 / (365 * 24 * 3600)
print(f"{years:.0e} years")
assert years > 5e9  # which is about what the sun has left

# %% [markdown]
# ## Each number once
#
# The cure is patience. Look at a number that two paths share. Whatever is below it will be multiplied by the *sum* of
# what arrives, so wait until everything has arrived, and go on once.
#
# When has everything arrived at a number? When all numbers made *from* it are done. A number is always made after its
# parents, so the order of creation, backwards, is such an order; it is called a **topological order**. A heap hands us
# the latest number first.


# %%
def backward(output):
    waiting, seen, calls = [(-output.order, output)], {output}, 0
    output.grad = 1.0
    while waiting:
        _, number = heapq.heappop(waiting)  # the latest: nothing can arrive at it any more
        calls += 1
        for parent, slope in number.parents:
            parent.grad += number.grad * slope
            if parent not in seen:
                seen.add(parent)
                heapq.heappush(waiting, (-parent.order, parent))
    return calls


visits = []
for depth in depths:
    x = Number(1.0)
    visits.append(backward(doubled(x, depth)))
    assert x.grad == 2.0**depth
print(f"{depths[-1]} additions: {visits[-1]} visits")
assert visits[-1] == depths[-1] + 1

x = Number(1.0)
backward(doubled(x, 1000))
print(f"1000 additions, {x.grad:.3g}")
assert x.grad == 2.0**1000

# %%
figure, axes = plt.subplots()
axes.semilogy(depths, paths, "o-", label="every path")
axes.semilogy(depths, visits, "o-", label="each number once")
axes.set(title="Work for the backward pass", xlabel="additions x + x", ylabel="visits")
axes.legend()
show(figure, "A chain of diamonds: the number of paths doubles with each addition, the number of numbers does not")

# %% [markdown]
# The same answer, and the work is one visit per recorded step: about as much as the run itself. This is the whole
# trick. It is called **reverse-mode differentiation**, and every slope in this book comes from it.
#
# ## Is it right?
#
# Take an expression with every operation we have, and shake it as in lesson 01.


# %%
def f(x, w):
    a = sin(x * w) + x**3 / w
    return exp(-a * a) - log(w - a) * x


def value(x, w):
    return f(Number(x), Number(w)).value


x, w = Number(0.7), Number(1.9)
L = f(x, w)
backward(L)
h = 1e-5
for name, number, difference in [
    ("x", x, (value(0.7 + h, 1.9) - value(0.7 - h, 1.9)) / (2 * h)),
    ("w", w, (value(0.7, 1.9 + h) - value(0.7, 1.9 - h)) / (2 * h)),
]:
    print(f"∂L/∂{name}: backward {number.grad:+.12f}   shaken {difference:+.12f}")
    assert abs(number.grad - difference) < 1e-9

# %% [markdown]
# ## Watch it walk
#
# minigen's `trace` records a computation and shows it step by step: first forward, then back. Follow $x$ on the way
# back. It is used twice, so something arrives at it twice, and is added.

# %%
X = tensor(2.0, requires_grad=True, dtype="float64", name="x")
W = tensor(3.0, requires_grad=True, dtype="float64", name="w")
show(trace(lambda: (X + W) * X))

# %% [markdown]
# ## The same, grown up
#
# minigen's engine, in `minigen/tensor.py`, is this lesson with arrays in place of numbers. It, too, numbers its steps
# and takes the latest from a heap. It differs in three things. Its steps keep not a slope but what a *rule* needs to
# compute one. It leaves out numbers that need no slope. And the walk frees the graph behind it.
#
# So both must agree, to the last digits. Run the same expression on both.

# %%
X = tensor(0.7, requires_grad=True, dtype="float64")
W = tensor(1.9, requires_grad=True, dtype="float64")
A = ops.sin(X * W) + X**3 / W
ours = np.array([x.grad, w.grad])
theirs = np.array([float(g) for g in grad(ops.exp(-A * A) - ops.log(W - A) * X, [X, W])])
print("by hand", ours, "  minigen", theirs)
np.testing.assert_allclose(ours, theirs, rtol=1e-12)
