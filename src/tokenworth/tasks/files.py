"""Reading .csv, .tsv, .jsonl, .json and .parquet into a Table, with errors that name file, line and remedy.

Delimited text is read with the standard library and without guessing at values: a text that reads "NA" or "null" stays
that text, a row with a field too many is an error and a short row is not silently filled up.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tokenworth.errors import TaskError
from tokenworth.tasks.table import Table

_FIELD_LIMIT = 2**31 - 1  # characters; the library's own limit of 131,072 is shorter than some documents


def read_table(path: str | Path) -> Table:
    """Read one file by its ending.

    Raises:
        TaskError: no such file, an unknown ending, an empty file, bytes that are not UTF-8, or malformed rows.
    """
    path = Path(path)
    if not path.is_file():
        raise TaskError(f"{path}: no such file")
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise TaskError(f"{path}: unknown file type '{path.suffix}'; give one of {', '.join(READERS)}")
    table = reader(path)
    if len(table) == 0:
        raise TaskError(f"{path} holds no rows; it needs a text and a label column and at least two texts a class")
    return table


def read_text(path: Path) -> str:
    """The file's text without a byte-order mark; an error names the line and the first byte that is not UTF-8."""
    try:
        data = path.read_bytes()
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise TaskError(f"{path}: cannot be read ({error.strerror}); check its permissions") from None
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        guess = "utf-16" if data[:2] in {b"\xff\xfe", b"\xfe\xff"} else "latin1"
        raise TaskError(
            f"{path.name}, line {line}: byte 0x{data[error.start]:02x} at offset {error.start} is not UTF-8; convert "
            f"the file, for example with: iconv -f {guess} -t utf-8 {path.name} > utf8-{path.name}"
        ) from None
    if not text.strip():
        raise TaskError(f"{path} is empty; it needs a header line and at least two texts a class")
    return text


def _read_csv(path: Path) -> Table:
    text = read_text(path)
    header = text.lstrip().split("\n", 1)[0]
    delimiter = ";" if "," not in header and ";" in header else ","  # spreadsheets of many countries write semicolons
    return _table(path, _quoted_rows(path, text, delimiter))


def _read_tsv(path: Path) -> Table:
    """Tab-separated text is mostly written without quoting, where a lone quote mark must not swallow the lines after
    it.

    So lines are rows wherever every line has as many tabs as the header; only else are quotes taken to span lines.
    """
    text = read_text(path)
    numbered = enumerate(text.split("\n"), 1)  # not splitlines, which also breaks at characters inside texts
    lines = [(number, line.rstrip("\r")) for number, line in numbered if line.strip("\r")]
    tabs = lines[0][1].count("\t")
    if all(line.count("\t") == tabs for _, line in lines):
        return _table(path, ((number, [_unquote(cell) for cell in line.split("\t")]) for number, line in lines))
    return _table(path, _quoted_rows(path, text, "\t"))


def _unquote(cell: str) -> str:
    inner = cell[1:-1]
    quoted = len(cell) >= 2 and cell[0] == cell[-1] == '"' and '"' not in inner.replace('""', "")
    return inner.replace('""', '"') if quoted else cell


def _quoted_rows(path: Path, text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Rows with the line each starts on; blank lines are passed over."""
    before = csv.field_size_limit(_FIELD_LIMIT)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    start = 1
    try:
        for row in reader:
            if row:
                yield start, row
            start = reader.line_num + 1
    except csv.Error as error:
        raise TaskError(
            f"{path.name}: the row that starts on line {start} is malformed ({error}); put texts that hold "
            "delimiters, line "
            f'breaks or quotes in double quotes, with quotes inside doubled ("")'
        ) from None
    finally:
        csv.field_size_limit(before)


def _table(path: Path, rows: Iterator[tuple[int, list[str]]]) -> Table:
    _, header = next(rows)
    header = [name.strip() for name in header]
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise TaskError(f"{path.name}: the header names column '{twice[0]}' more than once; rename one of them")
    lines: list[int] = []
    body: list[list[str]] = []
    for line, row in rows:
        if len(row) != len(header):
            raise TaskError(
                f"{path.name}, line {line}: {len(row)} fields where the header has {len(header)}; put texts that "
                "hold the delimiter in double quotes"
            )
        lines.append(line)
        body.append(row)
    columns = [list(column) for column in zip(*body, strict=True)] or [[] for _ in header]
    return Table(dict(zip(header, columns, strict=True)), str(path), lines)


def _read_json(path: Path) -> Table:
    """JSON lines, or (in a .json file) one list of objects."""
    text = read_text(path)
    if text.lstrip().startswith("["):
        records = _loads(text, path, 1)
        return _records(path, list(enumerate(records, 1)), lines=False)
    numbered = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    return _records(path, [(number, _loads(line, path, number)) for number, line in numbered], lines=True)


def _loads(text: str, path: Path, line: int) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise TaskError(
            f"{path.name}, line {line + error.lineno - 1}, column {error.colno}: not valid JSON ({error.msg}); write "
            "one object a line"
        ) from None
    except RecursionError:
        raise TaskError(
            f"{path.name}, line {line}: JSON nested too deeply to read; write one flat object a line"
        ) from None


def _records(path: Path, records: list[tuple[int, Any]], *, lines: bool) -> Table:
    names: dict[str, None] = {}
    for number, record in records:
        if not isinstance(record, dict):
            raise TaskError(f"{path.name}, {'line' if lines else 'item'} {number}: expected an object such as "
                            f'{{"text": "...", "label": "..."}}, found {type(record).__name__}')  # fmt: skip
        names.update(dict.fromkeys(record))
    columns = {name: [record.get(name) for _, record in records] for name in names}
    return Table(columns, str(path), [number for number, _ in records] if lines else None)


def _read_parquet(path: Path) -> Table:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        table = parquet.read_table(path, partitioning=None)
        columns = {name: table.column(name).to_pylist() for name in table.column_names}
    except UnicodeDecodeError as error:
        raise TaskError(
            f"{path.name}: a text column holds bytes that are not UTF-8 ({error.reason}); write the file again from "
            "decoded text"
        ) from None
    except (pa.ArrowException, OSError) as error:
        reason = str(error).split(". ")[0].splitlines()[0]
        raise TaskError(f"{path}: cannot be read as Parquet ({reason}); copy or export the file again") from None
    return Table(columns, str(path), class_names=class_names(table.schema.metadata))


def class_names(metadata: dict[bytes, bytes] | None) -> dict[str, tuple[str, ...]]:
    """Class names that the `datasets` library leaves in a Parquet file's schema, for each integer label column."""
    try:
        features = json.loads((metadata or {})[b"huggingface"])["info"]["features"]
        labels = {name: kind["names"] for name, kind in features.items() if kind.get("_type") == "ClassLabel"}
    except (KeyError, TypeError, AttributeError, ValueError):
        return {}
    return {name: tuple(names) for name, names in labels.items()}


READERS: dict[str, Callable[[Path], Table]] = {
    ".csv": _read_csv,
    ".tsv": _read_tsv,
    ".jsonl": _read_json,
    ".json": _read_json,
    ".parquet": _read_parquet,
}
"""The file types there are, by ending."""
