"""minigen.datasets: texts, tokenizers, windows, generated dates and numbers, sentence pairs."""

import contextlib
import datetime
import functools
import gzip
import hashlib
import http.server
import json
import re
import threading
import zipfile
from collections import Counter

import numpy as np
import pytest
from dateutil import parser as dateutil
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from minigen import datasets
from minigen.datasets import dates, pairs, remote, text, tokenizers
from minigen.datasets.tokenizers import BPETokenizer, ByteTokenizer, CharTokenizer
from minigen.errors import ConfigError, DataError, DtypeError, MinigenError

SEVERAL = "First Citizen:\nBefore we  proceed\tany further… 人工智能，一幅美丽的夕阳。\U0001f600 naïve e\u0301\r\n\n "


def one_sentence(error):
    message = str(error.value)
    assert "\n" not in message and message[-1] in ".?" and ": " in message, message
    return message


# tokenizers ----------------------------------------------------------------------------------------------------------


@functools.lru_cache
def trained(special_tokens=False):
    return BPETokenizer.train(datasets.load_text()[:50_000] + SEVERAL * 3, 200, special_tokens)


def all_tokenizers(characters, special_tokens):
    return [
        CharTokenizer(characters, special_tokens),
        ByteTokenizer(special_tokens),
        trained(special_tokens),
        BPETokenizer([], special_tokens),
    ]


@settings(deadline=None)
@given(st.text(min_size=1), st.booleans())
def test_any_text_comes_back(text, special_tokens):
    for tokenizer in all_tokenizers(text, special_tokens):
        ids = tokenizer.encode(text)
        assert ids.dtype == np.int64 and ids.ndim == 1 and ids.min() >= (3 if special_tokens else 0)
        assert ids.max() < tokenizer.vocab_size
        assert tokenizer.decode(ids) == text
        assert "".join(tokenizer.stream(ids.tolist())) == text


@pytest.mark.parametrize("special_tokens", [False, True])
def test_empty_and_special(special_tokens):
    for tokenizer in all_tokenizers("<pad>bos/eos", special_tokens):
        assert tokenizer.encode("").shape == (0,) and tokenizer.decode([]) == ""
        assert tokenizer.decode(tokenizer.encode("<pad><bos>")) == "<pad><bos>"  # the text is not the token
        if special_tokens:
            assert (tokenizer.pad, tokenizer.bos, tokenizer.eos) == (0, 1, 2)
            assert tokenizer.decode([1, *tokenizer.encode("as"), 2, 0, 0]) == "as"
        else:
            assert (tokenizer.pad, tokenizer.bos, tokenizer.eos) == (None, None, None)


def test_the_ids_are_these():
    np.testing.assert_array_equal(CharTokenizer("banana").encode("nab"), [2, 0, 1])
    np.testing.assert_array_equal(CharTokenizer("banana", special_tokens=True).encode("nab"), [5, 3, 4])
    np.testing.assert_array_equal(ByteTokenizer().encode("a人"), [97, 0xE4, 0xBA, 0xBA])
    np.testing.assert_array_equal(ByteTokenizer(special_tokens=True).encode("a"), [100])
    assert (CharTokenizer("banana").vocab_size, ByteTokenizer(True).vocab_size) == (3, 259)
    assert trained().vocab_size == 456


def test_unknown_characters_are_named():
    with pytest.raises(DataError, match=r"vocabulary of 3 characters has no '人' \(U\+4EBA\), 'z' \(U\+007A\);") as e:
        CharTokenizer("abc").encode("a人z人b")
    one_sentence(e)
    with pytest.raises(DataError, match=r"'k' \(U\+006B\) and 15 more; leave them out") as e:
        CharTokenizer("abc").encode("abcdefghijklmnopqrstuvwxyz")
    one_sentence(e)


def test_bytes_that_are_no_text_are_replaced():
    tokenizer = ByteTokenizer()
    assert tokenizer.decode([97, 0xE4, 0xBA]) == "a\ufffd" and tokenizer.decode_bytes([97, 0xE4]) == b"a\xe4"
    assert list(tokenizer.stream([97, 0xE4, 0xBA, 0xBA, 0xFF, 98])) == ["a", "", "", "人", "\ufffd", "b", ""]
    assert "".join(tokenizer.stream([0xE4, 0xBA])) == "\ufffd"


def naive_merges(words, merges):
    """Sennrich et al. 2016, algorithm 1: all pairs counted anew for each merge; ties as the docstring says."""
    words = Counter({tuple(bytes([b]) for b in word.encode()): n for word, n in words.items()})
    order = [bytes([b]) for b in range(256)]
    learnt = []
    for _ in range(merges):
        count = Counter()
        for word, n in words.items():
            for pair in zip(word, word[1:]):
                count[pair] += n
        if not count or max(count.values()) < 2:
            break
        best = min(count, key=lambda pair: (-count[pair], order.index(pair[0]), order.index(pair[1])))
        learnt.append(best)
        order.append(best[0] + best[1])
        renewed = Counter()
        for word, n in words.items():
            renewed[naive_merge(word, best)] += n
        words = renewed
    return learnt


def naive_merge(word, pair):
    out = []
    for piece in word:
        if out and (out[-1], piece) == pair and out[-1] is not MERGED:
            out[-1] = piece = pair[0] + pair[1]
            out.append(MERGED)  # so that what was just merged is not merged again
        else:
            out.append(piece)
    return tuple(piece for piece in out if piece is not MERGED)


MERGED = object()


@settings(deadline=None, max_examples=60)
@given(st.text(alphabet="ab 人,", max_size=60), st.integers(0, 12))
def test_merges_are_those_of_the_plain_algorithm(text, merges):
    tokenizer = BPETokenizer.train(text, merges)
    words = Counter(tokenizers._WORD.findall(text))
    assert sum(len(word) * n for word, n in words.items()) == len(text)
    pieces = [bytes([b]) for b in range(256)]
    learnt = []
    for a, b in tokenizer.merges:
        learnt.append((pieces[a], pieces[b]))
        pieces.append(pieces[a] + pieces[b])
    assert learnt == naive_merges(words, merges)


@settings(deadline=None, max_examples=60)
@given(st.text(alphabet="theano rs,人工\n", max_size=80))
def test_encoding_applies_the_merges_in_order(text):
    """Against the usual rule: in each word, merge the pair learnt first of those that are there, until none is."""
    tokenizer = trained()
    rank = {}
    pieces = [bytes([b]) for b in range(256)]
    for a, b in tokenizer.merges:
        rank[pieces[a], pieces[b]] = len(rank)
        pieces.append(pieces[a] + pieces[b])
    expected = []
    for word in tokenizers._WORD.findall(text):
        parts = tuple(bytes([b]) for b in word.encode())
        while known := [pair for pair in zip(parts, parts[1:]) if pair in rank]:
            parts = naive_merge(parts, min(known, key=rank.get))
        expected += parts
    assert tokenizer.pieces(text) == expected


def test_merges_of_the_paper():
    """The words of Sennrich et al. 2016, section 3.2, with the ties of ours."""
    words = ["low"] * 5 + ["lower"] * 2 + ["newest"] * 6 + ["widest"] * 3
    tokenizer = BPETokenizer.train("\n".join(words), 4)
    assert tokenizer.pieces("es") == [b"es"] and tokenizer.pieces("est") == [b"est"]
    assert tokenizer.pieces("lowest") == [b"low", b"est"] and len(tokenizer.merges) == 4


def test_byte_pairs_shorten_a_text_they_were_not_trained_on():
    docs = datasets.load_text()
    tokenizer = BPETokenizer.train(docs[:200_000], 500)
    held_out = docs[-50_000:]
    ids = tokenizer.encode(held_out)
    assert tokenizer.decode(ids) == held_out and len(ids) < 0.5 * len(held_out.encode())
    assert len(BPETokenizer.train("abcdefg", 50).merges) == 0  # no pair occurs twice


@pytest.mark.parametrize("special_tokens", [False, True])
def test_tokenizers_are_saved(tmp_path, special_tokens):
    for tokenizer in all_tokenizers([*SEVERAL, "\ud83d", "\ude00"], special_tokens):
        tokenizer.save(tmp_path / "tokenizer.json")
        loaded = datasets.load_tokenizer(tmp_path / "tokenizer.json")
        assert type(loaded) is type(tokenizer) and loaded.to_dict() == tokenizer.to_dict()
        assert loaded.vocab_size == tokenizer.vocab_size and loaded.eos == tokenizer.eos
        np.testing.assert_array_equal(loaded.encode(SEVERAL), tokenizer.encode(SEVERAL))


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "expected a tokenizer in JSON"),
        (b"\xff", "expected a tokenizer in JSON"),
        (b"[]", "expected what a tokenizer saves"),
        (b"{}", "expected what a tokenizer saves"),
        (b'{"kind": "words", "special_tokens": true}', "expected one of the kinds characters, bytes, byte pairs"),
        (b'{"kind": "byte pairs", "special_tokens": true}', "expected what a tokenizer saves"),
        (b'{"kind": "byte pairs", "special_tokens": true, "merges": [[1, 2, 3]]}', "expected what a tokenizer saves"),
        (b'{"kind": "byte pairs", "special_tokens": true, "merges": [[256, 1]]}', "merge 0 to join symbols below 256"),
        (b'{"kind": "characters", "special_tokens": true, "characters": ["ab"]}', "expected characters"),
        (b'{"kind": "characters", "special_tokens": true, "characters": []}', "expected characters, at least one"),
    ],
)
def test_load_tokenizer_refuses(tmp_path, content, message):
    path = tmp_path / "tokenizer.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as error:
        datasets.load_tokenizer(path)
    assert one_sentence(error).startswith(f"{path}: ")
    with pytest.raises(DataError, match="cannot be read"):
        datasets.load_tokenizer(tmp_path / "none")


def test_tokenizers_refuse():
    for call, kind, message in [
        (lambda: ByteTokenizer().encode(b"abc"), DtypeError, "expected text, came bytes; decode bytes first"),
        (lambda: trained().encode(3), DtypeError, "expected text, came int"),
        (lambda: CharTokenizer("abc").encode(None), DtypeError, "expected text, came NoneType"),
        (lambda: ByteTokenizer().encode("a\ud800"), DataError, r"came the lone surrogate U\+D800"),
        (lambda: ByteTokenizer().decode([256]), DataError, "expected ids from 0 to 255, came 256"),
        (lambda: ByteTokenizer().decode([-1, 3]), DataError, "expected ids from 0 to 255, came -1"),
        (lambda: ByteTokenizer().decode([[1, 2]]), DtypeError, r"came int64 of shape \(1, 2\)"),
        (lambda: CharTokenizer("ab").decode([0.5]), DtypeError, "came float64"),
        (lambda: ByteTokenizer().encode_batch(["a"]), ConfigError, "special_tokens=True"),
        (lambda: CharTokenizer(""), ConfigError, "expected characters, at least one"),
        (lambda: BPETokenizer.train("abc", -1), ConfigError, "came -1"),
    ]:
        with pytest.raises(kind, match=message) as error:
            call()
        one_sentence(error)


def test_encode_batch():
    tokenizer = CharTokenizer("abc", special_tokens=True)
    batch, lengths = tokenizer.encode_batch(["ab", "", "cab"])
    np.testing.assert_array_equal(batch, [[1, 3, 4, 2, 0], [1, 2, 0, 0, 0], [1, 5, 3, 4, 2]])
    np.testing.assert_array_equal(lengths, [4, 2, 5])
    assert batch.dtype == lengths.dtype == np.int64 and tokenizer.encode_batch([])[0].shape == (0, 0)


def test_formula_A10_tokenise():
    """Tokens keep the whole text. Without its stop words it is another text, which no tokenizer gives back."""
    sentence = "to be or not to be that is the question"
    stop_words = {"to", "be", "or", "not", "that", "is", "the"}
    for tokenizer in all_tokenizers(sentence, False):
        assert tokenizer.decode(tokenizer.encode(sentence)) == sentence
        kept = " ".join(word for word in sentence.split() if word not in stop_words)
        assert tokenizer.decode(tokenizer.encode(kept)) == "question"


def test_formula_A11_any_prompt():
    """人工智能 is a prompt for every tokenizer that knows its characters, and for bytes in any case."""
    for tokenizer in all_tokenizers("人工智能", True):
        assert tokenizer.decode(tokenizer.encode("人工智能")) == "人工智能"
    with pytest.raises(DataError, match="'人' .*, '工' .*, '智' .*, '能' "):
        CharTokenizer("abc").encode("人工智能")


# texts ---------------------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def no_settings(monkeypatch, request):
    if "real_data" not in request.fixturenames:
        monkeypatch.delenv("MINIGEN_DATA", raising=False)


def test_python_docs():
    from pydoc_data.topics import topics

    docs = datasets.load_text()
    assert docs == datasets.load_text("python-docs") and len(docs) > 300_000
    assert len(docs) == sum(map(len, topics.values())) + len(topics) - 1 and topics["lambda"] in docs
    assert set(datasets.available_texts()) == {"python-docs", "tiny-shakespeare"}


def test_text_files(tmp_path):
    path = tmp_path / "text.txt"
    for content, expected in [
        (SEVERAL.encode(), SEVERAL.replace("\r\n", "\n")),
        (b"\xef\xbb\xbfwith mark", "with mark"),
        (b"a\r\nb\rc\n", "a\nb\nc\n"),
    ]:
        path.write_bytes(content)
        assert datasets.load_text(path) == datasets.load_text(str(path)) == expected


BAD_TEXTS = {
    "empty": (b"", "expected text, but the file is empty"),
    "blank": (b" \n\n", "expected text, but the file is empty"),
    "latin-1": ("naïve".encode("latin-1"), "came byte 0xef at position 2, which is none"),
    "gb18030": ("人工智能".encode("gb18030"), "expected text in UTF-8, came byte 0xc8 at position 0"),
    "utf-16": ("人工智能".encode("utf-16"), "came text in UTF-16"),
    "gzip": (gzip.compress(b"abc"), "came a gzip file"),
    "png": (b"\x89PNG\r\n\x1a\n", "came a PNG image"),
    "zeros": (b"abc\0def", "came binary data with zero bytes"),
}


@pytest.mark.parametrize("content, message", BAD_TEXTS.values(), ids=BAD_TEXTS.keys())
def test_bad_text_files(tmp_path, content, message):
    path = tmp_path / "text.txt"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as error:
        datasets.load_text(path)
    assert one_sentence(error).startswith(f"{path}: ")


def test_text_names(tmp_path):
    for name, message in {
        "tiny-shakespear": "expected a text file or one of python-docs, tiny-.*; did you mean tiny-shakespeare?",
        tmp_path / "none": "check the spelling",
        tmp_path: "expected a text file, came a folder; name a file in it",
    }.items():
        with pytest.raises(DataError, match=message) as error:
            datasets.load_text(name)
        assert one_sentence(error).startswith(f"{name}: ")


@pytest.mark.parametrize("place", ["tinyshakespeare.txt", "text/tinyshakespeare.txt"])
def test_minigen_data(tmp_path, monkeypatch, place):
    monkeypatch.setenv("MINIGEN_DATA", str(tmp_path))
    monkeypatch.setattr(text, "_SHAKESPEARE_URL", "http://127.0.0.1:9/input.txt")
    monkeypatch.setenv("MINIGEN_CACHE", str(tmp_path / "cache"))
    with pytest.raises(DataError, match="tiny-shakespeare: .* could not be reached; put tinyshakespeare.txt") as error:
        datasets.load_text("tiny-shakespeare")
    one_sentence(error)
    (tmp_path / place).parent.mkdir(exist_ok=True)
    (tmp_path / place).write_text("First Citizen:\n")
    assert datasets.load_text("tiny-shakespeare") == "First Citizen:\n"
    monkeypatch.setenv("MINIGEN_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match="MINIGEN_DATA: expected a folder"):
        datasets.load_text("tiny-shakespeare")


@pytest.fixture
def served(tmp_path):
    """A loopback server of the folder `served`, and what it was asked for."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            super().do_GET()

        def log_message(self, *args):
            pass

    asked, folder = [], tmp_path / "served"
    folder.mkdir()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield folder, f"http://127.0.0.1:{server.server_port}/input.txt", asked
    server.shutdown()
    server.server_close()


def test_tiny_shakespeare_is_downloaded_once(tmp_path, monkeypatch, served):
    folder, url, asked = served
    content = b"First Citizen:\nBefore we proceed any further, hear me speak.\n"
    (folder / "input.txt").write_bytes(content)
    monkeypatch.setattr(text, "_SHAKESPEARE_URL", url)
    monkeypatch.setenv("MINIGEN_CACHE", str(tmp_path / "cache"))
    with pytest.raises(DataError, match="sent a file with another sha256") as error:
        datasets.load_text("tiny-shakespeare")
    one_sentence(error)
    assert not [file for file in (tmp_path / "cache").rglob("*") if file.is_file()]
    monkeypatch.setattr(text, "_SHAKESPEARE_SHA256", hashlib.sha256(content).hexdigest())
    for _ in range(2):
        assert datasets.load_text("tiny-shakespeare").encode() == content
    assert len(asked) == 2
    (folder / "input.txt").unlink()
    monkeypatch.setenv("MINIGEN_CACHE", str(tmp_path / "other"))
    with pytest.raises(DataError, match="answered 404"):
        datasets.load_text("tiny-shakespeare")


def test_poems(tmp_path):
    poems = [{"title": "春曉", "author": "孟浩然", "paragraphs": ["春眠不覺曉，", "處處聞啼鳥。"]}, {"paragraphs": []}]
    path = tmp_path / "poems.json"
    path.write_text(json.dumps([*poems, {"paragraphs": ["夜來風雨聲，"], "tags": ["a"]}]), "utf-8")
    first, second = datasets.load_poems(path)
    assert first == datasets.Poem("春曉", "孟浩然", ("春眠不覺曉，", "處處聞啼鳥。"))
    assert (second.title, second.author, second.lines) == ("", "", ("夜來風雨聲，",))
    assert datasets.load_text(path) == "春眠不覺曉，\n處處聞啼鳥。\n\n夜來風雨聲，\n"


@pytest.mark.parametrize(
    "content, message",
    [
        ("[", "came a syntax error"),
        ("{}", "expected a list of poems, came dict"),
        ("[]", "expected at least one poem"),
        ('[{"paragraphs": ["a"]}, {"title": "b"}]', "expected poem 1 to have paragraphs"),
        ('[{"paragraphs": [1]}]', "expected poem 0 to have paragraphs"),
        ("[3]", "expected poem 0 to have paragraphs"),
    ],
)
def test_bad_poems(tmp_path, content, message):
    path = tmp_path / "poems.json"
    path.write_text(content)
    with pytest.raises(DataError, match=message) as error:
        datasets.load_poems(path)
    assert one_sentence(error).startswith(f"{path}: ")


@pytest.fixture
def real_data():
    """Tiny Shakespeare where MINIGEN_DATA has it."""
    path = remote.find("text", "tinyshakespeare.txt")
    if path is None:
        pytest.skip("MINIGEN_DATA has no tinyshakespeare.txt")
    return path


def test_the_real_tiny_shakespeare(real_data):
    assert hashlib.sha256(real_data.read_bytes()).hexdigest() == text._SHAKESPEARE_SHA256
    shakespeare = datasets.load_text("tiny-shakespeare")
    tokenizer = CharTokenizer(shakespeare)
    assert len(shakespeare) == 1_115_394 and tokenizer.vocab_size == 65
    train, validation = datasets.train_validation_split(tokenizer.encode(shakespeare))
    assert (len(train), len(validation)) == (1_003_854, 111_540)


# windows -------------------------------------------------------------------------------------------------------------


def test_train_validation_split():
    ids = np.arange(1234)
    train, validation = datasets.train_validation_split(ids)
    np.testing.assert_array_equal(np.concatenate([train, validation]), ids)
    assert len(train) == 1110 and np.shares_memory(train, ids)
    with pytest.raises(DataError, match="leave one part empty"):
        datasets.train_validation_split(ids[:1])
    with pytest.raises(ConfigError, match="between 0 and 1, came 1"):
        datasets.train_validation_split(ids, 1)


def test_random_windows():
    ids = np.arange(50) * 10
    x, y = datasets.random_windows(ids, 8, 40_000, np.random.default_rng(0))
    assert x.shape == y.shape == (40_000, 8)
    np.testing.assert_array_equal(x, x[:, :1] + 10 * np.arange(8))
    np.testing.assert_array_equal(y, x + 10)
    starts = np.bincount(x[:, 0] // 10)
    assert len(starts) == 42 and stats.chisquare(starts).pvalue > 1e-3  # each of the 42 places, equally often
    again, _ = datasets.random_windows(ids, 8, 40_000, np.random.default_rng(0))
    np.testing.assert_array_equal(x, again)
    x, y = datasets.random_windows(ids[:9], 8, 2, np.random.default_rng(0))
    np.testing.assert_array_equal(y, [ids[1:9]] * 2)


def test_formula_B11_windows():
    """Windows of 40 characters, lower-cased, each target the next character."""
    docs = datasets.load_text().lower()
    tokenizer = CharTokenizer(docs)
    assert not any(character.isupper() and character.lower() != character for character in tokenizer.characters)
    x, y = datasets.random_windows(tokenizer.encode(docs), 40, 128, np.random.default_rng(1))
    assert x.shape == (128, 40)
    for row in range(0, 128, 16):
        assert tokenizer.decode(x[row]) + tokenizer.decode(y[row, -1:]) in docs


@settings(deadline=None)
@given(n=st.integers(2, 60), length=st.integers(1, 20), data=st.data())
def test_strided_windows_count_each_target_once(n, length, data):
    stride = data.draw(st.integers(1, length))
    ids = np.arange(n) + 100
    x, y, counted = datasets.strided_windows(ids, length, stride)
    assert x.shape == y.shape == counted.shape and x.shape[1] == min(length, n - 1)
    np.testing.assert_array_equal(y, x + 1)
    np.testing.assert_array_equal(y[counted], ids[1:])
    new = counted.sum(1)
    assert (new >= 1).all() and (new[1:] <= stride).all()
    assert (np.diff(counted.astype(int), axis=1) >= 0).all()  # what a window counts is its end: it has all its context


def test_windows_refuse():
    ids, generator = np.arange(10), np.random.default_rng(0)
    for call, kind, message in [
        (lambda: datasets.random_windows(ids, 10, 1, generator), DataError, "need 11 ids, came 10"),
        (lambda: datasets.random_windows(ids, 0, 1, generator), ConfigError, "length of at least 1, came 0"),
        (lambda: datasets.random_windows(ids, 4, 0, generator), ConfigError, "batch_size of at least 1"),
        (lambda: datasets.random_windows(ids, 4, 1, 0), DtypeError, "generator is a int"),
        (lambda: datasets.random_windows(ids / 2, 4, 1, generator), DtypeError, "expected integer ids"),
        (lambda: datasets.strided_windows(ids, 4, 5), ConfigError, "stride from 1 to the length 4, came 5"),
        (lambda: datasets.strided_windows(ids[:1], 4), DataError, "at least 2 ids, came 1"),
        (lambda: datasets.strided_windows(ids[None], 4), DtypeError, r"came int64 of shape \(1, 10\)"),
    ]:
        with pytest.raises(kind, match=message) as error:
            call()
        one_sentence(error)


# dates and numbers ---------------------------------------------------------------------------------------------------

CHINESE_DIGITS = {c: i for i, c in enumerate("〇一二三四五六七八九")}


def read_chinese(words):
    """An independent reading of 二十一, 十, 三〇…"""
    if "十" not in words:
        return int("".join(str(CHINESE_DIGITS[c]) for c in words))
    tens, units = words.split("十")
    return 10 * (CHINESE_DIGITS[tens] if tens else 1) + (CHINESE_DIGITS[units] if units else 0)


def read_date(written):
    """What dateutil, or a reader of Chinese, makes of a date."""
    if "年" in written:
        year, month, day = re.split("[年月日]", written)[:3]
        return datetime.date(*(int(p) if p.isdecimal() else read_chinese(p) for p in (year, month, day)))
    read = dateutil.parse(written, default=datetime.datetime(1, 1, 1)).date()
    if weekday := re.match("[A-Z][a-z]+,", written):
        assert read.strftime("%A").startswith(weekday[0][:-1])
    return read


def test_the_formats_write_their_names():
    for name, write in dates.FORMATS.items():
        assert write(datetime.date(2026, 11, 21)) == name


@pytest.mark.parametrize("held_out", [False, True])
def test_dates_mean_their_targets(held_out):
    found = datasets.date_pairs(4000, np.random.default_rng(0), held_out=held_out)
    shapes = Counter()
    for written, target in found:
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", target) and read_date(written).isoformat() == target, written
        shape = re.sub("[〇一二三四五六七八九十]+", "九", re.sub(r"\d+(st|nd|rd|th)", "9th", written))
        shapes[re.sub(r"\d+", "9", re.sub("[A-Z][a-z]+", "A", shape))] += 1
        if slashes := re.fullmatch(r"(\d+)/(\d+)/\d{4}", written):
            assert max(map(int, slashes.groups())) > 12, f"{written} could be two days"
    assert len(shapes) == 11 and min(shapes.values()) > 150  # the 15 formats, of which some are alike in this
    years = {int(target[:4]) for _, target in found}
    assert min(years) < 1910 and max(years) > 2090


def test_dates_and_numbers_held_out_are_never_trained_on():
    for function in (datasets.date_pairs, datasets.number_pairs):
        train = {target for _, target in function(8000, np.random.default_rng(0))}
        held_out = {target for _, target in function(8000, np.random.default_rng(0), held_out=True)}
        assert len(train) > 4000 and len(held_out) > 3000 and not train & held_out
        assert function(50, np.random.default_rng(3)) == function(50, np.random.default_rng(3))
        assert function(50, np.random.default_rng(3)) != function(50, np.random.default_rng(4))
    days = np.arange(dates.FIRST.toordinal(), dates.LAST.toordinal() + 1)
    share = dates.is_held_out(days).mean()
    assert 0.09 < share < 0.11
    by_month = Counter(datetime.date.fromordinal(int(day)).month for day in days[dates.is_held_out(days)])
    assert (
        stats.chisquare(
            [by_month[m] / n for m, n in enumerate([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], 1)]
        ).pvalue
        > 0.01
    )


def read_number(words):
    """An independent reading: from left to right, multiplying at hundred and thousand."""
    small = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen \
seventeen eighteen nineteen".split()
    tens = {
        "twenty": 20,
        "thirty": 30,
        "forty": 40,
        "fifty": 50,
        "sixty": 60,
        "seventy": 70,
        "eighty": 80,
        "ninety": 90,
    }
    total = group = 0
    for word in re.split("[ -]", words):
        if word == "thousand":
            total, group = total + 1000 * group, 0
        elif word == "hundred":
            group *= 100
        elif word != "and":
            group += tens[word] if word in tens else small.index(word)
    return total + group


def test_number_words():
    for n, words in {
        0: "zero",
        13: "thirteen",
        21: "twenty-one",
        40: "forty",
        100: "one hundred",
        305: "three hundred and five",
        1000: "one thousand",
        1305: "one thousand three hundred and five",
        20_017: "twenty thousand and seventeen",
        999_999: "nine hundred and ninety-nine thousand nine hundred and ninety-nine",
    }.items():
        assert datasets.number_words(n) == words
    for words, digits in datasets.number_pairs(3000, np.random.default_rng(0)):
        assert read_number(words) == int(digits) and str(int(digits)) == digits
    lengths = Counter(len(digits) for _, digits in datasets.number_pairs(6000, np.random.default_rng(1)))
    assert stats.chisquare([lengths[i] for i in range(1, 7)]).pvalue > 1e-3
    held_out = {int(digits) for _, digits in datasets.number_pairs(2000, np.random.default_rng(2), held_out=True)}
    assert min(held_out) >= 100 and {len(str(number)) for number in held_out} == {3, 4, 5, 6}
    with pytest.raises(ConfigError, match="number from 0 to 999999, came 1000000"):
        datasets.number_words(1_000_000)


def test_generated_pairs_refuse():
    for function in (datasets.date_pairs, datasets.number_pairs):
        with pytest.raises(DtypeError, match="generator is a int, expected a numpy.random.Generator") as error:
            function(3, 0)
        one_sentence(error)
        with pytest.raises(ConfigError, match="n of at least 0, came -1"):
            function(-1, np.random.default_rng(0))
        assert function(0, np.random.default_rng(0)) == []


# sentence pairs ------------------------------------------------------------------------------------------------------

LINES = "Hi.\t嗨。\tCC-BY 2.0: a & b\nHi.\t你好。\tCC-BY 2.0: c\n\nRun!\t快跑！\n"


def zipped(path, members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_pairs(tmp_path):
    (tmp_path / "cmn.txt").write_bytes(LINES.replace("\n", "\r\n").encode())
    zipped(tmp_path / "cmn-eng.zip", {"_about.txt": "** Info **", "cmn.txt": LINES})
    for name in ("cmn.txt", "cmn-eng.zip"):
        found = datasets.load_pairs(tmp_path / name)
        assert found == [
            ("Hi.", "嗨。", "CC-BY 2.0: a & b"),
            ("Hi.", "你好。", "CC-BY 2.0: c"),
            ("Run!", "快跑！", ""),
        ]
        assert found[0].attribution == "CC-BY 2.0: a & b"


@pytest.mark.parametrize(
    "lines, message",
    [
        ("Hi.\t嗨。\nno tab here\nnor here\n", "line 2 is no pair, as do 1 more lines: .* came 'no tab here'"),
        ("\n\nHi.\t\n", "line 3 is no pair: expected source, tab, target"),
        ("a\tb\tc\td", "line 1 is no pair"),
        ("", "the file is empty"),
    ],
)
def test_bad_lines(tmp_path, lines, message):
    (tmp_path / "pairs.txt").write_text(lines, "utf-8")
    zipped(tmp_path / "pairs.zip", {"pairs.txt": lines})
    for path, name in [("pairs.txt", "pairs.txt: "), ("pairs.zip", "pairs.zip/pairs.txt: ")]:
        with pytest.raises(DataError, match=message) as error:
            datasets.load_pairs(tmp_path / path)
        assert one_sentence(error).startswith(str(tmp_path / name))


@pytest.mark.parametrize("name", ["../evil.txt", "a/../../evil.txt", "/etc/evil.txt", "C:/evil.txt", "..\\evil.txt"])
def test_a_zip_that_climbs_out_is_refused(tmp_path, name):
    path = zipped(tmp_path / "pairs.zip", {"cmn.txt": LINES, name: "a\tb"})
    with pytest.raises(DataError, match="refused, because its member '.*evil.txt' points out of it") as error:
        datasets.load_pairs(path)
    one_sentence(error)


def test_bad_zip_files(tmp_path, monkeypatch):
    link = zipfile.ZipInfo("link.txt")
    link.external_attr = 0o120777 << 16
    whole = zipped(tmp_path / "whole.zip", {"cmn.txt": LINES * 100}).read_bytes()
    at = whole.index("嗨".encode())
    (tmp_path / "damaged.zip").write_bytes(whole[:at] + b"xyz" + whole[at + 3 :])
    locked = bytearray(whole)
    for marker, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        locked[locked.index(marker) + offset] |= 1
    (tmp_path / "locked.zip").write_bytes(locked)
    for path, message in {
        zipped(tmp_path / "none.zip", {"_about.txt": "a\tb"}): "expected one .txt file of pairs inside, came none",
        zipped(tmp_path / "two.zip", {"a.txt": LINES, "b.txt": LINES}): "came a.txt, b.txt; zip just that file",
        zipped(tmp_path / "link.zip", {link: "/etc/passwd"}): "member 'link.txt' points out of it",
        tmp_path / "damaged.zip": "expected an intact zip file without a password, came another .*CRC",
        tmp_path / "locked.zip": "expected an intact zip file without a password, came another .*encrypted",
        tmp_path / "nowhere.zip": "nothing is there; check the path",
        zipped(
            tmp_path / "latin.zip", {"a.txt": "naïve\tb".encode("latin-1")}
        ): "latin.zip/a.txt: expected text in UTF",
    }.items():
        with pytest.raises(DataError, match=message) as error:
            datasets.load_pairs(path)
        one_sentence(error)
    (tmp_path / "cut.zip").write_bytes(whole[:-30])
    with pytest.raises(MinigenError, match="cut.zip: expected text in UTF-8, came a zip file"):
        datasets.load_pairs(tmp_path / "cut.zip")
    monkeypatch.setattr(pairs, "MOST_BYTES", 1000)
    with pytest.raises(DataError, match="to have at most 1000 bytes, came"):
        datasets.load_pairs(tmp_path / "whole.zip")


@settings(deadline=None, max_examples=200)
@given(position=st.integers(0, 400), change=st.integers(1, 255))
def test_a_damaged_zip_never_escapes_as_another_error(tmp_path_factory, position, change):
    path = zipped(tmp_path_factory.mktemp("zip") / "pairs.zip", {"cmn.txt": LINES, "_about.txt": "about"})
    content = bytearray(path.read_bytes())
    content[position % len(content)] ^= change
    path.write_bytes(content)
    with contextlib.suppress(DataError):
        datasets.load_pairs(path)


def test_split_pairs():
    found = [datasets.Pair(f"sentence {i // 3}", f"Satz {i}", "") for i in range(300)]
    train, validation = datasets.split_pairs(found, np.random.default_rng(0))
    assert len(validation) == 60 and sorted(train + validation) == sorted(found)
    assert not {pair.source for pair in train} & {pair.source for pair in validation}
    assert train == [pair for pair in found if pair in set(train)]  # in the order of the file
    assert datasets.split_pairs(found, np.random.default_rng(0)) == (train, validation)
    assert datasets.split_pairs(found, np.random.default_rng(1)) != (train, validation)
    with pytest.raises(DataError, match="leave one part empty"):
        datasets.split_pairs(found[:3], np.random.default_rng(0))
    with pytest.raises(ConfigError, match="between 0 and 1"):
        datasets.split_pairs(found, np.random.default_rng(0), 0)
