"""The book, built in fast mode and read in a real browser: nothing is fetched, all is there, the stepper moves."""

import base64
import json
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
import urllib.request

import pytest

pytest.importorskip("myst_nb")

from lessons.kit import catalog

LESSONS = catalog.lessons()
CHROMIUM = next(filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])), None)
browsing = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium: apt-get install chromium")


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    folder = tmp_path_factory.mktemp("book")
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "lessons", "book", "--fast", "--out", folder],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=1800,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return folder


def test_every_lesson_has_its_page_and_files(book):
    for lesson in LESSONS:
        page = (book / f"{lesson.name}.html").read_text("utf-8")
        for file in re.findall(r'href="(_downloads/[^"]+)"', page):
            assert (book / file).stat().st_size > 500
        assert {f"{lesson.name}.py", f"{lesson.name}.ipynb"} <= set(re.findall(r'_downloads/\w+/([^"]+)"', page))
        assert "<summary>Solution 2</summary>" in page and "Your turn" in page
        assert "<figure" in page and "data:image/" in page


def test_the_index_the_search_and_the_errata(book):
    assert "topological order" in (book / "genindex.html").read_text("utf-8")
    assert "diamond" in (book / "searchindex.js").read_text("utf-8")
    page = (book / "errata.html").read_text("utf-8")
    table = tomllib.loads((catalog.LESSONS / "errata.toml").read_text("utf-8"))
    rows = dict(re.findall(r"<tr[^>]*><td><p>([A-E]\d+)</p></td>(.*?)</tr>", page, re.S))
    assert rows.keys() == table.keys()
    for lesson in LESSONS:
        for formula in table.keys() & set(lesson.formulas):
            assert f'href="{lesson.name}.html"' in rows[formula]


# -- in a browser -----------------------------------------------------------------------------------------------------


class Browser:
    """Chromium without a window, spoken to through its debugging protocol."""

    def __init__(self, profile):
        websocket = pytest.importorskip("websocket")
        self.process = subprocess.Popen(
            [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0",
             "--remote-allow-origins=*", f"--user-data-dir={profile}", "about:blank"],
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        address = next(line.split()[-1] for line in self.process.stderr if "DevTools listening on" in line)
        with urllib.request.urlopen("http://" + address.split("/")[2] + "/json") as answer:
            tab = next(tab for tab in json.load(answer) if tab["type"] == "page")
        self.socket = websocket.create_connection(tab["webSocketDebuggerUrl"], timeout=60)
        self.count, self.events = 0, []
        for domain in ("Network", "Page", "Runtime"):
            self.call(f"{domain}.enable")

    def call(self, method, **parameters):
        self.count += 1
        self.socket.send(json.dumps({"id": self.count, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self.socket.recv())
            if answer.get("id") == self.count:
                assert "error" not in answer, answer
                return answer["result"]
            self.events.append(answer)

    def js(self, code):
        return self.call("Runtime.evaluate", expression=code, returnByValue=True, awaitPromise=True)["result"].get(
            "value"
        )

    def until(self, code, seconds=30):
        end = time.time() + seconds
        while not self.js(code):
            assert time.time() < end, f"never true: {code}"
            time.sleep(0.1)

    def view(self, width, dark):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def open(self, address):
        self.events.clear()
        self.call("Page.navigate", url=address)
        self.until(f"location.href.startsWith({json.dumps(address)}) && document.readyState == 'complete'")
        self.until("!window.MathJax || !MathJax.startup || MathJax.startup.promise.then(() => true)")

    def said(self, method):
        return [event["params"] for event in self.events if event["method"] == method]

    def picture(self, file):
        file.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))

    def close(self):
        self.socket.close()
        self.process.terminate()
        self.process.wait()


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@browsing
@pytest.mark.parametrize("name", ["index", "errata", "genindex", *(lesson.name for lesson in LESSONS)])
def test_a_page_is_whole_and_asks_the_network_for_nothing(browser, book, name):
    grounds = set()
    for width, dark in [(1280, False), (390, True)]:
        browser.view(width, dark)
        browser.open(f"file://{book}/{name}.html")
        asked = [said["request"]["url"] for said in browser.said("Network.requestWillBeSent")]
        assert asked and not [url for url in asked if not url.startswith(("file:", "data:", "blob:"))]
        assert not browser.said("Network.loadingFailed")
        assert not browser.said("Runtime.exceptionThrown")
        formulas = browser.js("document.querySelectorAll('.math').length")
        assert browser.js("document.querySelectorAll('.math mjx-container svg').length") >= formulas
        assert browser.js("document.querySelectorAll('[data-mml-node=merror]').length") == 0
        assert browser.js("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
        assert browser.js("document.documentElement.scrollWidth") <= width
        grounds.add(browser.js("getComputedStyle(document.body).backgroundColor"))
    assert len(grounds) == 2, "light and dark"


@browsing
def test_the_stepper_moves(browser, book):
    browser.view(390, False)
    browser.open(f"file://{book}/02_autograd.html")
    browser.js(
        "window.r = document.querySelector('.minigen-trace').shadowRoot; window.b = r.querySelectorAll('button')"
    )
    count, title = "r.querySelector('.bar span').textContent", "r.querySelector('h4').textContent"
    assert browser.js(count) == "0 / 4" and browser.js("b[0].disabled && b[1].disabled && !b[2].disabled")
    browser.js("b[2].click()")
    assert browser.js(count) == "1 / 4" and browser.js(title) == "forward  v1 = add(x, w)"
    browser.js("b[3].click()")
    assert browser.js(count) == "4 / 4" and browser.js("b[3].disabled")
    assert "its x, where it is added: 5 + 2 = 7" in browser.js("r.querySelector('.said').textContent")
    assert browser.js("[...r.querySelectorAll('text.g')].map(t => t.textContent).filter(t => t).length") == 4
    browser.js("b[1].click()")
    assert browser.js(count) == "3 / 4" and browser.js("r.querySelectorAll('path.on').length") == 2
    browser.js("r.querySelector('[tabindex]').focus()")
    for key, then in [("ArrowLeft", "2 / 4"), ("ArrowRight", "3 / 4"), ("Home", "0 / 4"), ("End", "4 / 4")]:
        browser.call("Input.dispatchKeyEvent", type="keyDown", key=key)
        assert browser.js(count) == then


@browsing
def test_no_name_and_no_caption_runs_as_a_script(browser, tmp_path, monkeypatch):
    """A tensor's name and a caption, as a user's prompt would be, are text in the stepper and under a picture."""
    import IPython.display
    import numpy as np

    import minigen
    from lessons.kit import picture

    shown = []
    monkeypatch.setattr(IPython.display, "display", lambda what: shown.append(what.data))
    for i, evil in enumerate(
        ["<script>hacked = 1</script>", "<!--<script>", "</script><script>hacked = 2</script>",
         "<img src=x onerror='hacked = 3'>", "\"'><svg onload='hacked = 4'>"]
    ):  # fmt: skip
        x = minigen.tensor(np.ones(2), requires_grad=True, name=evil)
        page = minigen.trace(lambda x=x: minigen.ops.sum(x * x)).html()
        picture._display("png", b"", evil, True)
        file = tmp_path / f"{i}.html"
        file.write_text(page.replace("</body>", f"{shown[-1]}</body>"), "utf-8")
        browser.open(f"file://{file}")
        assert browser.js("typeof hacked") == "undefined"
        assert browser.js("document.querySelector('figcaption').textContent") == evil
        assert evil in browser.js("document.querySelector('pre').textContent")
        root = "document.querySelector('.minigen-trace').shadowRoot"
        browser.js(f"{root}.querySelectorAll('button')[3].click()")
        assert evil in browser.js(f"{root}.querySelector('.said').textContent")
        assert not browser.said("Runtime.exceptionThrown") and browser.js("typeof hacked") == "undefined"


@browsing
def test_the_search_finds(browser, book):
    browser.view(1280, False)
    browser.open(f"file://{book}/search.html?q=diamond")
    browser.until("[...document.querySelectorAll('#search-results a')].some(a => a.textContent.includes('Autograd'))")
