"""From a source to its documents: which files it has, in which parts they are read, and what each one yields."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from tokenworth.base.cell_store import content_key
from tokenworth.corpus.corpus_settings import Corpus, Source
from tokenworth.corpus.document import Document
from tokenworth.corpus.readers.plain_files import read_code, read_html, read_latex, read_text
from tokenworth.corpus.readers.refusals import Refused
from tokenworth.corpus.readers.table_rows import read_columns, read_hub, read_rows
from tokenworth.corpus.readers.warc import read_warc
from tokenworth.errors import FileError, SettingError
from tokenworth.files import Delimited, ending, files_of, json_rows

Item = Document | Refused
PART_BYTES = 64_000_000
PART_FILES = 2000
READERS: dict[str, Callable[[Source, Path, int], Iterator[Item]]] = {
    "text": read_text,
    "jsonl": partial(read_rows, rows_of=json_rows),
    "csv": partial(read_rows, rows_of=Delimited),
    "parquet": read_columns,
    "html": read_html,
    "warc": read_warc,
    "code": read_code,
    "latex": read_latex,
}
_CODE = ".py .c .h .cc .cpp .hpp .rs .go .java .js .ts .rb .sh .sql .jl .r .scala .swift .kt"
_ENDINGS_OF = {
    "text": ".txt .md .rst",
    "jsonl": ".jsonl .ndjson",
    "csv": ".csv .tsv",
    "parquet": ".parquet .arrow",
    "html": ".html .htm .xhtml",
    "warc": ".warc",
    "latex": ".tex",
    "code": _CODE,
}
ENDINGS = {name: kind for kind, names in _ENDINGS_OF.items() for name in names.split()}
"""What a file is, by its ending; .gz or .zst may follow."""


@dataclass(frozen=True, slots=True)
class Part:
    """Files that are read one after the other by one worker."""

    source: Source
    files: tuple[str, ...]
    key: str
    """Changes with anything its documents depend on."""


def parts_of(corpus: Corpus, source: Source) -> list[Part]:
    """A source's files, sorted, in runs of 64 MB or 2,000 files.  SettingError: there is none, or one of no kind."""
    files = [str(path) for path in _files(source)] if source.has_files else [source.path]
    if not files:
        raise SettingError(
            f"source {source.name}: there is no file to read in {source.path}; name its kind or remove it"
        )
    runs: list[list[str]] = [[]]
    size = 0
    for file in files:
        more = Path(file).stat().st_size if source.has_files else 0
        if runs[-1] and (size + more > PART_BYTES or len(runs[-1]) >= PART_FILES):
            runs.append([])
            size = 0
        runs[-1].append(file)
        size += more
    return [Part(source, tuple(run), _key(corpus, source, run)) for run in runs]


def _files(source: Source) -> list[Path]:
    """In a folder: files of the source's kind, or of any known kind; a plain text source takes every file."""

    def is_wanted(path: Path) -> bool:
        kind = ENDINGS.get(ending(path))
        return source.kind == "text" or (kind is not None and source.kind in (None, kind))

    try:
        return files_of(Path(source.path), is_wanted)
    except FileError as error:
        raise SettingError(f"source {source.name}: {error}") from error


def _key(corpus: Corpus, source: Source, files: list[str]) -> str:
    """Of the files' names, sizes and times of change, and of the settings that reading depends on."""
    stats = {file: Path(file).stat() for file in files if Path(file).exists()}
    stamps = [[file, *((stats[file].st_size, stats[file].st_mtime_ns) if file in stats else ())] for file in files]
    reading = {k: v for k, v in asdict(source).items() if k in ("name", "path", "kind", "text", "documents")}
    limits = [corpus.shard_documents, corpus.shard_mb, corpus.max_document_mb, corpus.keep_dropped]
    return content_key(["read", 2, reading, stamps, limits])


def read_part(part: Part, *, max_bytes: int, file: int = 0, item: int = 0) -> Iterator[tuple[int, int, Item]]:
    """Documents of a part and what was refused, each with the file's and the item's number to go on from after it.

    It begins with the file of that number, of which so many items are passed over.
    """
    for number in range(file, len(part.files)):
        for done, entry in enumerate(_read_file(part.source, part.files[number], max_bytes), 1):
            if number > file or done > item:
                yield number, done, entry


def _read_file(source: Source, file: str, max_bytes: int) -> Iterator[Item]:
    if source.kind == "docstrings":
        return _docstrings(source)
    if source.kind == "hub":
        return read_hub(source, max_bytes)
    kind = source.kind or ENDINGS.get(ending(Path(file)))
    if kind is None:
        raise SettingError(f"source {source.name}: what {file} is cannot be told by its ending; give 'kind: ...'")
    return READERS[kind](source, Path(file), max_bytes)


def _docstrings(source: Source) -> Iterator[Item]:
    """Docstrings of installed packages, named in `path` or those of the built-in task."""
    from tokenworth.tasks.docstrings import PACKAGES, docstrings_of, source_files

    for package in source.path.replace(",", " ").split() or PACKAGES.values():
        folder = None
        for path in source_files(package):
            folder = folder or next(parent for parent in path.parents if parent.name == package.rpartition(".")[2])
            for i, text in enumerate(docstrings_of(path)):
                yield Document(text, f"{source.name}/{package}/{path.relative_to(folder).as_posix()}:{i}", source.name)
