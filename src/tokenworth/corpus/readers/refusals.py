"""What cannot be read: refused under a reason with a sentence, never lost."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tokenworth.corpus.corpus_settings import Source
from tokenworth.corpus.document import Document
from tokenworth.files.faults import BINARY, BROKEN, NOT_UTF8, TOO_LONG, Fault

NO_TEXT = "no text in its row"
__all__ = ["BINARY", "BROKEN", "NOT_UTF8", "NO_TEXT", "TOO_LONG", "Refused", "identity", "refused"]


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


def refused(source: Source, path: Path, fault: Fault, kind: str = "text") -> Refused:
    """A fault of a file, or of one of its rows."""
    place = f":{fault.number}" if fault.number else "#end" if fault.kind == BROKEN else ""
    document = Document(fault.text, identity(source, path) + place, source.name, kind)
    taken = "; what stood before was taken" if fault.kind == BROKEN else ""
    return Refused(document, fault.kind, fault.sentence(path) + taken)
