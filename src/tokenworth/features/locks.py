"""One writer a folder: a lock that ends with its process, however that ends.

The lock is on a file in the folder and not on the folder itself: on a network file system (NFS) only what is open for
writing can be locked, and a folder cannot be opened for writing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from tokenworth.errors import TokenworthError

LOCK = ".lock"
"""The file that is locked; its holder removes it at the end."""


class BusyError(TokenworthError):
    """Another process works in the folder."""


@contextmanager
def only_writer(folder: Path, sentence: str) -> Iterator[None]:
    """Hold a folder for this process alone; the operating system lets go of it when the process ends.

    Where the system has no such locks (Windows) nothing is held.

    Raises:
        BusyError: another process holds it; ``sentence`` says so.
        TokenworthError: the folder cannot be written, or its file system has no locks.
    """
    if find_spec("fcntl") is None:
        yield
        return
    place = _opened(folder, sentence)
    try:
        _lock(folder, place, sentence)
        try:
            yield
        finally:
            if _is_still(folder, place):  # as long as this process holds it no other can have put its own there
                (folder / LOCK).unlink(missing_ok=True)
    finally:
        os.close(place)


def _opened(folder: Path, sentence: str) -> int:
    try:
        return os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    except FileNotFoundError as error:  # its holder has given the folder another name
        raise BusyError(sentence) from error
    except OSError as error:
        raise TokenworthError(f"{folder} cannot be written ({error.strerror}); choose another folder") from error


def _lock(folder: Path, place: int, sentence: str) -> None:
    import fcntl

    try:
        fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise BusyError(sentence) from error
    except OSError as error:
        raise TokenworthError(
            f"{folder} cannot be locked ({error.strerror}); choose a folder on a file system with locks, or have this "
            "one mounted with them"
        ) from error
    if not _is_still(folder, place):  # its holder gave it another name while this process waited to open it
        raise BusyError(sentence)


def _is_still(folder: Path, place: int) -> bool:
    try:
        return os.path.samestat(os.fstat(place), (folder / LOCK).stat())
    except FileNotFoundError:
        return False


def is_held(folder: Path) -> bool:
    """Whether some process writes the folder now."""
    if not (folder / LOCK).is_file():
        return False
    try:
        with only_writer(folder, ""):
            return False
    except BusyError:
        return True
    except TokenworthError:
        return False
