"""Plain files as documents: texts, pages, code and LaTeX; what cannot be read is refused with a sentence, never lost.

A file is read in chunks, so that neither a long file nor a long line has to fit into memory.
"""

from __future__ import annotations

import codecs
import io
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from tokenworth.corpus.config import Source
from tokenworth.corpus.document import Document
from tokenworth.errors import TokenworthError, first_line

CHUNK = 1 << 20
_HEAD = 8192
BINARY, NOT_UTF8, BROKEN, TOO_LONG = "binary file", "not UTF-8", "broken file", "longer than max_document_mb"


@dataclass(frozen=True, slots=True)
class Refused:
    """What should have been a document."""

    document: Document
    """As much of it as could be read."""
    reason: str
    sentence: str


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """A file's bytes, uncompressed where its ending is .gz or .zst.

    Raises:
        TokenworthError: it cannot be opened.
    """
    try:
        file: Any = _stream(path)
    except OSError as error:
        raise TokenworthError(f"{path} cannot be read ({first_line(error)}); check its permissions") from error
    with file:
        yield file


def _stream(path: Path) -> Any:
    if path.suffix == ".gz":
        return Gzip(path)
    if path.suffix == ".zst":
        import pyarrow as pa

        return pa.input_stream(str(path), compression="zstd")
    return path.open("rb")


class Gzip(io.RawIOBase):
    """Members of a gzip file; a broken one ends the stream after all that could be had of it, with `problem` set."""

    def __init__(self, path: Path) -> None:
        self.file, self.problem = path.open("rb"), ""
        self._member, self._waiting = zlib.decompressobj(wbits=31), b""

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: Any) -> int:
        """The next bytes; 0 at the end, whole or broken."""
        data = b""
        while not data and not self.problem:
            self._waiting = self._waiting or self.file.read(CHUNK)
            if not self._waiting:
                self.problem = "" if self._member.eof else "the compressed file ends before its end mark"
                break
            data = self._next(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def _next(self, most: int) -> bytes:
        """Of the present member; bytes behind its end begin the next one."""
        if self._member.eof:
            self._member = zlib.decompressobj(wbits=31)
        try:
            data = self._member.decompress(self._waiting, most)
        except zlib.error as error:
            self.problem = first_line(error)
            return b""
        self._waiting = self._member.unused_data if self._member.eof else self._member.unconsumed_tail
        return data

    def close(self) -> None:
        """The file."""
        self.file.close()
        super().close()


class Chunks:
    """A file in chunks; how far it could be read, and why not further."""

    def __init__(self, path: Path) -> None:
        self.path, self.problem, self.read = path, "", 0

    def __iter__(self) -> Iterator[bytes]:
        with opened(self.path) as file:
            while chunk := self._next(file):
                self.read += len(chunk)
                yield chunk
            self.problem = self.problem or getattr(file, "problem", "")

    def _next(self, file: IO[bytes]) -> bytes:
        try:
            return bytes(file.read(CHUNK))
        except (EOFError, OSError, zlib.error) as error:
            self.problem = first_line(error)
            return b""


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
