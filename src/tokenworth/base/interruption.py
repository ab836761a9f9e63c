"""SIGINT and SIGTERM end a command in one line, within seconds, whatever it is doing."""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)
GRACE_SECONDS = 3.0
"""How long a command may take to leave; then it is ended as by kill -9, which everything it keeps on disk survives."""
_KEEPING = frozenset(
    {"assess", "rank", "decide", "adapt", "pretrain", "mixture", "trace", "study", "corpus", "demo", "measure"}
)
"""Commands that keep finished parts or checkpoints on disk."""


class InterruptionError(BaseException):
    """A signal asks the command to end.  No `Exception`: nobody on the way may take it for a failure of the work."""


@dataclass(slots=True)
class Interruption:
    """Which signal has arrived, if one has."""

    number: int = 0
    left: threading.Event = field(default_factory=threading.Event)

    @property
    def code(self) -> int:
        """The exit code that shells know it by: 130 or 143."""
        return 128 + self.number

    def raise_it(self, number: int, _frame: FrameType | None) -> None:
        """What the signal does in the main thread, between two steps of Python."""
        self.number = number
        raise InterruptionError


def sentence(arguments: list[str]) -> str:
    """What is said at the end."""
    command = next((word for word in arguments if not word.startswith("-")), "")
    if command in _KEEPING:
        return "interrupted; the same command goes on from what it has kept on disk"
    return "interrupted"


@contextmanager
def interruptible(say: Callable[[], None]) -> Iterator[Interruption]:
    """Inside the block both signals raise `InterruptionError`; who then does not leave in time is ended.

    Python tells of a signal only between two of its own steps; a thread that the system tells at once keeps the time,
    so that minutes inside one call of a library end too.

    Args:
        say: prints the line, where the command itself comes no more to it.
    """
    found = Interruption()
    if threading.current_thread() is not threading.main_thread():  # signals belong to the main thread
        yield found
        return
    before = {number: signal.signal(number, found.raise_it) for number in SIGNALS}
    close = _watched(found, say) if os.name == "posix" else lambda: None
    try:
        yield found
    finally:
        found.left.set()
        close()
        for number, handler in before.items():
            signal.signal(number, handler)


def _watched(found: Interruption, say: Callable[[], None]) -> Callable[[], None]:
    """Start the thread that keeps the time; returns what ends it."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    thread = threading.Thread(target=_keep_time, args=(reader, found, say), daemon=True)
    thread.start()

    def close() -> None:
        signal.set_wakeup_fd(before)
        os.close(writer)
        thread.join()
        os.close(reader)

    return close


def _keep_time(reader: int, found: Interruption, say: Callable[[], None]) -> None:
    """Read numbers of signals until the pipe is closed."""
    while number := os.read(reader, 1):
        if number[0] not in SIGNALS:
            continue
        found.number = number[0]
        again, _, _ = select.select([reader], [], [], GRACE_SECONDS)  # a second one ends it at once
        if not found.left.is_set() and (not again or os.read(reader, 1)):
            say()
            if sys.stderr.isatty():
                os.write(2, b"\x1b[?25h")  # a progress bar has hidden the cursor
            os._exit(found.code)
