# %% [markdown]
# # 01 · A slope by hand
#
# *20 minutes · after 00*
#
# A machine that learns has knobs: numbers that it may turn. It also has a number that says how badly it is doing, the
# **loss**. Turn one knob a little: does the loss go up or down, and how fast?
#
# That is a slope. Can we find it without knowing anything about the inside of the machine?

# %%
import math

import matplotlib.pyplot as plt
import numpy as np

from lessons.kit import FAST, show
from minigen import grad, ops, tensor
from minigen.gradcheck import CENTRAL_STEP, gradcheck

# %% [markdown]
# ## Turn, look, divide
#
# Yes. Run it, turn the knob by a small $h$, run it again:
#
# $$\frac{\partial L}{\partial x} \approx \frac{L(x + h) - L(x)}{h}$$
#
# This is the **forward difference**. Try it on $L(x) = e^{\sin x}$ at $x = 1$. Here we happen to know the slope,
# $e^{\sin x} \cos x$, and can see how wrong we are.


# %%
def L(x):
    return math.exp(math.sin(x))


x = 1.0
slope = math.exp(math.sin(x)) * math.cos(x)


def forward_difference(f, x, h):
    return (f(x + h) - f(x)) / h


for h in [0.1, 0.01, 0.001]:
    found = forward_difference(L, x, h)
    print(f"h = {h:<6} slope = {found:.8f}   wrong by {found - slope:.1e}")
print(f"           true  = {slope:.8f}")

# %% [markdown]
# Ten times smaller steps, ten times smaller errors. So the error is about a constant times $h$. Why? Near $x$ a smooth
# curve is a line plus a bend:
#
# $$L(x + h) = L(x) + h L'(x) + \tfrac12 h^2 L''(x) + \dots$$
#
# Subtract, divide by $h$, and the bend is left over: an error of $\tfrac12 h L''(x)$, where here
# $L'' = (\cos^2 x - \sin x) L$.

# %%
bend = (math.cos(x) ** 2 - math.sin(x)) * L(x)
print(f"½ h L″ = {0.5 * 0.001 * bend:.1e} for h = 0.001")
assert math.isclose(found - slope, 0.5 * 0.001 * bend, rel_tol=0.01)

# %% [markdown]
# ## Step to both sides
#
# A bend is the same to the left as to the right. So step to both sides, and it cancels:
#
# $$\frac{\partial L}{\partial x} \approx \frac{L(x + h) - L(x - h)}{2h}$$
#
# This is the **central difference**. Its error goes with $h^2$: with ten times smaller steps it is a hundred times
# smaller.


# %%
def central_difference(f, x, h):
    return (f(x + h) - f(x - h)) / (2 * h)


errors = [abs(central_difference(L, x, h) - slope) for h in (0.1, 0.01, 0.001)]
print([f"{error:.1e}" for error in errors])
for larger, smaller in zip(errors, errors[1:]):
    assert 95 < larger / smaller < 105

# %% [markdown]
# ## Smaller is better, until it is not
#
# Then let us take $h = 10^{-15}$ and be done?

# %%
steps = 10.0 ** np.arange(-15, 0.01, 0.25)
one_side = np.array([abs(forward_difference(L, x, h) - slope) for h in steps])
two_sides = np.array([abs(central_difference(L, x, h) - slope) for h in steps])
print(f"h = 1e-15: wrong by {two_sides[0]:.2f}, where the slope is {slope:.2f}")

figure, axes = plt.subplots()
axes.loglog(steps, one_side, label="one side")
axes.loglog(steps, two_sides, label="both sides")
axes.set(title="How wrong is the slope?", xlabel="step h", ylabel="error")
axes.legend()
show(figure, "Both errors fall as the step shrinks, reach a lowest point, and rise again")

# %% [markdown]
# Read the picture from right to left. First the bend shrinks. Then something else takes over, ragged, and grows.
#
# A computer keeps about 16 digits of a number. $L(x + h)$ and $L(x - h)$ agree in nearly all of them, and what their
# difference keeps is the few digits at the end, the rounded ones. Dividing by a tiny $h$ blows the rounding up to
# $\epsilon / h$, where $\epsilon$ is the **machine epsilon**, the distance from 1 to the next number.
#
# So there are two errors, $h^2$ and $\epsilon / h$ (for one side: $h$ and $\epsilon / h$). Their sum is least where
# they are about equal: $h \approx \sqrt[3]{\epsilon}$ for both sides, $h \approx \sqrt{\epsilon}$ for one.

# %%
epsilon = np.finfo(np.float64).eps
best_one, best_two = steps[one_side.argmin()], steps[two_sides.argmin()]
print(f"ε = {epsilon:.1e}")
print(f"one side:   best step {best_one:.0e}, √ε = {epsilon ** (1 / 2):.0e}, error {one_side.min():.0e}")
print(f"both sides: best step {best_two:.0e}, ∛ε = {epsilon ** (1 / 3):.0e}, error {two_sides.min():.0e}")
assert 1 / 30 < best_one / epsilon ** (1 / 2) < 30
assert 1 / 30 < best_two / epsilon ** (1 / 3) < 30
assert two_sides.min() < one_side.min() < 1e-7
assert two_sides[0] > 1e-3  # far too small a step: hardly a digit is right

# %% [markdown]
# And in `float32`, which networks are trained in, there are only about 7 digits. The step that was so good is now far
# too small, and even the best one leaves more than a thousand times the error. So slopes are *checked* in `float64`.

# %%
small = np.float32
found = (np.exp(np.sin(small(1 + 1e-5))) - np.exp(np.sin(small(1 - 1e-5)))) / small(2e-5)
print(f"float32, h = 1e-5: wrong by {abs(found - slope):.0e}")
best = min(
    abs(float((np.exp(np.sin(small(1 + h))) - np.exp(np.sin(small(1 - h)))) / (small(1 + h) - small(1 - h))) - slope)
    for h in steps[steps > 1e-6]
)
print(f"float32, best h: wrong by {best:.0e}, {best / two_sides.min():,.0f} times as much as in float64")
assert abs(found - slope) > 1e-4 and best > 2000 * two_sides.min()

# %% [markdown]
# ## Many knobs
#
# With $n$ knobs there are $n$ slopes, one for each; together they are the **gradient**. Turn one knob at a time, the
# others stay: $2n$ runs.


# %%
def numerical_gradient(f, x, h=6e-6):
    """∂f/∂xᵢ for every i, by central differences."""
    gradient = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[i] = h
        gradient[i] = (f(x + step) - f(x - step)) / (2 * h)
    return gradient


def bowl(x):
    return float(np.sum(np.array([1.0, 4.0]) * (x - np.array([2.0, 1.0])) ** 2))


print(numerical_gradient(bowl, np.array([0.0, 0.0])))
np.testing.assert_allclose(numerical_gradient(bowl, np.zeros(2)), [-4.0, -8.0], atol=1e-8)

# %% [markdown]
# ## What it is for: walking downhill
#
# The gradient points to where the loss rises fastest. Step the other way, look again, step again. That is **gradient
# descent**, and it is how everything in this book learns.

# %%
position, path = np.array([-1.0, 3.0]), []
for _ in range(60):
    path.append(position)
    position = position - 0.1 * numerical_gradient(bowl, position)
path = np.array(path)
print("arrived at", position.round(4), "with a loss of", f"{bowl(position):.1e}")
np.testing.assert_allclose(position, [2.0, 1.0], atol=1e-4)

across, up = np.meshgrid(np.linspace(-2, 4, 80), np.linspace(-0.5, 3.5, 80))
figure, axes = plt.subplots()
axes.contour(across, up, (across - 2) ** 2 + 4 * (up - 1) ** 2, levels=12, colors="#80808080", linewidths=0.8)
axes.plot(*path.T, "o-", markersize=4)
axes.set(title="Downhill, a step at a time", xlabel="first knob", ylabel="second knob")
show(figure, "From the upper left the path runs into the bottom of the bowl; its steps shorten as the ground levels")

# %% [markdown]
# ## Why this is not the end of the book
#
# It works for anything that can be run. It is slow: $2n$ runs for one gradient, and networks have thousands of knobs at
# least. How slow, next to minigen, which finds all slopes in one walk backwards (the next lesson)? Count the runs.

# %%
runs = 0
n = 100 if FAST else 1000
knobs = np.random.default_rng(0).standard_normal(n)


def loss(x):
    global runs
    runs += 1
    return float(np.sum(np.tanh(x) ** 2))


shaken = numerical_gradient(loss, knobs)
x = tensor(knobs, requires_grad=True)
walked = grad(ops.sum(ops.tanh(x) ** 2), x).numpy()
print(f"{n} knobs: {runs} runs by shaking; largest disagreement with minigen {abs(shaken - walked).max():.0e}")
assert runs == 2 * n
np.testing.assert_allclose(shaken, walked, atol=1e-8)

# %% [markdown]
# But nothing is better for *checking*. Shaking knows nothing of rules and formulas, so it cannot share their mistakes.
# Every gradient rule in minigen is checked against it, by `gradcheck`. One refinement makes that cheap: shake all knobs
# at once, in a random direction $v$. The answer must be the slope along that direction, $\nabla L \cdot v$: two runs,
# however many knobs.

# %%
v = np.random.default_rng(1).standard_normal(n)
h = epsilon ** (1 / 3)
along = (loss(knobs + h * v) - loss(knobs - h * v)) / (2 * h)
print(f"along v: shaken {along:.9f}   ∇L · v {walked @ v:.9f}")
assert abs(along - walked @ v) < 1e-7 * np.linalg.norm(v)

# %% [markdown]
# And here is minigen's own: `gradcheck` takes the step that we found, and raises an error where a gradient disagrees.
# On a straight line, which has no bend and leaves nothing to round, a difference *is* the slope, to the last digits.

# %%
assert np.isclose(CENTRAL_STEP, epsilon ** (1 / 3), rtol=1e-12)
report = gradcheck(lambda x: ops.sum(ops.tanh(x) ** 2), [knobs[:10]])
print(f"gradcheck: {len(report.comparisons)} slopes agree, the worst to {report.max_error:.0e}")

a = np.array([3.0, -2.0, 0.5])
x = tensor(np.zeros(3), requires_grad=True)
line = numerical_gradient(lambda x: float(np.sum(a * x)), np.zeros(3), h=2.0**-10)
np.testing.assert_allclose(line, grad(ops.sum(a * x), x).numpy(), rtol=1e-12)
