"""What a file is, and what of a row is text."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

HALVES = re.compile("[\ud800-\udfff]")
"""Halves of surrogate pairs, which JSON can name and UTF-8 cannot hold."""


def ending(path: Path) -> str:
    """A file's ending in lower case, without that of a compression."""
    return _uncompressed(path).suffix.lower()


def stem(path: Path) -> str:
    """A file's name without its ending and that of a compression."""
    return _uncompressed(path).stem


def _uncompressed(path: Path) -> Path:
    return path.with_suffix("") if path.suffix.lower() in (".gz", ".zst") else path


def same_form(text: str) -> str:
    """A text as it counts when texts are compared: in composed form (NFC), without white space around it."""
    return text.strip() if text.isascii() else unicodedata.normalize("NFC", text).strip()


def text_in(row: Mapping[str, Any], columns: Sequence[str], joined_by: str = "\n\n") -> str | None:
    """The texts of some columns, joined; None where none of them holds any: what is null or no text is left out.

    Half characters become the replacement character.
    """
    parts = [value for column in columns if isinstance(value := row.get(column), str) and value.strip()]
    text = joined_by.join(parts)
    return None if not parts else text if text.isascii() else HALVES.sub("\ufffd", text)
