"""Text in all encodings but the right one, poems, and pairs of sentences."""

import io
import json
import struct
import zipfile

from . import Case, cuts, holes, places, written

TEXT = "Das Ganze ist mehr als die Summe seiner Teile: 人工智能, naïve.\n" * 30
ENCODED = {
    **{f"text in {name}": TEXT.encode(name) for name in ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "gb18030")},
    "text in Latin-1": "naïve café\n".encode("latin-1") * 40,
    "text in Windows-1252": "“naïve”\n".encode("cp1252") * 40,
    "text in Shift-JIS": "人工\n".encode("shift-jis") * 40,
    "UTF-7 with a zero": b"+AAA-\0" * 50,
    "a lone surrogate": b"abc\xed\xa0\x80def" * 20,
    "an overlong slash": b"abc\xc0\xafdef" * 20,
    "a code point beyond Unicode": b"abc\xf4\x90\x80\x80" * 20,
    "half a character": TEXT.encode()[:65].rstrip()[:-1] + b"\xe4",
    "a lone continuation byte": b"abc\x80" * 50,
    "only white space": b" \n\t\n" * 50,
    "only a byte-order mark": b"\xef\xbb\xbf",
    "zero bytes": bytes(200),
    "zeros between letters": b"a\0b\0" * 50,
    "one character": b"a",
    "shorter than a window": b"to be",
    "a PNG": b"\x89PNG\r\n\x1a\n" + bytes(100),
    "a PDF": b"%PDF-1.7\n" + bytes(100),
    "a gzip": b"\x1f\x8b\x08" + bytes(100),
    "a zip": b"PK\3\4" + bytes(100),
    "ELF": b"\x7fELF" + bytes(100),
}
POEMS = {
    "no JSON": b"{",
    "an object": b"{}",
    "a number": b"3",
    "null": b"null",
    "an empty list": b"[]",
    "a list of numbers": b"[1, 2]",
    "poems without lines": b'[{"title": "a"}]',
    "lines that are numbers": b'[{"paragraphs": [1]}]',
    "lines that are one text": b'[{"paragraphs": "abc"}]',
    "only empty poems": b'[{"paragraphs": []}]',
    "brackets to the sky": b"[" * 100_000,
    "objects to the sky": b'{"a":' * 100_000,
    "a number without end": b"[" + b"9" * 10_000 + b"]",
    "a lone surrogate": b'[{"paragraphs": ["\\ud800", "abcdefghijklmnop", "qrstuvwxyzabcdefghijklmnop"]}]',
    "NaN": b"[NaN]",
    "two values": b"[] []",
    "a comma too many": b"[1,]",
}
PAIRS = {
    "no tab": b"hello world\n" * 5,
    "four columns": b"a\tb\tc\td\n" * 5,
    "an empty target": b"a\t\n" * 5,
    "an empty source": b"\tb\n" * 5,
    "one sentence": b"a\tb\n",
    "text in UTF-16": "a\tb\n".encode("utf-16") * 5,
    "no lines": b"\n\n\n",
    "zero bytes": b"a\tb\0\n" * 5,
}


def archive(*members, **changes):
    """A zip file of (name, content), whose directory may say something else."""
    with io.BytesIO() as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as z:
            for name, content in members:
                info = zipfile.ZipInfo(name)
                info.compress_type = zipfile.ZIP_DEFLATED
                for key, value in changes.items():
                    setattr(info, key, value)
                z.writestr(info, content)
        return file.getvalue()


def claiming(size):
    """A zip file whose directory claims that its text has so many bytes."""
    content = bytearray(archive(("pairs.txt", b"a\tb\n" * 50)))
    at = content.rindex(b"PK\1\2")
    content[at + 24 : at + 28] = struct.pack("<I", size)
    return bytes(content)


GOOD = archive(("pairs.txt", "".join(f"source {i}\ttarget {i}\n" for i in range(50)).encode()))
ZIPS = {
    **{
        f"a member named {name!r}": archive((name, b"a\tb\n" * 5))
        for name in (
            "../pairs.txt",
            "a/../../pairs.txt",
            "/etc/pairs.txt",
            "C:/pairs.txt",
            "..\\pairs.txt",
            "\\\\host\\pairs.txt",
        )
    },
    "a good text and a member that climbs out": archive(("pairs.txt", b"a\tb\nc\td\n"), ("../../.bashrc", b"evil")),
    "a member that is a link": archive(("pairs.txt", b"/etc/passwd"), external_attr=0o120777 << 16),
    "no text": archive(("picture.png", b"1")),
    "two texts": archive(("a.txt", b"a\tb\n"), ("b.txt", b"a\tb\n")),
    "no members": archive(),
    "a bomb": archive(("pairs.txt", b"a\tb\n" * (1 << 22))),
    "4 GB claimed": claiming(0xFFFFFFFE),
    "a byte claimed": claiming(1),
    "text in UTF-16": archive(("pairs.txt", "a\tb\n".encode("utf-16"))),
    "an empty text": archive(("pairs.txt", b"")),
    "a wrong checksum": GOOD.replace(GOOD[14:18], b"\1\2\3\4"),
    "a password": bytes(b | 1 if i in (6, GOOD.rindex(b"PK\1\2") + 8) else b for i, b in enumerate(GOOD)),
    "a method that nobody knows": GOOD[:8]
    + b"\x63\0"
    + GOOD[10:].replace(b"\x14\x03\x14\0\0\0\x08\0", b"\x14\x03\x14\0\0\0\x63\0"),
    **cuts(GOOD, 6),
}

text = lambda *rest: ("train", "charlm", "--data", *rest, "--backend", "numpy")
pairs = ("train", "seq2seq", "--backend", "numpy", "--data")
place = lambda name, content: lambda folder: written(folder / name, content)

CASES = [
    *(Case("text", name, place("t.txt", content), text("t.txt")) for name, content in ENCODED.items()),
    *(Case("text", name, make, text("t.txt")) for name, make in places("t.txt").items()),
    *(Case("poems", name, place("p.json", content), text("p.json")) for name, content in POEMS.items()),
    *(Case("poems", name, make, text("p.json")) for name, make in places("p.json").items()),
    *(Case("pairs", name, place("p.txt", content), (*pairs, "p.txt")) for name, content in PAIRS.items()),
    *(Case("pairs", name, make, (*pairs, "p.txt")) for name, make in places("p.txt").items()),
    *(Case("zip files", name, place("p.zip", content), (*pairs, "p.zip")) for name, content in ZIPS.items()),
    Case(
        "zip files",
        "a terabyte of holes behind it",
        lambda f: (written(f / "p.zip", GOOD), holes(f / "p.zip", 10**12)),
        (*pairs, "p.zip"),
    ),
]

assert json.loads(b'["\\ud800"]')  # Python reads it: the commands must not
