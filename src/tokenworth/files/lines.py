"""Lines of a file as text, however long the file and whatever its encoding mark says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tokenworth.files.faults import BINARY, BROKEN, TOO_LONG, Fault, not_utf8
from tokenworth.files.streams import Chunks

HEAD = 8192
"""Bytes at the beginning of a file that tell whether it is text."""
NO_LIMIT = 2**31 - 1
BINARY_FILE = Fault(BINARY, "is binary, not text; it was left out")


@dataclass(frozen=True, slots=True)
class Line:
    """One line without its line feed; a carriage return before that is still there."""

    number: int
    text: str
    fault: Fault | None = None
    """Where its bytes are not UTF-8; the text then holds them as escapes."""


def byte_lines(path: Path, max_bytes: int = NO_LIMIT) -> Iterator[tuple[int, int, bytes] | Fault]:
    """Number (from 1), offset in bytes and content of every line; a line that is too long is passed over unheld.

    Lines end with a line feed, in a file without one with a carriage return.
    """
    chunks = Chunks(path)
    rest, number, offset, skipping, end = b"", 1, 0, 0, b""
    for chunk in chunks:
        if not end:
            if b"\0" in chunk[:HEAD]:
                yield BINARY_FILE
                return
            end = b"\r" if b"\r" in chunk and b"\n" not in chunk else b"\n"
        *whole, rest = (rest + chunk).split(end)
        for line in whole:
            size = skipping + len(line)
            yield _too_long(number, size, max_bytes) if size > max_bytes else (number, offset, line)
            number, offset, skipping = number + 1, offset + size + 1, 0
        if len(rest) > max_bytes:
            skipping, rest = skipping + len(rest), b""
    if rest or skipping:
        size = skipping + len(rest)
        yield _too_long(number, size, max_bytes) if size > max_bytes else (number, offset, rest)
    if chunks.problem:
        yield broken(chunks)


def _too_long(number: int, size: int, max_bytes: int) -> Fault:
    limit = f"the {max_bytes / 1e6:g} MB of max_document_mb"
    return Fault(TOO_LONG, f"{size / 1e6:,.1f} MB are longer than {limit}; raise it to take the line", number)


def broken(chunks: Chunks) -> Fault:
    """The end of a file that could not be read to its end."""
    return Fault(BROKEN, f"breaks off after {chunks.read:,} bytes of content ({chunks.problem}); copy the file again")


def text_lines(path: Path, max_bytes: int = NO_LIMIT) -> Iterator[Line | Fault]:
    """The lines of a file as text; those that are no UTF-8 say so and hold the bytes in question as escapes."""
    for item in byte_lines(path, max_bytes):
        if isinstance(item, Fault):
            yield item
            continue
        number, offset, data = item
        try:
            yield Line(number, data.decode())
        except UnicodeDecodeError:
            fault = not_utf8(data, number, offset, path.name)
            yield Line(number, fault.text, fault)


def whole_text(path: Path) -> str | Fault:
    """A file's text in one piece, without a byte-order mark; its first fault where there is one."""
    chunks = Chunks(path)
    data = b"".join(chunks)
    if chunks.problem:
        return broken(chunks)
    if b"\0" in data[:HEAD]:
        return BINARY_FILE
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        begin = data.rfind(b"\n", 0, error.start) + 1
        number = data.count(b"\n", 0, error.start) + 1
        end = data.find(b"\n", error.start)
        return not_utf8(data[begin : end if end >= 0 else None], number, begin, path.name)
