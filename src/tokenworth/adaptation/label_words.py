"""Words that stand for classes in prompts, as a mapping or as one writes them on a command line."""

from __future__ import annotations

from typing import Any

from tokenworth.errors import SettingError
from tokenworth.settings import quoted

PAIRS = "lines such as 'ham: normal', or ham=normal,spam=spam"
"""How they are written, for sentences."""


def word_pairs(label_words: dict[str, Any] | str) -> dict[str, str]:
    """Words by class, of a mapping or of `ham=normal,spam=spam`.  SettingError: they are neither."""
    if isinstance(label_words, str):
        parts = [part.partition("=") for part in label_words.split(",") if part.strip()]
        pairs: dict[str, Any] = {name.strip(): words.strip() for name, _, words in parts}
    else:
        pairs = dict(label_words)
    for name, words in pairs.items():
        if not isinstance(words, str) or not words.strip():
            raise SettingError(
                f"label_words gives no words for {quoted(name)}; write {PAIRS} (words such as yes in quotation marks)"
            )
    return pairs
