"""minigen.datasets: the IDX format, image folders, bundled digits, downloads, pixels, batches, synthetic densities."""

import contextlib
import functools
import gzip
import hashlib
import http.server
import json
import os
import struct
import threading
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy import stats

from minigen import datasets
from minigen.datasets import Batches, ImageSet, read_idx, remote, write_idx
from minigen.datasets.bundled import data_folder
from minigen.errors import ConfigError, DataError, DtypeError, MinigenError, NonFiniteError, ShapeError


def one_sentence(error):
    """Every message of an error is one line that ends as a sentence does and begins with what it is about."""
    message = str(error.value)
    assert "\n" not in message and message[-1] in ".?" and ": " in message, message
    return message


# IDX -----------------------------------------------------------------------------------------------------------------

IDX_DTYPES = [np.uint8, np.int8, np.int16, np.int32, np.float32, np.float64]


@settings(deadline=None)
@given(
    array=st.sampled_from(IDX_DTYPES).flatmap(
        lambda dtype: arrays(
            dtype, st.one_of(st.just(()), array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=4))
        )
    ),
    ending=st.sampled_from(["", ".gz"]),
)
def test_idx_round_trip(tmp_path_factory, array, ending):
    path = tmp_path_factory.mktemp("idx") / f"array-ubyte{ending}"
    write_idx(path, array)
    back = read_idx(path)
    assert back.dtype == array.dtype and back.dtype.isnative and back.shape == array.shape
    assert back.tobytes() == np.ascontiguousarray(array).tobytes()
    assert back.flags.writeable and back.flags.c_contiguous


@pytest.mark.parametrize("code, letter", [(8, "B"), (9, "b"), (0x0B, "h"), (0x0C, "i"), (0x0D, "f"), (0x0E, "d")])
def test_idx_is_big_endian(tmp_path, code, letter):
    """Against the standard library's struct, which knows nothing of NumPy."""
    values = [1, 2, 3, 4, 5, 100]
    content = struct.pack(f">BBBBII6{letter}", 0, 0, code, 2, 2, 3, *values)
    (tmp_path / "raw").write_bytes(content)
    np.testing.assert_array_equal(read_idx(tmp_path / "raw"), np.reshape(values, (2, 3)))
    write_idx(tmp_path / "written", read_idx(tmp_path / "raw"))
    assert (tmp_path / "written").read_bytes() == content


def test_idx_compression_is_seen_from_the_content(tmp_path):
    array = np.arange(6, dtype=np.uint8)
    write_idx(tmp_path / "a.gz", array)
    (tmp_path / "a.gz").rename(tmp_path / "b")
    np.testing.assert_array_equal(read_idx(tmp_path / "b"), array)
    write_idx(tmp_path / "c", array)
    (tmp_path / "c").rename(tmp_path / "d.gz")
    np.testing.assert_array_equal(read_idx(str(tmp_path / "d.gz")), array)


def test_write_idx_gives_the_same_bytes_from_any_layout(tmp_path):
    array = np.arange(24, dtype=np.int32).reshape(4, 6)
    for name, same in {"a.gz": array, "b.gz": np.asfortranarray(array), "c.gz": array.astype(">i4")}.items():
        write_idx(tmp_path / name, same)
    assert len({(tmp_path / name).read_bytes() for name in ("a.gz", "b.gz", "c.gz")}) == 1
    np.testing.assert_array_equal(read_idx(tmp_path / "b.gz"), array)


def test_write_idx_refuses(tmp_path):
    with pytest.raises(
        DtypeError, match="dtype int64, expected one of uint8, int8, int16, int32, float32, float64"
    ) as e:
        write_idx(tmp_path / "a", np.arange(3))
    one_sentence(e)
    with pytest.raises(DataError, match="cannot be written"):
        write_idx(tmp_path / "no" / "a", np.zeros(3, np.uint8))
    assert not list(tmp_path.iterdir())


def idx(shape, body=b"", code=8):
    return struct.pack(f">BBBB{len(shape)}I", 0, 0, code, len(shape), *shape) + body


def flipped(content, position):
    return content[:position] + bytes([content[position] ^ 0xFF]) + content[position + 1 :]


BODY = bytes(range(200))
PACKED = gzip.compress(idx((200,), BODY), mtime=0)
LIES = (10_000, 10_000, 10_000)  # 10¹² items
BAD_FILES = {
    "empty": (b"", r"expected an IDX header, but the file is empty; .*download the file again"),
    "empty gzip": (gzip.compress(b""), r"expected an IDX header, but the file is empty"),
    "short magic": (b"\0\0\x08", r"expected the IDX magic number 00 00 .*, came 00 00 08; check that this is an IDX"),
    "wrong magic": (b"\x01\0\x08\x01" + BODY, r"expected the IDX magic number .* came 01 00 08 01;"),
    "wrong dtype": (b"\0\0\x0a\x01" + BODY, r"expected the IDX magic number .* came 00 00 0a 01;"),
    "a web page": (b"<!DOCTYPE html>", r"expected the IDX magic number .* came 3c 21 44 4f \(as in a web page\)"),
    "a picture": (b"\x89PNG\r\n\x1a\n", r"\(as in a PNG image\)"),
    "an npy file": (b"\x93NUMPY\x01\x00", r"\(as in a \.npy file\)"),
    "a packed web page": (gzip.compress(b"<html></html>"), r"\(as in a web page\)"),
    "short header": (idx((2, 3))[:-3], r"expected a header of 12 bytes for 2 axes, came 9 bytes; the file is trunc"),
    "short packed header": (gzip.compress(idx((2, 3))[:-3]), r"expected a header of 12 bytes for 2 axes, came 9"),
    "short body": (idx((2, 100), BODY[:-1]), r"expected 200 bytes after the header, for uint8 of shape \(2, 100\), "),
    "short body of float64": (
        idx((2,), BODY[:15], 14),
        r"expected 16 bytes .* for float64 of shape \(2,\), came at mo",
    ),
    "short packed body": (gzip.compress(idx((200,), BODY[:-7])), r"expected 200 bytes .*, came 193; .* truncated"),
    "no body": (idx((5,)), r"expected 5 bytes after the header, .*, came at most 0; the file is truncated"),
    "trailing bytes": (idx((200,), BODY + b"\0"), r"expected 200 bytes after the header, .*, came more; the header"),
    "packed trailing bytes": (gzip.compress(idx((200,), BODY + b"\0")), r"expected 200 bytes .*, came more;"),
    "lying header": (idx(LIES, BODY), r"expected 1000000000000 bytes .* \(10000, 10000, 10000\), came at most 200;"),
    "lying packed header": (
        gzip.compress(idx(LIES, BODY)),
        r"expected 1000000000000 bytes after the header, .* at most",
    ),
    "too many axes": (idx((1,) * 65, b"\1"), r"expected at most 64 axes, came 65 in the header"),
    "impossible shape": (idx((0, 2**32 - 1, 2**32 - 1)), r"expected a possible shape, came \(0, 4294967295, 42949672"),
    "gzip cut in the data": (PACKED[:-30], r"expected an intact gzip stream, came a damaged one \(.*ended before"),
    "gzip cut in the checksum": (PACKED[:-3], r"expected an intact gzip stream, came a damaged one"),
    "gzip cut in its header": (PACKED[:5], r"expected an intact gzip stream, came a damaged one"),
    "gzip with a wrong checksum": (flipped(PACKED, len(PACKED) - 5), r"came a damaged one \(CRC check failed"),
    "gzip with wrong data": (flipped(PACKED, 14), r"came a damaged one \(Error -3 while decompressing"),
    "gzip with rubbish behind": (PACKED + b"rubbish", r"expected an intact gzip stream, came a damaged one"),
}


@pytest.mark.parametrize("content, message", BAD_FILES.values(), ids=BAD_FILES.keys())
def test_read_idx_names_what_is_wrong(tmp_path, content, message):
    path = tmp_path / "file-idx-ubyte"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as error:
        read_idx(path)
    assert one_sentence(error).startswith(f"{path}: ")


def test_read_idx_names_what_is_no_file(tmp_path):
    for path, message in {
        tmp_path / "missing": "expected an IDX file, but nothing is there; check the path",
        tmp_path: "expected an IDX file, came a folder; name a file in it",
        os.devnull: "expected a regular file, came a device or a pipe",
    }.items():
        with pytest.raises(DataError, match=message) as error:
            read_idx(path)
        assert one_sentence(error).startswith(f"{path}: ")


@settings(deadline=None)
@given(cut=st.integers(0, len(PACKED) - 1), flip=st.integers(0, len(PACKED) - 1), change=st.integers(1, 255))
def test_a_damaged_gzip_never_escapes_as_another_error(tmp_path_factory, cut, flip, change):
    path = tmp_path_factory.mktemp("damaged") / "file.gz"
    path.write_bytes(PACKED[:cut])
    with pytest.raises(DataError):
        read_idx(path)
    path.write_bytes(PACKED[:flip] + bytes([PACKED[flip] ^ change]) + PACKED[flip + 1 :])
    with contextlib.suppress(DataError):
        assert read_idx(path).tobytes() == BODY  # a byte that carries no data, such as the time stamp


@pytest.mark.parametrize("content", [idx(LIES, BODY), gzip.compress(idx(LIES, BODY))], ids=["raw", "gzip"])
def test_memory_follows_the_file_not_the_header(tmp_path, content):
    (tmp_path / "lie").write_bytes(content)
    assert peak_memory(tmp_path / "lie") < 2 << 20


def test_a_gzip_bomb_is_not_expanded_beyond_the_claim(tmp_path):
    bomb = gzip.compress(idx((1000,)) + bytes(1 << 27))
    (tmp_path / "bomb.gz").write_bytes(bomb)
    assert len(bomb) < 1 << 19
    assert peak_memory(tmp_path / "bomb.gz") < 2 << 20


def peak_memory(path):
    tracemalloc.start()
    try:
        with pytest.raises(DataError):
            read_idx(path)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


# image sets and folders ----------------------------------------------------------------------------------------------


def image_arrays(n=4, k=10, seed=0):
    generator = np.random.default_rng(seed)
    return generator.integers(256, size=(n, 5, 6), dtype=np.uint8), generator.integers(k, size=n, dtype=np.uint8)


def write_split(folder, images, labels, names=("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz")):
    folder.mkdir(parents=True, exist_ok=True)
    write_idx(folder / names[0], images)
    write_idx(folder / names[1], labels)


def test_image_set():
    x, y = image_arrays(6)
    images = ImageSet(x, y.astype(np.int64), "set", tuple("0123456789"))
    assert len(images) == 6
    for index in (slice(2, 5), [0, 5], images.labels == images.labels[0], np.array([3])):
        part = images.subset(index)
        np.testing.assert_array_equal(part.images, x[index])
        np.testing.assert_array_equal(part.labels, y[index])
        assert (part.name, part.classes, len(part)) == (images.name, images.classes, len(y[index]))
    with pytest.raises(AttributeError):
        images.name = "other"


@pytest.mark.parametrize(
    "change, message",
    [
        ({"images": np.zeros((4, 5, 6))}, r"set: expected images of uint8, .*, came float64 of shape \(4, 5, 6\)"),
        ({"images": np.zeros((4, 30), np.uint8)}, r"expected images of uint8, .*, came uint8 of shape \(4, 30\)"),
        ({"labels": np.zeros(4, np.uint8)}, r"expected labels of int64, \(N,\), came uint8 of shape \(4,\)"),
        ({"labels": np.zeros((4, 1), np.int64)}, r"expected labels of int64, \(N,\), came int64 of shape \(4, 1\)"),
        ({"labels": np.zeros(3, np.int64)}, "expected one label per image, came 4 images and 3 labels"),
        ({"labels": np.array([0, 1, 2, 10])}, "expected labels from 0 to 9, came 0 to 10"),
        ({"labels": np.array([0, 1, 2, -1])}, "expected labels from 0 to 9, came -1 to 2"),
    ],
)
def test_image_set_refuses(change, message):
    x, y = image_arrays()
    with pytest.raises(DataError, match=message) as error:
        ImageSet(**{"images": x, "labels": y.astype(np.int64), "name": "set", "classes": tuple("0123456789")} | change)
    one_sentence(error)


@pytest.mark.parametrize(
    "names",
    [
        ("{}-images-idx3-ubyte.gz", "{}-labels-idx1-ubyte.gz"),
        ("{}-images-idx3-ubyte", "{}-labels-idx1-ubyte"),
        ("{}-images.idx3-ubyte", "{}-labels.idx1-ubyte"),
        ("mnist-{}-images-12-idx3-ubyte.gz", "mnist-{}-labels-12-idx1-ubyte.gz"),
    ],
)
@pytest.mark.parametrize("split, prefix", [("train", "train"), ("test", "t10k"), ("test", "test")])
def test_load_folder(tmp_path, names, split, prefix):
    x, y = image_arrays(12, 3)
    write_split(tmp_path / "mine", x, y, [name.format(prefix) for name in names])
    images = datasets.load_folder(tmp_path / "mine", split)
    np.testing.assert_array_equal(images.images, x)
    np.testing.assert_array_equal(images.labels, y)
    assert images.labels.dtype == np.int64
    assert images.name == "mine" and images.classes == tuple("0123456789"[: y.max() + 1])
    with pytest.raises(DataError, match="expected the images of the .* split, a file such as"):
        datasets.load_folder(tmp_path / "mine", {"train": "test", "test": "train"}[split])


def test_load_folder_of_colour_images(tmp_path):
    x = np.zeros((4, 3, 5, 6), np.uint8)
    write_split(tmp_path, x, image_arrays()[1], ("train-images-idx4-ubyte", "train-labels-idx1-ubyte"))
    assert datasets.load_folder(tmp_path).images.shape == (4, 3, 5, 6)


def test_load_folder_prefers_the_raw_file(tmp_path):
    x, y = image_arrays()
    write_split(tmp_path, x, y)
    write_idx(tmp_path / "train-images-idx3-ubyte", x[::-1])
    np.testing.assert_array_equal(datasets.load_folder(tmp_path).images, x[::-1])


def test_load_folder_refuses(tmp_path):
    x, y = image_arrays()
    write_split(tmp_path / "short", x, y[:-1])
    write_split(tmp_path / "swapped", y, x)
    write_split(tmp_path / "floats", x, y.astype(np.float32))
    write_split(tmp_path / "none", x[:0], y[:0])
    write_split(tmp_path / "huge", x, np.array([0, 1, 2, 2_000_000_000], np.int32))
    write_split(tmp_path / "two", x, y)
    write_split(tmp_path / "two", x, y, ("other-train-images-idx3-ubyte", "other-train-labels-idx1-ubyte"))
    write_split(tmp_path / "half", x, y)
    (tmp_path / "half" / "train-labels-idx1-ubyte.gz").unlink()
    write_split(tmp_path / "broken", x, y)
    (tmp_path / "broken" / "train-labels-idx1-ubyte.gz").write_bytes(b"")
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_bytes(b"")
    for name, message in {
        "short": "train-images-idx3-ubyte.gz with train-labels-idx1-ubyte.gz: .* came 4 images and 3 labels",
        "swapped": r"expected images of uint8, .* came uint8 of shape \(4,\)",
        "floats": "train-labels-idx1-ubyte.gz: expected integer labels, came float32",
        "none": "expected at least one image, came none",
        "huge": "expected labels below 65536, came 2000000000",
        "two": "expected one file such as train-images-idx3-ubyte.gz, came other-train-images-.*, train-images-",
        "half": "expected the labels of the train split, a file such as train-labels-idx1-ubyte.gz; put it there",
        "broken": "train-labels-idx1-ubyte.gz: expected an IDX header, but the file is empty",
        "empty": "expected the images of the train split, a file such as train-images-idx3-ubyte.gz",
        "file": "expected a folder with MNIST-style files, came a file; name the folder it is in",
        "missing": "expected a folder with MNIST-style files, but nothing is there; check the path",
    }.items():
        with pytest.raises(DataError, match=message) as error:
            datasets.load_folder(tmp_path / name)
        assert one_sentence(error).startswith(str(tmp_path / name))
    with pytest.raises(ConfigError, match="split: expected one of train, test, came 'valid'"):
        datasets.load_folder(tmp_path / "short", "valid")


# sets by name --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("split, n", [("train", 10_000), ("test", 2_000)])
def test_the_bundled_digits(split, n):
    digits = datasets.load("digits", split)
    assert digits.images.shape == (n, 28, 28) and digits.images.dtype == np.uint8
    assert digits.classes == tuple("0123456789") and digits.name == "digits"
    assert tuple(digits.labels[:10]) == remote.MNIST.first_labels[split]
    assert np.bincount(digits.labels).min() > n / 10 * 0.85
    assert digits.images.min() == 0 and digits.images.max() == 255
    assert 30 < digits.images.mean() < 36  # MNIST's mean is 33.3
    np.testing.assert_array_equal(datasets.load(data_folder(), split).images, digits.images)


def test_the_default_is_the_bundled_training_set():
    assert datasets.load().name == "digits" and len(datasets.load()) == 10_000


def test_unknown_names(tmp_path):
    with pytest.raises(
        DataError, match="digitz: expected a folder or one of digits, mnist, fashion-mnist, .* did you"
    ) as e:
        datasets.load("digitz")
    assert one_sentence(e).endswith("did you mean digits?")
    with pytest.raises(DataError, match="but there is no such; check the spelling") as e:
        datasets.load(tmp_path / "nowhere")
    one_sentence(e)
    with pytest.raises(DataError, match="expected a folder or one of"):
        datasets.load("x" * 5000)
    with pytest.raises(ConfigError, match="split: expected one of train, test, came 'dev'"):
        datasets.load("digits", "dev")
    assert list(datasets.available()) == ["digits", "mnist", "fashion-mnist"]


@pytest.fixture
def no_network(monkeypatch, tmp_path):
    """Every download fails at once; the cache is empty and MINIGEN_DATA not set."""
    monkeypatch.setattr(remote, "SOURCES", {name: unreachable(source) for name, source in remote.SOURCES.items()})
    monkeypatch.setenv("MINIGEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("MINIGEN_DATA", raising=False)


def unreachable(source):
    mirrors = ("http://127.0.0.1:9/first/", "http://127.0.0.1:9/second/")
    return remote.Source(source.name, source.title, source.classes, mirrors, source.sha256, source.first_labels)


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_no_network(no_network, name):
    with pytest.raises(DataError, match=f"{name}: train-images-idx3-ubyte.gz could not be downloaded") as error:
        datasets.load(name)
    message = one_sentence(error)
    for part in (
        "9/first/ could not be reached; ",
        "9/second/ could not",
        "--data FOLDER",
        "MINIGEN_DATA",
        "--data digits",
    ):
        assert part in message


def test_minigen_data(no_network, monkeypatch, tmp_path):
    x, y = image_arrays(20)
    write_split(tmp_path / "own", x, y)
    monkeypatch.setenv("MINIGEN_DATA", str(tmp_path / "own"))
    assert len(datasets.load("mnist")) == 20
    assert datasets.load("mnist").name == "mnist"
    assert datasets.load("fashion-mnist").classes[9] == "Ankle boot"
    assert datasets.load("digits").name == "digits" and len(datasets.load("digits")) == 10_000

    write_split(tmp_path / "own" / "mnist", x[:5], y[:5])
    assert len(datasets.load("mnist")) == 5  # the subfolder of that name comes first
    assert len(datasets.load("fashion-mnist")) == 20
    with pytest.raises(DataError, match="t10k-images-idx3-ubyte.gz could not be downloaded"):
        datasets.load("mnist", "test")  # a split that is not there is downloaded

    monkeypatch.setenv("MINIGEN_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match="MINIGEN_DATA: expected a folder, but .*nowhere is none") as error:
        datasets.load("mnist")
    one_sentence(error)
    monkeypatch.setenv("MINIGEN_DATA", "")
    with pytest.raises(DataError, match="could not be downloaded"):
        datasets.load("mnist")


def test_minigen_data_is_not_taken_for_another_set(no_network, monkeypatch, tmp_path):
    """The two sets have the same file names; MNIST must not be given out as clothes."""
    monkeypatch.setenv("MINIGEN_DATA", str(data_folder()))
    assert datasets.load("mnist").name == "mnist" and len(datasets.load("mnist")) == 10_000
    with pytest.raises(DataError, match="fashion-mnist: .* could not be downloaded"):
        datasets.load("fashion-mnist")


# downloads -----------------------------------------------------------------------------------------------------------


class Mirror(http.server.ThreadingHTTPServer):
    """A loopback server of a folder's files that remembers what it was asked for."""

    def __init__(self, folder):
        class Handler(http.server.SimpleHTTPRequestHandler):
            def do_GET(self):
                self.server.asked.append(self.path.lstrip("/"))
                super().do_GET()

            def log_message(self, *args):
                pass

        self.asked = []
        super().__init__(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))
        self.address = f"http://127.0.0.1:{self.server_port}/"
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()


@pytest.fixture
def mirrors(tmp_path):
    """Starts a Mirror per folder, ends them after the test."""
    started = []

    def start(*folders):
        started.extend(Mirror(folder) for folder in folders)
        return started[-len(folders) :]

    yield start
    for server in started:
        server.shutdown()
        server.server_close()


@pytest.fixture
def published(tmp_path):
    """A small data set of MNIST's four files as it lies on a mirror, and what is known of it in advance."""
    folder = tmp_path / "published"
    x, y = image_arrays(30)
    write_split(folder, x[:20], y[:20])
    write_split(folder, x[20:], y[20:], ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"))
    sha256 = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(folder.iterdir())}
    return folder, lambda *servers: remote.Source(
        "small", "a small set", tuple("0123456789"), tuple(server.address for server in servers), sha256, {}
    )


def test_download_once(mirrors, published, tmp_path):
    folder, source = published
    (server,) = mirrors(folder)
    for _ in range(2):  # the second time there is nothing to ask for
        found = remote.download(source(server), "train", cache=tmp_path / "cache")
        assert found == tmp_path / "cache" / "small"
        assert sorted(server.asked) == ["train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"]
    assert {file.name: file.read_bytes() for file in found.iterdir()} == {
        name: (folder / name).read_bytes() for name in server.asked
    }
    remote.download(source(server), "test", cache=tmp_path / "cache")
    assert len(server.asked) == 4 and len(datasets.load_folder(found, "test")) == 10


def test_a_cached_file_that_was_damaged_is_downloaded_again(mirrors, published, tmp_path):
    folder, source = published
    (server,) = mirrors(folder)
    file = remote.download(source(server), cache=tmp_path / "cache") / "train-labels-idx1-ubyte.gz"
    file.write_bytes(file.read_bytes()[:-1])
    remote.download(source(server), cache=tmp_path / "cache")
    assert server.asked.count(file.name) == 2 and len(server.asked) == 3
    assert file.read_bytes() == (folder / file.name).read_bytes()


def test_the_next_mirror_is_tried(mirrors, published, tmp_path):
    """The first does not have the files, the second has others, the third is right."""
    folder, source = published
    (tmp_path / "bare").mkdir()
    x, y = image_arrays(20, seed=1)
    write_split(tmp_path / "other", x, y)
    bare, other, right = mirrors(tmp_path / "bare", tmp_path / "other", folder)
    found = remote.download(source(bare, other, right), cache=tmp_path / "cache")
    assert len(bare.asked) == len(other.asked) == len(right.asked) == 2
    assert {file.name: file.read_bytes() for file in found.iterdir()} == {
        name: (folder / name).read_bytes() for name in right.asked
    }


def test_a_mirror_that_is_down_is_passed_over(mirrors, published, tmp_path):
    folder, source = published
    down, up = mirrors(folder, folder)
    down.shutdown()
    down.server_close()
    assert len(datasets.load_folder(remote.download(source(down, up), cache=tmp_path / "cache"))) == 20


def test_no_mirror_left(mirrors, published, tmp_path):
    folder, source = published
    (tmp_path / "bare").mkdir()
    write_split(tmp_path / "other", *image_arrays(20, seed=1))
    bare, other = mirrors(tmp_path / "bare", tmp_path / "other")
    with pytest.raises(DataError, match="small: train-images-idx3-ubyte.gz could not be downloaded") as error:
        remote.download(source(bare, other), cache=tmp_path / "cache")
    message = one_sentence(error)
    assert f"{bare.address} answered 404" in message
    assert f"{other.address} sent a file with another sha256" in message
    assert not list((tmp_path / "cache" / "small").iterdir())  # a wrong file leaves nothing behind


def test_a_cache_that_cannot_be_written(mirrors, published, tmp_path):
    folder, source = published
    (server,) = mirrors(folder)
    (tmp_path / "cache").write_bytes(b"")
    with pytest.raises(DataError, match="cannot be kept here .*; set MINIGEN_CACHE to a folder that can be") as error:
        remote.download(source(server), cache=tmp_path / "cache")
    one_sentence(error)


def test_load_downloads_by_name_into_minigen_cache(mirrors, published, tmp_path, monkeypatch):
    folder, source = published
    (server,) = mirrors(folder)
    monkeypatch.setattr(remote, "SOURCES", {"small": source(server)})
    monkeypatch.setenv("MINIGEN_CACHE", str(tmp_path / "here"))
    monkeypatch.delenv("MINIGEN_DATA", raising=False)
    images = datasets.load("small", "test")
    assert (len(images), images.name, images.classes) == (10, "small", tuple("0123456789"))
    assert sorted(file.name for file in (tmp_path / "here" / "small").iterdir()) == sorted(server.asked)


def test_the_published_sets_are_described_completely():
    for name, source in remote.SOURCES.items():
        assert source.name == name and len(source.mirrors) >= 2 and len(source.classes) == 10
        assert [len(source.files(split)) for split in ("train", "test")] == [2, 2]
        assert all(len(bytes.fromhex(digest)) == 32 for digest in source.sha256.values())
        assert all(mirror.endswith("/") for mirror in source.mirrors)


# pixels --------------------------------------------------------------------------------------------------------------

ALL_PIXELS = np.arange(256, dtype=np.uint8).reshape(4, 8, 8)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize(
    "to, back, low", [(datasets.to_unit, datasets.from_unit, 0), (datasets.to_signed, datasets.from_signed, -1)]
)
def test_formula_A10_pixels_there_and_back(to, back, low, dtype):
    x = to(ALL_PIXELS, dtype)
    assert x.dtype == dtype and x.shape == (4, 1, 8, 8)
    assert x.min() == low and x.max() == 1
    np.testing.assert_allclose(np.diff(x.ravel().astype(np.float64)), (1 - low) / 255, atol=2 * np.finfo(dtype).eps)
    np.testing.assert_array_equal(back(x), ALL_PIXELS[:, None])
    assert back(x).dtype == np.uint8
    assert to(ALL_PIXELS.reshape(2, 2, 8, 8)).shape == (2, 2, 8, 8) and to(ALL_PIXELS).dtype == np.float32
    np.testing.assert_array_equal(ALL_PIXELS.ravel(), np.arange(256))  # the input is not changed


@pytest.mark.parametrize("back, low", [(datasets.from_unit, 0), (datasets.from_signed, -1)])
def test_pixels_are_clipped_and_rounded(back, low):
    x = np.array([-np.inf, -7, low - 1e-3, low, 1, 1 + 1e-3, 9, np.inf], np.float32)
    np.testing.assert_array_equal(back(x), [0, 0, 0, 0, 255, 255, 255, 255])
    step = (1 - low) / 255
    np.testing.assert_array_equal(back(low + step * np.array([99.6, 100.0, 100.4])), [100, 100, 100])


def test_pixels_refuse():
    with pytest.raises(DtypeError, match="to_signed: expected images of uint8, came float32"):
        datasets.to_signed(np.zeros((1, 2, 2), np.float32))
    with pytest.raises(DtypeError, match="to_unit: expected a floating dtype, came int64"):
        datasets.to_unit(ALL_PIXELS, np.int64)
    with pytest.raises(ShapeError, match=r"to_unit: expected images of shape \(N, H, W\) or .*, came \(8, 8\)"):
        datasets.to_unit(ALL_PIXELS[0])
    with pytest.raises(DtypeError, match="from_unit: expected a floating array, came uint8"):
        datasets.from_unit(ALL_PIXELS)
    with pytest.raises(NonFiniteError, match="from_signed: expected numbers, came NaN in 1 of 4 pixels"):
        datasets.from_signed(np.array([0, 1, np.nan, 0.5]))


# batches -------------------------------------------------------------------------------------------------------------

BIT_GENERATORS = [np.random.PCG64, np.random.PCG64DXSM, np.random.MT19937, np.random.Philox, np.random.SFC64]
SIZES = st.integers(1, 30).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, n)))


@settings(deadline=None)
@given(sizes=SIZES, seed=st.integers(0, 2**32))
def test_every_epoch_is_a_permutation(sizes, seed):
    n, batch_size = sizes
    batches = Batches(n, batch_size, np.random.default_rng(seed))
    expected = np.random.default_rng(seed)
    assert (batches.epoch, batches.position) == (0, 0) and iter(batches) is batches
    assert batches.batches_per_epoch == n // batch_size
    for epoch in range(3):
        order = expected.permutation(n)
        for i in range(n // batch_size):
            batch = next(batches)
            assert batch.shape == (batch_size,) and batch.dtype == np.int64
            np.testing.assert_array_equal(batch, order[i * batch_size : (i + 1) * batch_size])
            assert (batches.epoch, batches.position) == (epoch, (i + 1) * batch_size)
            batch[:] = -1  # the caller's own


@settings(deadline=None)
@given(
    sizes=SIZES,
    before=st.integers(0, 40),
    after=st.integers(1, 40),
    bits=st.sampled_from(BIT_GENERATORS),
    other=st.integers(0, 40),
)
def test_order_resumes_exactly_from_any_point(sizes, before, after, bits, other):
    """Also when the generator is shared with noise that is drawn between the batches."""

    def run(batches, steps):
        return [(next(batches).tolist(), batches.generator.random(2).tolist()) for _ in range(steps)]

    whole = run(Batches(*sizes, np.random.Generator(bits(5))), before + after)
    first = Batches(*sizes, np.random.Generator(bits(5)))
    start = run(first, before)
    saved = json.loads(json.dumps(first.state_dict()))
    second = Batches(*sizes, np.random.Generator(bits(6)))
    run(second, other)
    second.load_state_dict(saved)
    assert json.loads(json.dumps(second.state_dict())) == saved
    assert (second.epoch, second.position) == (first.epoch, first.position)
    assert start + run(second, after) == whole
    assert run(first, after) == whole[before:]  # taking the state has changed nothing


@pytest.mark.parametrize(
    "n, batch_size, message",
    [
        (10, 0, "expected a batch_size from 1 to the 10 examples there are, came 0"),
        (10, -3, "expected a batch_size from 1 to the 10 examples there are, came -3"),
        (10, 11, "expected a batch_size from 1 to the 10 examples there are, came 11"),
        (10, 2.5, "expected a whole number for batch_size, came 2.5"),
        (0, 1, "expected at least one example, came n = 0"),
    ],
)
def test_batches_refuse(n, batch_size, message):
    with pytest.raises(ConfigError, match=message) as error:
        Batches(n, batch_size, np.random.default_rng(0))
    one_sentence(error)


def test_batches_need_an_explicit_generator():
    for other in (None, 5, np.random.RandomState(0)):
        with pytest.raises(DtypeError, match="expected a numpy.random.Generator; make one with"):
            Batches(10, 2, other)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"n": 11}, "expected the saved n = 11, came 10"),
        ({"batch_size": 4}, "expected the saved batch_size = 4, came 3"),
        ({"epoch": -1}, "no run can be at epoch -1, position 3"),
        ({"position": 12}, "no run can be at epoch 0, position 12"),
        ({"position": 4}, "no run can be at epoch 0, position 4"),
        ({"position": "3"}, "no run can be at epoch 0, position 3"),
        ({"generator": {}}, "the saved generator does not fit PCG64"),
        ({"epoch_start": np.random.Philox(0).state}, "the saved generator does not fit PCG64"),
        ({"generator": None, "epoch_start": 7}, "the saved generator does not fit PCG64"),
    ],
)
def test_a_state_that_does_not_fit_changes_nothing(change, message):
    batches = Batches(10, 3, np.random.default_rng(0))
    next(batches)
    before = batches.state_dict()
    with pytest.raises(MinigenError, match=message) as error:
        batches.load_state_dict(before | change)
    one_sentence(error)
    assert batches.state_dict() == before


def test_a_state_that_lacks_something():
    batches = Batches(10, 3, np.random.default_rng(0))
    with pytest.raises(DataError, match="the saved state lacks epoch, epoch_start, generator, n, position"):
        batches.load_state_dict({"batch_size": 3})


# synthetic densities -------------------------------------------------------------------------------------------------


def rng(seed=0):
    return np.random.default_rng(seed)


SETS = {
    "ring": (datasets.ring_of_gaussians, 2),
    "moons": (datasets.two_moons, 2),
    "mixture": (datasets.mixture_1d, 1),
}


@pytest.mark.parametrize("draw, dim", SETS.values(), ids=SETS.keys())
def test_synthetic_sets_draw_only_from_their_generator(draw, dim):
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    x, k = draw(50, rng(3))
    assert x.shape == (50, dim) and x.dtype == np.float32 and k.shape == (50,) and k.dtype == np.int64
    again, labels = draw(50, rng(3))
    np.testing.assert_array_equal(x, again)
    np.testing.assert_array_equal(k, labels)
    assert not np.array_equal(x, draw(50, rng(4))[0])
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002
    assert draw(0, rng())[0].shape == (0, dim)
    with pytest.raises(DtypeError, match="expected a numpy.random.Generator"):
        draw(50, 3)
    with pytest.raises(ConfigError, match="expected n of at least 0, came -1"):
        draw(-1, rng())


def test_ring_of_gaussians_has_its_density():
    x, k = datasets.ring_of_gaussians(20_000, rng(), modes=5, radius=3.0, std=0.1)
    angle = 2 * np.pi * k / 5
    noise = (x - 3 * np.stack([np.cos(angle), np.sin(angle)], 1)) / 0.1
    assert stats.kstest(noise.ravel(), "norm").pvalue > 1e-3
    assert stats.chisquare(np.bincount(k, minlength=5)).pvalue > 1e-3
    np.testing.assert_allclose(datasets.ring_of_gaussians(9, rng(), std=0)[0][:, 0] ** 2 <= 4 + 1e-5, True)


def test_two_moons_has_its_density():
    x, k = datasets.two_moons(20_000, rng(), noise=0)
    upper, lower = x[k == 0], x[k == 1]
    np.testing.assert_allclose((upper**2).sum(1), 1, atol=1e-5)
    np.testing.assert_allclose((lower[:, 0] - 1) ** 2 + (lower[:, 1] - 0.5) ** 2, 1, atol=1e-5)
    assert upper[:, 1].min() >= -1e-6 and lower[:, 1].max() <= 0.5 + 1e-6
    for t in (np.arctan2(upper[:, 1], upper[:, 0]), np.arctan2(0.5 - lower[:, 1], 1 - lower[:, 0])):
        assert stats.kstest(t / np.pi, "uniform").pvalue > 1e-3
    assert abs(k.mean() - 0.5) < 0.02
    noisy, _ = datasets.two_moons(20_000, rng(), noise=0.2)
    assert stats.kstest(((noisy - x) / 0.2).ravel(), "norm").pvalue > 1e-3


def test_mixture_1d_has_its_density():
    means, stds, weights = (-3.0, 0.0, 2.0), (0.5, 0.1, 1.0), (0.2, 0.5, 0.3)
    x, k = datasets.mixture_1d(20_000, rng(), means, stds, weights)

    def cdf(v):
        return sum(w * stats.norm.cdf(v, m, s) for m, s, w in zip(means, stds, weights, strict=True))

    assert stats.kstest(x.ravel(), cdf).pvalue > 1e-3
    assert stats.chisquare(np.bincount(k), 20_000 * np.array(weights)).pvalue > 1e-3
    assert all(abs(x[k == i].mean() - means[i]) < 0.05 for i in range(3))


def test_synthetic_sets_refuse():
    for call, message in {
        lambda: datasets.ring_of_gaussians(5, rng(), modes=0): "expected at least one mode, came modes = 0",
        lambda: datasets.ring_of_gaussians(5, rng(), std=-1): "expected std of at least 0, came -1",
        lambda: datasets.two_moons(5, rng(), noise=float("nan")): "expected noise of at least 0, came nan",
        lambda: datasets.mixture_1d(5, rng(), means=(1, 2, 3)): r"came shapes \(3,\), \(2,\) and \(2,\)",
        lambda: datasets.mixture_1d(5, rng(), (), (), ()): r"came shapes \(0,\), \(0,\) and \(0,\)",
        lambda: datasets.mixture_1d(5, rng(), stds=(1, -1)): "expected stds of at least 0, came -1",
        lambda: datasets.mixture_1d(5, rng(), weights=(0.5, 0.6)): "expected weights that sum to 1, came a sum of 1.1",
        lambda: datasets.mixture_1d(5, rng(), weights=(1.5, -0.5)): "expected weights of at least 0, came -0.5",
    }.items():
        with pytest.raises(ConfigError, match=message) as error:
            call()
        one_sentence(error)
