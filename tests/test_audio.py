"""Sound: WAV files and what is no such, μ-law codes, frames, sets; WaveNet, its drawing by queues, article B's cell."""

import json
import struct
import warnings
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import wavfile

from minigen import backend, datasets, evaluate, kernels, models, ops, sample, tensor, train
from minigen.datasets import audio
from minigen.errors import ConfigError, DataError, DtypeError, ShapeError
from minigen.evaluation.audio import Judge, chains
from minigen.kernels import KERNELS
from minigen.training import Trainer

SMALL = {"layers": 4, "cycle": 3, "channels": 8, "skip": 12, "block": 40, "classes": 3, "batch_size": 4}
CELL = {"embedding": 8, "width": 12, "block": 40, "classes": 3, "batch_size": 4}


def tone(hertz=440.0, seconds=0.1, rate=8000):
    t = np.arange(int(seconds * rate)) / rate
    return (0.5 * np.sin(2 * np.pi * hertz * t)).astype(np.float32)


def small(name="wavenet", seed=0, dtype=np.float32, **overrides):
    model = models.build(name, (SMALL if name == "wavenet" else CELL) | overrides, rng=backend.generator(seed))
    if dtype != np.float32:
        for _, p in model.named_parameters():
            p._data = p.data.astype(dtype)
    return model.eval()


def codes_of(n, seed=0):
    return np.random.default_rng(seed).integers(0, 256, n)


# -- files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "dtype, step",
    [("uint8", 1 / 128), ("int16", 2**-15), ("int32", 2**-31), ("float32", 1e-7), ("float64", 1e-7)],
)
@pytest.mark.parametrize("channels", [1, 2, 3])
def test_wav_files_of_all_depths(tmp_path, dtype, step, channels):
    x = tone()
    full = 1 if dtype.startswith("float") else 2 ** (8 * np.dtype(dtype).itemsize - 1)
    written = x if full == 1 else np.rint(x.astype(np.float64) * full) + (128 if dtype == "uint8" else 0)
    sides = np.stack([written] * channels, axis=1) if channels > 1 else written
    wavfile.write(tmp_path / "x.wav", 44_101, sides.astype(dtype))
    y, rate = datasets.read_wav(tmp_path / "x.wav")
    assert rate == 44_101 and y.dtype == np.float32 and y.shape == x.shape
    np.testing.assert_allclose(y, x, rtol=0, atol=max(step, 1e-7))


def wav(bits=16, channels=1, rate=8000, data=b"", size=None, kind=1, head=b"RIFF"):
    """A WAV file by hand; `size` is what its header claims."""
    order = "<" if head == b"RIFF" else ">"
    align = channels * bits // 8
    form = struct.pack(order + "HHIIHH", kind, channels, rate, rate * align, align, bits)
    rest = b"WAVEfmt " + struct.pack(order + "I", 16) + form + b"data"
    return (
        head
        + struct.pack(order + "I", 36 + len(data))
        + rest
        + struct.pack(order + "I", len(data) if size is None else size)
        + data
    )


def test_24_bits_big_endian_and_the_mean_of_channels(tmp_path):
    numbers = [0, 2**22, -(2**22), 2**23 - 1]
    file = tmp_path / "x.wav"
    file.write_bytes(wav(24, data=b"".join(n.to_bytes(3, "little", signed=True) for n in numbers)))
    np.testing.assert_allclose(datasets.read_wav(file)[0], np.array(numbers) / 2**23, atol=1e-7)
    file.write_bytes(wav(data=np.array([16384, -8192], ">i2").tobytes(), head=b"RIFX"))
    np.testing.assert_allclose(datasets.read_wav(file)[0], [0.5, -0.25])
    file.write_bytes(wav(channels=2, data=np.array([16384, 0, 8192, -8192], "<i2").tobytes()))
    np.testing.assert_allclose(datasets.read_wav(file)[0], [0.25, 0])
    wavfile.write(file, 8000, np.array([0.0, 4.0, -2.0], np.float32))  # louder than full scale
    np.testing.assert_allclose(datasets.read_wav(file)[0], [0, 1, -0.5])


GOOD = wav(data=bytes(range(200)))


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "does not begin as one"),
        (b"ID3\x04" + GOOD, "does not begin as one"),
        (GOOD[:-20], "promises 200 bytes of samples, the file has 180; it is cut off"),
        (wav(data=bytes(100), size=2**32 - 1), "promises 4294967295 bytes of samples"),
        (GOOD[:12], "expected a format and samples, but one of them is missing"),
        (GOOD[:30], "it is cut off"),
        (wav(), "came no samples"),
        (wav(channels=0, data=bytes(8)), "cannot be decoded"),
        (wav(rate=0, data=bytes(8)), "expected 1000 to 384000 samples per second, came 0"),
        (wav(rate=2**30, data=bytes(8)), "the header is damaged"),
        (wav(bits=8, kind=7, data=bytes(8)), "cannot be decoded"),  # μ-law in a WAV file, which SciPy does not read
        (wav(bits=32, kind=3, data=np.array([np.nan, 1], "<f4").tobytes()), "came NaN or infinity"),
    ],
)
def test_files_that_are_refused(tmp_path, content, message):
    file = tmp_path / "x.wav"
    file.write_bytes(content)
    with pytest.raises(DataError, match=message) as error:
        datasets.read_wav(file)
    assert str(error.value).startswith(str(file))


def test_files_that_are_not_there(tmp_path):
    with pytest.raises(DataError, match="came a folder"):
        datasets.read_wav(tmp_path)
    with pytest.raises(DataError, match="cannot be read"):
        datasets.read_wav(tmp_path / "x.wav")


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_damaged_file_is_read_or_refused(tmp_path_factory, data):
    """Bytes changed, cut off or added: a sound, or one sentence."""
    file = tmp_path_factory.getbasetemp() / "damaged.wav"
    content = bytearray(GOOD)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, 50))] = data.draw(st.integers(0, 255))
    file.write_bytes(bytes(content[: data.draw(st.integers(0, len(content)))]) + data.draw(st.binary(max_size=3)))
    try:
        x, rate = datasets.read_wav(file)
    except DataError:
        return
    assert x.ndim == 1 and x.dtype == np.float32 and np.isfinite(x).all() and abs(x).max() <= 1 and rate >= 1000


def test_what_is_written_is_read(tmp_path):
    x = np.array([0.0, 0.5, -1.0, 3.0], np.float32)
    datasets.write_wav(tmp_path / "x.wav", x)
    rate, data = wavfile.read(tmp_path / "x.wav")
    assert rate == 8000 and data.dtype == np.int16 and data.tolist() == [0, 16384, -32767, 32767]
    with pytest.raises(ShapeError, match="expected a sound"):
        datasets.write_wav(tmp_path / "x.wav", x[None])
    with pytest.raises(DtypeError, match="divide them first"):
        datasets.write_wav(tmp_path / "x.wav", np.arange(5))


@pytest.mark.parametrize("rate", [8000, 16_000, 44_100, 11_025, 7919])
def test_resampling_keeps_a_tone_and_drops_what_cannot_be_heard(rate):
    x = datasets.resample(tone(440, 0.5, rate), rate)
    assert x.dtype == np.float32 and len(x) == -(-int(0.5 * rate) * 8000 // rate)
    middle = slice(200, len(x) - 200)
    np.testing.assert_allclose(x[middle], tone(440, 0.6)[: len(x)][middle], atol=0.01)
    if rate > 12_000:
        assert abs(datasets.resample(tone(5500, 0.5, rate), rate)[middle]).max() < 0.01


# -- codes, frames ----------------------------------------------------------------------------------------------------


def test_formula_A10_audio():
    """Cut a sound into frames, extract what is in them, and code it: G.711's curve with μ = 255, frames, spectra."""
    x = np.linspace(-1, 1, 100_001)
    codes = datasets.mu_law_encode(x)
    assert (
        codes.dtype == np.uint8 and set(codes.tolist()) == set(range(256)) and (np.diff(codes.astype(int)) >= 0).all()
    )
    curve = np.sign(x) * np.log(1 + 255 * abs(x)) / np.log(256)
    assert abs(codes / 127.5 - 1 - curve).max() <= 1 / 255 + 1e-12  # half a step
    back = datasets.mu_law_decode(codes)
    bound = (256 ** (1 / 255) - 1) * (1 + 255 * abs(x)) / 255
    assert back.dtype == np.float32 and (abs(back - x) <= bound + 1e-7).all() and (abs(back - x) / bound).max() > 0.99
    np.testing.assert_array_equal(datasets.mu_law_encode(datasets.mu_law_decode(np.arange(256))), np.arange(256))
    assert datasets.mu_law_encode(np.array([0.0, -2.0, 2.0])).tolist() == [audio.SILENCE, 0, 255]
    linear = np.rint(127.5 * (0.01 * tone() + 1)) / 127.5 - 1  # 256 equal steps hear nothing of a quiet tone
    assert (
        abs(datasets.mu_law_decode(datasets.mu_law_encode(0.01 * tone())) - 0.01 * tone()).max()
        < 2e-4
        < abs(linear - 0.01 * tone()).max()
    )

    y = np.arange(1.0, 11)
    assert datasets.frames(y, 4, 3).tolist() == [[1, 2, 3, 4], [4, 5, 6, 7], [7, 8, 9, 10]]
    assert datasets.frames(y, 4, 4)[-1].tolist() == [9, 10, 0, 0] and datasets.frames(y[:2], 4, 3).tolist() == [
        [1, 2, 0, 0]
    ]
    with pytest.raises(ConfigError, match="a length and a hop of at least 1"):
        datasets.frames(y, 0, 1)

    t = np.arange(4000) / 8000
    picture = datasets.spectrogram(np.sin(2 * np.pi * 1000 * t) + 0.1 * np.sin(2 * np.pi * 3000 * t))
    assert picture.shape == (129, 60)
    np.testing.assert_allclose(picture[[32, 96], 5:-5], [[0] * 50, [-20] * 50], atol=0.1)  # 31.25 Hz apart
    assert picture[[10, 64, 120], 5:-5].max() < -60


# -- sets -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def digits(tmp_path):
    """A folder as that of the spoken digits, of tones: 3 digits, numbers 0, 1 and 5, 6."""
    folder = tmp_path / "audio" / "fsdd" / "recordings"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(1)
    for digit in range(3):
        for number in (0, 1, 5, 6):
            x = tone(300 * (digit + 1), 0.05) + 0.01 * rng.standard_normal(400)
            datasets.write_wav(folder / f"{digit}_ann_{number}.wav", x)
    return tmp_path


def test_the_bundled_recordings():
    train_set, test_set = (datasets.load_set("audio", "recordings", split) for split in ("train", "test"))
    assert train_set.classes == ("bell", "choir", "cowbell", "guitar", "piano", "tabla") and len(test_set) == 6
    total = sum(len(x) for x in (*train_set.sounds, *test_set.sounds))
    assert total == 12_560 + 22_400 + 2_800 + 24_000 + 24_000 + 18_400
    assert sum(map(len, test_set.sounds)) == pytest.approx(total / 10, rel=0.01)
    assert train_set.labels.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    whole, _ = datasets.read_wav(datasets.bundled.data_folder() / "perc_bell_8k.wav")
    np.testing.assert_array_equal(np.concatenate([train_set.sounds[0], test_set.sounds[0], train_set.sounds[1]]), whole)


def test_spoken_digits_are_found_and_split_by_number(digits, monkeypatch):
    monkeypatch.setenv("MINIGEN_DATA", str(digits))
    found = {split: datasets.load_set("audio", "spoken-digits", split) for split in ("train", "test")}
    for split, numbers in (("train", (5, 6)), ("test", (0, 1))):
        assert found[split].labels.tolist() == [0, 0, 1, 1, 2, 2] and found[split].classes == tuple("0123456789")
        first, _ = datasets.read_wav(digits / f"audio/fsdd/recordings/0_ann_{numbers[0]}.wav")
        np.testing.assert_array_equal(found[split].sounds[0], first)
    same = datasets.load_set("audio", str(digits / "audio/fsdd/recordings"), "test")
    assert same.labels.tolist() == found["test"].labels.tolist() and same.name == "recordings"


def test_sets_that_are_not_there(digits, tmp_path, monkeypatch):
    monkeypatch.delenv("MINIGEN_DATA", raising=False)
    with pytest.raises(DataError, match="expected files such as 7_jackson_32.wav in MINIGEN_DATA; clone https://"):
        datasets.load_audio_set("spoken-digits")
    monkeypatch.setenv("MINIGEN_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match="MINIGEN_DATA: expected a folder"):
        datasets.load_audio_set("spoken-digits")
    with pytest.raises(DataError, match="did you mean recordings"):
        datasets.load_audio_set("recording")
    with pytest.raises(DataError, match="expected WAV files, but there is none"):
        datasets.load_audio_set(str(digits))
    (digits / "0_ann_5.wav").write_bytes(GOOD)
    with pytest.raises(DataError, match="came one sort only"):
        datasets.load_audio_set(str(digits), "test")
    with pytest.raises(DataError, match="name the folder it is in"):
        datasets.load_audio_set(str(digits / "0_ann_5.wav"))


def test_any_folder_of_wavs(tmp_path):
    wavfile.write(
        tmp_path / "low.wav", 16_000, np.stack([np.rint(16384 * tone(200, 0.2, 16_000)).astype(np.int16)] * 2, 1)
    )
    wavfile.write(tmp_path / "HIGH.WAV", 44_100, tone(2000, 0.2, 44_100))
    found = datasets.load_set("audio", str(tmp_path))
    assert found.classes == ("HIGH", "low") and found.name == tmp_path.name and found.rate == 8000
    assert [len(x) for x in found.sounds] == [640, 800, 640, 800]
    (tmp_path / "short.wav").write_bytes(wav(data=bytes(6)))
    with pytest.raises(DataError, match="short.wav: expected a recording of at least 10 samples at 8000 Hz, came 3"):
        datasets.load_set("audio", str(tmp_path))


# -- WaveNet ----------------------------------------------------------------------------------------------------------


def by_hand(model, codes, label):
    """Logits at the last time, in float64, from the formula, for each layer at the times that are needed alone."""
    p = {name: t.numpy().astype(np.float64) for name, t in model.named_parameters()}
    sigmoid = lambda x: 1 / (1 + np.exp(-x))
    skip = 0

    def h(layer, t):
        nonlocal skip
        if layer < 0:
            return p["embedding.weight"][codes[t]]
        z = gated(layer, t)
        w = f"layers.{layer}.residual"
        return h(layer - 1, t) + p[f"{w}.weight"] @ z + p[f"{w}.bias"]

    def gated(layer, t):
        both = np.concatenate([h(layer - 1, t - model.dilations[layer]), h(layer - 1, t)])
        w = f"layers.{layer}"
        a = p[f"{w}.filter.weight"] @ both + p[f"{w}.filter.bias"] + p[f"{w}.label.weight"][label]
        f, g = np.split(a, 2)
        return np.tanh(f) * sigmoid(g)

    last = len(codes) - 1
    for layer in range(len(model.layers)):
        w = f"layers.{layer}.skip"
        skip = skip + p[f"{w}.weight"] @ gated(layer, last) + p[f"{w}.bias"]
    hidden = np.maximum(p["hidden.weight"] @ np.maximum(skip, 0) + p["hidden.bias"], 0)
    return p["output.weight"] @ hidden + p["output.bias"]


def test_formula_B6_wavenet():
    """Dilated causal convolutions, tanh(W_f * x) ⊙ σ(W_g * x), residual and skip paths, softmax over 256 codes."""
    model = small(layers=3, cycle=3)
    assert model.dilations == [1, 2, 4] and model.context == 8
    codes = codes_of(12)[None]
    logits = model(codes, np.array([1])).numpy()
    assert logits.shape == (1, 5, 256)  # nothing is said of times whose context is not filled
    np.testing.assert_allclose(logits[0, -1], by_hand(model, codes[0], 1), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(logits[0, 0], by_hand(model, codes[0, :8], 1), rtol=1e-4, atol=1e-5)
    assert abs(model(codes, np.array([2])).numpy() - logits).max() > 1e-3  # told the class
    preset = models.build("wavenet", {}, rng=backend.generator(0))
    assert preset.dilations == [2**i for i in range(10)] and preset.context == 1024
    assert preset.about == {"context": "1,024 samples, 128 ms"}


def slopes(model, codes, labels):
    """∂(Σ over the logits at the last time, weighted)/∂ embedding of each input"""
    x = tensor(model.embedding(codes).numpy().astype(np.float64), requires_grad=True)
    embedding, model.embedding = model.embedding, lambda codes: x
    try:
        out = model(codes, labels)[:, -1]
    finally:
        model.embedding = embedding
    weights = np.random.default_rng(2).standard_normal(out.shape)
    ops.sum(out * weights).backward()
    return abs(x.grad.numpy()).sum(axis=(0, 2))


def test_formula_B6_wavenet_sees_its_context_and_nothing_else():
    """By gradients: every one of the last `context` samples counts, none before, and none after (causality)."""
    model = small(dtype=np.float64)
    assert model.dilations == [1, 2, 4, 1] and model.context == 9
    codes, labels = codes_of(15)[None], np.array([0])
    reach = slopes(model, codes, labels)
    assert (reach[-9:] > 0).all() and not reach[:-9].any()
    before = model(codes, labels).numpy()
    for t in range(15):
        other = codes.copy()
        other[0, t] = (other[0, t] + 100) % 256
        changed = abs(model(other, labels).numpy() - before).max(axis=2)[0] > 0
        times = np.arange(9 - 1, 15)
        np.testing.assert_array_equal(changed, (times >= t) & (times < t + 9))


def test_formula_B6_the_cell_is_no_wavenet():
    """The cell, as written: recurrent. What reaches back shrinks with every step, as σ′ ≤ ¼ twice over; in a WaveNet it
    passes as many layers from 1 sample ago as from 32."""
    model = small("wavenet-b6", dtype=np.float64)
    p = {name: t.numpy() for name, t in model.named_parameters()}
    codes, labels = codes_of(40)[None], np.array([1])
    h, sigmoid = np.zeros(12), lambda x: 1 / (1 + np.exp(-x))
    for code in codes[0]:
        x = np.concatenate([p["embedding.weight"][code], p["label.weight"][1]])
        a = sigmoid(p["cell.cells.0.weight_a"] @ np.concatenate([h, x]) + p["cell.cells.0.bias_a"])
        h = sigmoid(p["cell.cells.0.weight_h"] @ np.concatenate([a, h]) + p["cell.cells.0.bias_h"])
    logits = p["output.weight"] @ h + p["output.bias"]
    np.testing.assert_allclose(model(codes, labels).numpy()[0, -1], logits, rtol=1e-9)
    reach = slopes(model, codes, labels)
    assert (reach > 0).all()  # it has heard everything, but
    wavenet = slopes(small(layers=5, cycle=5, dtype=np.float64), codes, labels)
    assert reach[-25] < 1e-12 * reach[-1] and wavenet[-25] > 1e-3 * wavenet[-1]
    # one step after the other, or all at once: as many operations for any number of samples
    count = lambda model, n: recorded(model(codes_of(n)[None], labels))
    assert count(model, 40) - count(model, 30) >= 40
    assert count(small(), 40) == count(small(), 30)


def recorded(out):
    """How many operations a result was computed by"""
    seen, stack = set(), [out.node]
    while stack:
        node = stack.pop()
        if node not in seen:
            seen.add(node)
            stack += [edge[0] for edge in node.edges if hasattr(edge[0], "edges")]
    return len(seen)


def test_formula_B15():
    """SampleRNN is recurrent, not self-attention (Mehri et al. 2017): what can be tested of the named models.

    Self-attention without positions does not know the order of its past; a recurrent network does. The sentence is
    wrong for both autoregressive models of sound here, too: neither has a weight that depends on another's content.
    """
    rng = np.random.default_rng(3)
    x = rng.standard_normal((1, 7, 8))
    order = np.array([3, 0, 4, 1, 5, 2, 6])  # the past in another order, the last sample where it was
    attention = lambda x: ops.scaled_dot_product_attention(x, x, x)[:, -1]
    np.testing.assert_allclose(attention(x[:, order]), attention(x), rtol=1e-12)
    rnn = models.wavenet.nn.RNN(8, 8, rng=rng, dtype=np.float64)  # a tier of SampleRNN
    assert abs(rnn(x[:, order])[0].numpy()[:, -1] - rnn(x)[0].numpy()[:, -1]).max() > 1e-3
    codes, labels = codes_of(9)[None], np.array([0])
    for name in ("wavenet", "wavenet-b6"):
        model = small(name, dtype=np.float64)
        assert not any("Attention" in type(m).__name__ for m in model.modules())
        other = codes[:, [3, 0, 4, 1, 5, 2, 6, 7, 8]]
        assert abs(model(other, labels).numpy()[:, -1] - model(codes, labels).numpy()[:, -1]).max() > 1e-6


# -- training ---------------------------------------------------------------------------------------------------------


def test_windows():
    """Silence before, nothing behind; each window has its context and a block; a quarter of a block apart."""
    model = small(block=8)
    sound = datasets.mu_law_decode(np.arange(1, 12))
    short = datasets.mu_law_decode(np.arange(20, 23))
    windows, labels = model.prepare(audio.AudioSet((sound, short), np.array([2, 0]), ("a", "b", "c"), "x"))
    assert windows.dtype == np.int16 and labels.tolist() == [2, 2, 2, 0] and windows.shape == (4, 9 + 8)
    assert windows[0].tolist() == [128] * 9 + list(range(1, 9)) and windows[1].tolist() == [128] * 7 + list(
        range(1, 11)
    )
    assert windows[2, -2:].tolist() == [11, -1] and windows[3].tolist() == [128] * 9 + [20, 21, 22] + [-1] * 5
    loss, _ = model.objective((windows[3:], labels[3:]), None)  # of three codes alone
    np.testing.assert_allclose(loss.item(), model.nll(np.arange(20, 23), labels[3:]).mean(), rtol=1e-5)
    with pytest.raises(ConfigError, match="expected labels below 2, came 2"):
        small(block=8, classes=2).prepare(audio.AudioSet((sound,), np.array([2]), ("a", "b", "c"), "x"))


@pytest.mark.parametrize("name", ["wavenet", "wavenet-b6"])
def test_the_objective_and_the_measure_are_the_same_mean(name):
    """Every code of a sound is predicted once, after all that its model can see."""
    model = small(name, block=50)
    codes, label = codes_of(50), np.array([1])
    window = np.concatenate([np.full(model.context, 128), codes])[None].astype(np.uint8)
    loss, _ = model.objective((window, label), None)
    nll = model.nll(codes, np.arange(3))
    assert nll.shape == (3, 50)
    np.testing.assert_allclose(nll[1].mean(), loss.item(), rtol=1e-5)
    long = codes_of(500, 1)
    logits = model(np.concatenate([np.full(model.context, 128), long])[None, :-1], label).numpy()[0].astype(np.float64)
    expected = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(500), long]
    np.testing.assert_allclose(model.nll(long, label)[0], expected, rtol=1e-4)


def test_it_learns_two_tones_by_their_class():
    """A period of 8 codes, and one of 5: after training each begins under its own label, and goes on."""
    period = {0: np.tile([60, 200, 90, 140, 30, 220, 128, 110], 5), 1: np.tile([20, 120, 240, 160, 80], 8)}
    sounds = tuple(datasets.mu_law_decode(codes) for codes in period.values())
    model = small(seed=1, steps=120, lr=1e-2, block=40, classes=2)
    data = model.prepare(audio.AudioSet(sounds * 4, np.tile([0, 1], 4), ("a", "b"), "tones"))
    Trainer(model, data, batch_size=8).run(120)
    model.eval()
    made = np.concatenate(list(model.generate(np.array([0, 1]), 40, np.random.default_rng(0), temperature=0)), axis=1)
    for label, codes in period.items():
        own, other = model.nll(codes, np.array([label, 1 - label]))
        assert own.mean() < 0.3 and other[:2].mean() > own[:2].mean() + 0.5  # later, what was heard tells the class
        np.testing.assert_array_equal(made[label], codes)


# -- drawing ----------------------------------------------------------------------------------------------------------


def test_drawing_with_queues_is_full_recomputation(backend_name):
    """What each sample cost when it was drawn is what it costs when the whole sound is read at once."""
    model, labels = small(), np.array([2, 0, 1])
    pieces = list(model.drawn(labels, 900, np.random.default_rng(5)))
    codes, nll = (np.concatenate(part, axis=1) for part in zip(*pieces, strict=True))
    assert codes.shape == (3, 900) and codes.dtype == np.uint8 and len(pieces) == 3
    for i in range(3):
        np.testing.assert_allclose(nll[i], model.nll(codes[i], labels[i : i + 1])[0], rtol=0, atol=2e-5)


def test_drawing_in_float64_is_full_recomputation_to_rounding():
    model, labels = small(dtype=np.float64), np.array([1])
    pieces = list(model.drawn(labels, 60, np.random.default_rng(5)))
    codes, nll = (np.concatenate(part, axis=1) for part in zip(*pieces, strict=True))
    assert nll.dtype == np.float64
    np.testing.assert_allclose(nll, model.nll(codes[0], labels), rtol=1e-12, atol=1e-12)


def test_what_is_drawn_has_the_probabilities_of_the_model():
    """10,000 first samples: each code as often as the softmax says, at two temperatures; at 0 the likeliest."""
    model, n = small(), 10_000
    silence = np.full((1, model.context), 128)
    logits = model(silence, np.array([1])).numpy()[0, 0].astype(np.float64) * 1
    for temperature in (1.0, 0.3):
        p = np.exp(logits / temperature)
        (first,) = model.generate(np.full(n, 1), 1, np.random.default_rng(7), temperature=temperature)
        counts, expected = np.bincount(first[:, 0], minlength=256), n * p / p.sum()
        assert ((counts - expected) ** 2 / expected).sum() < 256 + 5 * np.sqrt(2 * 256)  # χ², five σ above its mean
    (first,) = model.generate(np.array([1]), 1, np.random.default_rng(7), temperature=0)
    assert first[0, 0] == logits.argmax()


@pytest.mark.parametrize("temperature", [0.0, 0.7, 1.0])
@pytest.mark.parametrize("n", [1, 5])
def test_the_compiled_loop_draws_what_its_reference_draws(n, temperature):
    model, labels = small(channels=5, skip=7, seed=3), np.arange(n) % 3
    rng = np.random.default_rng(8)
    arguments = (rng.random((n, 70), dtype=np.float32), rng.integers(0, 256, n), model._silence(labels), 3, temperature,
                 model.dilations)  # fmt: skip
    weights = model._weights(labels)
    kept = [a.copy() for a in (arguments[0], arguments[1], *weights["head"])]
    queues = arguments[2].copy()
    compiled = kernels.wavenet_draw(*arguments, **weights)
    expected = KERNELS["wavenet_draw"](*arguments[:2], queues, *arguments[3:], **weights)
    np.testing.assert_array_equal(compiled[0], expected[0])
    np.testing.assert_allclose(compiled[1], expected[1], rtol=0, atol=2e-5)
    np.testing.assert_allclose(arguments[2], queues, atol=1e-5)
    for a, before in zip((arguments[0], arguments[1], *weights["head"]), kept, strict=True):
        np.testing.assert_array_equal(a, before)


def test_a_piece_does_not_depend_on_where_it_was_cut(monkeypatch):
    model, labels = small(), np.array([0, 2])
    whole = np.concatenate(list(model.generate(labels, 50, np.random.default_rng(9), temperature=0)), axis=1)
    monkeypatch.setattr("minigen.models.wavenet.PIECE", 7)
    pieces = list(model.generate(labels, 50, np.random.default_rng(9), temperature=0))
    assert len(pieces) == 8
    np.testing.assert_array_equal(np.concatenate(pieces, axis=1), whole)


def test_the_cell_draws_what_it_would_measure():
    model, labels = small("wavenet-b6"), np.array([1, 2])
    made = np.concatenate(list(model.generate(labels, 20, np.random.default_rng(0), temperature=0)), axis=1)
    for codes, label in zip(made, labels, strict=True):
        logits = model(np.concatenate([[128], codes[:-1]])[None], np.array([label])).numpy()[0]
        np.testing.assert_array_equal(logits.argmax(axis=1), codes)


# -- measures ---------------------------------------------------------------------------------------------------------


def test_chains_count_no_silence_between_sounds():
    sounds = tuple(datasets.mu_law_decode(np.tile([10, 200, 77], 30)) for _ in range(2))
    found = chains(*[audio.AudioSet(sounds, np.array([0, 0]), ("a",), "x")] * 2)
    assert all(len(nll) == 180 for nll in found.values()) and list(found) == ["1-gram", "2-gram", "3-gram", "4-gram"]
    assert found["2-gram"].mean() < 0.2 < 1 < found["1-gram"].mean()


def test_the_judge_tells_the_recordings_apart():
    judge = Judge(datasets.load_set("audio", "recordings"))
    held_out = datasets.load_set("audio", "recordings", "test")
    assert (judge(held_out.sounds) == held_out.labels).all()
    noise = np.random.default_rng(0).standard_normal((20, 4000)).astype(np.float32) / 8
    assert len(set(judge(noise))) <= 2  # noise is one class to it, too
    judge([np.zeros(10, np.float32), np.full(50, 0.1, np.float32)])  # silence and a click are some class


# -- the commands -----------------------------------------------------------------------------------------------------


def test_from_the_command_line(digits, tmp_path, capsys):
    (tmp_path / "small.toml").write_text("layers = 3\ncycle = 3\nchannels = 4\nskip = 4\nblock = 200\nsteps = 2\n")
    run, data = tmp_path / "run", str(digits / "audio/fsdd/recordings")
    assert train.main(["wavenet", "--config", str(tmp_path / "small.toml"), "--data", data, "--out", str(run)]) == 0
    out = capsys.readouterr().out
    assert "context     8 samples, 1 ms" in out and "--seconds 1 --temperature 0.9 --out new.wav" in out
    assert (run / "samples" / "step_000002.wav").is_file() and (run / "samples" / "step_000002.png").is_file()
    new = tmp_path / "new.wav"
    asked = [str(run), "--label", "1", "--seconds", "0.05", "--temperature", "0.9", "--out", str(new)]
    assert sample.main(asked) == 0 and capsys.readouterr().out.strip() == str(new)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rate, x = wavfile.read(new)
    assert rate == 8000 and x.shape == (400,) and new.with_suffix(".png").read_bytes()[:4] == b"\x89PNG"
    before = new.read_bytes()
    assert sample.main(asked) == 0 and new.read_bytes() == before
    assert sample.main([str(run), "--seconds", "0.02", "-n", "3"]) == 0
    rate, x = wavfile.read(run / "samples-n3-seed0.wav")
    assert len(x) == 3 * 160 + 2 * 1600
    capsys.readouterr()
    assert evaluate.main([str(run), "--each", "1", "--seconds", "0.05"]) == 0
    out = capsys.readouterr().out
    assert "nats per sample" in out and "4-gram" in out and "by chance 33.3 %" in out
    report = json.loads((run / "metrics.json").read_text())
    assert report["samples"] == 2400 and set(report["judge"]) == {"samples", "held out", "chance"}
    for wrong, message in (
        (["--label", "10"], "expected labels from 0 to 9, got 10"),
        (["--out", "x.mp3"], "expected the name of a WAV file"),
        (["--prompt", "x"], "--prompt: 'wavenet' is no model for this option"),
        (["--seconds", "0"], "expected a number from 0.01 to 600"),
    ):
        assert sample.main([str(run), *wrong]) == 2
        assert message in capsys.readouterr().err


def test_spectrograms_are_drawn():
    from PIL import Image

    from minigen.viz import draw_spectrograms

    file = BytesIO()
    draw_spectrograms(file, {f"tone {hertz}": tone(hertz) for hertz in (500, 1000, 3500)})
    with Image.open(file) as picture:
        assert picture.size[0] > 600
    with pytest.raises(ShapeError, match="at least one sound"):
        draw_spectrograms(file, {})
