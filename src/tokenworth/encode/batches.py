"""Batches: which texts go together, and how they become tensors.

Axes: B texts, T tokens of the longest of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tokenworth.backbones import Backbone
from tokenworth.errors import SettingError


@dataclass(frozen=True, eq=False)
class Batch:
    """Texts padded to one length."""

    rows: np.ndarray
    """(B,) int64 indices of the texts."""
    mask_BT: Tensor
    """True at tokens, False at padding."""
    inputs: dict[str, Any]
    """Arguments of the model's forward pass."""


def plan_batches(
    lengths: Sequence[int] | np.ndarray, batch_tokens: int, *, one_length: bool = False
) -> list[np.ndarray]:
    """Row indices of each batch: longest texts first, so that memory shows its limit at once and little is padded.

    The padded tokens of a batch (texts x longest text) are at most ``batch_tokens``; a single longer text is a batch
    of its own.  Texts of one length keep their order.  With ``one_length`` texts of other lengths are
    in other batches, for models whose states depend on padding.

    Raises:
        SettingError: batch_tokens below 1.
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


def make_batch(backbone: Backbone, ids: list[np.ndarray], rows: np.ndarray, padding: str) -> Batch:
    """Pad the texts of some rows on one side and lay them on the backbone's device."""
    longest = max(len(ids[row]) for row in rows)
    ids_BT = np.full((len(rows), longest), backbone.pad_id, dtype=np.int64)
    mask_BT = np.zeros((len(rows), longest), dtype=bool)
    for place, row in enumerate(rows):
        text = ids[row]
        span = slice(0, len(text)) if padding == "right" else slice(longest - len(text), longest)
        ids_BT[place, span], mask_BT[place, span] = text, True
    padded = not mask_BT.all()
    tokens, mask = (torch.from_numpy(array).to(backbone.device) for array in (ids_BT, mask_BT))
    return Batch(rows, mask, _inputs(backbone, tokens, mask, padding if padded else None))


def _inputs(backbone: Backbone, ids_BT: Tensor, mask_BT: Tensor, padding: str | None) -> dict[str, Any]:
    structure = backbone.structure
    inputs: dict[str, Any] = {"input_ids": ids_BT}
    if "use_cache" in structure.accepts:
        inputs["use_cache"] = False
    # A causal model never looks at what follows, so padding on the right cannot touch a real token: without a mask
    # the states are the same and the attention kernel is the faster, purely causal one.
    # An encoder gets it without padding, too: without one some (XLM, Flaubert) take ids of the padding token in a text,
    # which may also end texts, for padding.
    if padding == "left" or (not structure.causal and "attention_mask" in structure.accepts):
        inputs["attention_mask"] = mask_BT.long()
    if padding == "left" and "position_ids" in structure.accepts:
        inputs["position_ids"] = _positions(ids_BT, mask_BT, structure.position_padding)
    return inputs


def _positions(ids_BT: Tensor, mask_BT: Tensor, position_padding: int | None) -> Tensor:
    """Positions as if each text stood alone: 0, 1, ...; behind the padding index where the model counts from ids."""
    if position_padding is None:
        return (mask_BT.cumsum(1) - 1).clamp(min=0)
    counted = mask_BT & (ids_BT != position_padding)  # such a model gives a padding id in a text no position either
    return counted.cumsum(1) * counted + position_padding
