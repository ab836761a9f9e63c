"""Rows as documents: JSON lines, CSV, Parquet and data sets of the hub, read row by row."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tokenworth.corpus.config import Source
from tokenworth.corpus.document import Document
from tokenworth.corpus.refusals import TOO_LONG, Refused, binary, broken, identity, not_utf8
from tokenworth.corpus.streams import Chunks, opened
from tokenworth.errors import SettingError, first_line

_MALFORMED, _NO_TEXT = "malformed row", "no text in its row"
_FIELD_LIMIT = 2**31 - 1
_BATCH_ROWS = 256


def lines(source: Source, path: Path, max_bytes: int) -> Iterator[tuple[int, bytes | Refused]]:
    """Lines with their numbers; one that is longer than max_bytes is passed over without being held."""
    chunks = Chunks(path)
    rest, number, skipping = b"", 1, 0
    for chunk in chunks:
        if number == 1 and not rest and b"\0" in chunk[:8192]:
            yield 0, binary(source, path)
            return
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield number, _too_long(source, path, number, skipping + len(line), max_bytes) or line
            number, skipping = number + 1, 0
        if len(rest) > max_bytes:
            skipping, rest = skipping + len(rest), b""
    if rest or skipping:
        yield number, _too_long(source, path, number, skipping + len(rest), max_bytes) or rest
    if chunks.problem:
        yield number, broken(source, path, chunks)


def _too_long(source: Source, path: Path, number: int, size: int, max_bytes: int) -> Refused | None:
    if size <= max_bytes:
        return None
    sentence = (
        f"{path}, line {number}: {size / 1e6:,.1f} MB are longer than the {max_bytes / 1e6:g} MB of max_document_mb; "
        "raise it to take the line"
    )
    return Refused(Document("", f"{identity(source, path)}:{number}", source.name), TOO_LONG, sentence)


def read_jsonl(source: Source, path: Path, max_bytes: int) -> Iterator[Document | Refused]:
    """An object a line."""
    for number, line in lines(source, path, max_bytes):
        if isinstance(line, Refused):
            yield line
        elif line.strip():
            yield _object(source, path, number, line)


def _object(source: Source, path: Path, number: int, line: bytes) -> Document | Refused:
    empty = Document("", f"{identity(source, path)}:{number}", source.name)
    try:
        row = json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        return not_utf8(empty, path, f"line {number}", line, error)
    except (json.JSONDecodeError, RecursionError) as error:
        kept = Document(line.decode(errors="replace"), empty.id, source.name)
        return Refused(kept, _MALFORMED, f"{path}, line {number}: not valid JSON ({first_line(error)})")
    if not isinstance(row, dict):
        kept = Document(line.decode(errors="replace"), empty.id, source.name)
        return Refused(kept, _MALFORMED, f"{path}, line {number}: expected an object, found {type(row).__name__}")
    return row_document(source, empty.id, row, f"{path}, line {number}")


def row_document(source: Source, name: str, row: Mapping[str, Any], where: str) -> Document | Refused:
    """The wanted columns of a row, joined by empty lines."""
    values = [row.get(column) for column in source.text]
    parts = [one for one in values if isinstance(one, str) and one.strip()]
    if not parts:
        known = ", ".join(map(str, list(row)[:12]))
        sentence = f"{where}: no text in {', '.join(source.text)}; there are {known}"
        return Refused(Document("", name, source.name), _NO_TEXT, sentence)
    return Document("\n\n".join(parts), name, source.name)


def read_csv(source: Source, path: Path, max_bytes: int) -> Iterator[Document | Refused]:
    """A row below a header; tabs part columns in .tsv files.  Rows that are not UTF-8 or too short are refused."""
    before = csv.field_size_limit(_FIELD_LIMIT)
    name = path.with_suffix("") if path.suffix in (".gz", ".zst") else path
    delimiter = "\t" if name.suffix == ".tsv" else ","
    try:
        with opened(path) as file:
            if b"\0" in file.read(8192):
                yield binary(source, path)
                return
        with opened(path) as raw:
            file = io.BufferedReader(raw) if isinstance(raw, io.RawIOBase) else raw
            text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="")
            yield from _csv_rows(source, path, csv.DictReader(text, delimiter=delimiter), max_bytes)
            if problem := getattr(raw, "problem", ""):
                raise EOFError(problem)
    except (csv.Error, EOFError, OSError) as error:
        end = Document("", f"{identity(source, path)}#end", source.name)
        yield Refused(end, "broken file", f"{path} cannot be read further ({first_line(error)}); export it again")
    finally:
        csv.field_size_limit(before)


def _csv_rows(source: Source, path: Path, rows: Any, max_bytes: int) -> Iterator[Document | Refused]:
    for number, row in enumerate(rows, 2):
        one = row_document(source, f"{identity(source, path)}:{number}", row, f"{path}, row {number}")
        if isinstance(one, Document) and not one.text.isascii():
            data = one.text.encode("utf-8", "surrogateescape")
            try:
                data.decode()
            except UnicodeDecodeError as error:
                one = not_utf8(one, path, f"row {number}", data, error)
        yield _fitting(one, max_bytes, f"{path}, row {number}")


def _fitting(one: Document | Refused, max_bytes: int, where: str) -> Document | Refused:
    if isinstance(one, Refused) or one.size <= max_bytes:
        return one
    sentence = f"{where}: {one.size / 1e6:,.1f} MB are longer than max_document_mb; raise it to take the row"
    return Refused(one, TOO_LONG, sentence)


def read_parquet(source: Source, path: Path, max_bytes: int) -> Iterator[Document | Refused]:
    """A row a document; rows are held 256 at a time.

    Raises:
        SettingError: the file has none of the wanted columns.
    """
    import pyarrow as pa
    from pyarrow import parquet

    number = 0
    try:
        with parquet.ParquetFile(path) as file:
            wanted = [name for name in source.text if name in file.schema_arrow.names]
            if not wanted:
                known = ", ".join(file.schema_arrow.names)
                raise SettingError(
                    f"source {source.name}: {path} has no column {', '.join(source.text)}; write 'text: NAME' with one "
                    f"of {known}"
                )
            for batch in file.iter_batches(_BATCH_ROWS, columns=wanted):
                for row in batch.to_pylist():
                    where = f"{path}, row {number}"
                    yield _fitting(
                        row_document(source, f"{identity(source, path)}:{number}", row, where), max_bytes, where
                    )
                    number += 1
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        end = Document("", f"{identity(source, path)}#end", source.name)
        yield Refused(
            end, "broken file", f"{path} cannot be read after row {number} ({first_line(error)}); copy it again"
        )


def read_hub(source: Source, max_bytes: int) -> Iterator[Document | Refused]:
    """Rows of a data set of the hub, streamed: `owner/name`, `owner/name:configuration`, `...@split`.

    Raises:
        SettingError: it cannot be had.
    """
    from datasets import load_dataset

    name, _, split = source.path.partition("@")
    name, _, configuration = name.partition(":")
    try:
        rows = load_dataset(name, configuration or None, split=split or "train", streaming=True)
        for number, row in enumerate(rows):
            where = f"{source.path}, row {number}"
            yield _fitting(row_document(source, f"{source.name}/{source.path}:{number}", row, where), max_bytes, where)
    except (OSError, ValueError) as error:
        raise SettingError(
            f"source {source.name}: the data set {source.path} cannot be had ({first_line(error)}); without a network "
            "bring its files and give their folder as path"
        ) from error
