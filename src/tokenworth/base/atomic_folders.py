"""Folders that are there only when they are whole: written under another name, renamed last."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from tokenworth.errors import AdaptError, TokenworthError, first_line


def remove(path: Path) -> None:
    """A folder with what is in it, a file, or a link and never what it points to."""
    if path.is_symlink() or path.is_file():
        path.unlink()
    else:
        shutil.rmtree(path, ignore_errors=True)


@contextmanager
def whole_folder(place: Path, what: str, remedy: str, failure: type[TokenworthError] = AdaptError) -> Iterator[Path]:
    """A folder to write into; it takes its place at the end of the block, or is removed.

    Raises:
        AdaptError: or another ``failure``: it cannot be written; the sentence says what it was and the remedy.
    """
    part = place.with_name(place.name + ".part")
    try:
        remove(part)
        part.mkdir(parents=True)
        yield part
        for path in part.rglob("*"):
            if path.is_file():  # safetensors makes its files for their owner alone; the folder knows what was wished
                path.chmod(part.stat().st_mode & 0o666)
        remove(place)
        part.replace(place)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(part, ignore_errors=True)
        raise failure(f"{what} cannot be written to {place.parent} ({first_line(error)}); {remedy}") from error
