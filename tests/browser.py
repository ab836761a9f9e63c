"""Opens a page in real headless Chromium; nothing is downloaded, the browser and its driver are the system's."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
SWITCHES = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
)  # fmt: skip


@contextlib.contextmanager
def chromium(profile: Path) -> Iterator:
    """A driver with a profile of its own; tests are skipped where there is no Chromium."""
    if not (CHROMIUM and DRIVER):
        pytest.skip("chromium or chromedriver is not installed")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for switch in (*SWITCHES, f"--user-data-dir={profile}"):
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(executable_path=DRIVER))
    try:
        yield driver
    finally:
        driver.quit()


def open_page(driver, path: Path, *, width: int = 1280, height: int = 900, dark: bool = False) -> None:
    """Loads a file at a width in CSS pixels, after forgetting what earlier pages logged."""
    resize(driver, width=width, height=height)
    scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": scheme})
    for kind in ("browser", "performance"):
        driver.get_log(kind)
    driver.get(path.resolve().as_uri())
    _settle(driver)


def resize(driver, *, width: int, height: int = 900) -> None:
    """Gives the page another width and waits until its charts have followed."""
    screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    _settle(driver)


def _settle(driver) -> None:
    """Waits for two frames, then for as long as plotly puts off a redraw after a change of size."""
    driver.execute_async_script(
        "requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(arguments[0], 250)))"
    )


def complaints(driver) -> list[str]:
    """What the console holds at the level of an error, violations of the security policy included."""
    return [entry["message"] for entry in driver.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]


def requests(driver) -> list[str]:
    """Addresses the page asked for, itself and inlined data left out."""
    events = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    asked = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
    asked += driver.execute_script("return performance.getEntriesByType('resource').map((entry) => entry.name)")
    return [url for url in asked if url != driver.current_url and not url.startswith(("data:", "blob:"))]


def charts(driver) -> dict[str, int]:
    """Drawn marks (paths and images of traces) of every chart on the page, by its element's id."""
    return driver.execute_script(
        """
        const marks = "svg.main-svg .trace path, svg.main-svg .scatterlayer path, svg.main-svg .heatmaplayer image";
        const all = [...document.querySelectorAll(".plotly-graph-div")];
        return Object.fromEntries(all.map((div) => [div.id, div.querySelectorAll(marks).length]));
        """
    )


OUTSIDE = """
const found = [];
const inside = (box, frame) => box.left >= frame.left - 1 && box.right <= frame.right + 1
    && box.top >= frame.top - 1 && box.bottom <= frame.bottom + 1;
const drawn = ".scatterlayer .points path, .barlayer path, .heatmaplayer image, .scatterlayer .text text, "
    + ".xtick text, .ytick text, .infolayer text, .annotation text";
for (const chart of document.querySelectorAll(".plotly-graph-div")) {
  const frame = chart.getBoundingClientRect(), axes = chart.querySelector(".nsewdrag")?.getBoundingClientRect();
  let window = chart;  // wide charts scroll in a box of their own
  while (window !== document.body && getComputedStyle(window).overflowX === "visible") window = window.parentElement;
  const seen = window === document.body ? frame : window.getBoundingClientRect();
  if (seen.left < 0 || seen.right > innerWidth + 1) found.push(`${chart.id} is cut by the page`);
  if (axes && axes.width < 0.4 * Math.min(frame.width, seen.width)) found.push(`${chart.id} has narrow axes`);
  for (const mark of chart.querySelectorAll(drawn)) {
    const box = mark.getBoundingClientRect();
    const shown = box.width || box.height, name = mark.textContent || mark.tagName;
    if (shown && !inside(box, frame)) found.push(`${chart.id}: ${name}`);
  }
  for (const dot of axes ? chart.querySelectorAll(".scatterlayer .points path") : []) {
    const box = dot.getBoundingClientRect(), x = (box.left + box.right) / 2, y = (box.top + box.bottom) / 2;
    if (!inside({left: x, right: x, top: y, bottom: y}, axes)) found.push(`${chart.id}: a dot beyond the axes`);
  }
}
return found;
"""


def cut_charts(driver) -> dict[int, list[str]]:
    """By width of the page: whether it scrolls sideways, charts that it cuts, and marks, ticks and names outside of
    their chart.
    """
    found = {}
    for width in (1300, 800, 400):
        resize(driver, width=width)
        scrolled = driver.execute_script("return document.documentElement.scrollWidth") > width
        found[width] = driver.execute_script(OUTSIDE) + (["the page scrolls sideways"] if scrolled else [])
    return found


def screenshot(driver, path: Path) -> None:
    """The whole page, not only what fits the window."""
    import base64

    shot = driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "format": "png"})
    path.write_bytes(base64.b64decode(shot["data"]))
