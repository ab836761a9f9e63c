"""What cannot be read: refused under a reason with a sentence, never lost."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tokenworth.corpus.config import Source
from tokenworth.corpus.document import Document
from tokenworth.corpus.streams import Chunks

BINARY, NOT_UTF8, BROKEN, TOO_LONG = "binary file", "not UTF-8", "broken file", "longer than max_document_mb"


@dataclass(frozen=True, slots=True)
class Refused:
    """What should have been a document."""

    document: Document
    """As much of it as could be read."""
    reason: str
    sentence: str


def identity(source: Source, path: Path) -> str:
    """The file as seen from the source's path."""
    base = Path(source.path)
    try:
        inner = path.relative_to(base).as_posix() if base.is_dir() else path.name
    except ValueError:
        inner = path.name
    return f"{source.name}/{inner}"


def broken(source: Source, path: Path, chunks: Chunks) -> Refused:
    """The end of a file that could not be read to its end."""
    where = f"after {chunks.read:,} bytes of content"
    sentence = f"{path} breaks off {where} ({chunks.problem}); what stood before was taken, copy the file again"
    return Refused(Document("", f"{identity(source, path)}#end", source.name), BROKEN, sentence)


def binary(source: Source, path: Path) -> Refused:
    """A file with a zero byte at its beginning."""
    sentence = f"{path} is binary, not text; it was left out"
    return Refused(Document("", identity(source, path), source.name), BINARY, sentence)


def not_utf8(document: Document, path: Path, where: str, data: bytes, error: UnicodeDecodeError) -> Refused:
    """Bytes that are no text; they are kept as escapes."""
    sentence = (
        f"{path}, {where}: byte 0x{data[error.start]:02x} is not UTF-8; convert it, for example with: iconv -f latin1 "
        "-t utf-8"
    )
    text = data.decode("utf-8", "backslashreplace")
    return Refused(Document(text, document.id, document.source, document.kind), NOT_UTF8, sentence)
