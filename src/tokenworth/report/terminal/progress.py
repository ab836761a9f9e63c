"""How far a command is: a bar on a terminal, a line every ten seconds elsewhere, nothing where quiet is asked for."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter

from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn

from tokenworth.report.terminal.printable import console, print_line

_LINE_EVERY_SECONDS = 10.0
_RATE_AFTER_SECONDS = 0.5


@contextmanager
def progress_report(*, quiet: bool) -> Iterator[Callable[[str, int, int], None] | None]:
    """A progress callback with rate and time left: a bar on a terminal, a line every ten seconds elsewhere."""
    if quiet or os.environ.get("RANK", "0") != "0":
        yield None
    elif sys.stderr.isatty():
        with _bar() as bar:
            yield _BarReport(bar)
    else:
        yield _LineReport()


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=console(stderr=True),
        transient=True,
    )


class _Rate:
    """Units a second of a part, counted from its first report on: when the part began is not known."""

    def __init__(self) -> None:
        self.part, self.first, self.start = "", 0, 0.0

    def __call__(self, part: str, done: int) -> float | None:
        """None as long as too little has been seen."""
        now = perf_counter()
        if part != self.part:
            self.part, self.first, self.start = part, done, now
        enough = done > self.first and now - self.start > _RATE_AFTER_SECONDS
        return (done - self.first) / (now - self.start) if enough else None


def _a_second(rate: float) -> str:
    """Few are told with a decimal: 0/s is no rate."""
    return f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.2g}/s"


class _BarReport:
    def __init__(self, bar: Progress) -> None:
        self.bar, self.rate = bar, _Rate()
        self.task: TaskID | None = None

    def __call__(self, part: str, done: int, total: int) -> None:
        new = part != self.rate.part
        rate = self.rate(part, done)
        if new or self.task is None:
            if self.task is not None:
                self.bar.remove_task(self.task)
            self.task = self.bar.add_task(part, total=total, rate="")
        self.bar.update(self.task, completed=done, rate=_a_second(rate) if rate else "")


class _LineReport:
    def __init__(self) -> None:
        self.rate, self.last = _Rate(), perf_counter()

    def __call__(self, part: str, done: int, total: int) -> None:
        rate = self.rate(part, done)
        if rate is None or perf_counter() - self.last < _LINE_EVERY_SECONDS:
            return
        self.last = perf_counter()
        print_line(f"{part}: {done / total:.0%}, {_a_second(rate)}, {(total - done) / rate:,.0f} s left")
