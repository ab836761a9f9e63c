"""One writer a folder: a lock that ends with its process, however that ends."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tokenworth.errors import TokenworthError


class BusyError(TokenworthError):
    """Another process works in the folder."""


@contextmanager
def only_writer(folder: Path, sentence: str) -> Iterator[None]:
    """Hold a folder for this process alone; the operating system lets go of it when the process ends.

    Where the system has no such locks (Windows) nothing is held.

    Raises:
        BusyError: another process holds it; ``sentence`` says so.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    place = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BusyError(sentence) from error
        if not _is_still(folder, place):  # its holder gave it another name while this process waited to open it
            raise BusyError(sentence)
        yield
    finally:
        os.close(place)


def _is_still(folder: Path, place: int) -> bool:
    try:
        return os.path.samestat(os.fstat(place), folder.stat())
    except FileNotFoundError:
        return False


def is_held(folder: Path) -> bool:
    """Whether some process writes the folder now."""
    try:
        with only_writer(folder, ""):
            return False
    except BusyError:
        return True
    except OSError:
        return False
