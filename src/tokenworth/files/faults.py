"""What a reader of files hands on: rows, and what could not become one, under a kind with a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BINARY, NOT_UTF8, BROKEN, TOO_LONG = "binary file", "not UTF-8", "broken file", "longer than max_document_mb"
MALFORMED = "malformed row"


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table by its columns."""

    number: int
    """Line of the file on which it starts, counted from 1; in Parquet and Arrow its row, counted from 0."""
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Fault:
    """What should have been a row, or the rest of a file."""

    kind: str
    """BINARY, NOT_UTF8, BROKEN, TOO_LONG or MALFORMED."""
    what: str
    """What is wrong and what to do, to be read after the place."""
    number: int = 0
    """Line of the file; 0 where the fault is the file's."""
    text: str = ""
    """As much of it as could be read, what is no text as escapes."""

    def sentence(self, path: Path | str) -> str:
        """Place, fault and remedy."""
        return f"{path}, line {self.number}: {self.what}" if self.number else f"{path} {self.what}"


def not_utf8(data: bytes, number: int, offset: int, name: str) -> Fault:
    """The fault of line `number`, which begins `offset` bytes after the beginning of the file that the remedy names."""
    try:
        data.decode()
    except UnicodeDecodeError as error:
        where = f"byte 0x{data[error.start]:02x} at offset {offset + error.start:,} is not UTF-8"
        remedy = f"convert the file, for example with: {conversion(data, name)}"
        return Fault(NOT_UTF8, f"{where}; {remedy}", number, data.decode("utf-8", "backslashreplace"))
    raise AssertionError("called for a line of UTF-8")


def conversion(data: bytes, name: str) -> str:
    """The command that makes UTF-8 of a file, with the encoding its bytes look like."""
    return f"iconv -f {likely_encoding(data)} -t utf-8 {name} > utf8-{name}"


def likely_encoding(data: bytes) -> str:
    """What bytes that are no UTF-8 were probably written in, as `iconv` calls it.

    The detector of resiliparse is asked where it is installed; of few letters it knows nothing, and where its answer
    does not fit the bytes they are windows-1252, by which browsers read what claims to be latin1.
    """
    if sum(byte > 127 for byte in data[:4096]) < _ENOUGH:
        return "windows-1252"
    try:
        from resiliparse.parse.encoding import detect_encoding
    except ImportError:
        return "windows-1252"
    name = detect_encoding(data)
    try:
        data.decode(name or "utf-8")
    except (LookupError, UnicodeDecodeError):
        return "windows-1252"
    return _ICONV.get(str(name), str(name))


_ENOUGH = 8
"""Bytes outside ASCII from which an encoding can be guessed."""
_ICONV = {"shift_jis": "cp932", "gbk": "gb18030", "euc_kr": "cp949", "iso8859-11": "cp874", "cp1252": "windows-1252",
          "cp1251": "windows-1251", "cp1250": "windows-1250", "euc_jp": "euc-jp", "utf-16-le": "utf-16le",
          "utf-16-be": "utf-16be", "iso2022_jp": "iso-2022-jp"}  # fmt: skip
"""Where iconv calls an encoding by another name than Python, or a superset is what people write."""
