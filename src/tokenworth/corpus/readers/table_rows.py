"""Rows as documents: JSON lines, CSV, Parquet, Arrow and data sets of the hub, read row by row."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tokenworth.corpus.corpus_settings import Source
from tokenworth.corpus.document import Document
from tokenworth.corpus.readers.refusals import NO_TEXT, Refused, identity, refused
from tokenworth.errors import FileError, SettingError, first_line
from tokenworth.files import Columnar, Fault, Row, files_of, text_in
from tokenworth.files.faults import BROKEN, TOO_LONG

_MOST_NAMES = 12
RowsOf = Callable[[Path, int], Iterable[Row | Fault]]
"""A file and the most bytes of a line to its rows."""


def read_rows(source: Source, path: Path, max_bytes: int, rows_of: RowsOf) -> Iterator[Document | Refused]:
    """An object a line, or a row below a header."""
    base = identity(source, path)
    for row in rows_of(path, max_bytes):
        if isinstance(row, Fault):
            yield refused(source, path, row)
        else:
            yield _document(source, f"{base}:{row.number}", row.values, f"{path}, line {row.number}", max_bytes)


def _document(source: Source, name: str, row: Mapping[str, Any], where: str, max_bytes: int) -> Document | Refused:
    """The wanted columns of a row, joined by empty lines."""
    text = text_in(row, source.text)
    if text is None:
        sentence = f"{where}: no text in {', '.join(source.text)}; there are {_listed(row)}"
        return Refused(Document("", name, source.name), NO_TEXT, sentence)
    document = Document(text, name, source.name)
    if document.size <= max_bytes:
        return document
    sentence = f"{where}: {document.size / 1e6:,.1f} MB are longer than max_document_mb; raise it to take the row"
    return Refused(document, TOO_LONG, sentence)


def _listed(names: Iterable[Any]) -> str:
    first = [*map(str, names)]
    return ", ".join([*first[:_MOST_NAMES], *(["..."] if len(first) > _MOST_NAMES else [])])


def read_columns(source: Source, path: Path, max_bytes: int) -> Iterator[Document | Refused]:
    """A row of Parquet or Arrow a document, 256 held at a time.  SettingError: none of the wanted columns is there."""
    base, number = identity(source, path), 0
    try:
        file = Columnar(path)
        wanted = [name for name in source.text if name in file.names]
        if not wanted:
            raise SettingError(
                f"source {source.name}: {path} has no column {', '.join(source.text)}; write 'text: NAME' with one "
                f"of {_listed(file.names)}"
            )
        for number, row in enumerate(file.rows(wanted), 1):
            yield _document(source, f"{base}:{number - 1}", row, f"{path}, row {number - 1}", max_bytes)
    except FileError as error:
        yield Refused(Document("", f"{base}#end", source.name), BROKEN, f"{error} (after row {number})")


def read_hub(source: Source, max_bytes: int) -> Iterator[Document | Refused]:
    """Rows of a data set of the hub, streamed: `owner/name`, `owner/name:configuration`, `...@split`.

    SettingError: it cannot be had.
    """
    from datasets import load_dataset

    name, _, split = source.path.partition("@")
    name, _, configuration = name.partition(":")
    try:
        if Path(name).is_dir():
            files_of(Path(name))  # a file of a numbered set that is missing is not missed by the library
        rows = load_dataset(name, configuration or None, split=split or "train", streaming=True)
        for i, row in enumerate(rows):
            yield _document(source, f"{source.name}/{source.path}:{i}", row, f"{source.path}, row {i}", max_bytes)
    except FileError as error:
        raise SettingError(f"source {source.name}: {error}") from error
    except (OSError, ValueError) as error:
        raise SettingError(
            f"source {source.name}: the data set {source.path} cannot be had ({first_line(error)}); without a network "
            "bring its files and give their folder as path"
        ) from error
