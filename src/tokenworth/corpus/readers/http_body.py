"""The body of an HTTP response as it was transferred, made into the page that was sent.

Archives keep bodies in any state: chunked and compressed as they came over the wire, or already decoded under headers
that still say otherwise.  So what does not decode is taken as it is where it cannot be what the header says.

Source: RFC 9112, section 7.1 (chunks); RFC 9110, section 8.4 (content codings); `deflate` without its frame is read as
browsers do.
"""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Callable

from tokenworth.corpus.extras import library

_CHUNK = re.compile(rb"[ \t]*([0-9a-fA-F]{1,8})[ \t]*(?:;[^\r\n]*)?\r?\n")
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


class BodyError(ValueError):
    """A body that is not what its header says, nor text."""


def decoded_body(data: bytes, transfer: str, content: str, most: int) -> bytes:
    """The page, or its first `most` bytes.

    Args:
        data: the body as it stands in the archive.
        transfer: the header Transfer-Encoding, "" where there is none.
        content: the header Content-Encoding, in the same manner; several codings stand in the order of their use.
        most: bytes to decode at most.

    Raises:
        BodyError: it is broken, or in a coding that is not known.
    """
    names = [name for part in f"{content},{transfer}".split(",") if (name := part.strip().lower())]
    for name in reversed(names):
        if name in _CODINGS:
            data = _CODINGS[name](data, most)
        elif not _is_plain(data):
            raise BodyError(f"the coding {name[:20]!r} is not known")
    return data[:most]


def _is_plain(data: bytes) -> bool:
    """Whether it looks like markup, which no compressed body does."""
    return data[:512].lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<")


def _unchunked(data: bytes, _most: int) -> bytes:
    """Chunks joined; a body that is cut short gives what is there, one without chunks itself."""
    parts, place = [], 0
    while head := _CHUNK.match(data, place):
        size = int(head[1], 16)
        if size == 0:
            break
        parts.append(data[head.end() : head.end() + size])
        place = head.end() + size
        place += 2 if data[place : place + 2] == b"\r\n" else data[place : place + 1] == b"\n"
    return b"".join(parts) if parts or data[:1] == b"0" else data


def _gunzipped(data: bytes, most: int) -> bytes:
    return _inflated(data, 31, most, "gzip") if data.startswith(_GZIP) else _as_it_is(data, "gzip")


def _deflated(data: bytes, most: int) -> bytes:
    if _is_plain(data):
        return data
    framed = len(data) > 1 and data[0] & 15 == 8 and (data[0] * 256 + data[1]) % 31 == 0
    return _inflated(data, 15 if framed else -15, most, "deflate")


def _inflated(data: bytes, bits: int, most: int, name: str) -> bytes:
    """What could be had of it; browsers, too, show the beginning of what is cut short."""
    try:
        plain = zlib.decompressobj(wbits=bits).decompress(data, most)
    except zlib.error as error:
        raise BodyError(f"its {name} is broken: {error}") from error
    if not plain and data:
        raise BodyError(f"its {name} is broken: nothing comes out")
    return plain


def _unbrotlied(data: bytes, most: int) -> bytes:
    if _is_plain(data):
        return data
    brotli = library("brotli", "reading web archives")
    decoder, page = brotli.Decompressor(), bytearray()
    try:
        for begin in range(0, len(data), 4096):  # in pieces, so that a bomb is left when it is large enough
            page += decoder.process(data[begin : begin + 4096])
            if len(page) >= most:
                break
    except brotli.error as error:
        raise BodyError(f"its br is broken: {error}") from error
    return bytes(page)


def _unzstd(data: bytes, most: int) -> bytes:
    import pyarrow as pa

    if not data.startswith(_ZSTD):
        return _as_it_is(data, "zstd")
    try:
        with pa.CompressedInputStream(pa.BufferReader(data), "zstd") as stream:
            return bytes(io.BufferedReader(stream).read(most))
    except OSError as error:
        raise BodyError(f"its zstd is broken: {error}") from error


def _as_it_is(data: bytes, name: str) -> bytes:
    """A body without the mark of its coding: it was decoded before it was archived."""
    if data and not _is_plain(data) and b"\0" in data[:8192]:
        raise BodyError(f"it is no {name}")
    return data


_CODINGS: dict[str, Callable[[bytes, int], bytes]] = {
    "chunked": _unchunked,
    "gzip": _gunzipped,
    "x-gzip": _gunzipped,
    "deflate": _deflated,
    "br": _unbrotlied,
    "zstd": _unzstd,
    "identity": lambda data, _most: data,
    "none": lambda data, _most: data,
}
