"""Files in chunks, so that neither a long file nor a long line has to fit into memory."""

from __future__ import annotations

import codecs
import io
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import IO, Any

from tokenworth.errors import FileError, first_line

CHUNK = 1 << 20


@contextmanager
def open_bytes(path: Path) -> Iterator[IO[bytes]]:
    """A file's bytes, uncompressed where its ending is .gz or .zst, or a FileError."""
    try:
        file: Any = _stream(path)
    except OSError as error:
        reason = error.strerror or first_line(error)
        raise FileError(f"{path} cannot be read ({reason}); check its permissions") from error
    with file:
        yield file


def _stream(path: Path) -> Any:
    if path.suffix == ".zst":
        import pyarrow as pa

        return pa.input_stream(str(path), compression="zstd")
    return Gzip(path) if path.suffix == ".gz" else path.open("rb")


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
    """A file in chunks of UTF-8; how far it could be read, and why not further.

    Compression is undone, and so is a byte-order mark: that of UTF-8 is taken off, and UTF-16 and UTF-32 are written
    anew as UTF-8.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.problem, self.read = path, "", 0

    def __iter__(self) -> Iterator[bytes]:
        with open_bytes(self.path) as file:
            chunks = self._raw(file)
            head = next(chunks, b"")
            encoding, length = encoding_mark(head)
            whole = chain([head[length:]], chunks)
            yield from whole if encoding in (None, "utf-8") else self._recode(whole, str(encoding))
            self.problem = self.problem or getattr(file, "problem", "")

    def _raw(self, file: IO[bytes]) -> Iterator[bytes]:
        try:
            while chunk := bytes(file.read(CHUNK)):
                self.read += len(chunk)
                yield chunk
        except (EOFError, OSError, zlib.error) as error:
            self.problem = first_line(error)

    def _recode(self, chunks: Iterable[bytes], encoding: str) -> Iterator[bytes]:
        decoder = codecs.getincrementaldecoder(encoding)()
        try:
            for chunk in chunks:
                yield decoder.decode(chunk).encode()
            yield decoder.decode(b"", final=True).encode()
        except UnicodeError as error:
            self.problem = f"its mark says {encoding}, and its bytes are not ({first_line(error)})"


_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def encoding_mark(data: bytes) -> tuple[str | None, int]:
    """The encoding that a byte-order mark names, and how long the mark is; (None, 0) where there is none."""
    return next(((name, len(mark)) for mark, name in _MARKS if data.startswith(mark)), (None, 0))
