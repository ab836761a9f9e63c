"""Plain files as documents: texts, pages, code and LaTeX."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path

from tokenworth.corpus.corpus_settings import Source
from tokenworth.corpus.document import Document
from tokenworth.corpus.readers.page_encoding import decoded_page
from tokenworth.corpus.readers.refusals import Refused, identity, refused
from tokenworth.files.faults import BINARY, NOT_UTF8, TOO_LONG, conversion
from tokenworth.files.lines import BINARY_FILE, HEAD, broken
from tokenworth.files.streams import Chunks

_MARKS = {"file": None, "paragraphs": b"\n\n", "lines": b"\n"}
"""What parts the documents of a text file."""


def read_text(source: Source, path: Path, max_bytes: int) -> Iterator[Document | Refused]:
    """A .txt file as one document, or its paragraphs or lines as one each; what is too long is cut at white space."""
    chunks, numbers, rest = Chunks(path), count(), b""
    for i, chunk in enumerate(chunks):
        if i == 0 and b"\0" in chunk[:HEAD]:
            yield refused(source, path, BINARY_FILE)
            return
        *whole, rest = _pieces(rest + chunk, _MARKS[source.documents], max_bytes)
        for piece in whole:
            yield from _piece(source, path, next(numbers), piece)
    yield from _piece(source, path, next(numbers), rest)
    if chunks.problem:
        yield refused(source, path, broken(chunks))


def _pieces(data: bytes, mark: bytes | None, max_bytes: int) -> list[bytes]:
    """Whole documents of at most so many bytes, and last the beginning of the next one."""
    data = data.replace(b"\r\n", b"\n")
    return [piece for part in (data.split(mark) if mark else [data]) for piece in _cut(part, max_bytes)]


def _cut(data: bytes, max_bytes: int) -> Iterator[bytes]:
    """Parted at white space or, where there is none in the second half of a piece, between characters."""
    begin = 0
    while len(data) - begin > max_bytes:
        end = begin + max_bytes
        place = max(data.rfind(mark, begin + max_bytes // 2, end) for mark in (b" ", b"\n"))
        if place > 0:
            end = place + 1
        else:  # a character of UTF-8 has four bytes at most; what is none is cut anywhere
            edges = (at for at in range(end, max(begin, end - 4), -1) if data[at] & 0xC0 != 0x80)
            end = next(edges, end)
        yield data[begin:end]
        begin = end
    yield data[begin:]


def _piece(source: Source, path: Path, number: int, data: bytes) -> Iterator[Document | Refused]:
    if not data.strip():
        return
    name = identity(source, path) + (f":{number}" if number or source.documents != "file" else "")
    try:
        yield Document(data.decode().strip(), name, source.name)
    except UnicodeDecodeError as error:
        yield _not_utf8(Document("", name, source.name), path, f"document {number}", data, error)


def _read_whole(source: Source, path: Path, max_bytes: int, kind: str) -> Iterator[Document | Refused]:
    """A file as one document; one that is too long is refused, because half a page cannot be parsed."""
    chunks, data = Chunks(path), b""
    document = Document("", identity(source, path), source.name, kind)
    for chunk in chunks:
        data += chunk
        if len(data) > max_bytes:
            yield too_long(document, str(path), max_bytes)
            return
    yield from page(document, path, data)
    if chunks.problem:
        yield refused(source, path, broken(chunks))


read_html, read_code, read_latex = (partial(_read_whole, kind=kind) for kind in ("html", "code", "latex"))


def too_long(document: Document, place: str, max_bytes: int) -> Refused:
    """A document of more than the most bytes."""
    sentence = f"{place} is longer than {max_bytes / 1e6:g} MB; raise max_document_mb to take it"
    return Refused(document, TOO_LONG, sentence)


def page(document: Document, path: Path, data: bytes, charset: str = "") -> Iterator[Document | Refused]:
    """A document of bytes that should be text; a web page in the encoding that its server, or itself, names."""
    if not data.strip():
        return
    text = decoded_page(data, charset) if document.kind == "html" else None
    if text is None and b"\0" in data[:HEAD]:
        yield Refused(document, BINARY, BINARY_FILE.sentence(path))
        return
    try:
        yield replace(document, text=data.decode() if text is None else text)
    except UnicodeDecodeError as error:
        yield _not_utf8(document, path, f"byte {error.start:,}", data, error)


def _not_utf8(document: Document, path: Path, where: str, data: bytes, error: UnicodeDecodeError) -> Refused:
    """Bytes that are no text; they are kept as escapes."""
    remedy = f"convert it, for example with: {conversion(data, path.name)}"
    sentence = f"{path}, {where}: byte 0x{data[error.start]:02x} is not UTF-8; {remedy}"
    return Refused(replace(document, text=data.decode("utf-8", "backslashreplace")), NOT_UTF8, sentence)
