"""Plain files as documents: texts, pages, code and LaTeX."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tokenworth.corpus.corpus_settings import Source
from tokenworth.corpus.document import Document
from tokenworth.corpus.readers.page_encoding import decoded_page
from tokenworth.corpus.readers.refusals import BINARY, NOT_UTF8, TOO_LONG, Refused, identity, refused
from tokenworth.files.faults import conversion
from tokenworth.files.lines import BINARY_FILE, HEAD, broken
from tokenworth.files.streams import Chunks


def read_text(source: Source, path: Path, max_bytes: int) -> Iterator[Document | Refused]:
    """A .txt file as one document, or its paragraphs or lines as one each; what is too long is cut at white space."""
    chunks, head = Chunks(path), True
    number = 0
    mark = {"file": None, "paragraphs": b"\n\n", "lines": b"\n"}[source.documents]
    rest = b""
    for chunk in chunks:
        if head and b"\0" in chunk[:HEAD]:
            yield refused(source, path, BINARY_FILE)
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
        yield refused(source, path, broken(chunks))


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
        text = data.decode()
    except UnicodeDecodeError as error:
        yield _not_utf8(Document("", name, source.name), path, f"document {number}", data, error)
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
        yield refused(source, path, broken(chunks))


def page(document: Document, path: Path, data: bytes, charset: str = "") -> Iterator[Document | Refused]:
    """A document of bytes that should be text; a web page in the encoding that its server or itself names.

    Args:
        document: without its text.
        path: its file.
        data: its bytes.
        charset: what the server says of it.
    """
    if not data.strip():
        return
    text = None
    if document.kind == "html":
        text = decoded_page(data, charset)
    if text is None and b"\0" in data[:HEAD]:
        yield Refused(document, BINARY, BINARY_FILE.sentence(path))
        return
    try:
        text = data.decode() if text is None else text
    except UnicodeDecodeError as error:
        yield _not_utf8(document, path, f"byte {error.start:,}", data, error)
        return
    yield Document(text, document.id, document.source, document.kind)


def _not_utf8(document: Document, path: Path, where: str, data: bytes, error: UnicodeDecodeError) -> Refused:
    """Bytes that are no text; they are kept as escapes."""
    remedy = f"convert it, for example with: {conversion(data, path.name)}"
    sentence = f"{path}, {where}: byte 0x{data[error.start]:02x} is not UTF-8; {remedy}"
    text = data.decode("utf-8", "backslashreplace")
    return Refused(Document(text, document.id, document.source, document.kind), NOT_UTF8, sentence)
