"""Documents of a source, one after the other, however large it is."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tokenworth.errors import SettingError, TaskError, first_line
from tokenworth.pretraining.settings import SourceConfig
from tokenworth.tasks import load_texts

_COLUMNS = ("text", "content", "document", "body")
_ROWS = 1000


def stream_documents(name: str, source: SourceConfig) -> Iterator[str]:
    """Documents with any text in them, in the order of the files.

    A .txt file is cut at empty lines; a .zst of it is read as it is.

    Raises:
        SettingError: there is no such file or data set, it cannot be read, or which column holds the text is unclear.
    """
    path = Path(source.path)
    found = _files(name, path) if path.exists() or "*" in source.path else None
    streams = _from_hub(name, source) if found is None else (_of_file(name, file, source) for file in found)
    for stream in streams:
        for text in stream:
            if text.strip():
                yield text


def files_of(path: Path) -> list[Path]:
    """A file itself, all files below a folder, or those whose names fit a pattern; sorted."""
    if path.is_file():
        return [path]
    found = path.rglob("*") if path.is_dir() else path.parent.glob(path.name)
    return sorted(one for one in found if one.is_file())


def _files(name: str, path: Path) -> list[Path]:
    files = files_of(path) if path.is_file() else [one for one in files_of(path) if _reader(one) is not None]
    if not files:
        raise SettingError(f"the source {name}: {path} holds no file that ends in {', '.join(READERS)}")
    return files


def _reader(path: Path) -> Callable[[Path, SourceConfig], Iterator[str]] | None:
    return next((reader for ending, reader in READERS.items() if path.name.endswith(ending)), None)


def _of_file(name: str, path: Path, source: SourceConfig) -> Iterator[str]:
    reader = _reader(path)
    if reader is None:
        raise SettingError(f"the source {name}: {path} ends in none of {', '.join(READERS)}")
    if source.source is not None and reader is not _parquet:
        raise SettingError(f"the source {name}: {path} is no .parquet file, so it has no rows of {source.source!r}")
    try:
        yield from reader(path, source)
    except (OSError, UnicodeDecodeError, ValueError, TaskError) as error:
        if isinstance(error, SettingError):
            raise
        raise SettingError(f"the source {name}: {path} cannot be read ({first_line(error)})") from error


def _paragraphs(lines: Iterator[str]) -> Iterator[str]:
    held: list[str] = []
    for line in lines:
        if line.strip():
            held.append(line)
        elif held:
            yield "".join(held).rstrip("\n")
            held = []
    if held:
        yield "".join(held).rstrip("\n")


def _text(path: Path, _source: SourceConfig) -> Iterator[str]:
    with path.open(encoding="utf-8") as file:
        yield from _paragraphs(file)


def _compressed(path: Path, _source: SourceConfig) -> Iterator[str]:
    import pyarrow as pa

    with pa.CompressedInputStream(pa.OSFile(str(path)), "zstd") as raw:
        yield from _paragraphs(io.TextIOWrapper(io.BufferedReader(raw), encoding="utf-8"))


def _parquet(path: Path, source: SourceConfig) -> Iterator[str]:
    import pyarrow.compute as compute
    import pyarrow.parquet as parquet

    with parquet.ParquetFile(path) as file:
        column = source.text or _column(path, file.schema_arrow.names)
        if column not in file.schema_arrow.names:
            raise SettingError(f"{path} has no column {column!r}; it has {', '.join(file.schema_arrow.names)}")
        if source.source is not None and "source" not in file.schema_arrow.names:
            raise SettingError(f"{path} has no column 'source', so it has no rows of {source.source!r}")
        for batch in file.iter_batches(_ROWS, columns=[column] if source.source is None else [column, "source"]):
            rows = batch if source.source is None else batch.filter(compute.equal(batch["source"], source.source))
            yield from (str(value) for value in rows[column].to_pylist() if value is not None)


def _lines(path: Path, source: SourceConfig) -> Iterator[str]:
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                row = json.loads(line)
                column = source.text or _column(path, list(row))
                if column not in row:
                    raise SettingError(f"{path}, line {number}: no {column!r}; it has {', '.join(row)}")
                yield str(row[column])


def _table(path: Path, source: SourceConfig) -> Iterator[str]:
    yield from load_texts(path, text=source.text)


def _column(path: Path, names: list[str]) -> str:
    found = [name for name in _COLUMNS if name in names] or (names if len(names) == 1 else [])
    if not found:
        raise SettingError(f"{path} has the columns {', '.join(names)}; say which holds the text with 'text: COLUMN'")
    return found[0]


def _from_hub(name: str, source: SourceConfig) -> Iterator[Iterator[str]]:
    """The training split of a Hugging Face dataset, streamed; without code of its own."""
    import datasets

    try:
        split: Any = datasets.load_dataset(source.path, split="train", streaming=True)
        columns = split.column_names or list(next(iter(split)))
    except Exception as error:  # the library raises many kinds for what is not there
        raise SettingError(
            f"the source {name}: {source.path} is no file here and no data set within reach ({first_line(error)})"
        ) from error
    column = source.text or _column(Path(source.path), list(columns))
    yield (str(row[column]) for row in split if row[column] is not None)


READERS: dict[str, Callable[[Path, SourceConfig], Iterator[str]]] = {
    ".txt": _text,
    ".txt.zst": _compressed,
    ".jsonl": _lines,
    ".parquet": _parquet,
    ".csv": _table,
    ".tsv": _table,
}
