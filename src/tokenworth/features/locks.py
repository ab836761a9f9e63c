"""One writer a folder: a lock that ends with its process, however that ends."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tokenworth.errors import TokenworthError


@contextmanager
def only_writer(folder: Path, sentence: str) -> Iterator[None]:
    """Hold a folder for this process alone; the operating system lets go of it when the process ends.

    Where the system has no such locks (Windows) nothing is held.

    Raises:
        TokenworthError: another process holds it; ``sentence`` says so.
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
            raise TokenworthError(sentence) from error
        yield
    finally:
        os.close(place)


def is_held(folder: Path) -> bool:
    """Whether some process writes the folder now."""
    try:
        with only_writer(folder, ""):
            return False
    except TokenworthError:
        return True
    except OSError:
        return False
