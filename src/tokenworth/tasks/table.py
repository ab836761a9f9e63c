"""A table as it was read: columns of plain Python values that know which file and line each row came from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any


@dataclass(frozen=True, eq=False, slots=True)
class Table:
    """Columns of equal length (N values each) with their origin; nothing in it is interpreted yet."""

    columns: dict[str, list[Any]]
    source: str
    """What an error calls this table: a file, a folder's part, or a data set of the hub."""
    lines: Sequence[int] | None = None
    """Line of the file on which each row starts, counted from 1; None where rows have no lines (Parquet, hub)."""
    class_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Names of the integer classes of a column, where the file itself carries them."""
    notes: tuple[str, ...] = ()
    """What was found in reading it that a user should know."""

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def place(self, row: int) -> str:
        """Where a row stands, for an error message: file and line, or file and row, both counted from 1."""
        name = Path(self.source).name if Path(self.source).suffix else self.source
        return f"{name}, row {row + 1}" if self.lines is None else f"{name}, line {self.lines[row]}"

    def with_column(self, name: str, make: Callable[[Table], list[Any]]) -> Table:
        """The same table with one more column (or one replaced), computed from the others."""
        return replace(self, columns={**self.columns, name: make(self)})


def concatenate(tables: Sequence[Table], source: str) -> Table:
    """Rows of several tables in order; only columns that all of them have.  Lines are kept for a single table."""
    if len(tables) == 1:
        return tables[0]
    shared = [name for name in tables[0].columns if all(name in table.columns for table in tables)]
    columns = {name: [value for table in tables for value in table.columns[name]] for name in shared}
    notes = tuple(note for table in tables for note in table.notes)
    return Table(columns, source, class_names=tables[0].class_names, notes=notes)
