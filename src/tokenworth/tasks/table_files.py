"""One file of labelled texts as a Table, with errors that name file, line and remedy."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tokenworth.errors import FileError, TaskError
from tokenworth.files import Columnar, Delimited, Fault, Row, ending, json_rows
from tokenworth.files.faults import BINARY
from tokenworth.files.json_lines import EXAMPLE
from tokenworth.tasks.table import Table

_BATCH_ROWS = 65_536
_MOST_CELLS = 200_000_000
"""Of a table of JSON objects, which may all have other keys."""


@contextmanager
def task_errors() -> Iterator[None]:
    """A file of a task that cannot be read is a TaskError."""
    try:
        yield
    except FileError as error:
        raise TaskError(str(error)) from error


@task_errors()
def read_table(path: str | Path) -> Table:
    """Read one file by its ending; .gz or .zst may follow that of a text file.

    A TaskError where there is no such file, it is empty, not UTF-8 or of an unknown ending, or rows are malformed.
    """
    path = Path(path)
    if not path.is_file():
        raise TaskError(f"{path}: no such file")
    reader = READERS.get(ending(path))
    if reader is None:
        raise TaskError(f"{path}: unknown file type '{path.suffix}'; give one of {', '.join(READERS)}")
    table = reader(path)
    if len(table) == 0:
        what = "holds no rows" if path.stat().st_size else "is empty"
        raise TaskError(f"{path} {what}; it needs a header line or keys, texts, labels and two texts a class")
    return table


def is_table(path: Path) -> bool:
    """Whether a file is read here, by its ending."""
    return ending(path) in READERS


def _rows(path: Path, items: Iterable[Row | Fault]) -> list[Row]:
    """All rows; the first fault is an error."""
    rows = []
    for item in items:
        if isinstance(item, Fault):
            what = item if item.kind != BINARY else Fault(BINARY, "is binary, not text; export it as text or Parquet")
            raise TaskError(what.sentence(path.name if item.number else path))
        rows.append(item)
    return rows


def _read_delimited(path: Path) -> Table:
    reader = Delimited(path)
    rows = _rows(path, reader)
    names = list(rows[0].values) if rows else []
    columns = {name: [row.values.get(name, "") for row in rows] for name in names}
    note = f"Rows of {path.name} with quote marks that do not pair, read as part of the text: {reader.lone_quotes:,}."
    return Table(columns, str(path), [row.number for row in rows], notes=(note,) if reader.lone_quotes else ())


def _read_json(path: Path) -> Table:
    """JSON lines, or (in a .json file) one list of objects."""
    rows = _rows(path, json_rows(path))
    names = dict.fromkeys(name for row in rows for name in row.values)
    if len(names) * len(rows) > _MOST_CELLS:
        what = f"its {len(rows):,} objects have {len(names):,} different keys, too many for a table"
        raise TaskError(f"{path}: {what}; write objects with the same few keys, such as {EXAMPLE}")
    columns = {name: [row.values.get(name) for row in rows] for name in names}
    return Table(columns, str(path), [row.number for row in rows])


def _read_columns(path: Path) -> Table:
    file = Columnar(path)
    columns: dict[str, list[object]] = {name: [] for name in file.names}
    for batch in file.batches(rows=_BATCH_ROWS):
        for name in file.names:
            columns[name] += file.values(batch, name)
    return Table(columns, str(path), class_names=file.class_names)


READERS: dict[str, Callable[[Path], Table]] = {
    **dict.fromkeys((".csv", ".tsv"), _read_delimited),
    **dict.fromkeys((".jsonl", ".json"), _read_json),
    **dict.fromkeys((".parquet", ".arrow"), _read_columns),
}
"""The file types there are, by ending."""
