"""Rows as documents: JSON lines, CSV, Parquet, Arrow and data sets of the hub, read row by row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tokenworth.corpus.corpus_settings import Source
from tokenworth.corpus.document import Document
from tokenworth.corpus.readers.refusals import NO_TEXT, TOO_LONG, Refused, identity, refused
from tokenworth.errors import FileError, SettingError, first_line
from tokenworth.files import Columnar, Delimited, Fault, Row, files_of, json_rows, text_in
from tokenworth.files.faults import BROKEN

_MOST_NAMES = 12


def read_jsonl(source: Source, path: Path, max_bytes: int) -> Iterator[Document | Refused]:
    """An object a line."""
    yield from _documents(source, path, json_rows(path, max_bytes), max_bytes)


def read_csv(source: Source, path: Path, max_bytes: int) -> Iterator[Document | Refused]:
    """A row below a header."""
    yield from _documents(source, path, Delimited(path, max_bytes), max_bytes)


def _documents(source: Source, path: Path, rows: Iterable[Row | Fault], max_bytes: int) -> Iterator[Document | Refused]:
    base = identity(source, path)
    for row in rows:
        if isinstance(row, Fault):
            yield refused(source, path, row)
        else:
            name, where = f"{base}:{row.number}", f"{path}, line {row.number}"
            yield _fitting(row_document(source, name, row.values, where), max_bytes, where)


def row_document(source: Source, name: str, row: Mapping[str, Any], where: str) -> Document | Refused:
    """The wanted columns of a row, joined by empty lines."""
    text = text_in(row, source.text)
    if text is None:
        names = list(map(str, row))
        known = ", ".join(names[:_MOST_NAMES]) + (", ..." if len(names) > _MOST_NAMES else "")
        sentence = f"{where}: no text in {', '.join(source.text)}; there are {known}"
        return Refused(Document("", name, source.name), NO_TEXT, sentence)
    return Document(text, name, source.name)


def _fitting(one: Document | Refused, max_bytes: int, where: str) -> Document | Refused:
    if isinstance(one, Refused) or one.size <= max_bytes:
        return one
    sentence = f"{where}: {one.size / 1e6:,.1f} MB are longer than max_document_mb; raise it to take the row"
    return Refused(one, TOO_LONG, sentence)


def read_columns(source: Source, path: Path, max_bytes: int) -> Iterator[Document | Refused]:
    """A row of Parquet or Arrow a document; rows are held 256 at a time.

    Raises:
        SettingError: the file has none of the wanted columns.
    """
    number = 0
    try:
        file = Columnar(path)
        wanted = [name for name in source.text if name in file.names]
        if not wanted:
            known = ", ".join(file.names[:_MOST_NAMES]) + (", ..." if len(file.names) > _MOST_NAMES else "")
            raise SettingError(
                f"source {source.name}: {path} has no column {', '.join(source.text)}; write 'text: NAME' with one "
                f"of {known}"
            )
        for number, row in enumerate(file.rows(wanted), 1):
            name, where = f"{identity(source, path)}:{number - 1}", f"{path}, row {number - 1}"
            yield _fitting(row_document(source, name, row, where), max_bytes, where)
    except FileError as error:
        end = Document("", f"{identity(source, path)}#end", source.name)
        yield Refused(end, BROKEN, f"{error} (after row {number})")


def read_hub(source: Source, max_bytes: int) -> Iterator[Document | Refused]:
    """Rows of a data set of the hub, streamed: `owner/name`, `owner/name:configuration`, `...@split`.

    Raises:
        SettingError: it cannot be had.
    """
    from datasets import load_dataset

    name, _, split = source.path.partition("@")
    name, _, configuration = name.partition(":")
    try:
        if Path(name).is_dir():
            files_of(Path(name))  # a file of a numbered set that is missing is not missed by the library
        rows = load_dataset(name, configuration or None, split=split or "train", streaming=True)
        for number, row in enumerate(rows):
            where = f"{source.path}, row {number}"
            yield _fitting(row_document(source, f"{source.name}/{source.path}:{number}", row, where), max_bytes, where)
    except FileError as error:
        raise SettingError(f"source {source.name}: {error}") from error
    except (OSError, ValueError) as error:
        raise SettingError(
            f"source {source.name}: the data set {source.path} cannot be had ({first_line(error)}); without a network "
            "bring its files and give their folder as path"
        ) from error
