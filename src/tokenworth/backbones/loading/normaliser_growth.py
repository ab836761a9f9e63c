"""How much longer a tokenizer's normaliser may make a text: known from its replacements before it is used."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MOST_GROWTH = 64
"""Characters for one; the usual replacements (a blank by a mark, a line end by a word) stay below 16."""
_NORMALIZER = re.compile(r'"normalizer"\s*:\s*')


def growth_of(path: Path) -> float:
    """Characters that a tokenizer.json makes of one at the most: the product over its replacements.

    A replacement of a text of n characters by m gives at most max(1, m / n) for one; a regular expression may match one
    character, or none between two.  1 where there is no such file, or none that can be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return 1.0
    growth = 1.0
    for replacement in _replacements(text):
        growth *= _growth(replacement)
    return growth


def _replacements(text: str) -> Iterator[dict[str, Any]]:
    """Every Replace of every normaliser the text states; the vocabulary, which is most of the file, is not parsed."""
    decoder = json.JSONDecoder()
    for place in _NORMALIZER.finditer(text):
        try:
            waiting = [decoder.raw_decode(text, place.end())[0]]
        except (ValueError, RecursionError):
            continue
        while waiting:
            step = waiting.pop()
            if not isinstance(step, dict):
                continue
            inner = step.get("normalizers")
            waiting += inner if isinstance(inner, list) else []
            if step.get("type") == "Replace":
                yield step


def _growth(replacement: dict[str, Any]) -> float:
    content, pattern = replacement.get("content"), replacement.get("pattern")
    n_after = len(content) if isinstance(content, str) else 0
    literal = pattern.get("String") if isinstance(pattern, dict) else None
    if isinstance(literal, str) and literal:
        return max(1.0, n_after / len(literal))
    wide = _may_match_nothing(pattern.get("Regex") if isinstance(pattern, dict) else None)
    return 1.0 + n_after if wide else max(1.0, n_after)


def _may_match_nothing(expression: Any) -> bool:
    """Whether a replacement may come in between characters: one of the empty text, or one that only looks around."""
    if not isinstance(expression, str) or "(?" in expression:
        return True
    try:
        return re.compile(expression).match("") is not None
    except (re.error, RecursionError, OverflowError):
        return True
