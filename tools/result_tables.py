"""The tables of docs/results as data: what is quoted elsewhere is read here, so that it changes with them."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

RESULTS = Path(__file__).resolve().parents[1] / "docs" / "results"
_NUMBER = re.compile(r"[-+]?\d*\.?\d+(?:e[-+]?\d+)?")


def table(page: str, heading: str = "", nth: int = 0) -> pd.DataFrame:
    """The cells, as they are written, of a table below a heading of docs/results/PAGE.md; "" is the page's beginning.

    Raises LookupError: no such page, heading or table.
    """
    path = RESULTS / f"{page}.md"
    if not path.is_file():
        raise LookupError(f"docs/results has no {page}.md")
    sections = re.split(r"^#+ (.*)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    named = dict(zip(sections[1::2], sections[2::2], strict=True))
    found = [text for name, text in named.items() if name.startswith(heading)] if heading else [sections[2]]
    blocks = re.findall(r"(?:^\|.*\n?)+", found[0], flags=re.MULTILINE) if found else []
    if nth >= len(blocks):
        raise LookupError(f"docs/results/{page}.md has no table {nth + 1} under {heading or 'its title'!r}")
    head, _, *rows = [
        [cell.strip() for cell in line.strip().strip("|").split("|")] for line in blocks[nth].splitlines()
    ]
    return pd.DataFrame(rows, columns=head)


def title(page: str) -> str:
    """The heading of docs/results/PAGE.md."""
    return (RESULTS / f"{page}.md").read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")


def number(cell: str) -> float:
    """The first number of a cell; NaN where there is none."""
    found = _NUMBER.search(re.sub(r"(?<=\d),(?=\d{3})", "", cell))
    return float(found.group()) if found else float("nan")


def numbers(cells: pd.Series) -> pd.Series:
    """The first number of each cell."""
    return cells.map(number)


def bold(cells: pd.Series) -> pd.Series:
    """Which cells a page marks as best or as beyond the noise."""
    return cells.str.startswith("**")
