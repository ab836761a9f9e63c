"""Worker processes: they see what their parent sees, and end with it however that ends: none is left behind."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from multiprocessing.connection import Connection, wait


def begin_worker(environment: dict[str, str], until: Connection | None = None) -> None:
    """Called by a worker as it begins, with the environment variables of its parent.

    The server that workers are forked from is started once a process and keeps the variables of that moment, so a
    parent that has set one since would have workers with other number formats, caches or offline modes than its own.

    From then on the worker ends at once, as by kill -9, when its parent has ended or has closed the other end of
    ``until``: what it works on is safe from that.  An interrupt from the terminal, which reaches every process, is left
    to the parent.
    """
    parent = multiprocessing.parent_process()
    assert parent is not None, "only a worker has a parent to end with"
    ends = [parent.sentinel, *([] if until is None else [until])]
    for name in os.environ.keys() - environment.keys():
        del os.environ[name]
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_after, args=(ends,), daemon=True).start()


def _end_after(ends: list[int | Connection]) -> None:
    wait(ends)
    os._exit(1)
