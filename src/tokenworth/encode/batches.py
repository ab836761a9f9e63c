"""Batches: which texts go together, what of a pass is still to be done, and how texts become tensors.

Axes: B texts, T tokens of the longest of them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tokenworth.backbones import Backbone
from tokenworth.errors import SettingError


def plan_batches(
    lengths: Sequence[int] | np.ndarray, batch_tokens: int, *, one_length: bool = False
) -> list[np.ndarray]:
    """Row indices of each batch: longest texts first, so that memory shows its limit at once and little is padded.

    The padded tokens of a batch (texts x longest text) are at most ``batch_tokens``; a single longer text is a batch
    of its own.  Texts of one length keep their order.  With ``one_length`` texts of other lengths are
    in other batches, for models whose states depend on padding.

    Raises SettingError: batch_tokens below 1.
    """
    if batch_tokens < 1:
        raise SettingError(f"batch_tokens must be at least 1, not {batch_tokens}")
    lengths = np.asarray(lengths, dtype=np.int64)
    order = np.argsort(-lengths, kind="stable")
    batches, start = [], 0
    while start < len(order):
        length = int(lengths[order[start]])
        size = max(1, batch_tokens // max(1, length))
        if one_length:
            size = min(size, int((lengths[order[start:]] == length).sum()))
        batches.append(order[start : start + size])
        start += size
    return batches


@dataclass(frozen=True, eq=False)
class Turn:
    """Rows of a batch whose turn it is, and the layers still to be handed over after memory ran out; None for all."""

    rows: np.ndarray
    layers: tuple[int, ...] | None = None


class Queue:
    """Batches to come, longest texts first; one of more padded tokens than allowed is halved when its turn comes.

    Between batches it can be written down, and another process can go on from there.
    """

    def __init__(self, batches: Sequence[np.ndarray], lengths: np.ndarray, batch_tokens: int) -> None:
        self.lengths, self.batch_tokens = lengths, batch_tokens
        self._turns = deque(Turn(rows) for rows in batches)

    @classmethod
    def plan(
        cls, lengths: np.ndarray, batch_tokens: int, *, part: int = 0, parts: int = 1, one_length: bool = False
    ) -> Queue:
        """The batches of all texts, or every ``parts``-th of them from the ``part``-th on.

        Raises SettingError: batch_tokens below 1.
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
        sizes, waiting = record["sizes"], self.rows()
        waiting = waiting[len(waiting) - sum(sizes) :]
        self._turns = deque(Turn(part) for part in np.split(waiting, np.cumsum(sizes)[:-1]) if len(part))
        self.batch_tokens = int(record["batch_tokens"])


@dataclass(frozen=True, eq=False)
class Batch:
    """Texts padded to one length."""

    rows: np.ndarray  # (B,) int64 indices of the texts
    mask_BT: Tensor  # True at tokens, False at padding
    inputs: dict[str, Any]  # arguments of the model's forward pass


def make_batch(backbone: Backbone, ids: list[np.ndarray], rows: np.ndarray, padding: str) -> Batch:
    """Pad the texts of some rows on one side and lay them on the backbone's device."""
    longest = max(len(ids[row]) for row in rows)
    ids_BT = np.full((len(rows), longest), backbone.pad_id, dtype=np.int64)
    mask_BT = np.zeros((len(rows), longest), dtype=bool)
    for place, row in enumerate(rows):
        text = ids[row]
        span = slice(0, len(text)) if padding == "right" else slice(longest - len(text), longest)
        ids_BT[place, span], mask_BT[place, span] = text, True
    tokens, mask = (torch.from_numpy(array).to(backbone.device) for array in (ids_BT, mask_BT))
    return Batch(rows, mask, _inputs(backbone, tokens, mask, left=padding == "left" and not mask_BT.all()))


def _inputs(backbone: Backbone, ids_BT: Tensor, mask_BT: Tensor, *, left: bool) -> dict[str, Any]:
    """Arguments of the model; ``left``: it is padded there."""
    structure = backbone.structure
    inputs: dict[str, Any] = {"input_ids": ids_BT}
    if "use_cache" in structure.accepts:
        inputs["use_cache"] = False
    # A causal model never looks at what follows, so padding on the right cannot touch a real token: without a mask
    # the states are the same and the attention kernel is the faster, purely causal one.
    # An encoder gets it without padding, too: without one some (XLM, Flaubert) take ids of the padding token in a text,
    # which may also end texts, for padding.
    if left or (not structure.causal and "attention_mask" in structure.accepts):
        inputs["attention_mask"] = mask_BT.long()
    if left and "position_ids" in structure.accepts:
        inputs["position_ids"] = _positions(ids_BT, mask_BT, structure.position_padding)
    return inputs


def _positions(ids_BT: Tensor, mask_BT: Tensor, position_padding: int | None) -> Tensor:
    """Positions as if each text stood alone: 0, 1, ...; behind the padding index where the model counts from ids."""
    if position_padding is None:
        return (mask_BT.cumsum(1) - 1).clamp(min=0)
    counted = mask_BT & (ids_BT != position_padding)  # such a model gives a padding id in a text no position either
    return counted.cumsum(1) * counted + position_padding
