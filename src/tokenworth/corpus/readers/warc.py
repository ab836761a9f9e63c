"""Web archives: the HTML responses of a WARC file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tokenworth.corpus.corpus_settings import Source
from tokenworth.corpus.document import Document
from tokenworth.corpus.extras import library
from tokenworth.corpus.readers.http_body import BodyError, decoded_body
from tokenworth.corpus.readers.plain_files import page, too_long
from tokenworth.corpus.readers.refusals import Refused, identity
from tokenworth.errors import first_line
from tokenworth.files.faults import BROKEN

_HTML = ("text/html", "application/xhtml+xml")
UNREADABLE = "body that cannot be decoded"


def read_warc(source: Source, path: Path, max_bytes: int) -> Iterator[Document | Refused]:
    """Every HTML response, its body as HTTP transferred it: chunks joined, gzip, deflate or brotli undone.

    Other records are not documents.  SettingError: fastwarc is not installed.
    """
    warc = library("fastwarc.warc", "reading web archives")
    number = 0
    with path.open("rb") as file:
        # Bodies are decoded here: the library's own way loses the record after one that does not decode.
        records = warc.ArchiveIterator(file, record_types=warc.WarcRecordType.response, parse_http=True)
        try:
            for number, record in enumerate(records, 1):  # noqa: B007 - told when the file breaks off
                yield from _page(source, path, record, max_bytes)
        except (OSError, EOFError, ValueError, RuntimeError) as error:
            end = Document("", f"{identity(source, path)}#end", source.name)
            sentence = f"{path} breaks off after {number} responses ({first_line(error)}); what stood before was taken"
            yield Refused(end, BROKEN, sentence)


def _page(source: Source, path: Path, record: Any, max_bytes: int) -> Iterator[Document | Refused]:
    """A media type counts whatever its case and parameters."""
    kind, _, parameters = _header(record, "Content-Type").partition(";")
    if kind.strip().lower() not in _HTML:
        return
    address = record.headers["WARC-Target-URI"]
    document, place = Document("", f"{source.name}/{address}", source.name, "html"), f"{path}, {address}"
    raw = bytes(record.reader.read(2 * max_bytes + 1))
    codings = _header(record, "Transfer-Encoding"), _header(record, "Content-Encoding")
    try:
        data = decoded_body(raw, *codings, max_bytes + 1)
    except BodyError as error:
        sentence = f"{place}: its body cannot be decoded ({first_line(error)}); it was left out"
        yield Refused(document, UNREADABLE, sentence)
        return
    if len(data) > max_bytes:
        yield too_long(document, place, max_bytes)
        return
    yield from page(document, Path(place), data, _charset(parameters))


def _header(record: Any, name: str) -> str:
    headers = record.http_headers
    fitting = (value for key, value in headers.items() if key.lower() == name.lower()) if headers is not None else ()
    return str(next(iter(fitting), ""))


def _charset(parameters: str) -> str:
    pairs = (parameter.partition("=") for parameter in parameters.split(";"))
    charsets = (value.strip().strip("\"'") for name, _, value in pairs if name.strip().lower() == "charset")
    return next(charsets, "")
