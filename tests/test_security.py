"""What data can make the program do: nothing. No code in files, no way out of a folder, no script in a page."""

import argparse
import ast
import functools
import html.parser
import json
from pathlib import Path

import numpy as np
import pytest

import minigen
from minigen import datasets, ops
from minigen.errors import DataError

from .bad import texts

ROOT = Path(__file__).resolve().parents[1]
PRODUCT = [
    ROOT / "setup.py",
    *(f for part in ("minigen", "lessons", "benchmarks", "data") for f in (ROOT / part).rglob("*.py")),
]
FILES = [*PRODUCT, *(ROOT / "tests").rglob("*.py")]

RUNNABLE = set("pickle _pickle cPickle dill cloudpickle joblib marshal shelve".split())
SERVERS = set("http.server socketserver xmlrpc wsgiref ftplib smtplib telnetlib socket flask tornado".split())
# Who may run text: the reader of lessons, who types exercises into a file; a lesson is its own notebook.
MAY_RUN = {"lessons/kit/terminal.py": ["exec", "compile"]}
# Who may ask the network, and checks the SHA-256 of what it gets.
MAY_ASK = {"minigen/datasets/remote.py"}


@functools.cache
def parse(file):
    return ast.parse(file.read_text("utf-8"), str(file))


def parsed(files=PRODUCT):
    return ((file.relative_to(ROOT).as_posix(), parse(file)) for file in files)


def imports(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def calls(tree):
    """(name, node) of every call: `exec` of exec(…), `load` of np.load(…)."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield getattr(node.func, "id", None) or getattr(node.func, "attr", ""), node


def within(name, modules):
    return any(name == module or name.startswith(f"{module}.") for module in modules)


def test_the_whole_tree_is_walked():
    names = {name for name, _ in parsed(FILES)}
    assert {"minigen/training/checkpoint.py", "lessons/20_gpt.py", "benchmarks/faults.py", "tests/conftest.py"} <= names
    assert len(names) > 200


def test_no_file_is_read_as_code():
    """No pickle or the like, no eval or exec; no NumPy or PyTorch file that may hold objects; no shell."""
    runs = {}
    for name, tree in parsed():
        assert not [found for found in imports(tree) if within(found, RUNNABLE)], name
        for called, node in calls(tree):
            method = isinstance(node.func, ast.Attribute)
            if called in ("eval", "exec", "compile", "__import__") and not method:
                runs.setdefault(name, []).append(called)
            given = {k.arg: getattr(k.value, "value", None) for k in node.keywords}
            assert not given.get("allow_pickle") and not given.get("shell"), f"{name}:{node.lineno}"
            owner = getattr(getattr(node.func, "value", None), "id", "")
            assert (owner, called) not in {("os", "system"), ("os", "popen"), ("yaml", "load"), ("torch", "load")}, name
            assert called not in ("read_pickle", "unsafe_load"), name
    assert runs == MAY_RUN


def test_the_walk_finds_what_it_looks_for():
    tree = ast.parse(
        "import pickle.x\nfrom http import server\nexec(compile('', '', 'exec'))\nnp.load(f, allow_pickle=True)"
    )
    assert [within(name, RUNNABLE | SERVERS) for name in imports(tree)] == [True, True]
    assert [name for name, _ in calls(tree)] == ["exec", "load", "compile"]


def test_nothing_listens():
    """The product has no servers. Those of the tests listen on loopback only."""
    for name, tree in parsed():
        assert not [found for found in imports(tree) if within(found, SERVERS)], name
    for name, tree in parsed(FILES):
        for called, node in calls(tree):
            if called in ("bind", "ThreadingHTTPServer", "HTTPServer", "create_server") and node.args:
                address = node.args[0]
                if isinstance(address, ast.Tuple):
                    assert getattr(address.elts[0], "value", None) == "127.0.0.1", f"{name}:{node.lineno}"


def test_only_checked_downloads_ask_the_network():
    """Through pooch, which gives a file its name only when its SHA-256 is right (tests in test_datasets.py)."""
    asking = set()
    for name, tree in parsed([file for file in PRODUCT if (ROOT / "minigen") in file.parents]):
        if any(within(found, {"urllib.request", "requests", "http.client", "pooch"}) for found in imports(tree)):
            asking.add(name)
        for called, node in calls(tree):
            if called == "retrieve":
                assert any("sha256" in ast.unparse(argument) for argument in node.args), f"{name}:{node.lineno}"
    assert asking == MAY_ASK


def test_no_archive_is_unpacked(tmp_path):
    """The one archive that is read, of sentence pairs, is read in memory; one that climbs out is refused."""
    for name, tree in parsed():
        for called, node in calls(tree):
            assert called not in ("extractall", "unpack_archive"), f"{name}:{node.lineno}"
    for name in ("../pairs.txt", "/pairs.txt", "a/../../pairs.txt"):
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in/pairs.zip").write_bytes(texts.archive((name, b"a\tb\n" * 9)))
        with pytest.raises(DataError, match="points out of it"):
            datasets.load_pairs(tmp_path / "in/pairs.zip")
        assert [file.name for file in tmp_path.rglob("*")] == ["in", "pairs.zip"]


# -- pages -------------------------------------------------------------------------------------------------------------

EVIL = [
    "<script>hacked = 1</script>",
    "</script><script>hacked = 2</script>",
    "<!--<script>",
    "<img src=x onerror=hacked=3>",
    "\"'><svg onload=hacked=4>",
    "]]></pre><b>",
    "&lt;script&gt;",
    "\u2028</ScRiPt >",
]


class Tags(html.parser.HTMLParser):
    """What a browser would see: each tag with its attributes, and the text of each script."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.scripts, self.text = [], [], []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        (self.scripts if self.tags and self.tags[-1][0] == "script" else self.text).append(data)


def page(name):
    """The stepper's page of a computation on a tensor of this name."""
    x = minigen.tensor(np.array([1.0, 2.0]), requires_grad=True, name=name)
    return minigen.trace(lambda: ops.sum(x * x)).html()


def shape(tags):
    return [(tag, *attributes) for tag, attributes in tags]


@pytest.mark.parametrize("name", EVIL)
def test_a_name_is_only_text_in_a_page(name):
    evil, good = Tags(page(name)), Tags(page("x"))
    assert shape(evil.tags) == shape(good.tags)  # it has brought no tag and no attribute
    data = next(json.loads(script) for script in evil.scripts if script.startswith("{"))
    assert name in {box["name"] for box in data["boxes"]}
    assert name in "".join(evil.text)
    assert "<" not in next(script for script in evil.scripts if script.startswith("{"))


@pytest.mark.parametrize("caption", EVIL)
def test_a_caption_is_only_text_in_a_page(monkeypatch, caption):
    display = pytest.importorskip("IPython.display")
    from lessons.kit import picture

    shown = []
    monkeypatch.setattr(display, "display", lambda what: shown.append(what.data))
    picture._display("png", b"", caption, True)
    (tag, attributes), *_ = [found for found in Tags(shown[0]).tags if found[0] == "img"]
    assert {tag for tag, _ in Tags(shown[0]).tags} == {"figure", "img", "figcaption"}
    assert attributes["alt"] == caption and "onerror" not in attributes


def test_a_prompt_is_written_as_it_came(tmp_path):
    """To the terminal and to a text file: there is no page that it could break."""
    from minigen.sampling import text

    class Echo:
        def write(self, prompt, n, rng):
            return iter(["!"])

    run = text.Run("charlm", Echo(), tmp_path, np.random.default_rng(0))
    for prompt in EVIL:
        out = tmp_path / "written.txt"
        assert text.draw(run, argparse.Namespace(prompt=prompt, out=str(out))) == out
        assert out.read_text("utf-8") == f"{prompt}!\n"
