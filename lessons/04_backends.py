# %% [markdown]
# # 04 · The same code on NumPy, Numba and CuPy
#
# *25 minutes · after 03*
#
# Python takes its time over every number. A compiled loop does not, and a graphics card does thousands of numbers at
# once.
#
# We want to write each formula once, as it stands in a book. How can the same line run on all three?

# %%
import math
import time

import matplotlib.pyplot as plt
import numpy as np
from numba import njit

from lessons.kit import FAST, show
from minigen import backend, kernels, ops, tensor

rng = np.random.default_rng(0)


def best(f, *arguments, rounds=5):
    """Seconds for f(*arguments): the shortest of some rounds, because other programs only ever make it longer"""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        f(*arguments)
        times.append(time.perf_counter() - start)
    return min(times)


# %% [markdown]
# ## One formula, three times
#
# **Softplus**, a bend instead of a corner; every GAN loss in this book is made of it:
#
# $$y = \log(1 + e^x) = \max(x, 0) + \log(1 + e^{-|x|})$$
#
# The second form is the same number, and never computes $e$ to a large power. Here it is as a loop in Python, as array
# code in NumPy, and as a loop that Numba compiles.


# %%
def loop(x, y):
    for i in range(x.size):
        y[i] = max(x[i], 0.0) + math.log1p(math.exp(-abs(x[i])))


def arrays(x):
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


compiled = njit(loop)  # the very same function

x = rng.standard_normal(100_000)
y = np.empty_like(x)
compiled(x, y)  # the first call compiles: not timed
np.testing.assert_allclose(y, arrays(x), rtol=1e-12)

python, numpy, numba = best(loop, x, y, rounds=2), best(arrays, x), best(compiled, x, y)
for name, seconds in [("Python", python), ("NumPy", numpy), ("Numba", numba)]:
    print(f"{name:<7}{1e9 * seconds / x.size:>8.1f} ns for each number")
assert python > 5 * numpy

# %% [markdown]
# NumPy wins over Python because Python decides anew for every number what kind of thing it is and what `+` means for
# it. NumPy decides once for the whole array. Compare the last two before you believe that compiled always means faster:
# nearly all the time goes into $e^x$ and the logarithm, and NumPy's take several numbers with each instruction.
#
# Then what is Numba for? Take a formula of plain arithmetic, on a million numbers: $y = x - x^3 / 3$.


# %%
def arrays_cubic(x):
    return x * (1 - x * x / 3)


@njit
def compiled_cubic(x, y):
    for i in range(x.size):
        y[i] = x[i] * (1 - x[i] * x[i] / 3)


x = rng.standard_normal(1_000_000)
y = np.empty_like(x)
compiled_cubic(x, y)
np.testing.assert_allclose(y, arrays_cubic(x), rtol=1e-9, atol=1e-12)
numpy, numba = best(arrays_cubic, x), best(compiled_cubic, x, y)
print(f"NumPy {1e3 * numpy:.2f} ms, Numba {1e3 * numba:.2f} ms: {numpy / numba:.1f} times as fast")
assert numba < numpy

passes = [("x * x", 2), ("/ 3", 1), ("1 −", 1), ("x *", 2)]  # what each walk over memory does, and what it reads
moved = x.nbytes * sum(reads + 1 for _, reads in passes)
print(f"array code: {len(passes)} passes, {moved / 1e6:.0f} MB through memory; one loop: {2 * x.nbytes / 1e6:.0f} MB")
assert moved == 5 * 2 * x.nbytes

# %% [markdown]
# Each pass writes an array that only the next one reads. A single loop, a **fused** one, keeps a number in hand until
# it is done with it. Where memory is the limit, that is what a hand-written kernel wins. Where arithmetic is the
# limit, as in a large matrix product, it wins nothing, and NumPy already calls the best code there is.
#
# ## When arrays are small
#
# Calling into NumPy costs something, whatever the size. See the left end of the picture: below a certain size all that
# one pays for is the call.

# %%
sizes = 10 ** np.arange(0, 5 if FAST else 7)
table = {"Python loop": [], "NumPy": [], "Numba": []}
for size in sizes:
    x = rng.standard_normal(size)
    y = np.empty_like(x)
    often = max(1, 10_000 // size)  # small ones many times over, so that the clock sees them

    def many(f, *arguments, often=often):
        for _ in range(often):
            f(*arguments)

    table["Python loop"].append(best(many, loop, x, y, rounds=1 if size > 1e5 else 3) / often / size)
    table["NumPy"].append(best(many, arrays, x) / often / size)
    table["Numba"].append(best(many, compiled, x, y) / often / size)

figure, axes = plt.subplots()
for name, seconds in table.items():
    axes.loglog(sizes, 1e9 * np.array(seconds), "o-", label=name)
axes.set(title="Time for each number", xlabel="numbers in the array", ylabel="nanoseconds")
axes.legend()
show(figure, "NumPy's time for each number falls until the array is long enough to hide the price of the call")
assert table["NumPy"][0] > 10 * table["NumPy"][-1]

# %% [markdown]
# The lesson of the left end: give NumPy long arrays. A **batch** of 64 pictures in one array is not a nicety. It is
# what makes array code fast.
#
# ## Who answers?
#
# Now the graphics card. CuPy is NumPy on a CUDA device: the same names, arrays that lie in the card's memory. Must we
# write `cupy.exp` in place of `np.exp`?
#
# No. Since some years `np.exp(x)` first asks $x$ whether *it* wants to answer. An array type that is not NumPy's says
# how in two methods, `__array_ufunc__` for operations on each element and `__array_function__` for the rest. To see it
# happen you need no graphics card. We make an array library of our own, which does its work with NumPy, but writes
# down what it was asked.


# %%
class Listening(np.lib.mixins.NDArrayOperatorsMixin):
    asked = []

    def __init__(self, inside):
        self.inside = inside

    def __array_ufunc__(self, function, method, *inputs, **options):
        Listening.asked.append(function.__name__)
        inputs = [a.inside if isinstance(a, Listening) else a for a in inputs]
        return Listening(getattr(function, method)(*inputs, **options))

    def __array_function__(self, function, types, inputs, options):
        Listening.asked.append(function.__name__)
        inputs = [a.inside if isinstance(a, Listening) else a for a in inputs]
        return Listening(function(*inputs, **options))


x = rng.standard_normal(5)
answer = arrays(Listening(x))
print(Listening.asked)
assert isinstance(answer, Listening) and (answer.inside == arrays(x)).all()
assert sorted(Listening.asked) == sorted(["absolute", "negative", "exp", "log1p", "maximum", "add"])

# %% [markdown]
# Our function `arrays` has run on a library that it had never heard of. And so does minigen's own softplus, whose
# source has only NumPy in it:

# %%
Listening.asked.clear()
answer = ops.softplus(Listening(x))
print(type(answer).__name__, Listening.asked)
np.testing.assert_allclose(answer.inside, arrays(x), rtol=1e-12)

# %% [markdown]
# That is how minigen's operations run on a GPU: **the type of the array decides**, at each call. No switch, no second
# source.
#
# One thing must be kept in mind. A new array has no type to decide by: `np.zeros(3)` is always NumPy's. So minigen
# writes `xp.zeros(3, like=x)`: next to $x$, wherever that is. And nothing moves between the host and the device on its
# own, because a copy that nobody sees is how a fast program becomes a slow one. `.to("cupy")` copies; anything else
# that mixes the two is an error.
#
# ## A backend
#
# Minigen's **backend** is then a small choice: where new arrays are made, and which kernels an array on the CPU gets.
# `numpy` is plain array code and runs anywhere. `numba` replaces some operations by compiled twins. `cupy` is the
# card.
#
# The plain version is written first and never thrown away. It is the **reference**: what the formula says, and what
# the fast twin is tested against. Choosing between them takes a few lines.

# %%
REFERENCES = {"softplus": arrays}


def compiled_softplus(x):
    y = np.empty_like(x)
    compiled(x, y)
    return y


TWINS = {("softplus", "numba"): compiled_softplus}


def kernel(name, backend):
    """The fast twin if the backend has one, else the reference"""
    return TWINS.get((name, backend), REFERENCES[name])


x = rng.standard_normal(1000)
for name in ("numpy", "numba", "cupy"):
    k = kernel("softplus", name)
    print(f"{name:<6}", "reference" if k is arrays else "twin")
    np.testing.assert_allclose(k(x), arrays(x), rtol=1e-12)

# %% [markdown]
# In minigen the table is folders: `kernels/reference/`, `kernels/cpu/`, `kernels/cuda/`. A function of the same name
# in the same file is the twin. Look for GELU's, and time it.

# %%
x = rng.standard_normal((64, 4096)).astype(np.float32)
results = {}
for name in backend.available():
    with backend.use(name):
        t = tensor(x)  # on the device, where the backend is one
        results[name] = ops.gelu(t).numpy()  # the first call may compile
        seconds = best(lambda t=t: (ops.gelu(t), backend.synchronize()))
        module = kernels.twin("gelu", name).__module__
        print(f"{name:<6} {1e3 * seconds:7.2f} ms   {module}")
    np.testing.assert_allclose(results[name], results["numpy"], atol=1e-6)
if reason := backend.no_device_reason():
    print("cupy   not here:", reason)
assert kernels.twin("gelu", "numpy").__module__ == "minigen.kernels.reference.activation"
assert kernels.twin("gelu", "numba").__module__ == "minigen.kernels.cpu.activation"

# %% [markdown]
# (`backend.synchronize()` waits for the card. It works on its own time, and a clock that does not wait measures only
# how fast one can ask.)
#
# ## Half the bytes
#
# If memory is the limit, halve it. Networks are trained in `float32`: 4 bytes a number, 7 digits, enough to walk
# downhill. But one careless number doubles it again:

# %%
x = rng.standard_normal(3).astype(np.float32)
print("Python's number:", (x * math.sqrt(2.0)).dtype, "  NumPy's number:", (x * np.sqrt(2.0)).dtype)
assert (x * math.sqrt(2.0)).dtype == np.float32
assert (x * np.sqrt(2.0)).dtype == np.float64  # everything after this line costs twice as much

# %% [markdown]
# A Python number takes on the array's type. A NumPy number insists on its own. So minigen's formulas have `math.sqrt`
# where you may have expected `np.sqrt`, and a test for every operation: `float32` in, `float32` out.
#
# ## Ours and minigen's
#
# Softplus, three ways by hand, and minigen's on every backend of this machine. The same numbers, and the gradient too,
# which is $\sigma(x)$.

# %%
x = rng.standard_normal(1000) * 20
by_loop = np.empty_like(x)
loop(x, by_loop)
for name in backend.available():
    with backend.use(name):
        t = tensor(x, requires_grad=True)
        y = ops.softplus(t)
        ops.sum(y).backward()
        for ours in (by_loop, arrays(x), compiled_softplus(x)):
            np.testing.assert_allclose(y.numpy(), ours, rtol=1e-12)
        np.testing.assert_allclose(t.grad.numpy(), 1 / (1 + np.exp(-x)), rtol=1e-12)
        print(name, "agrees")
