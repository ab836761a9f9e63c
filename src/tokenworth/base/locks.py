"""One writer a folder: a lock that ends with its process, however that ends.

The lock is on a file in the folder and not on the folder itself: on a network file system (NFS) only what is open for
writing can be locked, and a folder cannot be opened for writing.  The library filelock (4.2.11) does as well after
kill -9 and with links, but makes a folder that is gone anew (a pass that another process has just finished has another
name), takes a lock whose folder was renamed for its own, and cannot say whether a folder is held (docs/log.md).
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile

from tokenworth.base.atomic_files import writing
from tokenworth.errors import TokenworthError

LOCK = ".lock"  # the file that is locked; its holder removes it at the end
_PAUSES = (0.0, 0.02, 0.05)  # seconds before each attempt
_HAS_LOCKS = os.name == "posix"  # Windows has none of this kind


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
    if not _HAS_LOCKS:
        yield
        return
    file = _locked_file(folder, sentence)
    try:
        yield
    finally:
        if _lies_in(folder, file):  # as long as this process holds it no other can have put its own there
            (folder / LOCK).unlink(missing_ok=True)
        os.close(file)


@contextmanager
def claimed(folder: str | Path) -> Iterator[None]:
    """Make the folder, try a file in it and hold it for this run: better refused before the work than after it.

    Raises TokenworthError: as `writing`; or another run writes its results there.
    """
    with writing(folder) as place, TemporaryFile(dir=place):
        pass
    busy = f"another run is writing its results into {folder} now; wait for it, or choose another folder with --out"
    with only_writer(Path(folder), busy):
        yield


def is_held(folder: Path) -> bool:
    """Whether some process writes the folder now."""
    if not _HAS_LOCKS or not (folder / LOCK).is_file():
        return False
    try:
        file = _opened(folder, "", os.O_RDWR)
    except TokenworthError:
        return False
    try:
        return not _locks(folder, file)
    finally:
        os.close(file)


def _locked_file(folder: Path, sentence: str) -> int:
    """Who only looks whether a folder is held holds it for a moment too, so that one is waited for."""
    for pause in _PAUSES:
        time.sleep(pause)
        file = _opened(folder, sentence, os.O_RDWR | os.O_CREAT)
        if _locks(folder, file):
            return file
        os.close(file)
    raise BusyError(sentence)


def _opened(folder: Path, sentence: str, how: int) -> int:
    try:
        return os.open(folder / LOCK, how | os.O_NOFOLLOW, 0o666)
    except FileNotFoundError as error:  # its holder has given the folder another name, or has just ended
        raise BusyError(sentence) from error
    except OSError as error:
        raise TokenworthError(f"{folder} cannot be written ({error.strerror}); choose another folder") from error


def _locks(folder: Path, file: int) -> bool:
    """Whether the lock was to be had, and is on the file that now lies there."""
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise TokenworthError(
            f"{folder} cannot be locked ({error.strerror}); choose a folder on a file system with locks, or have this "
            "one mounted with them"
        ) from error
    return _lies_in(folder, file)  # its last holder may have removed it, or given the folder another name


def _lies_in(folder: Path, file: int) -> bool:
    try:
        return os.path.samestat(os.fstat(file), (folder / LOCK).stat())
    except FileNotFoundError:
        return False
