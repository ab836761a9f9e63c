"""Pages under docs/results: tables are written anew, what somebody read in them stays."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

_READING = "\n## Reading\n"


def write_page(page: Path, lines: Sequence[str]) -> None:
    """The lines, and below them the Reading that the page has already."""
    written = page.read_text(encoding="utf-8") if page.is_file() else ""
    reading = written.partition(_READING)[2]
    text = "\n".join(lines).rstrip() + (f"\n{_READING}{reading}" if reading else "")
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(text.rstrip() + "\n", encoding="utf-8")
