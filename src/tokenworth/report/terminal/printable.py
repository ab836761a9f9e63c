"""What reaches a terminal: nothing that comes from data may drive it.

Every word of a command goes through one stream that lets no control character pass (escape sequences begin with one)
and no mark that turns the direction of writing.  Styles are rich's own and are written behind it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TextIO

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

_KEPT = frozenset("\n\t")
_CONTROLS = {code: None for code in (*range(32), *range(127, 160)) if chr(code) not in _KEPT}
"""C0 and C1; ESC and CSI are among them."""
DIRECTION_MARKS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_DROPPED = {**_CONTROLS, **{ord(mark): None for mark in DIRECTION_MARKS}}


def printable(text: str) -> str:
    """Text without control characters and direction marks; lines and tabs stay, half pairs become question marks."""
    return text.translate(_DROPPED).encode("utf-8", "replace").decode("utf-8")


class PrintableStream:
    """Standard output or error through which only printable text passes; what its encoding lacks becomes escapes."""

    def __init__(self, raw: TextIO) -> None:
        self.raw = raw

    def write(self, text: str) -> int:
        """The printable part of a text; returns the length of the text."""
        kept = printable(text)
        encoding = self.raw.encoding or "utf-8"
        self.raw.write(kept.encode(encoding, "backslashreplace").decode(encoding))
        return len(text)

    def writelines(self, lines: Any) -> None:
        """Each through `write`."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        """All else is the stream's own, but for its bytes: nothing goes past `write`."""
        if name == "buffer":
            raise AttributeError(name)
        return getattr(self.raw, name)


@contextmanager
def printing_safely() -> Iterator[None]:
    """Both streams of the program are printable ones inside the block."""
    import sys

    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (PrintableStream(stream) for stream in before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def console(*, stderr: bool = False) -> Console:
    """A console that may write styles: what it prints must be `Printable`."""
    import sys

    stream = sys.stderr if stderr else sys.stdout
    return Console(file=getattr(stream, "raw", stream))


def print_line(sentence: str, style: str | None = None) -> None:
    """One line to standard error, never wrapped."""
    console(stderr=True).print(printable(sentence), style=style, soft_wrap=True, markup=False, highlight=False)


def fail(sentence: str) -> None:
    """What ended a command."""
    print_line(f"tokenworth: {sentence}", style="bold red")


@dataclass(frozen=True, slots=True)
class Printable:
    """A renderable whose words are printable."""

    inner: RenderableType

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        """What it renders to, cleaned; the controls are rich's own."""
        for segment in console.render(self.inner, options):
            yield segment if segment.control else Segment(printable(segment.text), segment.style)
