"""Web archives: the HTML responses of a WARC file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tokenworth.corpus.config import Source
from tokenworth.corpus.document import Document
from tokenworth.corpus.extras import library
from tokenworth.corpus.formats import page
from tokenworth.corpus.refusals import TOO_LONG, Refused, identity
from tokenworth.errors import first_line

_HTML = ("text/html", "application/xhtml")


def read_warc(source: Source, path: Path, max_bytes: int) -> Iterator[Document | Refused]:
    """Every HTML response; other records are not documents.

    Raises:
        SettingError: fastwarc is not installed.
    """
    warc = library("fastwarc.warc", "reading web archives")
    number = 0
    with path.open("rb") as file:
        records = warc.ArchiveIterator(file, record_types=warc.WarcRecordType.response, parse_http=True)
        try:
            for number, record in enumerate(records, 1):  # noqa: B007 - told when the file breaks off
                yield from _page(source, path, record, max_bytes)
        except (OSError, EOFError, ValueError, RuntimeError) as error:
            end = Document("", f"{identity(source, path)}#end", source.name)
            sentence = f"{path} breaks off after {number} responses ({first_line(error)}); what stood before was taken"
            yield Refused(end, "broken file", sentence)


def _page(source: Source, path: Path, record: object, max_bytes: int) -> Iterator[Document | Refused]:
    one: object = record
    kind = str(getattr(one, "http_content_type", None) or "")
    if not kind.startswith(_HTML):
        return
    address = getattr(one, "headers")["WARC-Target-URI"]  # noqa: B009 - the library has no types
    document = Document("", f"{source.name}/{address}", source.name, "html")
    data = bytes(getattr(one, "reader").read(max_bytes + 1))  # noqa: B009
    if len(data) > max_bytes:
        sentence = f"{path}, {address} is longer than {max_bytes / 1e6:g} MB; raise max_document_mb to take it"
        yield Refused(document, TOO_LONG, sentence)
        return
    yield from page(document, path, data, str(getattr(one, "http_charset", None) or ""))
