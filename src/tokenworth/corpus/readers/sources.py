"""From a source to its documents: which files it has, in which parts they are read, and what each one yields."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from tokenworth.base.cell_store import content_key
from tokenworth.corpus.corpus_settings import Corpus, Source
from tokenworth.corpus.document import Document
from tokenworth.corpus.readers.plain_files import read_code, read_html, read_latex, read_text
from tokenworth.corpus.readers.refusals import Refused
from tokenworth.corpus.readers.table_rows import read_columns, read_csv, read_hub, read_jsonl
from tokenworth.corpus.readers.warc import read_warc
from tokenworth.errors import FileError, SettingError
from tokenworth.files import ending, files_of

PART_BYTES = 64_000_000
PART_FILES = 2000
ENDINGS = {
    ".txt": "text", ".md": "text", ".rst": "text", ".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".tsv": "csv",
    ".parquet": "parquet", ".arrow": "parquet", ".html": "html", ".htm": "html", ".xhtml": "html", ".warc": "warc",
    ".tex": "latex", ".py": "code", ".c": "code", ".h": "code", ".cc": "code", ".cpp": "code", ".hpp": "code",
    ".rs": "code", ".go": "code", ".java": "code", ".js": "code", ".ts": "code", ".rb": "code", ".sh": "code",
    ".sql": "code", ".jl": "code", ".r": "code", ".scala": "code", ".swift": "code", ".kt": "code",
}  # fmt: skip
"""What a file is, by its ending; .gz or .zst may follow."""

Item = Document | Refused


@dataclass(frozen=True, slots=True)
class Part:
    """Files that are read one after the other by one worker."""

    source: Source
    files: tuple[str, ...]
    key: str
    """Changes with anything its documents depend on."""


def parts_of(corpus: Corpus, source: Source) -> list[Part]:
    """A source's files, sorted, in runs of 64 MB or 2,000 files.

    Raises:
        SettingError: the source has no file, or one of an unknown kind.
    """
    files = [str(path) for path in _files(source)] if source.kind not in ("docstrings", "hub") else [source.path]
    if not files:
        raise SettingError(
            f"source {source.name}: there is no file to read in {source.path}; name its kind or remove it"
        )
    runs: list[list[str]] = [[]]
    size = 0
    for file in files:
        own = Path(file).stat().st_size if source.kind not in ("docstrings", "hub") else 0
        if runs[-1] and (size + own > PART_BYTES or len(runs[-1]) >= PART_FILES):
            runs.append([])
            size = 0
        runs[-1].append(file)
        size += own
    return [Part(source, tuple(run), _key(corpus, source, run)) for run in runs]


def _files(source: Source) -> list[Path]:
    path = Path(source.path)
    try:
        return files_of(path, lambda one: _is_wanted(source, one))
    except FileError as error:
        raise SettingError(f"source {source.name}: {error}") from error


def _is_wanted(source: Source, path: Path) -> bool:
    """In a folder: files of the source's kind, or of any known kind; a plain text source takes every file."""
    kind = ending_kind(path)
    return source.kind == "text" or (kind is not None and source.kind in (None, kind))


def ending_kind(path: Path) -> str | None:
    """Kind of a file by its ending, without that of a compression."""
    return ENDINGS.get(ending(path))


def _key(corpus: Corpus, source: Source, files: list[str]) -> str:
    """Of the files' names, sizes and times of change, and of the settings that reading depends on."""
    stats = [_stamp(file) for file in files]
    reading = {k: v for k, v in asdict(source).items() if k in ("name", "path", "kind", "text", "documents")}
    limits = [corpus.shard_documents, corpus.shard_mb, corpus.max_document_mb, corpus.keep_dropped]
    return content_key(["read", 2, reading, stats, limits])


def _stamp(file: str) -> list[str | int]:
    path = Path(file)
    if not path.exists():
        return [file]
    stat = path.stat()
    return [file, stat.st_size, stat.st_mtime_ns]


READERS: dict[str, Callable[[Source, Path, int], Iterator[Item]]] = {
    "text": read_text,
    "jsonl": read_jsonl,
    "csv": read_csv,
    "parquet": read_columns,
    "html": read_html,
    "warc": read_warc,
    "code": read_code,
    "latex": read_latex,
}


def read_part(part: Part, *, max_bytes: int, file: int = 0, item: int = 0) -> Iterator[tuple[int, int, Item]]:
    """Documents of a part and what was refused, each with the file's and the item's number to go on from after it.

    Args:
        part: what to read.
        max_bytes: of a document.
        file: number of the file to begin with.
        item: items of it that are passed over.
    """
    for number in range(file, len(part.files)):
        for done, one in enumerate(_read_file(part.source, part.files[number], max_bytes), 1):
            if number > file or done > item:
                yield number, done, one


def _read_file(source: Source, file: str, max_bytes: int) -> Iterator[Item]:
    if source.kind == "docstrings":
        return _docstrings(source)
    if source.kind == "hub":
        return read_hub(source, max_bytes)
    kind = source.kind or ending_kind(Path(file))
    if kind is None:
        raise SettingError(f"source {source.name}: what {file} is cannot be told by its ending; give 'kind: ...'")
    return READERS[kind](source, Path(file), max_bytes)


def _docstrings(source: Source) -> Iterator[Item]:
    """Docstrings of installed packages, named in `path` or those of the built-in task."""
    from tokenworth.tasks.docstrings import PACKAGES, docstrings_of, source_files

    for package in source.path.replace(",", " ").split() or PACKAGES.values():
        folder = None
        for path in source_files(package):
            folder = folder or next(one for one in path.parents if one.name == package.rpartition(".")[2])
            for i, text in enumerate(docstrings_of(path)):
                yield Document(text, f"{source.name}/{package}/{path.relative_to(folder).as_posix()}:{i}", source.name)
