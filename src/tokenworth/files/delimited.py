"""Rows of delimited text (.csv, .tsv), without guessing at values: a text that reads "NA" or "null" stays that text.

The delimiter is the one that fits header and rows, or the one that a first line `sep=;` names.  Quote marks that do not
pair are part of a text: they never swallow the lines after them.
"""

from __future__ import annotations

import csv
import re
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from tokenworth.files.endings import ending
from tokenworth.files.faults import MALFORMED, Fault, Row
from tokenworth.files.lines import NO_LIMIT, Line, text_lines

DELIMITERS = (",", ";", "\t", "|")
_SAMPLE_LINES, _SAMPLE_CHARACTERS = 200, 500_000
_LOOKED_THROUGH = 16
"""Times the largest row: how far the end of a quoted text is looked for; one that is too long is still one row."""
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)
_INVISIBLE = re.compile("[\u200b\u2060\ufeff\u00ad]")


@dataclass(eq=False, slots=True)
class Delimited:
    """Rows and faults of a file, by iteration; values are strings, and columns without a name are left out."""

    path: Path
    max_bytes: int = NO_LIMIT
    """Of a row."""
    lone_quotes: int = 0
    """Rows so far with quote marks that do not pair, taken as part of the text."""
    _lines: _Lines = field(init=False)
    _delimiter: str = field(init=False, default=",")
    _names: list[str] = field(init=False, default_factory=list)
    _named: int = field(init=False, default=0)
    """Columns up to the last one that has a name."""
    _last_cells: Counter[str] = field(init=False, default_factory=Counter)
    """Of the first lines, by which a line is known as a whole row."""

    def __iter__(self) -> Iterator[Row | Fault]:
        self._lines = _Lines(text_lines(self.path, self.max_bytes))
        before = csv.field_size_limit()
        try:
            header = self._header()
            if isinstance(header, Fault):
                yield header
                return
            while (line := self._lines.next()) is not None:
                if isinstance(line, Fault):
                    yield line
                elif line.text.strip("\r"):
                    csv.field_size_limit(NO_LIMIT)  # the library's own is shorter than some documents
                    yield self._row(line)
        finally:
            csv.field_size_limit(before)

    def _header(self) -> Fault | None:
        """Reads the names of the columns; a fault where there are none, or one is there twice."""
        sample = _beginning(self._lines.ahead(_SAMPLE_LINES))
        if sample and (named := _SEPARATOR_LINE.fullmatch(sample[0].text)):
            self._delimiter = named[1]
            sample = sample[1:]
            self._lines.skip_to(sample[0] if sample else None)
        else:
            usual = "\t" if ending(self.path) == ".tsv" else ","
            self._delimiter = _delimiter([line.text.rstrip("\r") for line in sample], usual)
        first = self._first_line()
        if not isinstance(first, Line):
            return first
        cells = self._quoted_cells(first)
        if cells is None:
            self._lines.restore()
            cells = self._plain_cells(first.text)
        self._names = [_INVISIBLE.sub("", name).strip() for name in cells]
        self._named = max((i for i, name in enumerate(self._names, 1) if name), default=0)
        plain = [line.text.rstrip("\r").split(self._delimiter) for line in sample[1:]]
        self._last_cells = Counter(cells[-1] for cells in plain if len(cells) == len(self._names))
        return repeated_names(self._names)

    def _first_line(self) -> Line | Fault | None:
        while (line := self._lines.next()) is not None:
            if isinstance(line, Fault):
                return line
            if line.text.strip("\r"):
                return line.fault or line
        return None

    def _row(self, line: Line) -> Row | Fault:
        """The row that begins with a line."""
        text = line.text.rstrip("\r")
        cells = self._cells(line) if '"' in text else text.split(self._delimiter)
        if cells is None:
            return line.fault or Fault(MALFORMED, _UNPAIRED, line.number, line.text)
        if fault := next((part.fault for part in (line, *self._lines.taken) if part.fault), None):
            return fault
        if not self._fits(cells):
            what = f"{len(cells)} fields where the header has {self._named}; {_QUOTE}"
            return Fault(MALFORMED, what, line.number, line.text)
        return Row(line.number, {name: cell for name, cell in zip(self._names, cells, strict=False) if name})

    def _cells(self, line: Line) -> list[str] | None:
        """Fields of a row with quote marks in its first line; None where they cannot be told apart.

        Tabs are rare in texts, commas are not: in a .tsv file a line with as many fields as the header is a row, in a
        .csv file a quoted text that goes on in the next lines is looked for first.
        """
        alone = _strict([line.text], self._delimiter)
        if alone is not None and self._fits(alone):
            return alone
        plain = self._plain_cells(line.text)
        whole_line = self._fits(plain) and (alone is None or self._delimiter == "\t")
        if whole_line and self._delimiter == "\t":
            self.lone_quotes += 1
            return plain
        spanning = None if alone is not None else self._quoted_cells(line)
        if spanning is not None and self._fits(spanning) and not (whole_line and self._swallows(line)):
            return spanning
        self._lines.restore()
        self.lone_quotes += whole_line
        return plain if whole_line else alone

    def _quoted_cells(self, line: Line) -> list[str] | None:
        """Fields of a row whose quoted texts may go on in the next lines."""
        return _strict(self._lines.following(line, _LOOKED_THROUGH * self.max_bytes), self._delimiter)

    def _swallows(self, line: Line) -> bool:
        """Whether every line of what looks like one long text is a row: as many fields, and a last one that other
        lines have, too, as a label has.
        """
        rows = [part.text.rstrip("\r").split(self._delimiter) for part in (line, *self._lines.taken)]
        here = Counter(cells[-1] for cells in rows)
        known = all(self._last_cells[cell] > times for cell, times in here.items())
        return bool(self._lines.taken) and known and all(len(cells) == len(self._names) for cells in rows)

    def _plain_cells(self, text: str) -> list[str]:
        return [_unquote(cell) for cell in text.rstrip("\r").split(self._delimiter)]

    def _fits(self, cells: list[str]) -> bool:
        """As many fields as columns; those after the last named column are empty or missing."""
        return self._named <= len(cells) <= len(self._names) and not any(cells[self._named :])


_QUOTE = "put texts that hold the delimiter in double quotes"
_UNPAIRED = (
    "the row that starts here is malformed (quote marks that do not pair); put texts that hold delimiters, line breaks "
    'or quotes in double quotes, with quotes inside doubled ("")'
)


def repeated_names(names: list[str]) -> Fault | None:
    """A fault where two columns have one name."""
    twice = sorted(name for name, times in Counter(names).items() if times > 1 and name)
    what = f"names column '{twice[0][:40]}' more than once; rename one of them" if twice else ""
    return Fault(MALFORMED, f"cannot be read: its header {what}") if twice else None


def _unquote(cell: str) -> str:
    inner = cell[1:-1]
    quoted = len(cell) >= 2 and cell[0] == cell[-1] == '"' and '"' not in inner.replace('""', "")
    return inner.replace('""', '"') if quoted else cell


def _strict(lines: Iterator[str] | list[str], delimiter: str) -> list[str] | None:
    """The first row of some lines by the rules of CSV; None where it breaks them."""
    try:
        return next(csv.reader(lines, delimiter=delimiter, strict=True), None)
    except csv.Error:
        return None


def _beginning(lines: list[Line | Fault]) -> list[Line]:
    """Lines with something in them, as many as are needed to know their form."""
    beginning: list[Line] = []
    size = 0
    for line in lines:
        if isinstance(line, Line) and line.text.strip("\r"):
            beginning.append(line)
            size += len(line.text)
        if size > _SAMPLE_CHARACTERS:
            break
    return beginning


def _delimiter(lines: list[str], usual: str) -> str:
    """That by which most of the first lines have as many fields as the header; the usual one where others are no
    better.
    """

    def share(delimiter: str) -> float:
        rows = ((_strict([line], delimiter) if '"' in line else None) or line.split(delimiter) for line in lines)
        widths = [len(cells) for cells in rows]
        return sum(width == widths[0] for width in widths[1:]) / max(1, len(lines) - 1) if widths[0] > 1 else -1

    return max((usual, *DELIMITERS), key=share) if lines else usual


class _Lines:
    """Lines that can be looked at ahead, and given back."""

    def __init__(self, lines: Iterator[Line | Fault]) -> None:
        self._source, self._held = lines, deque[Line | Fault]()
        self.taken: list[Line] = []
        """Those that `following` took beyond the first."""

    def next(self) -> Line | Fault | None:
        self.taken = []
        return self._held.popleft() if self._held else next(self._source, None)

    def ahead(self, count: int) -> list[Line | Fault]:
        self._held.extend(islice(self._source, count - len(self._held)))
        return list(self._held)

    def skip_to(self, line: Line | None) -> None:
        while self._held and self._held[0] is not line:
            self._held.popleft()

    def following(self, first: Line, max_bytes: int) -> Iterator[str]:
        """A line and those after it, as far as they are asked for; they are `taken`."""
        size = len(first.text)
        yield first.text + "\n"
        while size <= max_bytes:
            line = self._held.popleft() if self._held else next(self._source, None)
            if not isinstance(line, Line):
                if line is not None:
                    self._held.appendleft(line)
                return
            self.taken.append(line)
            size += len(line.text)
            yield line.text + "\n"

    def restore(self) -> None:
        """Gives back what `following` took."""
        self._held.extendleft(reversed(self.taken))
        self.taken = []
