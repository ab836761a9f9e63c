"""Rows of Parquet files and of the Arrow files that the `datasets` library saves."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tokenworth.errors import FileError, first_line
from tokenworth.files.delimited import repeated_names

BATCH_ROWS = 256


class Columnar:
    """A file's columns, and its rows batch by batch; a FileError where it cannot be read, two columns have one name, or
    a text is not UTF-8.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._open() as (schema, _):
            self.names: list[str] = list(schema.names)
            self.class_names = class_names(schema.metadata)
        if fault := repeated_names(self.names):
            raise FileError(fault.sentence(path))

    def batches(self, columns: Sequence[str] | None = None, rows: int = BATCH_ROWS) -> Iterator[Any]:
        """Record batches of at most so many rows with these columns; None takes all."""
        with self._open() as (_, read):
            yield from read(columns, rows)

    def values(self, batch: Any, column: str) -> list[Any]:
        """A column of a batch as plain Python values."""
        with self._sentences():
            values: list[Any] = batch.column(column).to_pylist()
            return values

    def rows(self, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Rows with these columns."""
        for batch in self.batches(columns):
            values = [self.values(batch, name) for name in columns]
            yield from (dict(zip(columns, row, strict=True)) for row in zip(*values, strict=True))

    @contextmanager
    def _open(self) -> Iterator[Any]:
        with self._sentences(), ExitStack() as stack:
            yield _arrow(self.path, stack) if self.path.suffix == ".arrow" else _parquet(self.path, stack)

    @contextmanager
    def _sentences(self) -> Iterator[None]:
        """What the library raises as one sentence."""
        import pyarrow as pa

        try:
            yield
        except UnicodeDecodeError as error:
            what = f"a text column holds bytes that are not UTF-8 ({error.reason}); write the file from decoded text"
            raise FileError(f"{self.path}: {what}") from None
        except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
            kind = "Arrow" if self.path.suffix == ".arrow" else "Parquet"
            what = f"cannot be read as {kind} ({first_line(error).split('. ')[0]})"
            raise FileError(f"{self.path}: {what}; copy or export the file again") from None


def _parquet(path: Path, stack: ExitStack) -> Any:
    from pyarrow import parquet

    file = stack.enter_context(parquet.ParquetFile(path))
    return file.schema_arrow, lambda columns, rows: file.iter_batches(rows, columns=columns and list(columns))


def _arrow(path: Path, stack: ExitStack) -> Any:
    """The streaming form that `datasets` writes, or the file form."""
    import pyarrow as pa

    source = stack.enter_context(pa.memory_map(str(path)))
    is_file = source.read(6) == b"ARROW1"
    source.seek(0)
    reader = stack.enter_context(pa.ipc.open_file(source) if is_file else pa.ipc.open_stream(source))
    every = (reader.get_batch(i) for i in range(reader.num_record_batches)) if is_file else reader

    def read(columns: Sequence[str] | None, rows: int) -> Iterator[Any]:
        for batch in every:
            chosen = batch if columns is None else batch.select(list(columns))
            chosen.validate(full=True)  # offsets of a damaged file are else followed into any memory
            yield from (chosen.slice(begin, rows) for begin in range(0, len(chosen), rows))

    return reader.schema, read


def class_names(metadata: dict[bytes, bytes] | None) -> dict[str, tuple[str, ...]]:
    """Class names that the `datasets` library leaves in a schema, for columns of integer labels or of lists of them."""
    try:
        features = json.loads((metadata or {})[b"huggingface"])["info"]["features"]
        kinds = {name: kind.get("feature", kind) for name, kind in features.items()}
        labels = {name: kind["names"] for name, kind in kinds.items() if kind.get("_type") == "ClassLabel"}
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError):
        return {}
    lists = {name: names for name, names in labels.items() if isinstance(names, list)}
    return {name: tuple(names) for name, names in lists.items() if all(isinstance(word, str) for word in names)}
