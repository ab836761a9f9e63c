"""The encoding of a web page as browsers find it, so that what claims to be latin1 is windows-1252.

Source: WHATWG, Encoding (labels) and HTML, section 13.2.3 (determining the character encoding).  Two departures: a page
that is UTF-8 is read as UTF-8 whatever it claims, since nothing else looks like it by chance; and a declaration counts
wherever in the page it stands, as it does in the end in a browser, which begins anew.
"""

from __future__ import annotations

import codecs
import re
from contextlib import suppress
from functools import lru_cache

from tokenworth.corpus.extras import library
from tokenworth.files.streams import encoding_mark

_TOKEN = re.compile(rb"<(!--|script\b|style\b|title\b|meta\b)")
_XML = re.compile(rb"\A\s*<\?xml\b[^>]*?\bencoding\s*=\s*[\"']\s*([\w.:-]+)")
_CHARSET = re.compile(rb"[\s\"'/]charset\s*=\s*[\"']?\s*([\w.:-]+)")
_CONTENT = re.compile(rb"\bcontent\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s>]+))")
_HTTP_EQUIV = re.compile(rb"\bhttp-equiv\s*=\s*[\"']?\s*content-type\b")
_IN_CONTENT = re.compile(rb"charset\s*=\s*[\"']?\s*([\w.:-]+)")
_HANGUL, _NOT_ASCII = re.compile("[\uac00-\ud7a3]"), re.compile("[^\x00-\x7f]")
_SHIFT = re.compile(rb"\x1b\$[@B]")
"""How iso-2022-jp goes over to Japanese; the only encoding of the standard that passes for ASCII."""
_ESCAPE = b"\x1b"
_WIDER = {"shift_jis": "cp932", "gbk": "gb18030", "gb2312": "gb18030", "euc_kr": "cp949", "big5": "big5hkscs"}
_WIDER["iso8859-11"] = "cp874"
"""Python's name of what the standard means by a label where that is more than Python means by it."""
_ALSO = {"x-mac-cyrillic": "mac-cyrillic", "x-mac-ukrainian": "mac-cyrillic", "x-user-defined": "cp1252"}
"""Labels of the standard that the library does not know."""
_MOST_WRONG = 0.01
"""Share of characters that may be wrong in the encoding a page names for itself; browsers take any."""


def decoded_page(data: bytes, charset: str = "") -> str | None:
    """The text of a page, or None where its bytes are no text in any encoding that is named or looks likely.

    The charset that the server says goes before what the page says.
    SettingError: it is not UTF-8 and resiliparse is not installed.
    """
    encoding, length = encoding_mark(data)
    if encoding is not None:
        return data[length:].decode(encoding, "replace")
    labels = charset, declared(data) if _ESCAPE in data or not _is_utf8(data) else ""
    encodings = [encoding for label in labels if label and (encoding := encoding_of(label))]
    if data[:2].count(0) == 1 and encodings and encodings[0].startswith("utf-16"):
        return data.decode(encodings[0], "replace")
    if _ESCAPE in data and ("iso2022_jp" in encodings or _SHIFT.search(data)):
        return data.decode("iso2022_jp", "replace")
    if _is_utf8(data):
        return data.decode()
    fitting = (text for name in encodings if (text := _mostly(data, name)) is not None)
    return next(fitting, None) or _guessed(data)


def _is_utf8(data: bytes) -> bool:
    with suppress(UnicodeDecodeError):
        data.decode()
        return True
    return False


def declared(data: bytes) -> str:
    """What a page says of its encoding: in an XML declaration, or in the first <meta> that names one; "" if nothing."""
    data = data.lower()
    if declaration := _XML.search(data[:1024]):
        return declaration[1].decode("ascii", "replace")
    place = 0
    while token := _TOKEN.search(data, place):
        is_meta = token[1] == b"meta"
        end = b">" if is_meta else b"-->" if token[1] == b"!--" else b"</" + token[1]
        place = data.find(end, token.end())
        if place < 0:
            return ""
        if is_meta and (label := _label(data[token.start() : place + 1])):
            return label
    return ""


def _label(tag: bytes) -> str:
    """The encoding that a <meta> names in its own attribute, or as what a server would have said."""
    charset = _CHARSET.search(_CONTENT.sub(b"", tag))
    content = _CONTENT.search(tag)
    if charset is None and content and _HTTP_EQUIV.search(tag):
        charset = _IN_CONTENT.search(content[0])
    return charset[1].decode("ascii", "replace") if charset else ""


@lru_cache(maxsize=256)
def encoding_of(label: str) -> str | None:
    """Python's name of the encoding that a label means by the standard; None for one that it does not know."""
    module = library("resiliparse.parse.encoding", "reading pages that are not UTF-8")
    label = label.strip().lower()
    name = _ALSO.get(label) or module.map_encoding_to_html5(label, fallback_utf8=False)
    return None if name is None else codecs.lookup(_WIDER.get(name, name)).name


def _mostly(data: bytes, encoding: str) -> str | None:
    """The text where few of its characters are wrong; those become the replacement character, as in browsers."""
    if encoding.startswith("utf-16"):
        encoding = "utf-8"  # by the standard: whoever could read the label was not reading UTF-16
    is_western = encoding == "cp1252"
    text = codecs.charmap_decode(data, "replace", _western())[0] if is_western else data.decode(encoding, "replace")
    return text if text.count("\ufffd") <= _MOST_WRONG * len(text) else None


@lru_cache(maxsize=1)
def _western() -> str:
    """Windows-1252, of which the five bytes without a letter are control characters by the standard."""
    return "".join(bytes([i]).decode("cp1252", "ignore") or chr(i) for i in range(256))


def _guessed(data: bytes) -> str | None:
    """By the detector, where its answer fits every byte; Korean, which it takes for UTF-8, by its syllables."""
    module = library("resiliparse.parse.encoding", "reading pages that are not UTF-8")
    name = str(module.detect_encoding(data))
    with suppress(LookupError, UnicodeDecodeError):
        return data.decode(_WIDER.get(name, name))
    with suppress(UnicodeDecodeError):
        text = data.decode("cp949")
        return text if 2 * len(_HANGUL.findall(text)) > len(_NOT_ASCII.findall(text)) else None
    return None
