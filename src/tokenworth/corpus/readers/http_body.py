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
from collections.abc import Callable, Iterable

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
    names = [*_names(content), *_names(transfer)]
    for name in reversed(names):
        data = _CODINGS.get(name, _unknown(name))(data, most)
    return data[:most]


def _names(header: str) -> Iterable[str]:
    return [name for part in header.split(",") if (name := part.strip().lower())]


def _unknown(name: str) -> Callable[[bytes, int], bytes]:
    def refuse(data: bytes, _most: int) -> bytes:
        if _is_plain(data):
            return data
        raise BodyError(f"the coding {name[:20]!r} is not known")

    return refuse


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
    if parts or data[:1] == b"0":
        return b"".join(parts)
    return data


def _gunzipped(data: bytes, most: int) -> bytes:
    if not data.startswith(_GZIP):
        return _as_it_is(data, "gzip")
    return _inflated(data, 31, most, "gzip")


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
    decoder = brotli.Decompressor()
    parts, size = [], 0
    try:
        for begin in range(0, len(data), 4096):  # in pieces, so that a bomb is left when it is large enough
            parts.append(decoder.process(data[begin : begin + 4096]))
            size += len(parts[-1])
            if size >= most:
                break
    except brotli.error as error:
        raise BodyError(f"its br is broken: {error}") from error
    return b"".join(parts)


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


def _same(data: bytes, _most: int) -> bytes:
    return data


_CODINGS: dict[str, Callable[[bytes, int], bytes]] = {
    "chunked": _unchunked, "gzip": _gunzipped, "x-gzip": _gunzipped, "deflate": _deflated, "br": _unbrotlied,
    "zstd": _unzstd, "identity": _same, "none": _same,
}  # fmt: skip
