"""Data that are downloaded once: from the first mirror that answers, checked by sha256, kept in a cache."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from ..errors import DataError
from .files import data_root
from .folder import Split, check_split


@dataclass(frozen=True)
class Source:
    """A published data set of MNIST's four files.

    mirrors       addresses of folders, tried in this order
    sha256        of each file, by its name
    first_labels  by which a copy without its name is told from other sets
    """

    name: str
    title: str
    classes: tuple[str, ...]
    mirrors: tuple[str, ...]
    sha256: dict[str, str]
    first_labels: dict[str, tuple[int, ...]]

    def files(self, split: Split) -> list[str]:
        """The names of the split's two files."""
        prefix = {"train": "train-", "test": "t10k-"}[split]
        return [file for file in self.sha256 if file.startswith(prefix)]


MNIST = Source(
    name="mnist",
    title="MNIST, 60,000 and 10,000 handwritten digits",
    classes=tuple("0123456789"),
    mirrors=("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/"),
    sha256={
        "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    },
    first_labels={"train": (5, 0, 4, 1, 9, 2, 1, 3, 1, 4), "test": (7, 2, 1, 0, 4, 1, 4, 9, 5, 9)},
)

FASHION_MNIST = Source(
    name="fashion-mnist",
    title="Fashion-MNIST, 60,000 and 10,000 photographs of clothes",
    classes=(
        *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
        *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    ),
    mirrors=(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    ),
    sha256={
        "train-images-idx3-ubyte.gz": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "train-labels-idx1-ubyte.gz": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "t10k-images-idx3-ubyte.gz": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "t10k-labels-idx1-ubyte.gz": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    },
    first_labels={"train": (9, 0, 0, 3, 0, 2, 7, 2, 5, 5), "test": (9, 2, 1, 1, 6, 1, 4, 6, 5, 7)},
)

SOURCES = {source.name: source for source in (MNIST, FASHION_MNIST)}

TIMEOUT = 30.0  # seconds without an answer after which the next mirror is tried


def download(source: Source, split: Split = "train", *, cache: str | os.PathLike[str] | None = None) -> Path:
    """The folder with the split's two files, downloaded unless they are there already, intact.

    The folder is ``cache/<name>``; ``cache`` is by default MINIGEN_CACHE or, without it, the user's cache folder.
    A file gets its name only when it is complete and its sha256 is right.

    Raises DataError if no mirror gives a file, or the cache cannot be written.
    """
    check_split(split)
    folder = cache_folder(cache) / source.name
    for file in source.files(split):
        _mirrored(source, file, folder)
    return folder


def cache_folder(cache: str | os.PathLike[str] | None = None) -> Path:
    """``cache``, else MINIGEN_CACHE, else the user's cache folder for minigen."""
    import pooch

    return Path(os.path.expanduser(cache or os.environ.get("MINIGEN_CACHE") or pooch.os_cache("minigen")))


def find(kind: str, file: str) -> Path | None:
    """A file in MINIGEN_DATA, in its folder `kind` or itself, or None if it is not there."""
    root = data_root()
    if root is None:
        return None
    return next((path for path in (root / kind / file, root / file) if os.path.isfile(path)), None)


def download_file(name: str, url: str, file: str, sha256: str, otherwise: str) -> Path:
    """The one file of the set `name` in the cache, downloaded unless it is there, intact.

    Raises DataError if it cannot be had, which ends with what to do `otherwise`.
    """
    path, failure = _retrieve(url, file, sha256, cache_folder() / name)
    if path is None:
        raise DataError(f"{name}: {url} {failure}; put {file} into a folder and set MINIGEN_DATA=FOLDER, {otherwise}.")
    return path


def _retrieve(url: str, file: str, sha256: str, folder: Path) -> tuple[Path | None, str]:
    """Where the file is, or None and why it could not be had."""
    import pooch
    from requests.exceptions import RequestException

    # Without "identity", a server may compress what is compressed already, and the hash would not fit.
    downloader = pooch.HTTPDownloader(
        progressbar=sys.stderr.isatty(), timeout=TIMEOUT, headers={"Accept-Encoding": "identity"}
    )
    try:
        return Path(pooch.retrieve(url, f"sha256:{sha256}", file, folder, downloader=downloader)), ""
    except RequestException as error:
        return None, _reason(error)
    except ValueError:  # pooch's error for a wrong hash
        return None, "sent a file with another sha256"
    except OSError as error:
        raise DataError(
            f"{folder}: the downloaded file {file} cannot be kept here ({error.strerror or error}); "
            "set MINIGEN_CACHE to a folder that can be written."
        ) from error


def _mirrored(source: Source, file: str, folder: Path) -> None:
    failures = []
    for mirror in source.mirrors:
        path, failure = _retrieve(mirror + file, file, source.sha256[file], folder)
        if path is not None:
            return
        failures.append(f"{mirror} {failure}")
    raise DataError(
        f"{source.name}: {file} could not be downloaded ({'; '.join(failures)}); put the files of {source.name} into "
        "a folder and pass --data FOLDER or set MINIGEN_DATA=FOLDER, or use the bundled digits with --data digits."
    )


def _reason(error: Exception) -> str:
    response = getattr(error, "response", None)
    if response is not None:
        return f"answered {response.status_code} {response.reason}".rstrip()
    return {"ConnectTimeout": "did not answer in time", "ReadTimeout": "did not answer in time"}.get(
        type(error).__name__, "could not be reached"
    )
