"""Words of many texts at once as 64-bit hashes, made with array operations instead of a loop over words.

A word is a run of letters, digits and the marks on them, in lower case; punctuation and white space part words.  A
character of a script that is written without spaces (Han, Kana, Thai, Lao, Khmer, Burmese) is a word of its own.  The
same word has the same hash on every machine and in every process.

    hash of a word = sum over its letters c at place j of  letter(c) * P^j   (mod 2^64)

computed for a whole batch as one running product and one segmented sum: the power at a word's first letter is taken out
again by multiplying with its inverse, which exists because P is odd.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

BLOCK_CHARACTERS = 200_000
"""Of a batch: its arrays stay in the processor's cache."""

_PLANES = 0x20000  # code points whose category is looked up; above lie Han characters, emoji not among letters
_HAN = (0x20000, 0x323B0)
UNSPACED = re.compile(
    "(?P<han>[\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff])|(?P<thai>[\u0e01-\u0edf\u1000-\u109f\u1780-\u17ff])"
)
"""A character of a script that is written without spaces: Han and Kana, and Thai, Lao, Khmer and Burmese."""
_POWER = np.uint64(0x9E3779B97F4A7C15)
_GRAM = 0xD6E8FEB86659FD93
_MASK = 2**64 - 1


@dataclass(frozen=True, eq=False, slots=True)
class Words:
    """W words of N texts."""

    hashes: np.ndarray
    """(W,) uint64."""
    starts: np.ndarray
    """(W,) int64: characters before the word in its text."""
    first: np.ndarray
    """(N + 1,) int64: the words of text i are first[i] to first[i + 1]."""

    def text_of(self) -> np.ndarray:
        """(W,) int32: which text each word is in."""
        return np.repeat(np.arange(len(self.first) - 1, dtype=np.int32), np.diff(self.first))


def mix(values: np.ndarray) -> np.ndarray:
    """A bijection of 64-bit values after which every bit depends on every bit (Steele et al. 2014, SplitMix)."""
    values = values ^ (values >> np.uint64(30))
    values *= np.uint64(0xBF58476D1CE4E5B9)
    values ^= values >> np.uint64(27)
    values *= np.uint64(0x94D049BB133111EB)
    values ^= values >> np.uint64(31)
    return values


def blocks(texts: Sequence[str], characters: int = BLOCK_CHARACTERS) -> Iterator[slice]:
    """Runs of texts that are together not much longer than so many characters."""
    begin = size = 0
    for i, text in enumerate(texts):
        size += len(text)
        if size >= characters:
            yield slice(begin, i + 1)
            begin, size = i + 1, 0
    if begin < len(texts):
        yield slice(begin, len(texts))


def words_of(texts: Sequence[str]) -> Words:
    """The words of texts, best of one block of them; 8 arrays of the texts' length are held."""
    joined = "\n".join(texts)
    letters, kinds = _letters(joined)
    before = np.concatenate([np.zeros(1, kinds.dtype), kinds])[:-1]
    # A word begins with a letter after none, and with every character that stands alone.
    starts = np.flatnonzero((kinds != 0) & ((kinds != before) | (kinds == 2)))
    begins = np.zeros(len(texts) + 1, dtype=np.int64)
    np.cumsum([len(text) + 1 for text in texts], out=begins[1:])
    first = np.searchsorted(starts, begins)
    if not len(starts):
        return Words(np.zeros(0, np.uint64), starts, first)
    powers, inverses = _powers(1 << max(len(letters), BLOCK_CHARACTERS).bit_length())
    hashes = np.add.reduceat(letters * powers[: len(letters)], starts) * inverses[starts]
    return Words(mix(hashes), starts - np.repeat(begins[:-1], np.diff(first)), first)


def _letters(text: str) -> tuple[np.ndarray, np.ndarray]:
    """Of each character the 64 bits of its letter (0 for what parts words), and 0 (none), 1 (letter) or 2 (alone)."""
    if text.isascii():
        points = np.frombuffer(text.encode(), np.uint8)
        values = _ascii_table()[points]
        return values, (values != 0).view(np.uint8)
    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    table, kinds = _tables()
    above = points.max(initial=0) >= _PLANES
    low = np.minimum(points, _PLANES - 1) if above else points
    values, kind = table[low], kinds[low]
    if above:
        han = (points >= _HAN[0]) & (points < _HAN[1])
        values[han], kind[han] = mix(points[han].astype(np.uint64)) | np.uint64(1), 2
    return values, kind


@lru_cache(maxsize=1)
def _ascii_table() -> np.ndarray:
    letters = [ord(chr(i).lower()) if chr(i).isalnum() else 0 for i in range(128)]
    return _values(np.array(letters, dtype=np.uint64))


@lru_cache(maxsize=1)
def _tables() -> tuple[np.ndarray, np.ndarray]:
    letters = np.zeros(_PLANES, dtype=np.uint64)
    kinds = np.zeros(_PLANES, dtype=np.uint8)
    for point in range(_PLANES - 1):  # the last one is no character, and stands for all above
        letter = chr(point)
        if letter.isalnum() or unicodedata.category(letter)[0] == "M":
            letters[point], kinds[point] = ord(letter.lower()[0]), 2 if UNSPACED.match(letter) else 1
    return _values(letters), kinds


def _values(letters: np.ndarray) -> np.ndarray:
    return np.where(letters == 0, np.uint64(0), mix(letters) | np.uint64(1))


@lru_cache(maxsize=2)
def _powers(length: int) -> tuple[np.ndarray, np.ndarray]:
    """P^j and P^-j modulo 2^64 for j < length."""
    inverse = np.uint64(pow(int(_POWER), -1, 2**64))
    steps_2J = np.repeat(np.array([[_POWER], [inverse]]), length, axis=1)
    steps_2J[:, 0] = 1
    powers, inverses = np.cumprod(steps_2J, axis=1, dtype=np.uint64)
    return powers, inverses


def gram_hashes(words: Words, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Hashes of all runs of n words that lie within one text, and the index of the word each begins with.

    Costs log2(n) passes: runs of twice the length are joined from two runs.
    """
    total = len(words.hashes) - n + 1
    if total <= 0:
        return np.zeros(0, np.uint64), np.zeros(0, np.int64)
    text = words.text_of()
    at = np.flatnonzero(text[:total] == text[n - 1 :])
    return mix(_runs(words.hashes, n)[at]), at


def _runs(hashes: np.ndarray, n: int) -> np.ndarray:
    """sum over j < n of hash[i + j] * G^(n - 1 - j) for every i."""
    if n == 1:
        return hashes
    half = _runs(hashes, n // 2)
    even = _joined(half, half, n // 2, n // 2)
    return _joined(even, hashes, n - 1, 1) if n % 2 else even


def _joined(left: np.ndarray, right: np.ndarray, left_length: int, right_length: int) -> np.ndarray:
    """Runs of left_length followed by runs of right_length."""
    right = right[left_length:]
    return left[: len(right)] * np.uint64(pow(_GRAM, right_length, 2**64)) + right
