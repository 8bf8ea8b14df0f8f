"""Music: scores and their forms, the bundled melodies, MIDI files good and bad, the models, what the commands write."""

import dataclasses
import io
import itertools
import json
import re
from fractions import Fraction
from pathlib import Path

import mido
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import wavfile

from minigen import backend, datasets, evaluate, models, ops, sample, train
from minigen.datasets import MusicSet, Note, Score, decode_melody, decode_roll, encode_melody, encode_roll, music
from minigen.datasets.music import BEGIN, GRID, HOLD, KEYS, LOWEST, REST, VOCABULARY
from minigen.datasets.synthesizer import RATE, synthesize
from minigen.errors import ConfigError, DataError, DtypeError, ShapeError
from minigen.evaluation.music import _beginning
from minigen.losses.documents import a9_loss_as_written
from minigen.metrics.music import in_scale_rate, shares
from minigen.models.melody import Continuation, ContinuationConfig, Melody, MelodyConfig
from minigen.models.pianoroll import PianoRoll, PianoRollConfig
from minigen.tensor import grad, no_grad, tensor
from minigen.training import Trainer
from minigen.viz import draw_histograms, draw_piano_roll

ROOT = Path(__file__).resolve().parents[1]
TUNES = ROOT / "data" / "folk_melodies.txt"
JACQUES = Score(
    tuple(Note(4 * i, 4, pitch) for i, pitch in enumerate([60, 62, 64, 60, 60, 62, 64, 60])), 32, (4, 4), "Jacques"
)
SMALL = MelodyConfig(embedding=8, widths=(12, 10), block=16, keys=3)


def one_sentence(error):
    text = str(error.value)
    assert "\n" not in text and text.rstrip().endswith((".", ")")), text
    return text


# -- scores and their forms -------------------------------------------------------------------------------------------


@st.composite
def melodies(draw):
    """One note at a time, within whole bars."""
    metre = draw(st.sampled_from([(4, 4), (3, 4), (6, 8), (2, 4), (5, 8)]))
    spans = draw(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 9), st.integers(0, 127)), min_size=1, max_size=8))
    now, notes = 0, []
    for pause, length, pitch in spans:
        notes.append(Note(now + pause, length, pitch))
        now += pause + length
    bar = 16 * metre[0] // metre[1]
    return Score(tuple(notes), -(-now // bar) * bar, metre, "a tune")


@settings(max_examples=40, deadline=None)
@given(melodies())
def test_a_melody_goes_through_tokens_and_midi_and_comes_back(tmp_path_factory, score):
    ids = encode_melody(score)
    assert len(ids) == score.steps + 1 and decode_melody(ids, score.metre, score.title) == score
    path = tmp_path_factory.mktemp("midi") / "a tune.mid"
    datasets.write_midi(path, score)
    assert datasets.read_midi(path) == score


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 5), st.integers(1, 12), st.randoms(use_true_random=False))
def test_a_roll_goes_through_a_score_and_midi_and_comes_back(tmp_path_factory, step, length, random):
    roll = np.array([[random.random() < 0.1 for _ in range(KEYS)] for _ in range(length)])
    roll[0, 40] = True
    score = decode_roll(roll, step)
    np.testing.assert_array_equal(encode_roll(score, step), roll)
    path = tmp_path_factory.mktemp("midi") / "roll.mid"
    datasets.write_midi(path, score)
    read = datasets.read_midi(path)
    assert read.notes == score.notes and read.steps % 16 == 0
    np.testing.assert_array_equal(encode_roll(read, step)[:length], roll)


def test_formula_A10_note_events():
    """A note event is a pitch where it begins, then holds; a rest is a symbol of its own: nothing is thrown away."""
    score = Score((Note(0, 2, 60), Note(2, 1, 60), Note(5, 3, 67)), 8, (2, 4))
    expected = [BEGIN + 0, 60, HOLD, 60, REST, REST, 67, HOLD, HOLD]
    assert encode_melody(score).tolist() == expected
    assert decode_melody(expected, (2, 4)) == score
    assert encode_melody(Score((), 3, (7, 8))).tolist() == [BEGIN + 3, REST, REST, REST]
    assert decode_melody([HOLD, 62, REST, HOLD]).notes == (Note(1, 1, 62),)  # nothing to hold: silence


def test_formula_A10_augmentation():
    """Twelve keys: the same intervals, lengths and rests; what would leave the keyboard is left out."""
    twelve = datasets.transpositions([JACQUES], 12)
    assert [score.notes[0].pitch for score in twelve] == list(range(55, 67))
    for score in twelve:
        assert np.diff([note.pitch for note in score.notes]).tolist() == [2, 2, -4, 0, 2, 2, -4]
        assert [note[:2] for note in score.notes] == [note[:2] for note in JACQUES.notes]
    assert datasets.transpositions([JACQUES], 1) == [JACQUES]
    high = Score((Note(0, 4, 107),), 16)
    assert [score.notes[0].pitch for score in datasets.transpositions([high], 12)] == list(range(102, 109))
    with pytest.raises(DataError, match="Jacques: 70 semitones lead out"):
        JACQUES.transposed(70)


def test_the_melody_of_several_voices_is_the_highest():
    chord = Score((Note(0, 16, 48), Note(0, 4, 60), Note(4, 4, 40), Note(8, 4, 72)), 16)
    expected = (Note(0, 4, 60), Note(4, 4, 48), Note(8, 4, 72), Note(12, 4, 48))
    assert decode_melody(encode_melody(chord)).notes == expected


def test_a_roll_has_what_sounds_at_each_step():
    score = Score((Note(0, 8, 21), Note(3, 3, 60), Note(5, 2, 64), Note(8, 1, 108), Note(8, 4, 20)), 12)
    roll = encode_roll(score)
    assert roll.shape == (3, KEYS)
    assert [np.flatnonzero(row).tolist() for row in roll] == [[0], [0, 60 - LOWEST], [KEYS - 1]]


def test_impossible_tokens_and_rolls():
    with pytest.raises(DataError, match=f"expected ids from 0 to {VOCABULARY - 1}, got 3 to {VOCABULARY}"):
        decode_melody([3, VOCABULARY])
    with pytest.raises(DtypeError, match="decode_melody: expected integer ids"):
        decode_melody([0.5])
    with pytest.raises(ShapeError, match=r"decode_roll: expected a roll \(T, 88\)"):
        decode_roll(np.zeros((3, 12)))


# -- the bundled melodies ---------------------------------------------------------------------------------------------


def test_every_bar_of_every_bundled_melody_is_full():
    """Counted here from the text itself."""
    blocks = re.sub("^#.*\n", "", TUNES.read_text("utf-8"), flags=re.M).strip().split("\n\n")
    titles, pitches = [], []
    for block in blocks:
        head = dict(line.split(": ", 1) for line in block.splitlines() if re.match(r"\w+: ", line))
        assert list(head)[:4] == ["title", "from", "key", "metre"]
        titles.append(head["title"])
        n, d = map(int, head["metre"].split("/"))
        lines = [line for line in block.splitlines() if not re.match(r"\w+: ", line)]
        bars = " ".join(lines).removesuffix(" |").split(" | ")
        lengths = [
            sum(Fraction(word.split(":")[1]) if ":" in word else Fraction(1) for word in bar.split()) for bar in bars
        ]
        full, pickup = Fraction(4 * n, d), Fraction(head.get("pickup", 0))
        assert lengths[0] == (pickup or full), head["title"]
        assert set(lengths[1:-1]) == {full}, head["title"]
        assert lengths[-1] in (full, full - pickup), head["title"]
        pitches += re.findall(r"[A-G][#b]?\d", block.split("\n", 4)[-1])
    assert len(titles) >= 60 and len(set(titles)) == len(titles)
    assert all(3 <= int(pitch[-1]) <= 5 for pitch in pitches)


def test_the_bundled_melodies_are_read_note_by_note():
    parts = [datasets.load_set("music", "folk", split) for split in ("train", "test")]
    scores = {score.title: score for part in parts for score in part.scores}
    assert [len(part) for part in parts] == [53, 13] and len(scores) == 66
    for score in scores.values():
        assert score.steps % score.bar == 0 and decode_melody(encode_melody(score), score.metre, score.title) == score
        assert all(55 <= note.pitch <= 81 for note in score.notes), score.title
    jacques = scores["Frère Jacques"]
    assert [note.pitch for note in jacques.notes[:14]] == [65, 67, 69, 65] * 2 + [69, 70, 72] * 2
    assert [note.length for note in jacques.notes[14:18]] == [2, 2, 2, 2]
    grace = next(score for title, score in scores.items() if title.startswith("Amazing"))
    assert grace.metre == (3, 4) and grace.notes[0] == Note(8, 4, 62)  # the pickup, behind two rests
    assert in_scale_rate([note.pitch for note in jacques.notes]) == 1


TUNE = "title: T\nfrom: x\nkey: C\nmetre: 3/4\npickup: 1\nC4 | D4:2 r | E#4:3/2 Fb4:1/2 B3 | A4:1/4 r:7/4 |"


def test_a_text_of_melodies(tmp_path):
    path = tmp_path / "tunes.txt"
    path.write_text(TUNE + "\n\n# and another\n" + TUNE.replace("T\n", "U\n"))
    first, second = datasets.read_tunes(path)
    assert first.notes == (
        Note(8, 4, 60), Note(12, 8, 62), Note(24, 6, 65), Note(30, 2, 64), Note(32, 4, 59), Note(36, 1, 69),
    )  # fmt: skip
    assert first.steps == 48 and first.metre == (3, 4) and (first.title, second.title) == ("T", "U")
    assert len(datasets.load_set("music", str(path), "test")) == 1


@pytest.mark.parametrize(
    "old, new, message",
    [
        ("D4:2", "D4", r"T: expected bar 2 to have 3 quarter notes, came 2[.]"),
        ("r:7/4", "r:9/4", r"T: expected bar 4 to have 2 or 3 quarter notes, came 2.5"),
        ("D4:2", "H4:2", "expected notes such as A4 or Bb4:1/2 and rests such as r:2, came 'H4:2'"),
        ("D4:2", "D4:2/0", "expected notes such as"),
        ("D4:2", "D4:2/3", "expected lengths that are whole sixteenth notes, came 'D4:2/3'"),
        ("D4:2", "D4:0", "expected lengths that are whole"),
        ("3/4", "3/0", "expected a line such as 'metre: 3/4', came 3/0"),
        ("metre: 3/4\n", "", "expected a line such as 'metre: 3/4', came none"),
        ("pickup: 1", "pickup: x", "expected a pickup in quarter notes, came 'x'"),
        ("pickup: 1", "pickup: 1/0", "expected a pickup in quarter notes"),
    ],
)
def test_bad_melodies(tmp_path, old, new, message):
    path = tmp_path / "tunes.txt"
    path.write_text(TUNE.replace(old, new, 1))
    with pytest.raises(DataError, match=message) as error:
        datasets.read_tunes(path)
    assert one_sentence(error).startswith(f"{path}: T: ")


# -- MIDI files -------------------------------------------------------------------------------------------------------


def midi(*tracks, division=96, kind=1):
    """A MIDI file assembled by hand."""
    head = b"MThd" + (6).to_bytes(4, "big") + b"".join(n.to_bytes(2, "big") for n in (kind, len(tracks), division))
    return head + b"".join(b"MTrk" + len(track).to_bytes(4, "big") + track for track in tracks)


END = b"\x00\xff\x2f\x00"


def test_a_file_assembled_by_hand(tmp_path):
    """3/4; two tracks; running status; velocity 0 ends a note; drums do not count; times to the nearest sixteenth"""
    first = b"\x00\xff\x58\x04\x03\x02\x18\x08" + b"\x00\x90\x3c\x40\x60\x3c\x00\x00\x40\x40\x31\x40\x00" + END
    second = b"\x17\x99\x24\x40" + b"\x00\x91\x48\x40\x18\x81\x48\x00" + END
    path = tmp_path / "by hand.mid"
    path.write_bytes(midi(first, second))
    score = datasets.read_midi(path)
    assert score == Score((Note(0, 4, 60), Note(1, 1, 72), Note(4, 2, 64)), 12, (3, 4), "by hand")


def test_what_is_written_is_read_by_mido():
    file = io.BytesIO()
    datasets.write_midi(file, JACQUES)
    read = mido.MidiFile(file=io.BytesIO(file.getvalue()))
    assert read.type == 0 and read.ticks_per_beat == 480 and read.length == pytest.approx(4.0)
    on = [message for message in read.tracks[0] if message.type == "note_on"]
    assert [message.note for message in on] == [note.pitch for note in JACQUES.notes]
    (metre,) = [message for message in read.tracks[0] if message.type == "time_signature"]
    assert (metre.numerator, metre.denominator) == (4, 4)
    assert sum(message.time for message in read.tracks[0]) == 8 * 480  # two whole bars


NOTE = b"\x00\x90\x3c\x40\x60\x80\x3c\x00"


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "expected a MIDI file, came a damaged or another one"),
        (b"RIFF0000WAVE", "MThd not found"),
        (midi(NOTE + END)[:-3], "expected a MIDI file, came a damaged"),
        (midi(NOTE + END)[:30], "expected a MIDI file, came a damaged"),
        (midi(b"\x00\x3c\x40"), "running status without last_status"),
        (midi(b"\x00\xf8\x00" + END), "expected a MIDI file|with notes"),
        (midi(b"\x00\xff\x59\x02\x7f\x07" + NOTE + END), "expected a MIDI file, came a damaged"),  # a key of 127 sharps
        (midi(NOTE + END, kind=2), "type 2"),
        (midi(END), "expected a MIDI file with notes, came none"),
        (midi(b"\x00\x99\x3c\x40\x60\x89\x3c\x00" + END), "with notes, came none"),
        (midi(NOTE + END, division=0), "expected times in parts of a quarter note"),
        (midi(NOTE + END, division=0xE728), "expected times in parts of a quarter note"),
        (midi(b"\x00\x90\x3c\x40\xff\xff\xff\x7f\x80\x3c\x00" + END, division=1), "expected at most 32768 sixteenth"),
        (midi(b"\x00\xf0\xff\xff\xff\x7f" + END), "length 268435455 exceeds maximum"),
        (midi(b"\xff" * 5000), "a thousand bytes that are no message"),
        (midi(NOTE + END).replace(b"\x00\x01\x00\x60", b"\x7f\xff\x00\x60"), "expected a MIDI file, came a damaged"),
    ],
)
def test_bad_midi(tmp_path, content, message):
    path = tmp_path / "bad.mid"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as error:
        datasets.read_midi(path)
    assert one_sentence(error).startswith(f"{path}: ")


def test_midi_that_is_missing_or_large(tmp_path):
    with pytest.raises(DataError, match="none.mid: cannot be read"):
        datasets.read_midi(tmp_path / "none.mid")
    with pytest.raises(DataError, match="expected a MIDI file, came a folder"):
        datasets.read_midi(tmp_path)
    with open(tmp_path / "large.mid", "wb") as file:
        file.truncate((1 << 20) + 1)
    with pytest.raises(DataError, match="expected a MIDI file of at most 1,048,576 bytes"):
        datasets.read_midi(tmp_path / "large.mid")


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_a_damaged_midi_is_read_or_refused(tmp_path_factory, data):
    file = io.BytesIO()
    datasets.write_midi(file, JACQUES)
    content = bytearray(file.getvalue())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("damaged") / "a.mid"
    path.write_bytes(content[: data.draw(st.integers(1, len(content)))])
    try:
        score = datasets.read_midi(path)
    except DataError:
        return
    assert score.notes and all(note.start + note.length <= score.steps for note in score.notes)


def test_a_folder_of_midi_files(tmp_path):
    for i in range(6):
        datasets.write_midi(tmp_path / f"{i}.{'mid' if i % 2 else 'MIDI'}", JACQUES.transposed(i))
    (tmp_path / "notes.doc").write_bytes(b"x")
    parts = [datasets.load_set("music", str(tmp_path), split) for split in ("train", "test")]
    assert [[score.title for score in part.scores] for part in parts] == [["0", "1", "2", "3", "5"], ["4"]]
    (tmp_path / "3.mid").write_bytes(b"x")
    with pytest.raises(DataError, match=r"3\.mid: expected a MIDI file"):
        datasets.load_set("music", str(tmp_path))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="expected at least two MIDI files or melodies, came 0"):
        datasets.load_set("music", str(tmp_path / "empty"))
    with pytest.raises(DataError, match="expected a folder of MIDI files or one of folk, jsb.*did you mean folk"):
        datasets.load_set("music", "folks")


# -- chorales ---------------------------------------------------------------------------------------------------------

PIECES = {"train": [[[60, 64], [60, 65], [], [60]]], "test": [[[72]]], "valid": []}


def test_chorales_are_looked_for_in_minigen_data(tmp_path, monkeypatch):
    monkeypatch.setenv("MINIGEN_DATA", str(tmp_path))
    monkeypatch.setenv("MINIGEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(music, "_JSB_URL", "http://127.0.0.1:9/chorales.json")
    with pytest.raises(DataError, match="jsb: .* could not be reached; put jsb-chorales-quarter.json") as error:
        datasets.load_set("music", "jsb")
    assert "use folk" in one_sentence(error)
    (tmp_path / "music").mkdir()
    (tmp_path / "music" / "jsb-chorales-quarter.json").write_text(json.dumps(PIECES))
    (score,) = datasets.load_set("music", "jsb").scores
    assert score.notes == (Note(0, 8, 60), Note(0, 4, 64), Note(4, 4, 65), Note(12, 4, 60)) and score.steps == 16
    assert datasets.load_set("music", "jsb", "test").scores[0].notes == (Note(0, 4, 72),)


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"train": 3}', '{"train": [[[128]]]}', '{"train": [[["C"]]]}', '{"train": [[60]]}',
                '{"train": []}', '{"train": [[]]}', '{"train": [[[60.0]]]}', '{"train": [[[true]]]}', "[" * 100_000],
)  # fmt: skip
def test_bad_chorales(tmp_path, content):
    path = tmp_path / "chorales.json"
    path.write_text(content)
    with pytest.raises(DataError, match="expected lists of pitches|expected pieces of 1 to 8192 quarter") as error:
        music.read_chorales(path)
    assert one_sentence(error).startswith(f"{path}: ")


# -- sound and pictures -----------------------------------------------------------------------------------------------


def test_the_synthesizer_plays_the_frequency_of_a_pitch():
    x = synthesize(Score((Note(0, 16, 69),), 32))
    assert x.dtype == np.float32 and len(x) == pytest.approx(4.08 * RATE, abs=2) and 0.2 < np.abs(x).max() <= 0.9
    power = np.abs(np.fft.rfft(x[:RATE]))
    assert power.argmax() == pytest.approx(440, abs=1)
    assert abs(x[0]) < 1e-3 and not x[int(2.1 * RATE) :].any()  # no click, and the note ends
    loud = synthesize(Score(tuple(Note(0, 16, 40 + i) for i in range(20)), 16))
    assert np.abs(loud).max() == pytest.approx(0.9)
    top = synthesize(Score((Note(0, 16, 127),), 16))  # 12.5 kHz: above half the rate
    assert not top.any() and not synthesize(Score((), 16)).any()


def test_pictures(tmp_path):
    from PIL import Image

    draw_piano_roll(tmp_path / "a.png", JACQUES, given=16)
    colours = {tuple(pixel) for pixel in np.asarray(Image.open(tmp_path / "a.png").convert("RGB")).reshape(-1, 3)}
    assert {(0x9A, 0xA7, 0xB8), (0x1F, 0x4E, 0x8C)} <= colours  # what was given, and what is new
    draw_piano_roll(tmp_path / "empty.png", Score((), 0))
    draw_histograms(tmp_path / "b.png", {"lengths": (["1", "2"], {"data": [0.5, 0.5], "written": [1.0, 0.0]})})
    assert Image.open(tmp_path / "b.png").size[0] > 800
    with pytest.raises(ShapeError, match="draw_histograms"):
        draw_histograms(tmp_path / "c.png", {})


def test_measures():
    assert in_scale_rate([60, 62, 64, 65, 67, 69, 71]) == 1
    assert in_scale_rate([57, 59, 60, 62, 64, 65, 67]) == 1  # natural minor
    assert in_scale_rate(np.arange(12)) == pytest.approx(7 / 12)
    assert shares([0, 1, 1, 9, -3], 0, 3).tolist() == [0.4, 0.4, 0, 0.2]
    with pytest.raises(DataError):
        in_scale_rate([])


# -- models -----------------------------------------------------------------------------------------------------------


def make(config=SMALL, seed=0):
    kind = {MelodyConfig: Melody, ContinuationConfig: Continuation, PianoRollConfig: PianoRoll}[type(config)]
    return kind(config, rng=backend.generator(seed)).eval()


A9 = ContinuationConfig(embedding=8, widths=(12,), block=16, keys=1, primer=5)
ROLL = PianoRollConfig(width=12, keys=2, block=8)


def test_formula_A9_as_written():
    """One sigmoid for a pitch: the best guess is a note between those that may come, and a certain one still costs."""
    pitches = np.array([60.0, 67.0])
    l = tensor(np.zeros(1), requires_grad=True)
    for _ in range(2000):
        loss = a9_loss_as_written(ops.broadcast_to(l, (2,)), pitches)
        l.data -= 5.0 * grad(loss, l).numpy()
    assert 127 * ops.sigmoid(l).item() == pytest.approx(63.5, abs=1e-3)  # which is never played
    y = 60 / 127
    certain = a9_loss_as_written(tensor(np.log(y / (1 - y))), np.array(60.0)).item()
    assert certain == pytest.approx(-y * np.log(y) - (1 - y) * np.log(1 - y)) and certain > 0.69
    assert certain == min(a9_loss_as_written(tensor(np.array(l)), np.array(60.0)).item() for l in
                          [np.log(y / (1 - y)), *np.linspace(-3, 3, 100)])  # fmt: skip


def test_formula_A9_encoder_and_decoder(backend_name):
    """The decoder sees the primer through the encoder's last state, and learns what is behind it with a softmax."""
    model = make(A9)
    ids = np.append(BEGIN + 2, np.random.default_rng(0).integers(55, 70, 16))[None]
    loss, _ = model.objective((backend.asarray(ids.astype(np.uint8)),), None)
    with no_grad():
        logits, state = model.begin(backend.asarray(ids[:, :5]))
        found = []
        for t in range(5, 17):
            l = backend.to_host(logits)[0].astype(np.float64)
            found.append(np.log(np.exp(l).sum()) - l[ids[0, t]])
            logits, state = model.step(backend.asarray(ids[:, t]), state)
    assert loss.item() == pytest.approx(np.mean(found), rel=1e-5)
    score = decode_melody(ids[0])
    np.testing.assert_allclose(model.nll(score)[: len(found)], found, rtol=1e-4)
    assert model.encoder[0].features == model.layers[0].features == 12 and model.unseen == 5
    assert models.config("melody-a9").widths == (128,)
    with pytest.raises(ConfigError, match="primer: expected at most block = 16, got 17"):
        dataclasses.replace(A9, primer=17)


def test_formula_A9_polyphony(backend_name):
    """−ln p of a step is the sum over 88 keys of binary cross-entropies, given the steps before it alone."""
    model, rng = make(ROLL), np.random.default_rng(1)
    x = rng.random((6, KEYS)) < 0.2
    score = decode_roll(x)
    nll = model.nll(score)
    state, before = None, np.zeros((1, 1, KEYS), np.float32)
    with no_grad():
        for t in range(6):
            logits, state = model(backend.asarray(before), state)
            p = 1 / (1 + np.exp(-backend.to_host(logits.data)[0, 0].astype(np.float64)))
            assert nll[t] == pytest.approx(-np.log(np.where(x[t], p, 1 - p)).sum(), rel=1e-5)
            before = x[t][None, None].astype(np.float32)


def test_a_roll_learns_from_real_steps_alone(backend_name):
    model = make(ROLL)
    scores = [
        decode_roll(np.pad(np.random.default_rng(n).random((n, 60)) < 0.1, [(0, 0), (9, 19)])) for n in (3, 8, 11)
    ]
    for keys in (1, 2):
        model.config = dataclasses.replace(ROLL, keys=keys)
        x, lengths = model.prepare(MusicSet(tuple(scores), "some"))
        assert sorted(lengths.tolist()) == sorted([3, 8, 8, 3] * keys) and x.shape == (4 * keys, 8, KEYS)
    model.config = dataclasses.replace(ROLL, keys=1, block=11)
    batch = tuple(map(backend.asarray, model.prepare(MusicSet(tuple(scores), "some"))))
    loss, _ = model.objective(batch, None)
    assert loss.item() == pytest.approx(np.concatenate([model.nll(score) for score in scores]).mean(), rel=1e-5)


def test_formula_B10():
    """LSTM 256 → 512 → 512 → softmax over 128 pitches, to which HOLD, REST and the length of the bar are added"""
    config = models.config("melody-b10")
    model = Melody(config, rng=backend.generator(0))
    shapes = {name: p.shape for name, p in model.named_parameters()}
    assert shapes.pop("embedding.weight") == (VOCABULARY, config.embedding) and VOCABULARY == 128 + 2 + 4
    assert shapes == {
        "layers.0.cells.0.weight_ih": (1024, 64), "layers.0.cells.0.weight_hh": (1024, 256),
        "layers.0.cells.0.bias": (1024,),
        "layers.1.cells.0.weight_ih": (2048, 256), "layers.1.cells.0.weight_hh": (2048, 512),
        "layers.1.cells.0.bias": (2048,),
        "layers.2.cells.0.weight_ih": (2048, 512), "layers.2.cells.0.weight_hh": (2048, 512),
        "layers.2.cells.0.bias": (2048,),
        "output.weight": (VOCABULARY, 512), "output.bias": (VOCABULARY,),
    }  # fmt: skip
    p = ops.softmax(model.eval()(np.array([[60, HOLD]])), -1).numpy()
    np.testing.assert_allclose(p.sum(-1), 1, rtol=1e-5)


@pytest.mark.parametrize("config", [SMALL, A9], ids=["melody", "a9"])
def test_formula_A11_a_melody_goes_on(config):
    """The continuation begins where the primer ends, in its metre, with whole bars, and depends on it."""
    model = make(config)
    primer = Score((Note(0, 6, 60), Note(6, 4, 62)), 10, (3, 4), "primer")  # its last bar is not full
    score = model.compose(primer, 3, np.random.default_rng(0))
    assert score.steps == 12 + 3 * 12 and score.metre == (3, 4) and score.notes[0] == primer.notes[0]
    assert encode_melody(score)[:11].tolist() == encode_melody(primer).tolist()
    assert score == model.compose(primer, 3, np.random.default_rng(0))
    assert model.compose(None, 2, np.random.default_rng(0)).steps == 32
    cold = [model.compose(primer, 2, np.random.default_rng(seed), temperature=0) for seed in (0, 1)]
    assert cold[0] == cold[1]
    with no_grad():
        other = model.begin(encode_melody(primer.transposed(7))[None])[0]
        assert np.abs(other - model.begin(encode_melody(primer)[None])[0]).max() > 1e-3


def test_formula_A11_a_roll_goes_on():
    model = make(ROLL)
    primer = Score((Note(0, 12, 60), Note(0, 4, 64)), 12)
    score = model.compose(primer, 2, np.random.default_rng(0))
    assert score.steps == 16 + 32
    np.testing.assert_array_equal(encode_roll(score)[:3], encode_roll(primer))
    whole = [encode_roll(model.compose(None, 2, np.random.default_rng(i))) for i in range(40)]
    assert np.mean(whole) == pytest.approx(0.5, abs=0.03) and whole[0].shape == (8, KEYS)  # it has learnt nothing
    cold = model.compose(None, 1, np.random.default_rng(0), temperature=0)
    assert cold.notes == model.compose(None, 1, np.random.default_rng(1), temperature=0).notes


def test_writing_step_by_step_has_the_distributions_of_reading_at_once(backend_name):
    model, ids = make(), np.random.default_rng(0).integers(0, VOCABULARY, (2, 9))
    with no_grad():
        whole = model(backend.asarray(ids)).numpy()
        logits, state = model.begin(backend.asarray(ids[:, :4]))
        found = [backend.to_host(logits)]
        for t in range(4, 9):
            logits, state = model.step(backend.asarray(ids[:, t]), state)
            found.append(backend.to_host(logits))
    np.testing.assert_allclose(np.stack(found, axis=1), whole[:, 3:], rtol=0, atol=2e-6)


def test_no_melody_begins_anew_while_it_is_written():
    model = make()
    model.output.bias.data[BEGIN:] = 100.0
    assert set(encode_melody(model.compose(JACQUES, 2, np.random.default_rng(0)))[1:]) <= set(range(BEGIN))


def test_a_long_melody_is_measured_in_parts(monkeypatch):
    model, score = make(), JACQUES
    whole = model.nll(score)
    assert whole.shape == (32,)
    monkeypatch.setattr("minigen.models.melody.CHUNK", 5)
    np.testing.assert_allclose(model.nll(score), whole, rtol=1e-5)
    logits = model(encode_melody(score)[None, :-1])
    expected = ops.softmax_cross_entropy(logits, encode_melody(score)[None, 1:], "none").numpy()[0]
    np.testing.assert_allclose(whole, expected, rtol=1e-5)


def test_windows_of_all_keys():
    model = make()
    data = MusicSet((JACQUES, JACQUES), "two")
    (windows,) = model.prepare(data)
    stream = model.stream(data)
    assert len(stream) == 3 * 2 * 33 and windows.shape == (len(stream) - 16, 17) and windows.dtype == np.uint8
    np.testing.assert_array_equal(windows[7], stream[7:24])
    with pytest.raises(DataError, match="short: expected at least 17 tokens for a window, came 15"):
        make(dataclasses.replace(SMALL, keys=3)).prepare(MusicSet((Score((Note(0, 4, 60),), 4),), "short"))


def test_a_scale_is_learnt_by_heart():
    scale = Score(tuple(Note(2 * i, 2, pitch) for i, pitch in enumerate([60, 62, 64, 65, 67, 69, 71, 72])), 16)
    config = MelodyConfig(embedding=16, widths=(32,), block=16, keys=1, steps=150, lr=3e-2)
    with backend.use("numba"):
        model = Melody(config, rng=backend.generator(0))
        Trainer(model, model.prepare(MusicSet((scale,) * 5, "one")), batch_size=8).run(config.steps)
        model.eval()
        assert model.nll(scale).mean() < 0.1
        primer = _beginning(dataclasses.replace(scale, metre=(1, 4)))
        assert primer.steps == 8 and len(primer.notes) == 4
        again = model.compose(dataclasses.replace(primer, metre=(2, 4)), 1, np.random.default_rng(0), temperature=0)
    assert again.notes == scale.notes


# -- the commands -----------------------------------------------------------------------------------------------------

TINY = 'batch_size = 4\nsteps = 4\nsample_every = 4\nblock = 16\nkeys = 1\ndata = "tunes.txt"\n'
SIZES = {"melody": "embedding = 8\nwidths = [8]\n", "melody-a9": "embedding = 8\nwidths = [8]\nprimer = 4\n",
         "pianoroll": "width = 8\n"}  # fmt: skip


@pytest.mark.parametrize("name", SIZES)
def test_from_training_to_a_score_that_can_be_heard(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    text = TUNE.replace("E#4", "E4").replace("Fb4", "F4")
    Path("tunes.txt").write_text("\n\n".join([text] * 6))
    Path("tiny.toml").write_text(TINY + SIZES[name])
    assert train.main([name, "--config", "tiny.toml", "--out", "run"]) == 0
    assert {f"step_000004.{kind}" for kind in ("mid", "wav", "png")} == {p.name for p in Path("run/samples").iterdir()}
    command = re.search(r"python -m minigen\.sample (.*)", capsys.readouterr().out)[1].split()
    datasets.write_midi("tune.mid", JACQUES)
    assert sample.main([*command, "--primer", "tune.mid", "--bars", "3"]) == 0
    assert capsys.readouterr().out == "new.mid\n"
    score = datasets.read_midi("new.mid")
    assert (
        score.steps == 32 + 48
        and encode_melody(score)[1:33].tolist() == encode_melody(JACQUES)[1:].tolist()
        or (name == "pianoroll" and (encode_roll(score)[:8] == encode_roll(JACQUES)).all() and score.steps == 80)
    )
    rate, sound = wavfile.read("new.wav")
    assert rate == RATE and len(sound) / rate == pytest.approx(80 / 8, abs=0.2)
    assert Path("new.png").read_bytes().startswith(b"\x89PNG")

    assert evaluate.main(["run", "-n", "3", "--bars", "2"]) == 0
    report = json.loads(Path("run/metrics.json").read_text())
    assert report["pieces"] == 1 and Path("run/metrics.png").read_bytes().startswith(b"\x89PNG")
    assert {"model"} < set(report["nats"]) and all(value["mean"] > 0 for value in report["nats"].values())
    assert report["in scale"]["held-out pieces"] == 1
    assert sum(report["lengths"]["written"]) == pytest.approx(1) or not sum(report["lengths"]["written"])
    assert "nats per step" in capsys.readouterr().out


def test_what_sampling_refuses(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("tunes.txt").write_text("\n\n".join([TUNE] * 6))
    Path("tiny.toml").write_text(TINY.replace("steps = 4", "steps = 1") + SIZES["melody"])
    assert train.main(["melody", "--config", "tiny.toml", "--out", "run"]) == 0
    capsys.readouterr()
    Path("bad.mid").write_bytes(b"MThd")
    for argv, message in {
        ("--out", "new.wav"): "expected the name of a MIDI file",
        ("--primer", "bad.mid"): "bad.mid: expected a MIDI file",
        ("--primer", "none.mid"): "none.mid: cannot be read",
        ("--bars", "1001"): "expected at most 1000",
        ("-n", "2"): "writes one piece",
        ("--label", "2"): "no model for this option",
    }.items():
        assert sample.main(["run", *argv]) == 2
        text = capsys.readouterr().err
        assert message in text and len(text.splitlines()) == 1, text
    assert not list(Path().glob("*.wav"))


# -- the real chorales ------------------------------------------------------------------------------------------------


@pytest.fixture
def real_chorales():
    from minigen.datasets import remote

    path = remote.find("music", "jsb-chorales-quarter.json")
    if path is None:
        pytest.skip("MINIGEN_DATA has no jsb-chorales-quarter.json")
    return path


def test_the_real_chorales(real_chorales):
    """229 and 77 pieces, 13,807 and 4,725 quarter notes, and the keys that are down in the file itself"""
    pieces = json.loads(real_chorales.read_text())
    for split, count, steps in (("train", 229, 13_807), ("test", 77, 4_725)):
        scores = datasets.load_set("music", "jsb", split).scores
        rolls = [encode_roll(score) for score in scores]
        assert (len(scores), sum(map(len, rolls))) == (count, steps)
        for roll, piece in itertools.islice(zip(rolls, pieces[split]), 20):
            assert [(np.flatnonzero(row) + LOWEST).tolist() for row in roll] == [sorted(set(q)) for q in piece]
    assert GRID == 4
