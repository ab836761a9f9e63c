"""Sketches of documents: a fixed number of minima from which the Jaccard similarity of two sets can be told.

A document is the set of its runs of five words.  Instead of hashing every run once a minimum, as MinHash does, every
run is put into one of K places a round, and a round's values lie above all values of the rounds before; rounds go on
until no place is empty.  A place of two documents agrees with the probability of their Jaccard similarity, as with
MinHash, at the cost of about K ln K + n instead of K n operations for n runs.
Source: Dahlgaard, Knudsen, Thorup (2017), Fast similarity sketching, FOCS.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tokenworth.corpus.word_hashes import blocks, gram_hashes, mix, words_of

WORDS = 5
"""Of a run."""
PLACES = 128
"""Of a sketch: 512 bytes a document."""
_ROUNDS = 24
EMPTY = np.uint32(2**32 - 1)
"""All places of a document without a word."""
_STEP = 0x9E3779B97F4A7C15
_FACTORS, _TERMS = mix(np.arange(1, 2 * (_ROUNDS + PLACES) + 1, dtype=np.uint64) * np.uint64(_STEP)).reshape(2, -1)
_FACTORS |= np.uint64(1)


@dataclass(frozen=True, eq=False, slots=True)
class Shingled:
    """N documents as sets of runs, with their sketches."""

    runs: np.ndarray
    """(R,) uint32: hashes of the runs, repeats among them."""
    first: np.ndarray
    """(N + 1,) int64: the runs of document i are first[i] to first[i + 1]; a document without a word has none."""
    sketches: np.ndarray
    """(N, PLACES) uint32."""

    def array(self, name: str) -> np.ndarray:
        """runs, first, or columns (PLACES, N) of the sketches, as they are stored."""
        array: np.ndarray = self.sketches.T if name == "sketches" else getattr(self, name)
        return array


def shingle(texts: Sequence[str]) -> Shingled:
    """Runs and sketches of texts, block by block; a text of fewer than five words is one run."""
    parts = [_shingle_block(texts[part]) for part in blocks(texts)]
    counts = [np.zeros(1, np.int64), *(np.diff(part.first) for part in parts)]
    return Shingled(
        np.concatenate([np.zeros(0, np.uint32), *(part.runs for part in parts)]),
        np.cumsum(np.concatenate(counts)),
        np.concatenate([np.zeros((0, PLACES), np.uint32), *(part.sketches for part in parts)]),
    )


def _shingle_block(texts: Sequence[str]) -> Shingled:
    words = words_of(texts)
    hashes, at = gram_hashes(words, WORDS)
    counts = np.diff(words.first)
    short = np.flatnonzero((counts > 0) & (counts < WORDS))
    per_text = np.maximum(counts - WORDS + 1, 0)
    per_text[short] = 1
    first = np.concatenate([np.zeros(1, np.int64), np.cumsum(per_text)])
    runs = np.empty(first[-1], dtype=np.uint64)
    long_runs = np.ones(first[-1], dtype=bool)
    long_runs[first[short]] = False
    runs[long_runs] = hashes
    runs[first[short]] = [_whole(words.hashes[words.first[i] : words.first[i + 1]]) for i in short]
    assert len(at) == long_runs.sum()
    return Shingled(runs.astype(np.uint32), first, sketch(runs, first))


def _whole(hashes: np.ndarray) -> int:
    """One hash of a few words."""
    value = len(hashes)
    for word in hashes.tolist():
        value = (value * _STEP + word) % 2**64
    return value


def sketch(runs: np.ndarray, first: np.ndarray) -> np.ndarray:
    """(N, PLACES) uint32 sketches of sets of 64-bit hashes; all places of an empty set are the largest number."""
    n = len(first) - 1
    minima = np.full(n * PLACES, EMPTY, dtype=np.uint32)
    counts = np.diff(first)
    rows = np.repeat(np.arange(n, dtype=np.int64) * PLACES, counts)
    left = runs
    for number in range(_ROUNDS):
        np.minimum.at(minima, *_thrown(left, rows, number))
        unfilled = (minima.reshape(n, PLACES) == EMPTY).any(axis=1)
        stay = unfilled[rows >> 7] if number else np.repeat(unfilled, counts)
        left, rows = left[stay], rows[stay]
        if not len(left):
            break
    _fill(minima, left, rows)
    return minima.reshape(n, PLACES)


def _thrown(runs: np.ndarray, rows: np.ndarray, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Where a round puts each run, and its value there: the round in the upper five bits.

    a x + b is one of a family of pairwise independent functions of hashes that are well mixed already.
    """
    again = runs * _FACTORS[number] + _TERMS[number]
    return rows + (again >> np.uint64(57)).astype(np.int64), _value(again, number)


def _value(again: np.ndarray, number: int) -> np.ndarray:
    """27 bits below those that chose the place, under the round's number."""
    return (again >> np.uint64(25)).astype(np.uint32) >> np.uint32(5) | np.uint32(number << 27)


def _fill(minima: np.ndarray, runs: np.ndarray, rows: np.ndarray) -> None:
    """Places that are still empty get the least of all runs of their document, by an order of the place's own."""
    if not len(runs):
        return
    begins = np.flatnonzero(np.diff(rows, prepend=-1))
    value = _value(runs[:, None] * _FACTORS[_ROUNDS:] + _TERMS[_ROUNDS:], _ROUNDS)
    places = minima.reshape(-1, PLACES)
    documents = rows[begins] >> 7
    places[documents] = np.minimum(places[documents], np.minimum.reduceat(value, begins, axis=0))
