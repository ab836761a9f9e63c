"""Objects of JSON lines, and of a .json file that holds one list of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tokenworth.errors import first_line
from tokenworth.files.endings import HALVES
from tokenworth.files.faults import MALFORMED, Fault, Row, not_utf8
from tokenworth.files.lines import NO_LIMIT, byte_lines, whole_text

EXAMPLE = '{"text": "...", "label": "..."}'


def json_rows(path: Path, max_bytes: int = NO_LIMIT) -> Iterator[Row | Fault]:
    """An object a line; a .json file may hold one list instead, whose items are numbered by the line they begin on."""
    if path.suffix.lower() == ".json":
        text = whole_text(path)
        if isinstance(text, Fault):
            yield text
            return
        if text.lstrip().startswith("["):
            yield from _items(text)
            return
    for item in byte_lines(path, max_bytes):
        if isinstance(item, Fault):
            yield item
        elif item[2].strip():
            yield _object(*item, path.name)


def _object(number: int, offset: int, data: bytes, name: str) -> Row | Fault:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return not_utf8(data, number, offset, name)
    return _row(_value(text, number), number, text)


def _items(text: str) -> Iterator[Row | Fault]:
    values = _value(text, 1)
    if isinstance(values, Fault):
        yield values
        return
    for number, value in enumerate(values, 1):
        row = _row(value, number, "")
        if isinstance(row, Fault):  # items have no lines; their number is said in words
            row = Fault(row.kind, f"cannot be read: item {number} is malformed ({row.what})")
        yield row


def _value(text: str, number: int) -> Any:
    """What a text of JSON says, or a fault."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        what = f"not valid JSON at column {error.colno} ({error.msg}); write one object a line"
        return Fault(MALFORMED, what, number + error.lineno - 1, text[:10_000])
    except RecursionError:
        return Fault(MALFORMED, "JSON nested too deeply to read; write one flat object a line", number, text[:10_000])
    except ValueError as error:  # an integer of more digits than Python takes
        return Fault(MALFORMED, f"a number is too long to read ({first_line(error)}); write it as text", number, "")


def _row(value: Any, number: int, text: str) -> Row | Fault:
    if isinstance(value, Fault):
        return value
    if not isinstance(value, dict):
        what = f"expected an object such as {EXAMPLE}, found {type(value).__name__}"
        return Fault(MALFORMED, what, number, text[:10_000])
    if any(not name.isascii() and HALVES.search(name) for name in value):
        return Fault(MALFORMED, "a key holds half a character (a lone surrogate); write it again", number, "")
    return Row(number, value)
