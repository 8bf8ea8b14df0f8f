"""WAV files, and MIDI files and melodies."""

import struct

import numpy as np

from . import Case, cuts, places, written

TONE = (8000 * np.sin(np.arange(4000) / 5)).astype("<i2").tobytes()


def wav(data=TONE, *, code=1, channels=1, rate=8000, bits=16, claimed=None, form=None, riff=b"RIFF", kind=b"WAVE"):
    width = channels * bits // 8 & 0xFFFF
    form = (
        struct.pack("<HHIIHH", code, channels, rate, rate * width & 0xFFFFFFFF, width, bits) if form is None else form
    )
    claimed = len(data) if claimed is None else claimed
    chunks = b"fmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", claimed) + data
    return riff + struct.pack("<I", len(chunks) + 4) + kind + chunks


GOOD = wav()
WAVS = {
    **cuts(GOOD),
    **{
        f"it begins with {start!r}": start + GOOD[4:]
        for start in (b"RIFQ", b"FORM", b"OggS", b"ID3\4", b"fLaC", b"\0\0\0\0", b"\x89PNG")
    },
    "a form that is none": wav(kind=b"AVI "),
    "no format": GOOD[:12] + GOOD[36:],
    "no samples": GOOD[:36],
    "samples of nothing": wav(b""),
    "4·10⁹ bytes claimed": wav(claimed=0xFFFFFFFF),
    "a byte too many claimed": wav(claimed=len(TONE) + 1),
    "2³¹ bytes claimed": wav(claimed=1 << 31),
    "no channels": wav(channels=0),
    "65,535 channels": wav(channels=65535),
    "no bits": wav(bits=0),
    "7 bits": wav(bits=7),
    "65,535 bits": wav(bits=65535),
    "a rate of 0": wav(rate=0),
    "a rate of 4·10⁹": wav(rate=0xFFFFFFFF),
    "a rate of 1": wav(rate=1),
    "μ-law": wav(code=7),
    "MP3": wav(code=0x55),
    "a code that is none": wav(code=0xABCD),
    "a format of no bytes": wav(form=b""),
    "a format of 3 bytes": wav(form=b"\1\0\1"),
    "16 bits as float": wav(code=3),
    "NaN": wav(np.full(4000, np.nan, "<f4").tobytes(), code=3, bits=32),
    "infinity": wav(np.full(4000, np.inf, "<f4").tobytes(), code=3, bits=32),
    "one sample": wav(TONE[:2]),
    "nine samples": wav(TONE[:18]),
    "half a sample": wav(TONE[:-1]),
}
SOUNDS = {
    "an empty folder": lambda folder: (folder / "set").mkdir(),
    "a file and no folder": lambda folder: written(folder / "set", GOOD),
    "only text": lambda folder: written(folder / "set/a.txt", b"a"),
    "digits of one sort": lambda folder: written(folder / "set/7_a_1.wav", GOOD),
}


def midi(track=b"", *, form=0, tracks=1, division=480, claimed=None, head=6, magic=b"MThd"):
    claimed = len(track) if claimed is None else claimed
    return magic + struct.pack(">IHHH", head, form, tracks, division) + b"MTrk" + struct.pack(">I", claimed) + track


END = b"\0\xff\x2f\0"
NOTES = (
    b"".join(b"\0\x90" + bytes([60 + i % 12, 80]) + b"\x83\x60\x80" + bytes([60 + i % 12, 0]) for i in range(64)) + END
)
TUNE = midi(NOTES)
MIDIS = {
    **cuts(TUNE),
    **{f"it begins with {start!r}": start + TUNE[4:] for start in (b"MThq", b"RIFF", b"MTrk", b"\0\0\0\0", b"XFIH")},
    "no tracks": TUNE[:14],
    "65,535 tracks": midi(NOTES, tracks=65535),
    "a header of 4·10⁹ bytes": midi(NOTES, head=0xFFFFFFFF),
    "a track of 4·10⁹ bytes": midi(NOTES, claimed=0xFFFFFFFF),
    "no notes": midi(END),
    "nothing in the track": midi(b""),
    "frames of film": midi(NOTES, division=0xE728),
    "no ticks": midi(NOTES, division=0),
    "a time of 2²⁸ ticks": midi(b"\xff\xff\xff\x7f\x90\x3c\x50" + NOTES, division=1),
    "a time that does not end": midi(b"\xff" * 5000),
    "zero bytes": midi(bytes(3000), form=9),
    "data without a status": midi(b"\0\x3c\x50" * 50),
    "a message of 2²⁸ bytes": midi(b"\0\xff\x01\xff\xff\xff\x7f" + NOTES),
    "a system message without end": midi(b"\0\xf0\xff\xff\xff\x7f" + NOTES),
    "only drums": midi(b"\0\x99\x24\x50\x60\x89\x24\0" + END),
    "a metre of 0/1": midi(b"\0\xff\x58\4\0\0\0\0" + END),
    "a metre of 1/2²⁵⁵": midi(b"\0\xff\x58\4\1\xff\0\0" + END),
}
MELODIES = {
    "no melody": b"hello world\n" * 20,
    "no text": b"\xff\xfe" * 50,
    "zero bytes": bytes(100),
    "white space": b"\n\n\n",
    "HTML": b"<html></html>\n",
    "UTF-16": "title: a\nmetre: 4/4\n\nC4 D4 E4 F4\n".encode("utf-16"),
    "a note that is none": b"title: a\nmetre: 4/4\n\nH4 X9 | C4\n",
    "a metre of 0/0": b"title: a\nmetre: 0/0\n\nC4\n",
    "a metre of 10¹²": b"title: a\nmetre: 1000000000000/4\n\nC4\n",
    "a pickup of 1/0": b"title: a\nmetre: 4/4\npickup: 1/0\n\nC4\n",
    "a note of 1/0": b"title: a\nmetre: 4/4\n\nC4:1/0 C4 C4 C4\n",
    "a bar too short": b"title: a\nmetre: 4/4\n\nC4 |\n",
}

sound = ("train", "wavenet", "--data", "set", "--backend", "numpy")
tune = ("train", "melody", "--data", "set", "--backend", "numpy")
roll = ("train", "pianoroll", "--data", "set", "--backend", "numpy")
pair = lambda name, content: lambda f: (written(f / f"set/a.{name}", content), written(f / f"set/b.{name}", content))
beside = lambda make, content: lambda f: (written(f / "set/b.mid", content), make(f))

CASES = [
    *(Case("WAV", name, lambda f, c=content: written(f / "set/a.wav", c), sound) for name, content in WAVS.items()),
    *(Case("WAV", name, make, sound) for name, make in places("set/a.wav").items()),
    *(Case("WAV", name, make, sound) for name, make in SOUNDS.items()),
    *(Case("MIDI", name, pair("mid", content), tune) for name, content in MIDIS.items()),
    *(
        Case("MIDI", f"{name}, for a piano roll", pair("mid", content), roll)
        for name, content in list(MIDIS.items())[::4]
    ),
    *(Case("MIDI", name, beside(make, TUNE), tune) for name, make in places("set/a.mid").items()),
    *(Case("melodies", name, lambda f, c=content: written(f / "set", c), tune) for name, content in MELODIES.items()),
    *(Case("melodies", name, make, tune) for name, make in places("set").items()),
]
