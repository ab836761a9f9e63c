"""Batches for training: one batch as a few passes that compute little but real tokens.

The texts of a batch are sorted by length and cut into groups, each a pass of its own that adds to the gradient: padded
to its longest text, or packed, one behind the other in one row where each sees itself alone (positions start anew, the
attention mask is block-diagonal).  The cheapest cut is found exactly, from counted FLOPs and a price for every pass.
All cuts give the same gradient to rounding, so batches stay as drawn.

Axes: B texts, T tokens of the longest, S tokens of all, D width.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tokenworth.adaptation.cuts import PROHIBITIVE, Group, StepCost, heads_of, plan_groups, prices
from tokenworth.backbones import Backbone
from tokenworth.encode import pool
from tokenworth.encode.batches import make_batch


@dataclass(frozen=True, eq=False, slots=True)
class TextBatch:
    """Inputs of the model for some texts, and how their vectors are read from its states."""

    inputs: dict[str, Any]
    read: Callable[[Tensor, str], Tensor]
    """States and name of a pooling to vectors (B, D or 2 D), float32."""
    tokens: int
    """Real tokens."""
    places: int
    """Tokens computed, padding included."""


def padded_batch(backbone: Backbone, ids: list[np.ndarray], rows: np.ndarray) -> TextBatch:
    """Texts padded on the right to the longest of them."""
    batch = make_batch(backbone, ids, rows, "right")
    return TextBatch(
        batch.inputs,
        lambda states_BTD, how: pool(states_BTD, batch.mask_BT, how),
        int(sum(len(ids[row]) for row in rows)),
        batch.mask_BT.numel(),
    )


def packed_batch(backbone: Backbone, ids: list[np.ndarray], rows: np.ndarray, dtype: torch.dtype) -> TextBatch:
    """Texts behind each other in one row, with a block-diagonal mask in the attention's dtype."""
    lengths = torch.tensor([len(ids[row]) for row in rows])
    text_S = torch.repeat_interleave(torch.arange(len(rows)), lengths)
    ends_B = lengths.cumsum(0)
    starts_B = ends_B - lengths
    place_S = torch.arange(len(text_S)) - starts_B[text_S]
    device = backbone.device
    inputs: dict[str, Any] = {
        "input_ids": torch.from_numpy(np.concatenate([ids[row] for row in rows]).astype(np.int64))[None].to(device),
        "position_ids": (place_S + _first_position(backbone))[None].to(device),
        "attention_mask": mask_of(text_S, dtype, causal=backbone.causal).to(device),
    }
    if "use_cache" in backbone.structure.accepts:
        inputs["use_cache"] = False
    segments = _Segments(text_S.to(device), starts_B.to(device), ends_B.to(device))
    return TextBatch(inputs, segments.read, len(text_S), len(text_S))


def mask_of(text_S: Tensor, dtype: torch.dtype, *, causal: bool) -> Tensor:
    """(1, 1, S, S) additive attention mask: 0 within a text (and not ahead, if causal), the least number elsewhere."""
    seen_SS = text_S[:, None] == text_S[None, :]
    if causal:
        seen_SS = seen_SS.tril()
    mask = torch.zeros(seen_SS.shape, dtype=dtype).masked_fill_(~seen_SS, torch.finfo(dtype).min)
    return mask[None, None]


def _first_position(backbone: Backbone) -> int:
    padding = backbone.structure.position_padding
    return 0 if padding is None else padding + 1


@dataclass(frozen=True, eq=False, slots=True)
class _Segments:
    """Where the texts of a pack begin and end."""

    text_S: Tensor
    starts_B: Tensor
    ends_B: Tensor

    def read(self, states_1SD: Tensor, how: str) -> Tensor:
        """The same poolings as `tokenworth.encode.pool`."""
        states_SD = states_1SD[0]
        parts: dict[str, Callable[[], Tensor]] = {
            "mean": partial(self._mean, states_SD),
            "last": states_SD[self.ends_B - 1].float,
            "cls": states_SD[self.starts_B].float,
        }
        return torch.cat([parts[name]() for name in how.split("+")], dim=1)

    def _mean(self, states_SD: Tensor) -> Tensor:
        lengths_B1 = (self.ends_B - self.starts_B)[:, None]
        zeros = torch.zeros(len(self.ends_B), states_SD.shape[1], device=states_SD.device)
        return zeros.index_add(0, self.text_S, states_SD.float()) / lengths_B1


def can_pack(backbone: Backbone) -> bool:
    """Whether the model takes packs and gives every text in one the states it has alone.  Asked of the model itself."""
    if not {"attention_mask", "position_ids"} <= backbone.structure.accepts:
        return False
    n = backbone.structure.n_embeddings
    ids = [(np.arange(length) * 7919 + length) % n for length in (3, 5, 4)]
    rows = np.arange(3)
    try:
        with torch.inference_mode():
            packed = packed_batch(backbone, ids, rows, backbone.dtype)
            found = packed.read(backbone.model(**packed.inputs).last_hidden_state, "last+mean")
            padded = padded_batch(backbone, ids, rows)
            wanted = padded.read(backbone.model(**padded.inputs).last_hidden_state, "last+mean")
    except (RuntimeError, ValueError, TypeError, IndexError):  # a model that wants its masks in another form
        return False
    apart = float((found - wanted).norm() / wanted.norm())
    return apart < (1e-4 if backbone.dtype in {torch.float32, torch.float64} else 0.05)


class Packer:
    """Cuts batches into the cheapest passes and makes them."""

    def __init__(self, backbone: Backbone, ids: list[np.ndarray], cost: StepCost, *, packing: bool) -> None:
        self.backbone, self.ids, self.cost, self.packing = backbone, ids, cost, packing
        self.lengths_N = np.array([len(text) for text in ids], dtype=np.int64)
        config: Any = backbone.model.config
        heads = heads_of(config, backbone.width)
        self.prices = prices(cost, backbone.device.type, backbone.n_layers, heads)

    def in_one_pass(self) -> None:
        """From now on batches are not cut: processes that share weights must make the same number of passes."""
        self.prices = replace(self.prices, one_pass=PROHIBITIVE)

    def plan(self, rows: np.ndarray, most: int) -> list[Group]:
        """The cheapest groups of at most so many texts."""
        return plan_groups(rows, self.lengths_N, self.prices, most=most, packing=self.packing)

    def batch(self, group: Group, dtype: torch.dtype) -> TextBatch:
        """The inputs of a group; dtype is that in which attention is computed."""
        if group.packed:
            return packed_batch(self.backbone, self.ids, group.rows, dtype)
        return padded_batch(self.backbone, self.ids, group.rows)

    def flops(self, group: Group) -> float:
        """Counted FLOPs of a pass."""
        return self.cost.of(self.lengths_N[group.rows], packed=group.packed)
