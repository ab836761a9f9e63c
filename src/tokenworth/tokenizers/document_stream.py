"""Documents of a source, one after the other, however large it is."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, groupby
from pathlib import Path
from typing import Any

from tokenworth.errors import FileError, SettingError, TaskError, first_line
from tokenworth.files import Columnar, Delimited, Fault, ending, files_of, json_rows, text_in, text_lines
from tokenworth.settings import exists
from tokenworth.tasks.columns import Columns, choose_texts
from tokenworth.tasks.table import Table
from tokenworth.tokenizers.source_settings import SourceConfig

_log = logging.getLogger("tokenworth")
_COLUMNS = ("text", "content", "document", "body")
_ROWS = 1000


def stream_documents(name: str, source: SourceConfig) -> Iterator[str]:
    """Documents with any text in them, in the order of the files.

    A .txt file is cut at empty lines.  Rows whose text is null, empty or no text are left out and their number is
    logged at the end.

    Raises:
        SettingError: there is no such file or data set, it cannot be read, which column holds the text is unclear, or
            no row has any text.
    """
    files = source_files(name, source)
    streams = _from_hub(name, source) if files is None else (_of_file(name, file, source) for file in files)
    with_text = without = 0
    for text in chain.from_iterable(streams):
        if text is None or not text.strip():
            without += 1
        else:
            with_text += 1
            yield text
    if without and not with_text:
        raise SettingError(f"the source {name}: none of its {without:,} rows has any text; name another column")
    if without:
        _log.warning("the source %s: %s rows without text are left out", name, f"{without:,}")


def source_files(name: str, source: SourceConfig) -> list[Path] | None:
    """The files of a source, sorted; None where it is a data set of the hub.

    Raises:
        SettingError: there is none of a kind that is read, or one of a numbered set is missing.
    """
    path = Path(source.path)
    if not exists(path) and "*" not in source.path:
        return None
    try:
        files = files_of(path, lambda file: ending(file) in READERS)
    except FileError as error:
        raise SettingError(f"the source {name}: {error}") from error
    if not files:
        raise SettingError(f"the source {name}: {path} holds no file that ends in {', '.join(READERS)}")
    return files


def _of_file(name: str, path: Path, source: SourceConfig) -> Iterator[str | None]:
    reader = READERS.get(ending(path))
    if reader is None:
        raise SettingError(f"the source {name}: {path} ends in none of {', '.join(READERS)}")
    if source.source is not None and reader is not _columnar:
        raise SettingError(f"the source {name}: {path} is no .parquet file, so it has no rows of {source.source!r}")
    try:
        yield from reader(path, source)
    except (FileError, OSError) as error:
        raise SettingError(f"the source {name}: {path} cannot be read ({first_line(error)})") from error


def _sound(path: Path, items: Iterable[Any]) -> Iterator[Any]:
    """What a reader gives; its first fault is raised."""
    for item in items:
        fault = item if isinstance(item, Fault) else getattr(item, "fault", None)
        if fault is not None:
            raise FileError(fault.sentence(path))
        yield item


def _text(path: Path, _source: SourceConfig) -> Iterator[str]:
    lines = (line.text.removesuffix("\r") for line in _sound(path, text_lines(path)))
    for is_document, group in groupby(lines, key=lambda line: bool(line.strip())):
        if is_document:
            yield "\n".join(group)


def _columnar(path: Path, source: SourceConfig) -> Iterator[str | None]:
    import pyarrow.compute as compute

    file = Columnar(path)
    columns = _columns(path, file.names, source)
    if source.source is not None and "source" not in file.names:
        raise SettingError(f"{path} has no column 'source', so it has no rows of {source.source!r}")
    extra = [] if source.source is None else ["source"]
    for batch in file.batches([*dict.fromkeys([*columns, *extra])], _ROWS):
        rows = batch.filter(compute.equal(batch["source"], source.source)) if extra else batch
        values = [file.values(rows, column) for column in columns]
        yield from (text_in(dict(zip(columns, row, strict=True)), columns) for row in zip(*values, strict=True))


def _rows(path: Path, source: SourceConfig) -> Iterator[str | None]:
    columns: Sequence[str] = ()
    for row in _sound(path, json_rows(path) if ending(path) == ".jsonl" else Delimited(path)):
        columns = columns or _columns(path, list(row.values), source)
        if not row.values.keys() & set(columns):
            raise SettingError(
                f"{path}, line {row.number}: no {columns[0]!r}; it has {', '.join(list(row.values)[:20])}"
            )
        yield text_in(row.values, columns)


def _columns(path: Path, names: Sequence[str], source: SourceConfig) -> tuple[str, ...]:
    """The column named, one with a usual name, the only one there is, or what a task would take."""
    if source.text is None:
        usual = [name for name in _COLUMNS if name in names] or (names if len(names) == 1 else [])
        if usual:
            return (usual[0],)
    try:
        chosen = choose_texts(Table({name: [] for name in names}, str(path)), Columns(source.text))
    except TaskError as error:
        if source.text is not None:
            raise SettingError(str(error)) from error
        listed = ", ".join(list(names)[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
        raise SettingError(f"{path} has the columns {listed}; say which holds the text with 'text: COLUMN'") from error
    return tuple(name for name in (chosen.text, chosen.text_pair) if name is not None)


def _from_hub(name: str, source: SourceConfig) -> Iterator[Iterator[str | None]]:
    """The training split of a Hugging Face dataset, streamed; without code of its own."""
    import datasets

    try:
        split: Any = datasets.load_dataset(source.path, split="train", streaming=True)
        columns = split.column_names or list(next(iter(split)))
    except Exception as error:  # the library raises many kinds for what is not there
        raise SettingError(
            f"the source {name}: {source.path} is no file here and no data set within reach ({first_line(error)})"
        ) from error
    wanted = _columns(Path(source.path), list(columns), source)
    yield (text_in(row, wanted) for row in split)


READERS: dict[str, Callable[[Path, SourceConfig], Iterator[str | None]]] = {
    ".txt": _text,
    ".jsonl": _rows,
    ".parquet": _columnar,
    ".arrow": _columnar,
    ".csv": _rows,
    ".tsv": _rows,
}
"""By ending; .gz or .zst may follow that of a text file."""
