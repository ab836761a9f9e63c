"""Tables for the terminal, and the same tables as plain lines for files and pipes."""

from __future__ import annotations

import io
from collections.abc import Container, Iterable

from rich import box
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from tokenworth.report.terminal.printable import Printable, printable
from tokenworth.report.terminal.printable import console as printable_console

_UNBROKEN = 100_000  # columns of the console that lays out plain text: no table is as wide, so no line is folded


def plain_text(renderable: RenderableType) -> str:
    """The renderable without colour or styles: one line a row however wide, no blanks at line ends."""
    out = io.StringIO()
    console = Console(file=out, width=_UNBROKEN, color_system=None, force_terminal=False, legacy_windows=False)
    console.print(renderable, soft_wrap=isinstance(renderable, str | Text), markup=False, highlight=False)
    lines = [line.rstrip() for line in out.getvalue().splitlines()]
    return "\n".join(lines).strip("\n") + "\n"


def show(renderable: RenderableType, console: Console | None = None) -> None:
    """Prints to a terminal as rich does, and to anything else as plain unwrapped lines."""
    console = console or printable_console()
    if console.is_terminal:
        console.print(Printable(renderable), markup=False, highlight=False)
    else:
        console.file.write(printable(plain_text(renderable)))


def plain_table(
    title: str, heads: Iterable[str] = (), *, left: Container[str] = (), folded: Container[str] = (), caption: str = ""
) -> Table:
    """An empty table in the terminal's look.

    Args:
        title: above it.
        heads: of its columns, which hold numbers and stand on the right.
        left: heads of words, which stand on the left.
        folded: heads of words that a narrow terminal folds, so that numbers stay whole.
        caption: below it.
    """
    table = Table(
        title=Text(title), title_justify="left", caption=Text(caption) if caption else None, caption_justify="left",
        box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0),
    )  # fmt: skip
    overflow = "fold" if folded else "ellipsis"
    for head in heads:
        side = "left" if head in left else "right"
        table.add_column(head, justify=side, no_wrap=head not in folded, overflow=overflow)  # type: ignore[arg-type]
    return table


def add_cells(table: Table, cells: Iterable[str], style: str = "") -> None:
    """A row of texts, in which nothing is markup."""
    table.add_row(*map(Text, cells), style=style)
