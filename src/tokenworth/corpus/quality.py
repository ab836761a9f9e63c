"""Published heuristics of text quality as named rules: each one that is set may refuse a document, with its name.

Sources: Rae et al. (2021), Scaling language models (Gopher), table A1, whose repetition rules count characters where
these count words; Raffel et al. (2020), Exploring the limits of transfer learning (C4), section 2.2.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import numpy as np

from tokenworth.corpus.words import Words, blocks, gram_hashes, words_of

STOP_WORDS = frozenset(["the", "be", "to", "of", "and", "that", "have", "with"])
_BULLETS = ("•", "-", "*", "‣", "◦", "·")
_ENDS = (".", "!", "?", '"', "”", "'", "’", "。", "！", "？", "…")  # noqa: RUF001
_LETTER = re.compile(r"[^\W\d_]")
_TOP, _REPEATED = (2, 3, 4), (5, 10)


@dataclass(frozen=True, kw_only=True, slots=True)
class QualityRules:
    """Limits; None turns a rule off.  Shares are in [0, 1]."""

    min_words: int | None = 50
    max_words: int | None = 100_000
    min_mean_word: float | None = 3.0
    """Characters of a word on average."""
    max_mean_word: float | None = 10.0
    max_symbols: float | None = 0.1
    """Hash marks and ellipses a word."""
    max_bullet_lines: float | None = 0.9
    max_ellipsis_lines: float | None = 0.3
    min_alphabetic_words: float | None = 0.8
    """Share of words with a letter in them."""
    min_stop_words: int | None = 2
    """Different ones of eight frequent English words; for English alone."""
    max_repeated_lines: float | None = 0.3
    max_repeated_paragraphs: float | None = 0.3
    max_top_2gram: float | None = 0.2
    """Share of all words that the most frequent pair of words takes up."""
    max_top_3gram: float | None = 0.18
    max_top_4gram: float | None = 0.16
    max_repeated_5grams: float | None = 0.15
    """Share of runs of five words that occur before in the document."""
    max_repeated_10grams: float | None = 0.1
    max_braces: int | None = None
    """Curly brackets; 0 is C4's rule against code."""
    lorem_ipsum: bool = True
    """Whether to refuse placeholder text."""
    min_sentence_lines: float | None = None
    """Share of lines that end like a sentence; C4 removes all others."""


def judge(texts: Sequence[str], rules: QualityRules) -> list[str | None]:
    """Of each text the first rule that refuses it, by the rule's name, or None."""
    found: list[str | None] = []
    for part in blocks(texts):
        measured = _repetition(words_of(texts[part]))
        found += [_refusal(text, rules, own) for text, own in zip(texts[part], measured, strict=True)]
    return found


RULE_NAMES = tuple(one.name for one in fields(QualityRules))


def _refusal(text: str, rules: QualityRules, repetition: dict[str, float]) -> str | None:
    words = text.split()
    few = max(1, len(words))
    numbers: dict[str, Callable[[], float]] = {
        "words": lambda: len(words),
        "mean_word": lambda: sum(map(len, words)) / few,
        "symbols": lambda: (text.count("#") + text.count("...") + text.count("…")) / few,
        "bullet_lines": lambda: _share(_lines(text), lambda line: line.startswith(_BULLETS)),
        "ellipsis_lines": lambda: _share(_lines(text), lambda line: line.endswith(("...", "…"))),
        "alphabetic_words": lambda: _with_letter(words) / few,
        "stop_words": lambda: _stop_words(text, words, rules.min_stop_words or 0),
        "repeated_lines": lambda: _repeated(_lines(text)),
        "repeated_paragraphs": lambda: _repeated([part for part in text.split("\n\n") if part.strip()]),
        "braces": lambda: text.count("{") + text.count("}"),
        "sentence_lines": lambda: _share(_lines(text), lambda line: line.endswith(_ENDS)),
    }
    for name in RULE_NAMES:
        limit, what = getattr(rules, name), name[4:]
        if name == "lorem_ipsum":
            if limit and "lorem ipsum" in text.lower():
                return name
        elif limit is not None:
            value = repetition[what] if what in repetition else numbers[what]()
            if value < limit if name.startswith("min_") else value > limit:
                return name
    return None


def _lines(text: str) -> list[str]:
    return [line for raw in text.split("\n") if (line := raw.strip())]


def _share(lines: list[str], holds: Callable[[str], bool]) -> float:
    return sum(map(holds, lines)) / max(1, len(lines))


def _with_letter(words: list[str]) -> int:
    """Those of letters alone are counted without looking into them."""
    rest = [word for word in words if not word.isalpha()]
    return len(words) - len(rest) + sum(1 for word in rest if _LETTER.search(word))


def _stop_words(text: str, words: list[str], enough: int) -> int:
    """Different ones, in lower case only where there are not enough without."""
    found = len(STOP_WORDS.intersection(words))
    return found if found >= enough else len(STOP_WORDS.intersection(text.lower().split()))


def _repeated(parts: list[str]) -> float:
    return 1 - len(set(parts)) / len(parts) if parts else 0.0


def _repetition(words: Words) -> list[dict[str, float]]:
    """Of each text: words in its most frequent runs of two to four, and runs of five and ten that are not its first."""
    counts = np.maximum(np.diff(words.first), 1)
    measured = {f"top_{n}gram": n * _runs(words, n)[0] / counts for n in _TOP}
    measured |= {f"repeated_{n}grams": _runs(words, n)[1] for n in _REPEATED}
    return [{name: float(values[i]) for name, values in measured.items()} for i in range(len(counts))]


def _runs(words: Words, n: int) -> tuple[np.ndarray, np.ndarray]:
    """(N,) occurrences of the most frequent run (0 where none is repeated), (N,) share that are not the first."""
    hashes, at = gram_hashes(words, n)
    text = words.text_of()[at].astype(np.uint64)
    size = len(words.first) - 1
    key = np.sort((hashes & np.uint64(2**44 - 1)) | (text << np.uint64(44)))
    begins = np.flatnonzero(np.concatenate([np.ones(min(1, len(key)), bool), key[1:] != key[:-1]]))
    times = np.diff(np.append(begins, len(key)))
    owner = (key[begins] >> np.uint64(44)).astype(np.int64)
    top = np.zeros(size, dtype=np.int64)
    np.maximum.at(top, owner, times)
    total, distinct = np.bincount(text.astype(np.int64), minlength=size), np.bincount(owner, minlength=size)
    return np.where(top > 1, top, 0), 1 - distinct / np.maximum(total, 1) * (total > 0) - (total == 0)
