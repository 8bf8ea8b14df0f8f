"""IDX files, and folders under MNIST's names."""

import gzip
import struct

import numpy as np

from . import Case, cuts, places, written

COMMAND = ("train", "gan", "--data", "set", "--backend", "numpy")
IMAGES, LABELS = "set/train-images-idx3-ubyte", "set/train-labels-idx1-ubyte"


def idx(shape, body, code=8, ndim=None):
    return bytes([0, 0, code, len(shape) if ndim is None else ndim]) + struct.pack(f">{len(shape)}I", *shape) + body


def pixels(n=64, side=28):
    return idx((n, side, side), np.random.default_rng(0).integers(0, 256, n * side * side, np.uint8).tobytes())


def labels(n=64, largest=10):
    return idx((n,), (np.arange(n) % largest).astype(np.uint8).tobytes())


def pair(images=None, of_labels=None):
    """Both files, of which one is bad."""

    def make(folder):
        written(folder / IMAGES, pixels() if images is None else images)
        written(folder / LABELS, labels() if of_labels is None else of_labels)

    return make


def beside_labels(make):
    return lambda folder: (written(folder / LABELS, labels()), make(folder))


MANY = 10**12
HEADERS = {
    "10¹² images": idx((MANY >> 32 | 1, 0xFFFFFFFF, 28), b""),
    "4·10⁹ images": idx((0xFFFFFFFF, 28, 28), bytes(100)),
    "a pixel too few": pixels()[:-1],
    "a pixel too many": pixels() + b"\0",
    "255 axes": idx((), b"", ndim=255),
    "64 axes of 1": idx((1,) * 64, b"\0"),
    "no axes": idx((), b"\7"),
    "no images": idx((0, 28, 28), b""),
    "images without pixels": idx((64, 0, 0), b""),
    "one axis": idx((64,), bytes(64)),
    "two axes": idx((64, 784), bytes(64 * 784)),
    "five axes": idx((64, 1, 28, 28, 1), bytes(64 * 784)),
    "as many axes as bytes": idx((28,), bytes(28), ndim=200),
    "images of 1 × 1": idx((64, 1, 1), bytes(64)),
    "images of 5 channels": idx((64, 5, 28, 28), bytes(64 * 5 * 784)),
}
MAGIC = {
    f"magic number {magic.hex()}": magic + pixels()[4:]
    for magic in (
        b"\0\0\7\3",
        b"\0\0\x0a\3",
        b"\0\0\xff\3",
        b"\1\0\x08\3",
        b"\0\1\x08\3",
        b"\3\x08\0\0",
        b"\xff" * 4,
        b"RIFF",
        b"\x89PNG",
        b"PK\3\4",
        b"<htm",
        b"\x93NUM",
        b"%PDF",
        b"\x80\4\x95\0",
    )
}
NUMBERS = {
    f"{what} as {name}": idx((64, 28, 28), np.full((64, 28, 28), value, dtype).tobytes(), code)
    for code, dtype, name in ((0x0D, ">f4", "float32"), (0x0E, ">f8", "float64"))
    for what, value in (("NaN pixels", np.nan), ("infinite pixels", np.inf), ("pixels of 0.5", 0.5))
} | {"pixels as int16": idx((64, 28, 28), bytes(64 * 784 * 2), 0x0B)}
COMPRESSED = {
    **{f"gzip {name}": cut for name, cut in cuts(gzip.compress(pixels(), mtime=0), 6).items()},
    "gzip of nothing": gzip.compress(b"", mtime=0),
    "gzip with a wrong checksum": gzip.compress(pixels(), mtime=0)[:-8] + b"\1\2\3\4\5\6\7\7",
    "gzip with a damaged middle": (lambda z: z[:900] + b"\xff" * 40 + z[940:])(gzip.compress(pixels(), mtime=0)),
    "a gzip bomb": gzip.compress(pixels(), mtime=0) + gzip.compress(bytes(1 << 20), mtime=0) * 1024,
    "a gzip in a gzip": gzip.compress(gzip.compress(pixels(), mtime=0), mtime=0),
    "gzip that claims 10¹² images": gzip.compress(HEADERS["10¹² images"] + bytes(1 << 20), mtime=0),
}
FILES = {**HEADERS, **MAGIC, **NUMBERS, **COMPRESSED, **cuts(pixels())}
OF_LABELS = {
    "a label too few": labels(63),
    "a label too many": labels(65),
    "no labels": labels(0),
    "labels that are images": pixels(),
    "negative labels": idx((64,), b"\xff" * 64, 9),
    "labels in billions": idx((64,), b"\x7f" * 256, 0x0C),
    "labels as NaN": idx((64,), b"\xff" * 256, 0x0D),
    "labels with two axes": idx((64, 1), bytes(64)),
    **cuts(labels(), 3),
}
FOLDERS = {
    "an empty folder": lambda folder: (folder / "set").mkdir(),
    "only images": lambda folder: written(folder / IMAGES, pixels()),
    "only labels": lambda folder: written(folder / LABELS, labels()),
    "two files of images": lambda folder: (pair()(folder), written(folder / "set/a-train-images-idx3-ubyte", pixels())),
    "only a test part": lambda folder: (
        written(folder / "set/t10k-images-idx3-ubyte", pixels()),
        written(folder / "set/t10k-labels-idx1-ubyte", labels()),
    ),
    "a folder in a folder": lambda folder: (folder / "set/set").mkdir(parents=True),
}

CASES = [
    *(Case("IDX", name, pair(images=content), COMMAND) for name, content in FILES.items()),
    *(Case("IDX", name, pair(of_labels=content), COMMAND) for name, content in OF_LABELS.items()),
    *(Case("IDX", name, beside_labels(make), COMMAND) for name, make in places(IMAGES).items()),
    *(Case("MNIST folders", name, make, COMMAND) for name, make in (FOLDERS | places("set")).items()),
    *(
        Case("IDX", f"{name}, for {model}", pair(images=HEADERS[name]), ("train", model, *COMMAND[2:]))
        for name in ("images of 1 × 1", "images of 5 channels", "images without pixels")
        for model in ("vae-conv", "dcgan", "cgan", "wgan-gp")
    ),
]
