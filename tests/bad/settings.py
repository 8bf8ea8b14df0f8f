"""Settings: TOML files and command lines."""

import tomllib

from . import Case, cuts, places, written

GOOD = b'steps = 100\nlr = 0.001\ngenerator = [64, 32]\ndata = "digits"\nloss = "saturating"\n'
SYNTAX = {
    "half a line": b"steps = ",
    "no value": b"steps",
    "a word": b"steps = many",
    "an open text": b'data = "digits',
    "an open list": b"generator = [1",
    "twice the same": b"steps = 1\nsteps = 2",
    "a table twice": b"[a]\n[a]",
    "UTF-16": GOOD.decode().encode("utf-16"),
    "Latin-1": b'data = "na\xefve"',
    "zero bytes": bytes(50),
    "JSON": b'{"steps": 100}',
    "YAML": b"steps: 100",
    "lists to the sky": b"a = " + b"[" * 100_000,
    "tables to the sky": b"[" + b"a." * 50_000 + b"a]",
    "a number without end": b"steps = " + b"9" * 100_000,
    "a PNG": b"\x89PNG\r\n\x1a\n",
    "control characters": b"steps = 1\x01",
    "inline tables to the sky": b"a = " + b"{a=" * 50_000,
}
VALUES = {
    "steps": ("0", "-1", "1.5", "true", '"many"', "[]", "[1]", "{}", "nan", "inf", "1979-05-27", "07:32:00"),
    "batch_size": ("0", "-1", "10001", "1000000000000", "1e3", "nan", "true", "[64]"),
    "lr": ("0", "-0.1", "nan", "inf", "-inf", "true", '"fast"', "[]", "1979-05-27T07:32:00Z"),
    "latent": ("0", "-4", "1.5", "1000000000000", "1000000000000000000000000000000", "true", '"4"', "[]"),
    "generator": (
        "[]",
        "[0]",
        "[-1]",
        "[1.5]",
        '["64"]',
        "[true]",
        "64",
        "[[64]]",
        "[1000000000000]",
        "[4000000000, 4000000000]",
        '"64"',
        "{}",
    ),
    "loss": ('"minimax"', "3", "[]", "true", '""'),
    "beta1": ("1", "-0.1", "nan", '"half"'),
    "batch_norm": ("1", '"yes"', "[]"),
    "data": ('"digit"', "3", "[]", '"a\\u0000b"', '"\\u202e"', '"/"', '"."', '""', '"' + "x" * 5000 + '"'),
    "seed": ("-1", "1.5", "true", '"x"', "nan", "[]"),
    "backend": ('"cuda"', "3", "[]", '""'),
    "budget": ("0", "-1", "nan", "inf", '"2 weeks"', "[]", "true", '"1e3"'),
    "save_every": ("0", "-1", "nan", '"x"'),
    "keep": ("0", "-1", "1.5", "true"),
    "log_every": ("0", "-5", "0.5"),
    "sample_every": ("0", '"x"'),
    "schedule": ('"linear"', "1"),
    "stpes": ("3",),
    "gan": ("{steps = 3}",),
    "ema": ("1", "-1", '"x"'),
    '"\\u0000"': ("1",),
}
TEXTS = {  # for charlm, whose vocabulary may come from a file
    "a vocabulary of nothing": "vocabulary = {}",
    "an unknown kind": 'vocabulary = {kind = "words", special_tokens = false}',
    "no characters": 'vocabulary = {kind = "characters", special_tokens = false, characters = []}',
    "characters of two": 'vocabulary = {kind = "characters", special_tokens = false, characters = ["ab"]}',
    "numbers as characters": 'vocabulary = {kind = "characters", special_tokens = false, characters = [1]}',
    "characters not in the text": 'vocabulary = {kind = "characters", special_tokens = false, characters = ["☃"]}',
    "merges of nothing": 'vocabulary = {kind = "byte pairs", special_tokens = false, merges = [[256, 256]]}',
    "merges of three": 'vocabulary = {kind = "byte pairs", special_tokens = false, merges = [[1, 2, 3]]}',
    "merges of words": 'vocabulary = {kind = "byte pairs", special_tokens = false, merges = [["a", "b"]]}',
    "merges that double forty times": 'vocabulary = {kind = "byte pairs", special_tokens = false, merges = ['
    + ", ".join(f"[{n}, {n}]" for n in (97, *range(256, 296)))
    + "]}",
    "a block of 10¹²": "block = 1000000000000",
    "a width of 10¹²": "width = 1000000000000",
    "no layers": "layers = 0",
    "a dropout of 1": "dropout = 1.0",
    "another cell": 'cell = "gruu"',
    "another tokenizer": 'tokenizer = "words"',
    "a million layers": "layers = 1000000",
}
LINES = [
    ("train",),
    ("train", "gam"),
    ("train", ""),
    ("train", "gan", "more"),
    ("train", "gan", "--steps"),
    ("train", "gan", "--steps", "9" * 5000),
    ("train", "gan", "--stps", "3"),
    ("train", "gan", "--lr", "1e999"),
    ("train", "gan", "--budget", "1" * 400 + "weeks"),
    ("train", "gan", "--data", "no such"),
    ("train", "gan", "--data", "/dev/null"),
    ("train", "gan", "--data", "/dev/zero"),
    ("train", "charlm", "--data", "/dev/zero"),
    ("train", "charlm", "--data", "/dev/null"),
    ("train", "seq2seq", "--data", "/dev/zero"),
    ("train", "charlm", "--data", "/proc/self/mem"),
    ("train", "ring-gan", "--data", "circle"),
    ("train", "gan", "--data", "x" * 5000),
    ("train", "gan", "--config", "/dev/zero"),
    ("train", "gan", "--config", "x" * 5000),
    ("train", "gan", "--out", "/dev/null"),
    ("train", "gan", "--out", "/proc/run"),
    ("train", "gan", "--out", "x" * 300),
    ("train", "gan", "--out", "/dev/null/run"),
    ("train", "--resume", "/dev/zero"),
    ("train", "--resume", ""),
    ("train", "--resume", "x" * 5000),
    ("train", "--resume", "/"),
    ("train", "gan", "--backend", "cuda"),
    ("train", "gan", "--seed", "-1"),
    ("train", "gan", "--seed", "٣x"),
    ("train", "gan", "--data", "\udcff"),
    ("sample",),
    ("sample", ""),
    ("sample", "nowhere"),
    ("sample", "/dev/zero"),
    ("sample", "/"),
    ("evaluate",),
    ("evaluate", "nowhere"),
    ("evaluate", "/dev/null"),
    ("train", "gan", "--data", "~nobody/set"),
    ("train", "gan", "--steps", "1_0x"),
    ("train", "gan", "--batch-size", "1000000000000"),
]
toml = ("train", "gan", "--config", "s.toml", "--backend", "numpy")
as_text = lambda content: lambda folder: written(folder / "s.toml", content)
nothing = lambda folder: None


def parses(content):
    """Half a file may be a file: it is not refused."""
    try:
        return bool(tomllib.loads(content.decode()))
    except tomllib.TOMLDecodeError:
        return False


CASES = [
    *(Case("TOML", name, as_text(content), toml) for name, content in SYNTAX.items()),
    *(Case("TOML", name, as_text(content), toml) for name, content in cuts(GOOD, 20).items() if not parses(content)),
    *(
        Case("TOML", f"{k} = {v[:40]}", as_text(f"{k} = {v}\n".encode()), toml if k != "backend" else toml[:4])
        for k, values in VALUES.items()
        for v in values
    ),
    *(Case("TOML", name, make, toml) for name, make in places("s.toml").items() if name != "an empty file"),
    *(Case("tokenizers", name, as_text(v.encode()), ("train", "charlm", *toml[2:])) for name, v in TEXTS.items()),
    *(Case("command lines", " ".join(line)[:60], nothing, line) for line in LINES),
]
