"""The upper part of a page as a picture, in headless Chromium: 1180 pixels wide, 1500 high.

make demo && .venv/bin/python tools/page_picture.py out/demo/report.html docs/report.png
"""

from __future__ import annotations

import base64
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from browser import chromium, open_page

WIDTH, HEIGHT = 1180, 1500


def take(page: Path, picture: Path) -> None:
    """Writes the picture of a page."""
    clip = {"x": 0, "y": 0, "width": WIDTH, "height": HEIGHT, "scale": 1}
    with TemporaryDirectory() as profile, chromium(Path(profile)) as driver:
        open_page(driver, page, width=WIDTH, height=HEIGHT)
        shot = driver.execute_cdp_cmd("Page.captureScreenshot", {"clip": clip, "format": "png"})
    picture.write_bytes(base64.b64decode(shot["data"]))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    take(Path(sys.argv[1]), Path(sys.argv[2]))
