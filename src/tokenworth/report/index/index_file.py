"""The page of an index as a file: where it goes, and when it is written anew."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

from tokenworth.base.keywords import known_keywords
from tokenworth.errors import SettingError
from tokenworth.report.index.folder_reader import FolderReader, ResultIndex
from tokenworth.report.pages.index_page import index_page
from tokenworth.report.pages.rendering import write_page

PAGE = "index.html"
_OURS = re.compile(r'<meta name="generator" content="tokenworth [^"]*">.*?<header id="index"', re.DOTALL)
_SHARE = 9.0
"""A pause of the watch is at least so many times as long as the walk over the folder before it."""


@known_keywords
def write_index(folder: str | Path) -> Path:
    """Writes FOLDER/index.html, the page of every result below a folder, and returns its path.

    Assessments, rankings, decisions, runs, studies, traces, pretraining runs, mixtures and corpora are found by their
    files; links are relative, so that the folder can be moved.  A file that cannot be read is named on the page with
    the reason.

    Raises:
        SettingError: there is no such folder, or its index.html is somebody else's.
        TokenworthError: the page cannot be written.
    """
    return save_index(FolderReader(folder).read())


def save_index(index: ResultIndex, *, reload_seconds: int | None = None) -> Path:
    """As `write_index`, of a folder that was read; `reload_seconds` as `index_page` takes them."""
    path = index.root / PAGE
    check_page(path)
    return write_page(index_page(index, reload_seconds=reload_seconds), path)


def check_page(path: Path) -> None:
    """Refuse a file that is there and is no index.

    Raises:
        SettingError: it would be written over.
    """
    if not path.is_file():
        return
    with path.open(encoding="utf-8", errors="replace") as file:
        if _OURS.search(file.read(200_000)) is None:
            raise SettingError(
                f"{path} was not written by tokenworth index and would be lost; move it, or name another folder"
            )


def watch(
    reader: FolderReader, written: Callable[[ResultIndex], None], *, every: float, times: int | None = None
) -> None:
    """Write the page whenever a result comes, goes or changes, until somebody ends it.

    Args:
        reader: of the folder, which has been read once.
        written: called with each new index; it writes the page.
        every: seconds between two looks; a folder that takes long to walk over is looked at less often.
        times: of looks; None: no end.
    """
    while times is None or times > 0:
        times = None if times is None else times - 1
        start = time.perf_counter()
        changed = reader.has_changed()
        took = time.perf_counter() - start
        if changed:
            written(reader.read())
        time.sleep(max(every, _SHARE * took))
