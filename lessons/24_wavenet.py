# %% [markdown]
# # 24 · WaveNet
#
# *35 minutes · after 02, 06, 15, 19 · formulas A10, B6, B15*
#
# **A second of sound has eight thousand numbers. How can a network hear a second back without taking eight thousand
# steps?**
#
# Article B, §4.1, describes a network for sound and calls it WaveNet. Lesson 15 has run it: a recurrent cell. Here is
# the network that has that name, on the same sound as the cell. But first the sound must become symbols.

# %%
import numpy as np
from matplotlib import pyplot as plt

from lessons.kit import FAST, show
from minigen import grad, nn, no_grad, ops, tensor
from minigen.datasets import load_audio_set, mu_law_decode, mu_law_encode, spectrogram
from minigen.models.wavenet import WaveNet, WaveNetConfig
from minigen.optim import Adam, clip_grad_norm

recordings, held_out = load_audio_set("recordings"), load_audio_set("recordings", "test")
piano = recordings.classes.index("piano")
x = recordings.sounds[2 * piano + 1].astype(float)  # from the middle to the end
print(f"a piano: {len(x)} samples, {len(x) / recordings.rate} s, from {x.min():.2f} to {x.max():.2f}")
print(f"half of the samples lie within ±{np.median(np.abs(x)):.3f}")
assert np.median(np.abs(x)) < 0.15

# %% [markdown]
# ## 256 symbols [A10]
#
# A sample could be rounded to one of 256 equal steps of $[-1, 1]$. But sound is quiet most of the time, and there equal
# steps are coarse. The **μ-law** first bends the axis, with $\mu = 255$:
#
# $$f(x) = \mathrm{sign}(x)\, \frac{\ln(1 + \mu |x|)}{\ln(1 + \mu)} \qquad
# c = \left\lfloor \frac{f(x) + 1}{2} \mu + \frac12 \right\rfloor$$
#
# and the way back is $|x| = ((1 + \mu)^{|f|} - 1) / \mu$.

# %%
MU = 255


def encode(x):
    f = np.sign(x) * np.log(1 + MU * np.abs(x)) / np.log(1 + MU)
    return np.floor((f + 1) / 2 * MU + 0.5).astype(int)


def decode(c):
    f = 2 * c / MU - 1
    return np.sign(f) * ((1 + MU) ** np.abs(f) - 1) / MU


equal = np.round((x + 1) / 2 * MU) / MU * 2 - 1
quiet = np.abs(x) < 0.01
for name, y in ("equal steps", equal), ("μ-law", decode(encode(x))):
    error = np.abs(y - x)
    print(f"{name:11}  mean error of quiet samples {error[quiet].mean():.5f}, of loud ones {error[~quiet].mean():.5f}")
assert np.abs(decode(encode(x)) - x)[quiet].mean() < 0.2 * np.abs(equal - x)[quiet].mean()
assert np.abs(decode(encode(x)) - x)[~quiet].mean() > np.abs(equal - x)[~quiet].mean()

figure, (left, right) = plt.subplots(1, 2, figsize=(7, 2.8))
grid = np.linspace(-1, 1, 2001)
left.plot(grid, encode(grid))
left.set(xlabel="sample", ylabel="code", title="The axis, bent")
part = slice(8000, 8080)
right.plot(x[part], label="sound")
right.plot(equal[part], drawstyle="steps-mid", label="equal steps")
right.plot(decode(encode(x[part])), drawstyle="steps-mid", label="μ-law")
right.set(xlabel="sample", title="A quiet moment")
right.legend()
show(figure, "Left: the code rises steeply around silence. Right: equal steps lose what the μ-law keeps")

# %% [markdown]
# Where it is loud, equal steps are the finer ones; there the ear hears the difference less. From now on a sound is a
# text in an alphabet of 256, and a model of it is a language model: $p(c_{t+1} | c_1, \dots, c_t)$ by a softmax. It is
# no regression: the next sample may be up *or* down, and the mean of both would be silence.
#
# ## A convolution that looks back
#
# Lesson 6 had convolutions whose kernel lies *around* a place. Here no output may see the future: a **causal**
# convolution looks at what is and what was. With two taps, the second $d$ samples ago,
#
# $$y_t = W_0 h_{t-d} + W_1 h_t$$
#
# $d$ is the **dilation**. Nothing is put before the beginning: there are $d$ outputs fewer than inputs. Take four such
# layers, with one channel and all weights 1, and count in how many ways each input gets into the last output.


# %%
def two_taps(h, W0, W1, d):
    """(…, T, C) -> (…, T − d, C′)"""
    return h[..., :-d, :] @ W0 + h[..., d:, :] @ W1


def ways(dilations, T=24):
    """∂(last output)/∂(each input) of plain sums"""
    h = start = tensor(np.ones((T, 1)), requires_grad=True)
    for d in dilations:
        h = two_taps(h, np.ones((1, 1)), np.ones((1, 1)), d)
    return grad(h[-1, 0], start).data[:, 0].astype(int)


for dilations in (1, 1, 1, 1), (1, 2, 4, 8):
    print(dilations, "->", *ways(dilations))
assert (ways((1, 2, 4, 8)) == [0] * 8 + [1] * 16).all()
assert (ways((1, 1, 1, 1)) == [0] * 19 + [1, 4, 6, 4, 1]).all()

figure, axes = plt.subplots(figsize=(7, 2.6))
reached, drawn = {15}, []
for level, d in zip((4, 3, 2, 1), (8, 4, 2, 1)):
    for t in sorted(reached):
        axes.plot([t, t], [level, level - 1], color="C0", lw=1)
        axes.plot([t, t - d], [level, level - 1], color="C1", lw=1)
        drawn.append(t)
    reached |= {t - d for t in reached}
for level in range(5):
    axes.plot(range(16), [level] * 16, "o", ms=4, color="grey")
axes.set(
    yticks=range(5), yticklabels=["input", "d = 1", "d = 2", "d = 4", "d = 8"], xlabel="sample", title="16 samples"
)
show(figure, "From the last output downwards: each layer doubles what is reached, and every input has one way up")
assert reached == set(range(16)) and len(drawn) == 15

# %% [markdown]
# With the same dilation in each layer, four layers see five samples, and the middle ones six times. With 1, 2, 4, 8
# they see sixteen, each in exactly one way. What an output sees is its **receptive field**,
#
# $$R = 1 + \sum_\ell d_\ell,$$
#
# and ten layers with 1, 2, 4, …, 512 see 1024 samples. To hear twice as far takes one layer more. That is the answer to
# our question: the depth is $\log_2 R$, and no layer waits for another time, only for the layer below.
#
# ## Gate, residual, skip
#
# A layer of WaveNet is not just that sum. Half of its channels say *what*, the other half *how much*, as in the LSTM:
#
# $$z_t = \tanh(W_f * h)_t \odot \sigma(W_g * h)_t$$
#
# A matrix $R$ adds $z$ to what came in, the **residual** path, so that a slope finds a way down that no sigmoid
# shrinks. A matrix $S$ hands $z$ to the end, the **skip** path, where all layers are summed, so that near and far
# samples are heard at once:
#
# $$h_t \leftarrow h_t + R z_t \qquad s_t = \sum_\ell S_\ell z_t \qquad
# p = \mathrm{softmax}(H_2\, \mathrm{relu}(H_1\, \mathrm{relu}(s_t)) + b)$$

# %%
CHANNELS, SKIP, DILATIONS = 16, 32, (1, 2, 4, 8, 16, 32)
R = 1 + sum(DILATIONS)
rng = np.random.default_rng(0)
uniform = lambda *shape: rng.uniform(-1, 1, shape) / np.sqrt(shape[0])


def start():
    """All weights; biases are 0. Neighbouring codes begin alike: a walk over the codes."""
    walk = rng.standard_normal((256, CHANNELS)).cumsum(axis=0)
    p = {"E": (walk - walk.mean(axis=0)) / walk.std(axis=0)}
    for i in range(len(DILATIONS)):
        p |= {f"W{i}": uniform(2 * CHANNELS, 2 * CHANNELS), f"b{i}": np.zeros(2 * CHANNELS)}
        p |= {f"S{i}": uniform(CHANNELS, SKIP), f"R{i}": uniform(CHANNELS, CHANNELS)}
    p |= {"H1": uniform(SKIP, SKIP), "H2": uniform(SKIP, 256), "b": np.zeros(256)}
    del p[f"R{len(DILATIONS) - 1}"]  # the last layer has no one to hand h to
    return {name: tensor(w, requires_grad=True, name=name) for name, w in p.items()}


def gated(p, i, past, now):
    """z from h_{t−d} and h_t        W stacks W₀ on W₁, and f beside g"""
    f, g = ops.split(ops.concatenate([past, now], axis=-1) @ p[f"W{i}"] + p[f"b{i}"], 2, axis=-1)
    return ops.tanh(f) * ops.sigmoid(g)


def head(p, s):
    return ops.relu(ops.relu(s) @ p["H1"]) @ p["H2"] + p["b"]


def wavenet(p, h):
    """Vectors of codes (N, T, C) -> logits (N, T − R + 1, 256): nothing where the field is not filled"""
    s, count = 0, h.shape[1] - R + 1
    for i, d in enumerate(DILATIONS):
        past, now = h[:, :-d], h[:, d:]
        z = gated(p, i, past, now)
        s = s + z[:, z.shape[1] - count :] @ p[f"S{i}"]
        if f"R{i}" in p:
            h = now + z @ p[f"R{i}"]
    return head(p, s)


p = start()
codes = encode(np.concatenate([recordings.sounds[2 * piano], x]))
logits = wavenet(p, p["E"][codes[None, : R + 3]])
print("receptive field:", R, "  from", R + 3, "codes:", logits.shape[1], "distributions, p sums to",
      ops.softmax(logits).data.sum(axis=-1).round(12))  # fmt: skip
assert R == 64 and logits.shape == (1, 4, 256)

# %% [markdown]
# ## Beside what article B calls WaveNet [B6]
#
# $$a_t = \sigma(W_a [h_{t-1}; x_t] + b_a) \qquad h_t = \sigma(W_h [a_t; h_{t-1}] + b_h) \qquad
# \hat p_t = \mathrm{softmax}(W_p h_t + b_p)$$
#
# Exactly as written, with untrained weights as large as those above. How much does the distribution at the end depend
# on the sample $k$ steps before it? The slope tells. It is the same question for both networks.

# %%
WIDTH = 32
cell = nn.TwoSigmoidRNN(CHANNELS, WIDTH, rng=rng, dtype="float64")
cell_head = nn.Linear(WIDTH, 256, rng=rng, dtype="float64")


def article_b(h):
    return cell_head(cell(h)[0])


def reach(network):
    """|∂(a weighted sum of the last logits)/∂ each vector|, the last sample first"""
    vectors = tensor(p["E"].data[codes[None, 2000 : 2000 + R + 8]], requires_grad=True)
    out = network(vectors)[:, -1]
    slope = grad(ops.sum(out * np.random.default_rng(1).standard_normal(out.shape)), vectors).data
    return np.linalg.norm(slope[0], axis=1)[::-1]


there, here = reach(article_b), reach(lambda h: wavenet(p, h))
figure, axes = plt.subplots()
axes.semilogy(there / there[0], label="two sigmoids [B6]")
axes.semilogy(np.where(here > 0, here / here[0], np.nan), label="WaveNet")
axes.set(xlabel="samples before the last", ylabel="slope, as a part of the last's", ylim=(1e-40, 10))
axes.legend()
show(figure, "The cell's slope falls about sevenfold with each sample; WaveNet's stays, and ends where its field ends")
for k in (1, 8, 32, 63, 64):
    print(f"{k:3} samples back: two sigmoids {there[k] / there[0]:8.1e}   WaveNet {here[k] / here[0]:8.1e}")
assert there[32] < 1e-15 * there[0] and here[32] > 1e-4 * here[0]
assert (here[:R] > 0).all() and not here[R:].any(), "all of the field, and nothing behind it"

# %% [markdown]
# Both statements can be read off the picture. The cell has no limit to what it may hear, and hears next to nothing:
# at 8,000 samples a second, 32 samples are four thousandths of one. WaveNet has a limit, and up to it hears well.
#
# ## Both learn the piano
#
# The same codes, the same number of samples in a step, the same optimizer. The loss is taken where the field is filled.

# %%
STEPS, BATCH, BLOCK = (15, 4, 150) if FAST else (120, 4, 300)


def windows(rng, before):
    """Codes (BATCH, before + BLOCK), each window from somewhere in the piano"""
    begin = rng.integers(0, len(codes) - before - BLOCK, BATCH)
    return codes[begin[:, None] + np.arange(before + BLOCK)]


def learn(name, network, table, parameters, before):
    rng, adam, losses = np.random.default_rng(0), Adam(parameters, 1e-2), []
    for _ in range(STEPS):
        c = windows(rng, before)
        loss = ops.softmax_cross_entropy(network(table[c[:, :-1]]), c[:, before:])
        gradients = grad(loss, parameters)
        clip_grad_norm(gradients, 1.0)
        adam.step(gradients)
        losses.append(loss.item())
    unheard = encode(held_out.sounds[piano])[None]
    nll = ops.softmax_cross_entropy(network(table[unheard[:, :-1]])[:, R - before :], unheard[:, R:]).item()
    print(f"{name:12} after {STEPS} steps: {np.mean(losses[-10:]):.2f} nats, on what it has not heard {nll:.2f}")
    return losses, nll


table = tensor(p["E"].data.copy(), requires_grad=True)  # the cell's own vectors, the same to begin with
both = {
    "two sigmoids": (article_b, table, [table, *cell.parameters(), *cell_head.parameters()], 1),
    "WaveNet": (lambda h: wavenet(p, h), p["E"], list(p.values()), R),
}
figure, axes = plt.subplots()
nll = {}
for name, settings in both.items():
    losses, nll[name] = learn(name, *settings)
    axes.plot(losses, label=name)
axes.axhline(np.log(256), color="grey", lw=1, ls=":")
axes.set(xlabel="step", ylabel="nats per sample", title="Which of 256 codes comes next?")
axes.legend()
show(figure, "The dotted line is a guess among 256; WaveNet falls below the cell of two sigmoids")
assert nll["WaveNet"] < nll["two sigmoids"] < np.log(256)

# %% [markdown]
# ## Drawing, at the price of one sample
#
# To draw, the model hears its own last code. Done as in training, each new sample costs the whole field again: here 64
# times the work. But nearly all of it was done before: at time $t$ a layer needs $h_t$, and $h_{t-d}$, which it had $d$
# samples ago. So it keeps its last $d$ inputs in a **queue**.


# %%
def listen(p, code, queues):
    """The logits after one code more; each layer's queue gives its oldest input for its newest."""
    h, s = p["E"][np.array([code])], 0
    for i, queue in enumerate(queues):
        z = gated(p, i, queue.pop(0), h)
        queue.append(h)
        s = s + z @ p[f"S{i}"]
        if f"R{i}" in p:
            h = h + z @ p[f"R{i}"]
    return head(p, s)


queues = [[tensor(np.zeros((1, CHANNELS)))] * d for d in DILATIONS]
fragment = codes[3000 : 3000 + R + 20]
one_by_one = [listen(p, code, queues).data[0] for code in fragment]
at_once = wavenet(p, p["E"][fragment[None]]).data[0]
np.testing.assert_allclose(one_by_one[R - 1 :], at_once, rtol=1e-9, atol=1e-9)
layer_times = sum(len(fragment) - sum(DILATIONS[: i + 1]) for i in range(len(DILATIONS)))
anew = len(at_once) * sum(R - sum(DILATIONS[: i + 1]) for i in range(len(DILATIONS)))
print(f"{len(at_once)} samples: {anew} gates with each field anew, {len(at_once) * len(DILATIONS)} with queues")
assert anew == 21 * (63 + 61 + 57 + 49 + 33 + 1) and layer_times < anew

# %% [markdown]
# From the moment that the queues are full, one sample at a time gives what all at once give. Now let it play on, from
# the beginning of the piano, and look at what it plays.

# %%
rng = np.random.default_rng(3)
primer, n = codes[: R + (100 if FAST else 1000)], 150 if FAST else 3000
queues = [[tensor(np.zeros((1, CHANNELS)))] * d for d in DILATIONS]
with no_grad():
    for code in primer:
        l = listen(p, code, queues).data[0]
    played = []
    for _ in range(n):
        probability = np.exp(l - l.max())
        played.append(rng.choice(256, p=probability / probability.sum()))
        l = listen(p, played[-1], queues).data[0]
figure, panels = plt.subplots(1, 2, sharey=True, figsize=(7, 2.8))
for axes, sound, title in zip(panels, (x[:4000], decode(np.array(played))), ("the piano", "played on")):
    axes.imshow(
        spectrogram(sound), origin="lower", aspect="auto", vmin=-90, vmax=-10, extent=(0, len(sound) / 8000, 0, 4)
    )
    axes.set(xlabel="seconds", title=title)
panels[0].set_ylabel("kHz")
show(figure, "How loud each frequency is over time: horizontal lines are the piano's tones")
assert len(played) == n and len(set(played)) > 5

# %% [markdown]
# ## Attention, recurrence, convolution [B15]
#
# The same article lists *SampleRNN* among the models of sound, and says that it is built on self-attention. Its name
# says what it is: a hierarchy of recurrent networks, the upper ones slower, each handing its state to the one below
# (Mehri et al. 2017). Can the three kinds be told apart from outside? Give each the same past in another order.
# Self-attention takes its past as a *set*, and where no position is written into the vectors it cannot know.

# %%
rng = np.random.default_rng(4)
h = rng.standard_normal((1, R, CHANNELS))
mixed = h.copy()
mixed[:, :-1] = h[:, rng.permutation(R - 1)]  # the last stays, the past is shuffled
tier = nn.RNN(CHANNELS, CHANNELS, rng=rng, dtype="float64")
kinds = {
    "self-attention": lambda h: ops.scaled_dot_product_attention(h, h, h)[:, -1],
    "recurrent": lambda h: tier(tensor(h))[0].data[:, -1],
    "WaveNet": lambda h: wavenet(p, tensor(h)).data[:, -1],
}
moved = {name: np.abs(f(mixed) - f(h)).max() for name, f in kinds.items()}
for name, change in moved.items():
    print(f"{name:15} the past shuffled moves the output by {change:.1e}")
assert moved["self-attention"] < 1e-12 < 1e-2 < min(moved["recurrent"], moved["WaveNet"])

# %% [markdown]
# ## The same in minigen
#
# `minigen.models.wavenet` is the network above, told a class besides. It trains with `python -m minigen.train wavenet`
# and draws with `python -m minigen.sample RUN --label 3 --seconds 1 --out new.wav`, through a compiled loop over the
# queues. Give it our weights, in float64, a class that adds nothing, and compare.

# %%
config = WaveNetConfig(layers=len(DILATIONS), cycle=len(DILATIONS), channels=CHANNELS, skip=SKIP, classes=1)
model = WaveNet(config, rng=np.random.default_rng(0)).eval()
mine = {"embedding.weight": p["E"], "hidden.weight": p["H1"].T, "output.weight": p["H2"].T, "output.bias": p["b"]}
for i in range(len(DILATIONS)):
    mine |= {f"layers.{i}.filter.weight": p[f"W{i}"].T, f"layers.{i}.filter.bias": p[f"b{i}"]}
    mine |= {f"layers.{i}.skip.weight": p[f"S{i}"].T}
    mine |= {f"layers.{i}.residual.weight": p[f"R{i}"].T} if f"R{i}" in p else {}
for name, parameter in model.named_parameters():
    array = mine[name].data if name in mine else np.zeros(parameter.shape)
    parameter._data = np.array(array)  # in float64, where a model has float32
assert model.context == R
theirs = model(fragment[None], np.array([0])).data[0]
np.testing.assert_allclose(theirs, at_once, rtol=1e-12, atol=1e-12)

pieces = list(model.drawn(np.array([0]), 300, np.random.default_rng(5)))
drawn, cost = (np.concatenate(part, axis=1)[0] for part in zip(*pieces))
heard = np.concatenate([np.full(R, 128), drawn])  # before a sound there is silence
logits = wavenet(p, p["E"][heard[None, :-1]])
np.testing.assert_allclose(cost, ops.softmax_cross_entropy(logits, drawn[None], "none").data[0], rtol=1e-9, atol=1e-9)
np.testing.assert_array_equal(mu_law_encode(x), encode(x.astype(float)))
np.testing.assert_allclose(mu_law_decode(codes), decode(codes), atol=1e-7)  # in float32
print("logits equal to twelve digits; 300 samples drawn through the queues cost what the whole field says")
