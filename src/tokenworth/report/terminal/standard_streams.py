"""Standard output that cannot take what is written: letters it does not know, a full disk, a reader that has left."""

from __future__ import annotations

import errno
import io
import os
import sys
from contextlib import suppress
from typing import NoReturn

from tokenworth.errors import first_line
from tokenworth.report.terminal.printable import fail

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS})
_OF_STREAMS = {errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EBADF}


def take_any_letter() -> None:
    """What the encoding of a stream does not have is written as escapes; a stream that was closed takes nothing."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115 - stays open to the end
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def is_of_stream(error: OSError) -> bool:
    """Whether a failure is that of a stream: those of files name their file."""
    return error.filename is None and error.errno in _OF_STREAMS


def flush() -> None:
    """Write what is left, while a failure can still be told."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        give_up(error)


def give_up(error: OSError) -> NoReturn:
    """One sentence and exit code 1; a reader that has left, as `head` does, asks for none."""
    with suppress(OSError, ValueError):  # what is left in the buffer is not tried again when Python ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if error.errno != errno.EPIPE:
        fail(f"standard output cannot be written ({os.strerror(error.errno or 0)}); results go to a folder with --out")
    sys.exit(1)


def of_the_system(error: OSError) -> str:
    """What the system refuses where no command expected it: a full disk, most of the time."""
    reason = error.strerror or first_line(error)
    if error.errno in _NO_ROOM or "temporary directory" in reason:
        return f"{error.filename or 'a file'} cannot be written ({reason}); make room and run the same command again"
    return f"{error.filename or 'a file'} cannot be read or written ({reason}); see to it and run it again"
