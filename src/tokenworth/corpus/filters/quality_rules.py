"""Published heuristics of text quality as named rules: each one that is set may refuse a document, with its name.

Sources: Rae et al. (2021), Scaling language models (Gopher), table A1, whose repetition rules count characters where
these count words; Raffel et al. (2020), Exploring the limits of transfer learning (C4), section 2.2.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np

from tokenworth.corpus.filters.languages import FREQUENT, characters_per_word
from tokenworth.corpus.filters.normalisation import language
from tokenworth.corpus.word_hashes import Words, blocks, gram_hashes, words_of

_HALF_SURE = 0.5
_BULLETS = ("•", "-", "*", "‣", "◦", "·")
_ENDS = (".", "!", "?", '"', "”", "'", "’", "。", "！", "？", "…", "」", "』", "।", "۔", "؟", "።")  # noqa: RUF001
_LETTER = re.compile(r"[^\W\d_]")
_TOP, _REPEATED = (2, 3, 4), (5, 10)


@dataclass(frozen=True, kw_only=True, slots=True)
class QualityRules:
    """Limits that refuse a document; null (None) turns a rule off.  Shares are in [0, 1]."""

    min_words: int | None = 50
    """Of the document."""
    max_words: int | None = 100_000
    """Of the document."""
    min_mean_word: float | None = 3.0
    """Characters of a word on average."""
    max_mean_word: float | None = 10.0
    """The same, at most."""
    max_symbols: float | None = 0.1
    """Hash marks and ellipses a word."""
    max_bullet_lines: float | None = 0.9
    """Share of lines that begin with a bullet."""
    max_ellipsis_lines: float | None = 0.3
    """Share of lines that end with an ellipsis."""
    min_alphabetic_words: float | None = 0.8
    """Share of words with a letter in them."""
    min_stop_words: int | None = 2
    """Different ones of about eight frequent words of the text's language."""
    max_repeated_lines: float | None = 0.3
    """Share of lines that occur before in the document."""
    max_repeated_paragraphs: float | None = 0.3
    """Share of paragraphs that occur before in the document."""
    max_top_2gram: float | None = 0.2
    """Share of all words that the most frequent pair of words takes up."""
    max_top_3gram: float | None = 0.18
    """The same of three words."""
    max_top_4gram: float | None = 0.16
    """The same of four words."""
    max_repeated_5grams: float | None = 0.15
    """Share of runs of five words that occur before in the document."""
    max_repeated_10grams: float | None = 0.1
    """The same of runs of ten words."""
    max_braces: int | None = None
    """Curly brackets; 0 is C4's rule against code."""
    lorem_ipsum: bool = True
    """Whether to refuse placeholder text."""
    min_sentence_lines: float | None = None
    """Share of lines that end like a sentence; C4 removes all others."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the rules say of a text."""

    refused_by: str | None = None
    """The first rule that refuses it."""
    not_applied: tuple[str, ...] = ()
    """Rules that would have refused it and say nothing about its language."""
    language: str = ""
    """ISO 639 code, or "no spaces", where a rule was not applied or another language's words were looked for."""


def judge(texts: Sequence[str], rules: QualityRules) -> list[str | None]:
    """Of each text the first rule that refuses it, by the rule's name, or None."""
    return [judgement.refused_by for judgement in judgements(texts, rules)]


def judgements(texts: Sequence[str], rules: QualityRules) -> list[Judgement]:
    """Of each text what the rules say, by its language.

    In texts written without spaces words are counted by their characters (`characters_per_word`), so that a run of five
    words is as many characters; rules about a word's letters do not apply.  Frequent words are those of the text's
    language; where they are not known, rules about them and about the length of words do not apply.

    SettingError: a text is not English by its frequent words, and the library that tells languages is not installed.
    """
    judged: list[Judgement] = []
    for part in blocks(texts):
        words = words_of(texts[part])
        measured = _repetition(words)
        counts = np.diff(words.first)
        for text, repetition, count in zip(texts[part], measured, counts, strict=True):
            per_word = characters_per_word(text)
            if per_word is None:
                judged.append(_spaced(text, rules, repetition))
                continue
            numbers = _any_script(text, max(1.0, int(count) / per_word))
            longer = _repetition(words_of([text]), per_word)[0]
            not_applied = tuple(name for name in OF_SPACED_WORDS if getattr(rules, name) is not None)
            judged.append(Judgement(next(_refusing(text, rules, longer, numbers), None), not_applied, NO_SPACES))
    return judged


RULE_NAMES = tuple(field.name for field in fields(QualityRules))
OF_SPACED_WORDS = ("min_mean_word", "max_mean_word", "min_alphabetic_words", "min_stop_words")
"""Rules that look into words parted by spaces."""
OF_KNOWN_WORDS = ("min_mean_word", "max_mean_word", "min_stop_words")
"""Rules whose limits are those of languages with words like English ones."""
NO_SPACES = "no spaces"
_Numbers = Mapping[str, Callable[[], float]]
"""What rules compare with their limits, by the rest of a rule's name; computed where a rule asks for it."""


def _spaced(text: str, rules: QualityRules, repetition: dict[str, float]) -> Judgement:
    words = text.split()
    enough, few = rules.min_stop_words or 0, max(1, len(words))
    numbers: _Numbers = {
        **_any_script(text, few),
        "words": lambda: len(words),
        "mean_word": lambda: sum(map(len, words)) / few,
        "alphabetic_words": lambda: _with_letter(words) / few,
        "stop_words": lambda: _stop_words(text, words, enough, "en"),
    }
    not_applied: list[str] = []
    code = ""
    for name in _refusing(text, rules, repetition, numbers):
        if name not in OF_KNOWN_WORDS:
            return Judgement(name, tuple(not_applied), code)
        code = code or _language(text)
        if code not in FREQUENT and code != "und":
            not_applied.append(name)
        elif name != "min_stop_words" or _stop_words(text, words, enough, code) < enough:
            return Judgement(name, tuple(not_applied), code)
    return Judgement(None, tuple(not_applied), code)


def _any_script(text: str, words: float) -> _Numbers:
    """Numbers that mean the same however words are written."""
    return {
        "words": lambda: words,
        "symbols": lambda: (text.count("#") + text.count("...") + text.count("…")) / words,
        "bullet_lines": lambda: _share(_lines(text), lambda line: line.startswith(_BULLETS)),
        "ellipsis_lines": lambda: _share(_lines(text), lambda line: line.endswith(("...", "…"))),
        "repeated_lines": lambda: _repeated(_lines(text)),
        "repeated_paragraphs": lambda: _repeated([part for part in text.split("\n\n") if part.strip()]),
        "braces": lambda: text.count("{") + text.count("}"),
        "sentence_lines": lambda: _share(_lines(text), lambda line: line.endswith(_ENDS)),
    }


def _refusing(text: str, rules: QualityRules, repetition: dict[str, float], numbers: _Numbers) -> Iterator[str]:
    """Rules that a text breaks, in order; those without a number do not apply."""
    for name in RULE_NAMES:
        limit, what = getattr(rules, name), name[4:]
        if name == "lorem_ipsum":
            if limit and "lorem ipsum" in text.lower():
                yield name
        elif limit is not None and (what in repetition or what in numbers):
            value = repetition[what] if what in repetition else numbers[what]()
            if value < limit if name.startswith("min_") else value > limit:
                yield name


def _language(text: str) -> str:
    """What a text is written in, "und" where that is not half sure."""
    code, probability = language(text)
    return code if probability >= _HALF_SURE else "und"


def _lines(text: str) -> list[str]:
    return [line for raw in text.split("\n") if (line := raw.strip())]


def _share(lines: list[str], holds: Callable[[str], bool]) -> float:
    return sum(map(holds, lines)) / max(1, len(lines))


def _with_letter(words: list[str]) -> int:
    """Those of letters alone are counted without looking into them."""
    rest = [word for word in words if not word.isalpha()]
    return len(words) - len(rest) + sum(1 for word in rest if _LETTER.search(word))


def _stop_words(text: str, words: list[str], enough: int, code: str) -> int:
    """Different ones, in lower case only where there are not enough without."""
    frequent = FREQUENT.get(code, FREQUENT["en"])
    different = len(frequent.intersection(words))
    return different if different >= enough else len(frequent.intersection(text.lower().split()))


def _repeated(parts: list[str]) -> float:
    return 1 - len(set(parts)) / len(parts) if parts else 0.0


def _repetition(words: Words, per_word: int = 1) -> list[dict[str, float]]:
    """Of each text: words in its most frequent runs of two to four, and runs of five and ten that are not its first.

    In texts without spaces the words are characters, of which `per_word` make a word.
    """
    counts = np.maximum(np.diff(words.first), 1)
    measured = {f"top_{n}gram": n * per_word * _runs(words, n * per_word)[0] / counts for n in _TOP}
    measured |= {f"repeated_{n}grams": _runs(words, n * per_word)[1] for n in _REPEATED}
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
