"""What cannot be read: refused under a reason with a sentence, never lost."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from tokenworth.corpus.corpus_settings import Source
from tokenworth.corpus.document import Document
from tokenworth.files import Fault
from tokenworth.files.faults import BROKEN

NO_TEXT = "no text in its row"


class Refused(NamedTuple):
    """What should have been a document."""

    document: Document
    """As much of it as could be read."""
    reason: str
    sentence: str


def identity(source: Source, path: Path) -> str:
    """The file as seen from the source's path."""
    base = Path(source.path)
    is_inside = base.is_dir() and path.is_relative_to(base)
    return f"{source.name}/{path.relative_to(base).as_posix() if is_inside else path.name}"


def refused(source: Source, path: Path, fault: Fault) -> Refused:
    """A fault of a file, or of one of its rows."""
    is_end = fault.kind == BROKEN
    place = f":{fault.number}" if fault.number else "#end" if is_end else ""
    document = Document(fault.text, identity(source, path) + place, source.name)
    return Refused(document, fault.kind, fault.sentence(path) + ("; what stood before was taken" if is_end else ""))
