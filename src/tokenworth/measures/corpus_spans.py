"""How often every span of a corpus stands in it, and a sample of spans that stand there rarely and often.

Axes: N tokens of the corpus, P places where a span can begin, U different spans.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]
_BASE = np.uint64(6364136223846793005)


@dataclass(frozen=True, eq=False, slots=True)
class Spans:
    """All spans of m tokens within documents, sorted by content."""

    stream_N: Ids
    span: int
    """m, tokens of a span."""
    order_P: Ids
    """Places, equal contents side by side."""
    begin_U: Ids
    """Where each content begins in `order_P`."""
    times_U: Ids
    """How often each stands in the corpus."""
    hash_U: NDArray[np.uint64]

    @classmethod
    def of(cls, stream_N: Ids, place_N: Ids, span: int) -> Spans:
        """Count spans by a 64-bit hash of their tokens: O(N m) time, no text is kept.

        Args:
            stream_N: packed documents.
            place_N: tokens of its document before each token.
            span: m; a span does not cross into another document.
        """
        places_P = np.flatnonzero(place_N[span - 1 :] >= span - 1)
        hashes_P = _hashes(stream_N, span)[places_P]
        order = np.argsort(hashes_P, kind="stable")
        hash_U, begin_U, times_U = np.unique(hashes_P[order], return_index=True, return_counts=True)
        return cls(stream_N, span, places_P[order], begin_U, times_U, hash_U)

    def times(self, place: int) -> int:
        """How often the span at a place stands in the corpus, token by token: exact whatever the hash."""
        wanted = self.stream_N[place : place + self.span]
        content = np.searchsorted(self.hash_U, _hashes(wanted, self.span)[0])
        begin = self.begin_U[content]
        places = self.order_P[begin : begin + self.times_U[content]]
        return int((self.stream_N[places[:, None] + np.arange(self.span)] == wanted).all(1).sum())

    def unseen(self, other: Spans) -> Spans:
        """The spans of other documents that do not stand in this corpus at all, as standing there 0 times."""
        new = ~np.isin(other.hash_U, self.hash_U)
        none = np.zeros(int(new.sum()), dtype=np.int64)
        return Spans(other.stream_N, other.span, other.order_P, other.begin_U[new], none, other.hash_U[new])

    def sample(self, place_N: Ids, before: int, most: int, rng: np.random.Generator) -> dict[int, list[int]]:
        """Places of spans with `before` tokens of their document in front, by power of two of how often they stand.

        Spans of a sample do not overlap where they first stand: the many windows of one repeated passage are not many
        observations.  Keys are 0 (never), 1 (once), 2 (2 or 3 times), 4 (4 to 7), ...
        """
        room_P = place_N[self.order_P] >= before
        following_P = np.where(room_P, np.arange(len(room_P)), len(room_P))
        following_P = np.minimum.accumulate(following_P[::-1])[::-1]  # next entry with room, itself included
        entry_U = following_P[self.begin_U] if len(self.begin_U) else self.begin_U
        fits_U = entry_U < self.begin_U + np.maximum(self.times_U, 1)
        places_U, times_U = self.order_P[entry_U[fits_U]], self.times_U[fits_U]
        groups = np.where(times_U > 0, 2 ** np.floor(np.log2(np.maximum(times_U, 1))).astype(np.int64), 0)
        return {int(g): _apart(rng.permutation(places_U[groups == g]), self.span, most) for g in np.unique(groups)}


def _hashes(stream_N: Ids, span: int) -> NDArray[np.uint64]:
    """sum_j base^(m - 1 - j) r(token_j) modulo 2^64 of every window, r one random number a token."""
    random_V = np.random.default_rng(0).integers(2**64, size=int(stream_N.max()) + 1, dtype=np.uint64)
    letters_N = random_V[stream_N]
    hashes = np.zeros(len(stream_N) - span + 1, dtype=np.uint64)
    for j in range(span):
        hashes = hashes * _BASE + letters_N[j : j + len(hashes)]  # wraps on purpose
    return hashes


def _apart(places: Ids, span: int, most: int) -> list[int]:
    """The first places that lie a span from all before them."""
    taken: set[int] = set()
    chosen: list[int] = []
    for place in map(int, places):
        if len(chosen) == most:
            break
        if taken.isdisjoint(range(place, place + span)):
            taken.update(range(place, place + span))
            chosen.append(place)
    return chosen
