"""Plain files as documents: texts, pages, code and LaTeX."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from pathlib import Path

from tokenworth.corpus.config import Source
from tokenworth.corpus.document import Document
from tokenworth.corpus.refusals import BINARY, TOO_LONG, Refused, binary, broken, identity, not_utf8
from tokenworth.corpus.streams import Chunks

_HEAD = 8192


def read_text(source: Source, path: Path, max_bytes: int) -> Iterator[Document | Refused]:
    """A .txt file as one document, or its paragraphs or lines as one each; what is too long is cut at white space."""
    chunks, head = Chunks(path), True
    number = 0
    mark = {"file": None, "paragraphs": b"\n\n", "lines": b"\n"}[source.documents]
    rest = b""
    for chunk in chunks:
        if head and b"\0" in chunk[:_HEAD]:
            yield binary(source, path)
            return
        rest, head = rest + chunk, False
        pieces, rest = _pieces(rest, mark, max_bytes)
        for piece in pieces:
            yield from _piece(source, path, number, piece)
            number += 1
    for piece in _pieces(rest, mark, max_bytes)[0]:
        yield from _piece(source, path, number, piece)
        number += 1
    yield from _piece(source, path, number, _pieces(rest, mark, max_bytes)[1])
    if chunks.problem:
        yield broken(source, path, chunks)


def _pieces(data: bytes, mark: bytes | None, max_bytes: int) -> tuple[list[bytes], bytes]:
    """Whole documents, and the beginning of the next one."""
    data = data.replace(b"\r\n", b"\n")
    *whole, rest = data.split(mark) if mark else [data]
    cut: list[bytes] = []
    for piece in whole:
        parts, last = _cut(piece, max_bytes)
        cut += [*parts, last]
    parts, rest = _cut(rest, max_bytes)
    return cut + parts, rest


def _cut(data: bytes, max_bytes: int) -> tuple[list[bytes], bytes]:
    """Pieces of at most max_bytes, parted at white space or, where there is none, between characters."""
    parts = []
    begin = 0
    while len(data) - begin > max_bytes:
        end = begin + max_bytes
        place = max(data.rfind(b" ", begin + max_bytes // 2, end), data.rfind(b"\n", begin + max_bytes // 2, end))
        end = place + 1 if place > 0 else _character_edge(data, end)
        parts.append(data[begin:end])
        begin = end
    return parts, data[begin:]


def _character_edge(data: bytes, end: int) -> int:
    while end > 0 and data[end] & 0xC0 == 0x80:
        end -= 1
    return end


def _piece(source: Source, path: Path, number: int, data: bytes) -> Iterator[Document | Refused]:
    name = identity(source, path) + (f":{number}" if number or source.documents != "file" else "")
    if not data.strip():
        return
    try:
        text = data.decode("utf-8-sig" if number == 0 else "utf-8")
    except UnicodeDecodeError as error:
        yield not_utf8(Document("", name, source.name), path, f"document {number}", data, error)
        return
    yield Document(text.strip(), name, source.name)


def read_html(source: Source, path: Path, max_bytes: int) -> Iterator[Document | Refused]:
    """A page."""
    yield from _whole(source, path, max_bytes, "html")


def read_code(source: Source, path: Path, max_bytes: int) -> Iterator[Document | Refused]:
    """A file of code."""
    yield from _whole(source, path, max_bytes, "code")


def read_latex(source: Source, path: Path, max_bytes: int) -> Iterator[Document | Refused]:
    """A LaTeX file."""
    yield from _whole(source, path, max_bytes, "latex")


def _whole(source: Source, path: Path, max_bytes: int, kind: str) -> Iterator[Document | Refused]:
    """A file as one document; one that is too long is refused, because half a page cannot be parsed."""
    chunks = Chunks(path)
    data = b""
    for chunk in chunks:
        data += chunk
        if len(data) > max_bytes:
            sentence = f"{path} is longer than {max_bytes / 1e6:g} MB; raise max_document_mb to take it"
            yield Refused(Document("", identity(source, path), source.name, kind), TOO_LONG, sentence)
            return
    yield from page(Document("", identity(source, path), source.name, kind), path, data)
    if chunks.problem:
        yield broken(source, path, chunks)


def page(document: Document, path: Path, data: bytes, charset: str = "") -> Iterator[Document | Refused]:
    """A document of bytes that should be text; the encoding that a page names for itself is tried after UTF-8."""
    if b"\0" in data[:_HEAD]:
        sentence = f"{path} is binary, not text; it was left out"
        yield Refused(document, BINARY, sentence)
        return
    if not data.strip():
        return
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        named = _named(data, charset) if document.kind == "html" else None
        if named is None:
            yield not_utf8(document, path, f"byte {error.start:,}", data, error)
            return
        text = named
    yield Document(text, document.id, document.source, document.kind)


def _named(data: bytes, charset: str) -> str | None:
    """The page in the encoding that it, or its server, names."""
    found = re.search(rb"charset=[\"']?([\w-]+)", data[:4096], re.IGNORECASE)
    name = charset or (found[1].decode("ascii") if found else "")
    try:
        return codecs.decode(data, name) if name else None
    except (LookupError, UnicodeDecodeError):
        return None
