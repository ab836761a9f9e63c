"""Where words go: results to standard output, everything else to standard error."""

from __future__ import annotations

import json as encoder
import logging
import os
import sys
import warnings
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from tokenworth.report.terminal.printable import print_line

_CHATTY = ("transformers", "datasets", "huggingface_hub", "httpx", "urllib3", "bitsandbytes")


def say(sentence: str) -> None:
    """One line to standard error, unless quiet, of the process that speaks for all."""
    logging.getLogger("tokenworth").info(sentence)


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
        print_line(record.getMessage())


def print_rows(rows: list[dict[str, Any]], *, json: bool = False, right: Collection[str] = ()) -> None:
    """Rows as a table whose columns are the first row's keys, or as JSON; numbers of the columns in `right` align."""
    if json:
        print_json(rows)
        return
    from tokenworth.report.terminal.tables import rows_table, show

    show(rows_table(rows, right))


def print_json(value: Any, indent: int | None = 1) -> None:
    """For programs."""
    tell(encoder.dumps(value, indent=indent))


def print_lines(facts: Any, lines: Iterable[str], *, json: bool) -> None:
    """Facts for programs, lines for people."""
    if json:
        print_json(facts)
    else:
        tell("\n".join(lines))


def write_facts(facts: Any, out: Path | None, name: str, what: str = "") -> None:
    """NAME.json, where results go to a folder."""
    if out is not None:
        from tokenworth.base.atomic_files import write_text, writing

        with writing(out) as place:
            write_text(place / f"{name}.json", encoder.dumps(facts, indent=1))
        say(f"{what or name}: {out / name}.json")


def write_page(result: Any, out: Path | None) -> None:
    """report.html beside the other results, where these go to a folder."""
    if out is not None:
        from tokenworth.report import write_report

        say(f"report: {write_report(result, out / 'report.html')}")


def print_result(result: Any, *, json: bool) -> None:
    """JSON for programs; a table, what it says and what is to be doubted for people."""
    if json:
        tell(result.to_json())
        return
    from tokenworth.report import show
    from tokenworth.report.report_page import lines_below, result_table

    show(result_table(result))
    for line in lines_below(result):
        tell(line)
