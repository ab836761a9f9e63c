"""What of a pass is still to be done: batches in order, which halve when memory runs out, and can be written down."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tokenworth.encode.batches import plan_batches


@dataclass(frozen=True, eq=False)
class Turn:
    """A batch whose turn it is."""

    rows: np.ndarray
    layers: tuple[int, ...] | None
    """Layers still to be handed over after memory ran out; None for all of them."""


class Queue:
    """Batches of rows, longest texts first; one of more padded tokens than allowed is halved when its turn comes."""

    def __init__(self, batches: Sequence[np.ndarray], lengths: np.ndarray, batch_tokens: int) -> None:
        self.lengths, self.batch_tokens = lengths, batch_tokens
        self._turns = deque(Turn(rows, None) for rows in batches)

    @classmethod
    def plan(
        cls, lengths: np.ndarray, batch_tokens: int, *, part: int = 0, parts: int = 1, one_length: bool = False
    ) -> Queue:
        """The batches of all texts, or every ``parts``-th of them from the ``part``-th on.

        Raises:
            SettingError: batch_tokens below 1.
        """
        return cls(plan_batches(lengths, batch_tokens, one_length=one_length)[part::parts], lengths, batch_tokens)

    def __len__(self) -> int:
        return len(self._turns)

    def next(self) -> Turn | None:
        """The next batch that keeps to the allowed tokens, or None at the end."""
        while self._turns:
            turn = self._turns.popleft()
            if len(turn.rows) == 1 or self.padded(turn.rows) <= self.batch_tokens:
                return turn
            half = (len(turn.rows) + 1) // 2
            self._turns.extendleft([Turn(turn.rows[half:], turn.layers), Turn(turn.rows[:half], turn.layers)])
        return None

    def put_back(self, rows: np.ndarray, layers: tuple[int, ...]) -> None:
        """A batch that did not fit: it comes again in halves, and no later batch is larger than these."""
        self.batch_tokens = self.padded(rows[: (len(rows) + 1) // 2])
        self._turns.appendleft(Turn(rows, layers))

    def padded(self, rows: np.ndarray) -> int:
        """Tokens of a batch, padding included."""
        return len(rows) * int(self.lengths[rows].max())

    def rows(self) -> np.ndarray:
        """All rows still to come, in order: (R,) int64."""
        return np.concatenate([np.empty(0, dtype=np.int64), *(turn.rows for turn in self._turns)])

    @property
    def whole(self) -> bool:
        """Whether no batch is left half handed over: only then can the queue be written down."""
        return not self._turns or self._turns[0].layers is None

    def record(self) -> dict[str, Any]:
        """Sizes of the batches to come and the tokens allowed: with the plan's order of rows, all there is to know."""
        assert self.whole, "asked for between batches only"
        return {"sizes": [len(turn.rows) for turn in self._turns], "batch_tokens": self.batch_tokens}

    def resume(self, record: dict[str, Any]) -> None:
        """Go on where a record of this same plan was made."""
        sizes = record["sizes"]
        waiting = self.rows()
        waiting = waiting[len(waiting) - sum(sizes) :]
        self._turns = deque(Turn(part, None) for part in np.split(waiting, np.cumsum(sizes)[:-1]) if len(part))
        self.batch_tokens = int(record["batch_tokens"])
