"""The site of `make docs`: built strictly without a network, whole, and looked at in a real browser at two widths."""

import functools
import http.server
import importlib.util
import os
import re
import string
import subprocess
import sys
import threading
import time
from collections import defaultdict
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from browser import chromium, complaints, open_page, requests, resize
from tokenworth.base.machine import CACHE

ROOT = Path(__file__).parents[1]
MISSING = [
    name
    for name in (
        "mkdocs",
        "material",
        "mkdocstrings",
        "mkdocstrings_handlers",
        "jupytext",
        "nbclient",
        "ipykernel",
        "matplotlib",
    )
    if importlib.util.find_spec(name) is None
]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)} (pip install 'tokenworth[docs]')"),
]
NOWHERE = "http://127.0.0.1:9"
"""A proxy that nobody is: what asks for the network fails."""


class Page(HTMLParser):
    """What a page links to, what it loads, and the places that links may name."""

    def __init__(self, text):
        super().__init__()
        self.links, self.loads, self.ids = [], [], set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.ids |= {given[key] for key in ("id", "name") if given.get(key)}
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        elif tag != "a":
            self.loads += [given[key] for key in ("src", "href", "data-src") if given.get(key)]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(folder)]
    offline = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), NOWHERE)
    own = {CACHE: str(tmp_path_factory.mktemp("cache"))}  # in which this machine decides on a number format by itself
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **offline, **own},
        capture_output=True,
        text=True,
        timeout=3600,
        check=False,
    )  # tutorials whose text or versions are new are executed, too
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site):
    return {path: Page(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


def test_every_link_leads_somewhere(site, pages):
    broken = defaultdict(list)
    for path, page in pages.items():
        for link in page.links if path.name != "404.html" else ():
            address = urlsplit(link)
            if address.scheme in ("http", "https", "mailto"):
                continue
            target = (path.parent / unquote(address.path)).resolve() if address.path else path
            found = target in pages or (target.is_file() and not address.fragment)
            anchors = pages[target].ids if target in pages else ()
            if not found or (address.fragment and unquote(address.fragment) not in anchors):
                broken[link].append(path.relative_to(site).as_posix())
    assert not broken


def test_nothing_is_loaded_from_elsewhere(site, pages):
    loaded = {load for page in pages.values() for load in page.loads}
    assert not [load for load in loaded if urlsplit(load).scheme or load.startswith("//")]
    for style in site.rglob("*.css"):
        addresses = re.findall(r"url\(\s*['\"]?([^'\")]+)|@import\s+['\"]([^'\"]+)", style.read_text(encoding="utf-8"))
        assert not [address for address in addresses if "".join(address).startswith(("http", "//"))], style


def test_every_public_name_has_its_place(site, pages):
    sys.path.insert(0, str(ROOT / "tools"))
    from reference_names import ROOMS, public_names

    missing = {
        room: [name for name in public_names(room) if name not in pages[site / f"reference/python/{room}.html"].ids]
        for room in ROOMS
    }
    assert not any(missing.values()), missing
    empty = [
        name
        for path in (site / "reference/python").glob("*.html")
        for name in re.findall(r'<a id="([^"]+)"></a></p>(?!\s*<div class="doc)', path.read_text(encoding="utf-8"))
    ]
    assert not empty, "mkdocstrings has nothing to say of them"


def test_every_page_is_whole_in_a_browser(driver, site, pages):
    """At 1,300 pixels, then at 400: nothing on the console, every image there, no page wider than the screen."""
    faults = defaultdict(list)
    for path in pages:
        if path.name == "404.html":  # is served for any address, so its own are absolute
            continue
        open_page(driver, path, width=1300)
        name = path.relative_to(site).as_posix()
        faults[name] += complaints(driver)
        faults[name] += [url for url in requests(driver) if not url.startswith(site.resolve().as_uri())]
        faults[name] += driver.execute_script(IMAGES)
        faults[name] += too_wide(driver, 1300)
        resize(driver, width=400)
        faults[name] += too_wide(driver, 400)
    assert not {name: found for name, found in faults.items() if found}


def too_wide(driver, width):
    reached = driver.execute_script("return document.documentElement.scrollWidth")
    return [f"{reached} wide at {width}"] if reached > width else []


IMAGES = "return [...document.images].filter((i) => !i.complete || !i.naturalWidth).map((i) => i.src)"


BEYOND = """
const shown = [...document.querySelectorAll("svg.route")].filter((chart) => chart.getBoundingClientRect().width);
if (shown.length !== 1) return [`${shown.length} charts are shown`];
const boxes = [...shown[0].querySelectorAll("rect")].map((box) => box.getBoundingClientRect()), found = [];
for (const text of shown[0].querySelectorAll("text:not(:empty)")) {
  const { left, right, top, bottom } = text.getBoundingClientRect();
  const within = boxes.some((box) => left > box.left && right < box.right && top > box.top && bottom < box.bottom + 1);
  const beside = boxes.every((box) => right < box.left || left > box.right || bottom < box.top || top > box.bottom);
  if (!(text.matches(".answer") ? beside : within)) found.push(text.textContent);
  if (text.getBoundingClientRect().height < 11) found.push(`${text.textContent} is small`);
}
return found;
"""


@pytest.mark.parametrize("width", [1300, 800, 400])
def test_the_words_of_the_flow_chart_stand_in_its_boxes(driver, site, width):
    open_page(driver, site / "which-route.html", width=width)
    assert driver.execute_script(BEYOND) == []


@pytest.mark.parametrize("scheme", ["default", "slate"])
def test_dark_is_dark(site, tmp_path, scheme):
    with chromium(tmp_path / "profile") as driver:
        open_page(driver, site / "index.html", dark=scheme == "slate")
        assert driver.execute_script("return document.body.dataset.mdColorScheme") == scheme
        lightness = driver.execute_script(
            "return getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)"
        )
        assert (max(lightness) < 90) == (scheme == "slate")


FOUND = """
const found = [...document.querySelectorAll(".md-search-result__link")].map((link) => link.href);
return found.length ? found : null;
"""


def searched(driver, words):
    """Links of the pages that the search field finds."""
    from selenium.webdriver.support.ui import WebDriverWait

    driver.execute_script("document.querySelector('#__search').click()")
    field = driver.find_element("css selector", "input.md-search__input")
    field.send_keys(words)
    return WebDriverWait(driver, 20).until(lambda driver: driver.execute_script(FOUND))


def test_search_finds_in_a_folder_from_the_disk(driver, site):
    open_page(driver, site / "how-to" / "own-texts.html", width=1300)
    found = searched(driver, "logme")
    assert all(link.startswith(site.resolve().as_uri()) for link in found)
    assert any("/scores.html" in link for link in found)
    assert complaints(driver) == []


def test_no_letter_stops_the_search(driver, site):
    """Words with brackets and commas in them did: see docs/log.md."""
    open_page(driver, site / "index.html", width=1300)
    searched(driver, "logme")
    field = driver.find_element("css selector", "input.md-search__input")
    for letter in string.ascii_lowercase + string.digits + "_":
        field.clear()
        field.send_keys(letter)
        time.sleep(0.2)
    assert complaints(driver) == []


@pytest.fixture
def served(site):
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_search_finds_on_a_server(driver, served):
    driver.get(f"{served}/index.html")
    assert any("/scores.html" in link for link in searched(driver, "logme"))
    assert complaints(driver) == []
