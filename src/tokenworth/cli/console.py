"""Where words go: results to standard output, everything else to standard error."""

from __future__ import annotations

import json as encoder
import logging
import os
import sys
import warnings
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn

_LINE_EVERY_SECONDS = 10.0
_RATE_AFTER_SECONDS = 0.5
_CHATTY = ("transformers", "datasets", "huggingface_hub", "httpx", "urllib3", "bitsandbytes")


def fail(sentence: str) -> None:
    """One line to standard error, never wrapped."""
    _print(f"tokenworth: {sentence}", style="bold red")


def say(sentence: str) -> None:
    """One line to standard error, unless quiet, of the process that speaks for all."""
    logging.getLogger("tokenworth").info(sentence)


def _print(sentence: str, style: str | None = None) -> None:
    from tokenworth.report.terminal.printable import console, printable

    console(stderr=True).print(printable(sentence), style=style, soft_wrap=True, markup=False, highlight=False)


def tell(text: str) -> None:
    """Lines to standard output: what a command was asked for."""
    sys.stdout.write(f"{text}\n")


def is_main_process() -> bool:
    """Whether this process speaks for all that torchrun or accelerate started."""
    return os.environ.get("RANK", "0") == "0"


def set_verbosity(*, verbose: bool, quiet: bool = False) -> None:
    """What the package says of its own goes to standard error; libraries' chatter is shown only with --verbose."""
    ours = logging.getLogger("tokenworth")
    ours.setLevel(logging.WARNING if quiet or not is_main_process() else logging.INFO)
    if not any(isinstance(handler, _Sayer) for handler in ours.handlers):
        ours.addHandler(_Sayer())
        ours.propagate = False
    level = logging.INFO if verbose else logging.ERROR
    for name in _CHATTY:
        logging.getLogger(name).setLevel(level)
    if not verbose:
        warnings.filterwarnings("ignore")


class _Sayer(logging.Handler):
    """Log records as lines."""

    def emit(self, record: logging.LogRecord) -> None:
        _print(record.getMessage())


@contextmanager
def progress_report(*, quiet: bool) -> Iterator[Callable[[str, int, int], None] | None]:
    """A progress callback with rate and time left: a bar on a terminal, a line every ten seconds elsewhere."""
    if quiet or not is_main_process():
        yield None
    elif sys.stderr.isatty():
        with _bar() as bar:
            yield _BarReport(bar)
    else:
        yield _LineReport()


def _bar() -> Progress:
    from tokenworth.report.terminal.printable import console

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
        _print(f"{part}: {done / total:.0%}, {_a_second(rate)}, {(total - done) / rate:,.0f} s left")


def print_rows(rows: list[dict[str, Any]], *, json: bool = False, right: Collection[str] = ()) -> None:
    """Rows as a table whose columns are the first row's keys, or as JSON; numbers of the columns in `right` align."""
    if json:
        print_json(rows)
        return
    from rich.table import Table
    from rich.text import Text

    from tokenworth.report import show

    table = Table(box=None, pad_edge=False)
    for head in rows[0]:
        table.add_column(head, justify="right" if head in right else "left")
    for row in rows:
        table.add_row(*(Text(str(row.get(head) or "")) for head in rows[0]))
    show(table)


def print_json(value: Any, indent: int | None = 1) -> None:
    """For programs."""
    tell(encoder.dumps(value, indent=indent))


def write_page(result: Any, out: Path | None, *, said: bool = True) -> Path:
    """report.html beside the other results, where these go to a folder."""
    if out is None:
        return Path()
    from tokenworth.report import write_report

    page = write_report(result, out / "report.html")
    if said:
        say(f"report: {page}")
    return page


def print_result(result: Any, *, json: bool) -> None:
    """JSON for programs; a table, what it says and what is to be doubted for people."""
    if json:
        tell(result.to_json())
        return
    from tokenworth.report import show
    from tokenworth.report.terminal.result_tables import table_of, warnings_of

    show(table_of(result))
    for sentence in result.sentences:
        tell(f"- {sentence}")
    for warning in warnings_of(result):
        tell(f"! {warning}")
