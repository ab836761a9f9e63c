"""Where in a batch each text begins and ends, told to modules that act on tokens of a text by their place in it.

A model is handed ids and perhaps a mask; of texts that are packed into one row, or of padding that a causal model need
not know of, it is told nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False, slots=True)
class Spans:
    """Of B texts: the row of the batch that each lies in, its first place there, and its tokens."""

    row_B: np.ndarray
    start_B: np.ndarray
    length_B: np.ndarray

    @classmethod
    def whole(cls, n_rows: int, length: int) -> Spans:
        """Every row is one text."""
        return cls(np.arange(n_rows), np.zeros(n_rows, dtype=np.int64), np.full(n_rows, length))

    def ends(self, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows and places (P,) of the first and the last tokens of every text; of a shorter text each token once."""
        most = int(self.length_B.max(initial=0))
        place_T = np.arange(most)
        inside_BT = place_T < self.length_B[:, None]
        chosen_BT = inside_BT & ((place_T < first) | (place_T >= self.length_B[:, None] - last))
        text_P, place_P = chosen_BT.nonzero()
        return self.row_B[text_P], self.start_B[text_P] + place_P


_SPANS: ContextVar[Spans | None] = ContextVar("spans of the texts of a batch", default=None)


@contextmanager
def spans_told(spans: Spans) -> Iterator[None]:
    """While a batch is computed."""
    token = _SPANS.set(spans)
    try:
        yield
    finally:
        _SPANS.reset(token)


def told_spans() -> Spans | None:
    """Those of the batch that is being computed; None outside."""
    return _SPANS.get()
