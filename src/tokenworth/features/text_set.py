"""Texts as a set without order: the same texts split or labelled in another way are the same set.

A piece of a text that is read in pieces is a text of its own here.

Axes: N texts of the set, M texts asked for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tokenworth.encode import Tokens

_DIGEST_BYTES = 16


@dataclass(frozen=True, eq=False, slots=True)
class TextSet:
    """Tokenised texts in the order of their digests; a text that stands in them twice counts twice."""

    tokens: Tokens
    digests_N: np.ndarray  # (N,) ascending: what the model reads of each text, as 32 hex digits

    @classmethod
    def of(cls, parts: Sequence[Tokens]) -> TextSet:
        """All texts of some parts (train, test, ...)."""
        digests_N = np.concatenate([_digests(part) for part in parts])
        order = np.argsort(digests_N, kind="stable")
        ids = [row for part in parts for row in part.ids]
        merged = replace(
            parts[0],
            ids=[ids[row] for row in order],
            truncated=sum(part.truncated for part in parts),
            empty=sum(part.empty for part in parts),
            one_token=sum(part.one_token for part in parts),
            counts_N=None,
        )
        return cls(merged, digests_N[order])

    def __len__(self) -> int:
        return len(self.digests_N)

    @property
    def digest(self) -> str:
        """sha256 hex over all texts."""
        return hashlib.sha256(self.digests_N.tobytes()).hexdigest()

    def places(self, part: Tokens) -> np.ndarray:
        """Where the texts of a part stand in the set: (M,) int64.  Of equal texts, the first."""
        wanted_M = _digests(part)
        places_M = np.searchsorted(self.digests_N, wanted_M)
        assert (self.digests_N[np.minimum(places_M, len(self) - 1)] == wanted_M).all(), "a text is not of this set"
        return places_M


def _digests(tokens: Tokens) -> np.ndarray:
    """Hash of each text's token ids."""
    digests = [hashlib.blake2b(ids.tobytes(), digest_size=_DIGEST_BYTES).hexdigest() for ids in tokens.ids]
    return np.array(digests, dtype=f"S{2 * _DIGEST_BYTES}")
