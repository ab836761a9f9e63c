"""What a model reads of a text that is longer than it takes, special tokens at both ends of everything it reads.

    first     its first tokens
    last      its last tokens
    ends      its first and its last tokens, as many of each (Sun et al. 2019, arXiv:1905.05583: head+tail)
    chunks    all of it, in pieces

A text of n tokens of its own, where r of them have room, makes ceil(n / r) pieces, whose lengths differ by one at most.
Pieces of r tokens each would leave a rest of any length: it would count as much as the others in a mean over pieces, or
next to nothing in one over tokens, and be read without its context.  Between even pieces the two means are the same but
for one token, so the mean is over pieces.

Axes: N texts, P pieces.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from tokenworth.base.aliases import Long

_WORDS = "a 1 the"
"""More than one token, and none of them special."""


class ReadLengths(NamedTuple):
    """How much is read of N texts."""

    lengths_P: np.ndarray
    """Tokens of each text, or of each piece, special ones among them."""
    counts_N: np.ndarray | None = None
    """Pieces of each text; None: what is read of a text is one."""


class Surround(NamedTuple):
    """How many special tokens a tokenizer puts before and behind a text."""

    before: int
    behind: int

    @property
    def n(self) -> int:
        """Of both."""
        return self.before + self.behind


def surround_of(tokenizer: Any, text: str) -> Surround | None:
    """Where the tokens of a text lie between special ones; None where they do not lie together.

    Asked with plain words first: a text that is itself made of special tokens could be taken for them.
    """
    for words in (_WORDS, text):
        whole, alone = (
            list(tokenizer(words, add_special_tokens=special, verbose=False)["input_ids"]) for special in (True, False)
        )
        for before in range(len(whole) - len(alone) + 1):
            if alone and whole[before : before + len(alone)] == alone:
                return Surround(before, len(whole) - before - len(alone))
    return None


def read_parts(row: Sequence[int], limit: int, surround: Surround, long: Long) -> list[list[int]]:
    """The ids that are read of a text of more than ``limit`` of them: one row, or those of its pieces."""
    n, room = len(row) - surround.n, limit - surround.n
    before, behind = list(row[: surround.before]), list(row[surround.before + n :])
    body = list(row[surround.before : surround.before + n])
    return [before + part + behind for part in _parts(body, room, long)]


def _parts(body: list[int], room: int, long: Long) -> list[list[int]]:
    if long == "chunks":
        return [body[start:end] for start, end in piece_bounds(len(body), room)]
    tail = {"first": 0, "last": room, "ends": room // 2}[long]
    return [body[: room - tail] + body[len(body) - tail :]]


def piece_bounds(n: int, room: int) -> list[tuple[int, int]]:
    """Where the pieces of a text begin and end: as few as there must be, as even as they can be."""
    k = -(-n // room)
    cuts = [n * i // k for i in range(k + 1)]
    return list(pairwise(cuts))


def read_lengths(lengths_N: np.ndarray, limit: int, n_special: int, long: Long) -> ReadLengths:
    """What will be read of texts of these lengths, special tokens among them; at least one token each."""
    if long != "chunks":
        return ReadLengths(np.minimum(lengths_N, limit))
    texts = [_piece_lengths(length, limit, n_special) for length in lengths_N.tolist()]
    lengths_P = np.array([length for pieces in texts for length in pieces], dtype=np.int64)
    return ReadLengths(lengths_P, np.array([len(pieces) for pieces in texts], dtype=np.int64))


def _piece_lengths(length: int, limit: int, n_special: int) -> list[int]:
    if length <= limit:
        return [length]
    return [end - start + n_special for start, end in piece_bounds(length - n_special, limit - n_special)]


def piece_rows(rows: np.ndarray, counts_N: np.ndarray) -> np.ndarray:
    """Numbers of the pieces of some texts, those of a text one after the other."""
    ends_N = np.cumsum(counts_N)
    return np.concatenate([np.arange(ends_N[row] - counts_N[row], ends_N[row]) for row in rows])


def mean_of_pieces(values_P: np.ndarray, counts_N: np.ndarray | None) -> np.ndarray:
    """Of anything that was found of each piece (P, ...) the mean over those of a text (N, ...), in the same format.

    ``counts_N``: pieces of each text; None: one of each, so that nothing is changed.
    """
    if counts_N is None or not len(counts_N):
        return values_P
    sums = np.add.reduceat(values_P, np.cumsum(counts_N) - counts_N, axis=0, dtype=np.float64)
    means: np.ndarray = (sums / counts_N.reshape(-1, *[1] * (values_P.ndim - 1))).astype(values_P.dtype)
    return means
