# %% [markdown]
# # 22 · Making it fast
#
# *40 minutes · after 04, 05*
#
# A program takes ten seconds. Is that slow?
#
# One can guess, change something, and see whether it got better. And one never knows when to stop. **How fast could it
# be, at best, on this machine, and where does it lose the rest?** Both questions have answers in numbers.

# %%
import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # it counts when NumPy is loaded; see Threads

import subprocess
import sys
import time
from collections import defaultdict

import numpy as np
from matplotlib import pyplot as plt
from numba import njit

from lessons.kit import FAST, show
from minigen import backend, grad, kernels, ops, tensor
from minigen.datasets import load
from minigen.optim import Adam

rng = np.random.default_rng(0)


def race(contestants, rounds=5 if FAST else 10):
    """Seconds for each function: the shortest of some rounds, because other programs only ever make it longer

    They take turns, so that a bad moment meets all of them.
    """
    times = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, f in contestants.items():
            start = time.perf_counter()
            f()
            times[name].append(time.perf_counter() - start)
    return {name: min(those) for name, those in times.items()}


def best(f):
    return race({"": f})[""]


# %% [markdown]
# ## The patient
#
# A training step of a network that reads digits, as in lesson 05, with two hidden layers and Adam, written out in plain
# NumPy. (Your numbers will be others than your neighbour's. Where the text needs one, a cell prints it.)

# %%
SIZES, BATCH = (784, 256, 256, 10) if FAST else (784, 512, 512, 10), 128
digits = load("digits")
x, y = (digits.images[:2048].reshape(-1, 784) / 255).astype("float32"), digits.labels[:2048]


def start(dtype="float32"):
    rng, p = np.random.default_rng(0), []
    for i, o in zip(SIZES, SIZES[1:]):
        p += [(rng.standard_normal((i, o)) * np.sqrt(2 / i)).astype(dtype), np.zeros(o, dtype)]
    return p


def gradients(p, x, y):
    """∂L/∂p for each of p, L the mean cross-entropy"""
    W1, b1, W2, b2, W3, b3 = p
    h1 = np.maximum(x @ W1 + b1, 0)
    h2 = np.maximum(h1 @ W2 + b2, 0)
    l = h2 @ W3 + b3
    e = np.exp(l - l.max(1, keepdims=True))
    d3 = e / e.sum(1, keepdims=True)
    d3[np.arange(len(x)), y] -= 1
    d3 /= len(x)
    d2 = d3 @ W3.T * (h2 > 0)
    d1 = d2 @ W2.T * (h1 > 0)
    return [x.T @ d1, d1.sum(0), h1.T @ d2, d2.sum(0), h2.T @ d3, d3.sum(0)]


def adam(p, g, m, v, t, lr=1e-3, b1=0.9, b2=0.999, eps=1e-8):
    m *= b1
    m += (1 - b1) * g
    v *= b2
    v += (1 - b2) * (g * g)
    root = np.sqrt(v) * float(1 / np.sqrt(1 - b2**t)) + eps
    p -= lr / (1 - b1**t) * m / root


def step(p, ms, vs, t, x, y, adam=adam):
    for theta, g, m, v in zip(p, gradients(p, x, y), ms, vs):
        adam(theta, g, m, v, t)


def state(dtype="float32", kind=lambda a: a):
    """p, m, v, and t = 1"""
    p = start(dtype)
    return [kind(a) for a in p], [kind(0 * a) for a in p], [kind(0 * a) for a in p], 1


kept = state()
seconds = best(lambda: step(*kept, x[:BATCH], y[:BATCH]))
print(f"{sum(a.size for a in start()):,} parameters, {BATCH} digits: {1e3 * seconds:.2f} ms a step")

# %% [markdown]
# ## A profiler in twenty lines
#
# Where does it go? Lesson 04 showed that NumPy asks an array whether it wants to do an operation itself. So we make an
# array that says yes, calls NumPy, and notes what it cost: how many **operations** on numbers, how many **bytes** were
# read and written, and how long it took. A product of an $m \times k$ and a $k \times n$ matrix is $2mkn$ operations,
# one multiplication and one addition for each term.


# %%
class Noted(np.ndarray):
    notes = defaultdict(lambda: np.zeros(4))  # for each function: calls, operations, bytes, seconds

    def __array_ufunc__(self, function, method, *inputs, out=None, **options):
        plain = [a.view(np.ndarray) if isinstance(a, np.ndarray) else a for a in inputs]
        if out is not None:
            options["out"] = tuple(a.view(np.ndarray) for a in out)
        begin = time.perf_counter()
        result = getattr(function, method)(*plain, **options)
        taken = time.perf_counter() - begin
        arrays = [a for a in (*plain, result) if isinstance(a, np.ndarray)]
        operations = max(a.size for a in arrays)
        if function is np.matmul:
            operations = 2 * result.size * plain[0].shape[-1]
        Noted.notes[function.__name__] += 1, operations, sum(a.nbytes for a in arrays), taken
        return result.view(Noted) if out is None else out[0]


def profile(f, rounds=3 if FAST else 10):
    """{function: calls, operations, bytes, seconds}, the seconds the shortest of some rounds"""
    found = {}
    for _ in range(rounds):
        Noted.notes.clear()
        f()
        for name, note in Noted.notes.items():
            note[3] = min(note[3], found[name][3]) if name in found else note[3]
            found[name] = note.copy()
    return dict(sorted(found.items(), key=lambda item: -item[1][3]))


noted = state(kind=lambda a: a.view(Noted))
table = profile(lambda: step(*noted, x[:BATCH].view(Noted), y[:BATCH]))
print("function       calls   operations       bytes       ms   10⁹ operations/s     GB/s")
for name, (calls, operations, moved, taken) in table.items():
    rates = f"{operations / taken / 1e9:18.1f} {moved / taken / 1e9:8.1f}"
    print(f"{name:14} {calls:5.0f} {operations:12,.0f} {moved:11,.0f} {1e3 * taken:8.2f} {rates}")
total = sum(table.values())
product = table["matmul"]
print(f"matrix products: {product[1] / total[1]:.0%} of the operations, {product[2] / total[2]:.0%} of the bytes, "
      f"{product[3] / total[3]:.0%} of the time")  # fmt: skip

products = [i * o for i, o in zip(SIZES, SIZES[1:])]
by_formula = 2 * BATCH * (3 * sum(products) - products[0])
print(f"operations of the products by formula: {by_formula:,}")
assert product[1] == by_formula and product[0] == 8
assert 2 < by_formula / (2 * BATCH * sum(products)) < 3
assert product[1] > 0.95 * total[1] and product[2] < 0.4 * total[2]

# %% [markdown]
# The formula: each matrix costs three products, one forward, one for its own gradient and one for that of its input.
# The first layer needs no gradient of its input. So a step is between two and three times its forward pass.
#
# Look at the two last columns. In a product, each number that is read takes part in many operations. In all the rest,
# it takes part in one. These functions are not slow at computing: they hardly compute. They move bytes.
#
# ## The floor
#
# What can this machine do? Two numbers say most of it: how many operations a second in a large matrix product, and how
# many bytes a second in a plain copy.

# %%
n = 512 if FAST else 1024
a, b = (rng.standard_normal((n, n)).astype("float32") for _ in range(2))
c = np.empty_like(a)
RATE = 2 * n**3 / best(lambda: np.matmul(a, b, c))
bandwidth = {}
for size in 1 << 15, 1 << 18, 1 << 22, 1 << 24 if FAST else 1 << 26:
    source, target = np.ones(size // 4, "float32"), np.zeros(size // 4, "float32")
    often = max(1, (1 << 20) // size)  # small ones many times over, so that the clock sees them

    def copy(source=source, target=target, often=often):
        for _ in range(often):
            np.copyto(target, source)

    bandwidth[size] = 2 * size * often / best(copy)
    print(f"copying {size / 2**20:8.3f} MB: {bandwidth[size] / 1e9:6.1f} GB/s")
COPY = bandwidth[1 << 22]
print(f"products: {RATE / 1e9:.1f} · 10⁹ operations/s, that is {RATE / COPY:.1f} in the time of moving a byte")

# %% [markdown]
# Small arrays are copied faster: they lie in a **cache**, a small memory near the processor. We take the line of 4 MB,
# which is about what Adam works on for one matrix.
#
# Now draw both limits into one picture. To the right, how many operations there are for each byte; upwards, how many
# are done in a second. The slope is what memory can bring, the flat part what the processor can compute. It is called
# the **roofline**. A function under the slope waits for memory, however clever its arithmetic. (A dot may stand a
# little above: its arrays were still in a cache.)

# %%
figure, axes = plt.subplots(figsize=(6.4, 3.6))
markers = iter("osD^v<>ph")
intensity = np.geomspace(0.02, 300, 200)
axes.loglog(intensity, np.minimum(RATE, COPY * intensity) / 1e9, color="grey", label="the roof")
shown = {name: note for name, note in table.items() if note[3] > 0.005 * total[3] or name == "matmul"}
for name, (_, operations, moved, taken) in shown.items():
    axes.plot(operations / moved, operations / taken / 1e9, next(markers), label=name)
axes.set(xlabel="operations for each byte", ylabel="10⁹ operations a second", title="Who waits for what")
axes.legend(fontsize=8, ncols=2, loc="lower right")
show(figure, "The roof of this machine, and the functions of a step: all but the product stand far to the left")
assert product[1] / product[2] > 5 > 1 > max(note[1] / note[2] for name, note in table.items() if name != "matmul")

# %% [markdown]
# The products are good as they are: NumPy hands them to a library whose authors do nothing else. What of the rest?
# Count what *must* be moved. Adam has to read $p, g, m, v$ and write $p, m, v$: seven numbers for each parameter.
# Everything else is small beside that. So the **floor** of a step is

# %%
parameters = sum(a.size for a in start())
print(f"numbers that Adam moves: {7 * parameters:,}; in all layers, for one batch: {BATCH * sum(SIZES):,}")
assert BATCH * sum(SIZES) < parameters
floor = by_formula / RATE + 7 * 4 * parameters / COPY
print(f"products {1e3 * by_formula / RATE:.2f} ms + Adam {1e3 * 28 * parameters / COPY:.2f} ms = {1e3 * floor:.2f} ms")
print(f"the step took {1e3 * seconds:.2f} ms: {seconds / floor:.1f} times the floor")

# %% [markdown]
# That is the number one wants to know before touching anything. It says what there is to win, and it says when to stop.
#
# ## One pass
#
# Give Adam alone to the profiler.

# %%
W = start()[2]
g = rng.standard_normal(W.shape).astype("float32")
noted = [a.view(Noted) for a in (W.copy(), g, 0 * W, 0 * W)]
found = sum(profile(lambda: adam(*noted, 1)).values())
print(f"plain Adam: {found[0]:.0f} passes, {found[2] / W.nbytes:.0f} numbers moved for each parameter; needed: 7")
assert found[2] > 4 * 7 * W.nbytes


@njit(fastmath={"contract"}, error_model="numpy")
def loop(p, g, m, v, lr, b1, c1, b2, c2, root, eps):
    for i in range(p.size):
        mi, vi = b1 * m[i] + c1 * g[i], b2 * v[i] + c2 * g[i] * g[i]
        m[i], v[i] = mi, vi
        p[i] -= lr * mi / (np.sqrt(vi) * root + eps)


def fused(p, g, m, v, t, lr=1e-3, b1=0.9, b2=0.999, eps=1e-8):
    constants = lr / (1 - b1**t), b1, 1 - b1, b2, 1 - b2, 1 / np.sqrt(1 - b2**t), eps
    loop(*(a.reshape(-1) for a in (p, g, m, v)), *map(p.dtype.type, constants))


twin = kernels.twin("adam_step", "numba")
minigens = lambda p, g, m, v, t: twin(p, g, m, v, t, 1e-3, 0.9, 0.999, 1e-8, 0.0)
updates = {"plain": adam, "our loop": fused, "minigen's": minigens}
arrays = [rng.standard_normal(1 << 20).astype("float32") ** 2 for _ in range(4)]
for f in updates.values():
    f(*(a[:1] for a in arrays), 1)  # the first call compiles: not timed
taken = race({name: lambda f=f: f(*arrays, 2) for name, f in updates.items()})
for name, t in taken.items():
    rate = 28 * arrays[0].size / t / 1e9
    print(f"{name:10} {1e3 * t:6.2f} ms for a million parameters; 7 numbers each, that is {rate:5.1f} GB/s")
assert taken["minigen's"] < taken["plain"] / 1.3 and taken["our loop"] < taken["plain"] / 1.3

# %% [markdown]
# The loop does the same arithmetic. It keeps each number in hand until it is done with it: a **fused** pass. This is
# what lesson 04 promised, in the place where it counts most. minigen has such loops for what the profile of a real
# model shows: normalisation, GELU, the losses, attention, the gates of the LSTM. And for nothing else.
#
# ## Fresh memory is not free
#
# `a + b` makes a new array. The operating system hands out memory in **pages**, and only when a page is touched for the
# first time: the processor stops, the system finds a page, fills it with zeros, and goes on. That is a **page fault**.
# The system counts them. (Ask a new process: this one has minigen in it, of which more below.)

# %%
script = """
import resource, sys, time
if sys.argv[1] == "with minigen":
    import minigen
import numpy as np
a, b, c = (np.ones(20_000_000, "float32") for _ in range(3))
for name, f in ("a + b", lambda: a + b), ("np.add(a, b, out=c)", lambda: np.add(a, b, out=c)):
    f()
    faults, times = [], []
    for _ in range(5):
        before, begin = resource.getrusage(resource.RUSAGE_SELF).ru_minflt, time.perf_counter()
        f()
        times.append(time.perf_counter() - begin)
        faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
    print(min(faults), 1e3 * min(times), name, sep=";")
"""
counted = {}
for kind in "NumPy alone", "with minigen":
    command = [sys.executable, "-c", script, kind]
    for line in subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines():
        faults, milliseconds, name = line.split(";")
        counted[kind, name] = int(faults)
        print(f"{kind:13} {name:20} {counted[kind, name]:6,} page faults, {float(milliseconds):6.2f} ms")
assert counted["NumPy alone", "a + b"] >= 10 > counted["NumPy alone", "np.add(a, b, out=c)"]

# %% [markdown]
# The same sum; compare the times. (20 million numbers are 80 MB: twenty thousand pages of 4 kB, or forty of 2 MB, where
# the system has large ones.) One can write into arrays that one has, as `out` does. Or one can ask the C library not to
# give freed memory back to the system, but to hand it out again. minigen does so when it is imported, where the library
# is glibc, Linux's usual one.
#
# ## Why float32?
#
# A number of 4 bytes instead of 8: half the bytes to move, and twice as many in each instruction of the processor.

# %%
a64, b64 = a.astype("float64"), b.astype("float64")
c64 = np.empty_like(a64)
products = race({"float64": lambda: np.matmul(a64, b64, c64), "float32": lambda: np.matmul(a, b, c)})
patients = {dtype: (*state(dtype), x[:BATCH].astype(dtype), y[:BATCH]) for dtype in ("float64", "float32")}
steps = race({dtype: lambda patient=patient: step(*patient) for dtype, patient in patients.items()})
for name, times in ("a product", products), ("a step", steps):
    print(f"{name:9} {1e3 * times['float64']:6.2f} ms in float64, {1e3 * times['float32']:6.2f} ms in float32")

# %% [markdown]
# And what does it cost? A gradient is known to 7 digits instead of 16. But it is computed from 128 digits, and the next
# 128 digits would give another. How large is the one error, and how large the other?

# %%
exact = gradients(start("float64"), x[:BATCH].astype("float64"), y[:BATCH])
rounded = gradients(start(), x[:BATCH], y[:BATCH])
others = gradients(start(), x[BATCH : 2 * BATCH], y[BATCH : 2 * BATCH])
apart = lambda g: np.sqrt(sum(((a - b) ** 2).sum() for a, b in zip(g, exact)) / sum((b**2).sum() for b in exact))
print(f"float32 changes the gradient by a part of {apart(rounded):.1e}, other digits by {apart(others):.1e}")
assert apart(rounded) < 1e-4 < 0.1 < apart(others)

# %% [markdown]
# Training walks on gradients that chance has shaken by a large part of themselves. Rounding adds nothing that anyone
# could notice. (Where it *is* noticed: sums of very many numbers, differences of nearly equal ones. That is why tests
# of gradients run in float64, and why losses are computed from logits.)
#
# ## Threads
#
# The library of matrix products can use several cores. How many is decided when it is loaded, so ask new processes.

# %%
script = """
import subprocess, sys, time, numpy as np
def times(f):
    taken = []
    for _ in range(9):
        start = time.perf_counter(); f(); taken.append(time.perf_counter() - start)
    return sorted(taken)
small, large = (np.ones((n, n), "float32") for n in (32, 512))
out = np.empty_like(large)
print(times(lambda: [small @ small for _ in range(100)])[0] / 100, times(lambda: np.matmul(large, large, out))[0])
others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(int(sys.argv[1]))]
time.sleep(0.1)
print(times(lambda: np.matmul(large, large, out))[4])  # as a rule, not at best: the one in the middle of nine
for other in others:
    other.kill()
    other.wait()
"""
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
print("threads    32×32       512×512   512×512 beside programs that keep every core busy, as a rule")
for threads in sorted({1, CORES}):
    variables = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
    environment = os.environ | dict.fromkeys(variables, str(threads))
    command = [sys.executable, "-c", script, str(CORES)]
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    little, large, beside = (1e6 * float(word) for word in answer.stdout.split())
    print(f"{threads:4} {little:9.1f} µs {large:10.0f} µs {beside:10.0f} µs")

# %% [markdown]
# Small products gain nothing: to wake a thread and wait for it takes microseconds, too. Large ones gain on an idle
# machine, at most by as many times as there are cores. Now the last column. The threads of a product wait for each
# other, and the slowest decides. OpenBLAS, which NumPy usually comes with, lets them wait in a busy loop: that keeps
# the very core busy on which the other thread should go on. So minigen asks for one thread, and deals the rows of a
# large product out to threads of its own, which sleep while they wait.
#
# And if only a part of the work is shared out, the rest stays. With a share $s$ that one core must do alone,
#
# $$\frac{\text{time of one core}}{\text{time of } n} = \frac{1}{s + (1 - s) / n} \le \frac{1}{s}$$
#
# which is **Amdahl's law**. For the plain step, with threads for its products alone:

# %%
for name, passes in ("plain", total[3] - product[3]), ("Adam at the floor", 28 * parameters / COPY):
    s = passes / (passes + product[3])
    gains = [1 / (s + (1 - s) / n) for n in (2, 4, 64)]
    print(f"{name:18} s = {s:.2f}   2 cores {gains[0]:.2f}×   4 cores {gains[1]:.2f}×   64 cores {gains[2]:.2f}×")
    assert 1 < gains[0] < gains[1] < gains[2] < 1 / s

# %% [markdown]
# So: first make the passes few, then share out the products.
#
# ## The price of a call
#
# There is another floor, for small work. Each call into NumPy takes its time, whatever it computes, and minigen also
# records each operation for the way back. For a single number:

# %%
one = np.ones(1, "float32")
recorded = tensor(one, requires_grad=True)
calls = race({
    "NumPy": lambda: [one + one for _ in range(1000)], "minigen": lambda: [recorded + recorded for _ in range(1000)],
})  # fmt: skip
print(*(f"{name}: {1e3 * t:.2f} µs for a sum" for name, t in calls.items()), sep="   ")
assert calls["NumPy"] < calls["minigen"]

# %% [markdown]
# Let the batch shrink and see where the time stops to fall.


# %%
class WithMinigen:
    def __init__(self, dtype="float32"):
        self.p = [tensor(a, requires_grad=True) for a in start(dtype)]
        self.adam = Adam(self.p)

    def step(self, x, y):
        W1, b1, W2, b2, W3, b3 = self.p
        h = ops.relu(ops.relu(x @ W1 + b1) @ W2 + b2)
        L = ops.softmax_cross_entropy(h @ W3 + b3, y)
        self.adam.step(grad(L, self.p))


batches = (1, 16, 128) if FAST else (1, 4, 16, 64, 256, 1024)
ours, plain, one_pass, lines = WithMinigen(), state(), state(), defaultdict(list)
for size in batches:
    batch = x[:size], y[:size]
    found = race({
        "plain NumPy": lambda batch=batch: step(*plain, *batch),
        "one pass for Adam": lambda batch=batch: step(*one_pass, *batch, fused),
        "minigen": lambda batch=batch: ours.step(*batch),
    })  # fmt: skip
    found["floor"] = size / BATCH * by_formula / RATE + 28 * parameters / COPY
    print(f"batch {size:4}", *(f"  {name} {1e3 * t:.2f} ms" for name, t in found.items()))
    for name, t in found.items():
        lines[name].append(t)
figure, axes = plt.subplots()
for name, line in lines.items():
    axes.loglog(batches, 1e3 * np.array(line), "o-" if name != "floor" else ":", label=name,
                color="grey" if name == "floor" else None)  # fmt: skip
axes.yaxis.set_major_formatter("{x:g}")
axes.set(xlabel="digits in a batch", ylabel="milliseconds", title="A training step, and its floor")
axes.legend()
show(figure, "To the left only Adam and the calls are left; to the right the products, and all lines come together")
per_digit = [line[-1] / batches[-1] / (line[0] / batches[0]) for line in lines.values()]
assert max(per_digit) < 1

# %% [markdown]
# Read it from both ends. On the right the products rule, all lines are near the floor, and nothing is to be won but by
# a faster product. On the left the same parameters are updated for a single digit: a digit costs many times as much
# there. That is why one trains with batches.
#
# The order, then, in which to make something fast: measure. Count what must be done. Compare. Take the largest loss,
# and look whether it is arithmetic, bytes, or calls. Stop at the floor.
#
# ## The same in minigen
#
# Fast and wrong is easy. Each of minigen's kernels stands beside its plain twin, and tests compare them. So here: three
# steps in float64, by hand, with our loop, and with minigen on both backends.

# %%
sixty_four = x.astype("float64")
results = []
for update in adam, fused:
    p, m, v, _ = state("float64")
    for t in (1, 2, 3):
        step(p, m, v, t, sixty_four[:BATCH], y[:BATCH], update)
    results.append(p)
for name in ("numpy", "numba"):
    with backend.use(name):
        network = WithMinigen("float64")
        for _ in range(3):
            network.step(sixty_four[:BATCH], y[:BATCH])
        results.append([a.data for a in network.p])
for other in results[1:]:
    for a, b in zip(results[0], other):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
print("four ways, the same weights; python -m benchmarks compares minigen with others, and with its floor")
