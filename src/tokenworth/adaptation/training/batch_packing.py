"""Batches for training: one batch as a few passes that compute little but real tokens.

The texts of a batch are sorted by length and cut into groups, each a pass of its own that adds to the gradient: padded
to its longest text, or packed, one behind the other in one row where each sees itself alone (positions start anew, and
each layer's own mask is kept to the text).  The cheapest cut is found exactly, from counted FLOPs and a price for every
pass.  All cuts give the same gradient to rounding, so batches stay as drawn.

Axes: B texts, T tokens of the longest, S tokens of all, D width.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, cast

import numpy as np
import torch
from torch import Tensor, nn

import tokenworth.adaptation.training.batch_cuts as cuts
from tokenworth.adaptation.training.text_spans import Spans, spans_told
from tokenworth.backbones import Backbone
from tokenworth.backbones.structure.agreement import agree
from tokenworth.backbones.structure.bounded_indices import bounded_indices
from tokenworth.backbones.structure.tree_attention import Tree, TreeError, tree_attention
from tokenworth.base.float32_products import short_attention
from tokenworth.base.machine import is_out_of_memory
from tokenworth.encode import pool
from tokenworth.encode.batches import make_batch
from tokenworth.errors import SettingError

Packing = Literal["texts", "row"]
"""What attention of packed texts is computed over: each text apart, or all pairs of a row under a mask."""
_ASKED = [0, 1, -1]
"""Texts of a row that are also computed alone, to see whether the model keeps them apart."""


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
    spans: Spans
    """Where each text lies."""
    tree: Tree | None = None
    """Who sees whom, where several texts share a row."""

    def states(self, model: nn.Module) -> Tensor:
        """Last states (rows, tokens of a row, D) of a base model, its adapters and wrappers included."""
        with self._attention(model), spans_told(self.spans):
            states: Tensor = model(**self.inputs).last_hidden_state
        return states

    def _attention(self, model: nn.Module) -> AbstractContextManager[Any]:
        if self.tree is not None:
            return tree_attention(self.tree)
        return short_attention(self.inputs["input_ids"].shape[1], *_kind(model))


def _kind(model: nn.Module) -> tuple[torch.dtype, torch.device]:
    weight = next(model.parameters())
    return weight.dtype, weight.device


def padded_batch(backbone: Backbone, ids: list[np.ndarray], rows: np.ndarray) -> TextBatch:
    """Texts padded on the right to the longest of them."""
    batch = make_batch(backbone, ids, rows, "right")
    length_B = np.array([len(ids[row]) for row in rows], dtype=np.int64)
    spans = Spans(np.arange(len(rows)), np.zeros(len(rows), dtype=np.int64), length_B)
    read, places = lambda x_BTD, how: pool(x_BTD, batch.mask_BT, how), batch.mask_BT.numel()
    return TextBatch(batch.inputs, read, int(length_B.sum()), places, spans)


def packed_batch(backbone: Backbone, ids: list[np.ndarray], rows: np.ndarray) -> TextBatch:
    """Texts behind each other in one row, each of which sees itself alone."""
    lengths = torch.tensor([len(ids[row]) for row in rows])
    text_S = torch.repeat_interleave(torch.arange(len(rows)), lengths).to(backbone.device)
    ends_B = lengths.cumsum(0).to(backbone.device)
    starts_B = ends_B - lengths.to(backbone.device)
    place_S = torch.arange(len(text_S), device=backbone.device) - starts_B[text_S]
    ids_S = torch.from_numpy(np.concatenate([ids[row] for row in rows]).astype(np.int64)).to(backbone.device)
    tree = Tree(text_S[None] + 1, place_S[None], lengths.tolist())
    spans = Spans(np.zeros(len(rows), dtype=np.int64), (lengths.cumsum(0) - lengths).numpy(), lengths.numpy())
    read = partial(_pool_segments, text_S, starts_B, ends_B)
    return TextBatch(tree_inputs(backbone, ids_S[None], tree), read, len(text_S), len(text_S), spans, tree)


def tree_inputs(backbone: Backbone, ids_BT: Tensor, tree: Tree) -> dict[str, Any]:
    """Arguments of a forward pass over the last T tokens of the rows of a tree."""
    padding = backbone.structure.position_padding
    first_position = 0 if padding is None else padding + 1
    inputs: dict[str, Any] = {
        "input_ids": ids_BT,
        "position_ids": tree.place_BS[:, -ids_BT.shape[1] :] + first_position,
        "attention_mask": torch.ones_like(tree.place_BS),
    }
    if "use_cache" in backbone.structure.accepts:
        inputs["use_cache"] = False
    return inputs


def _pool_segments(text_S: Tensor, starts_B: Tensor, ends_B: Tensor, states_1SD: Tensor, how: str) -> Tensor:
    """The same poolings as `tokenworth.encode.pool`, of texts that begin and end within one row."""
    states_SD, pooled = states_1SD[0], []
    for name in how.split("+"):
        if name == "mean":
            zeros = torch.zeros(len(ends_B), states_SD.shape[1], device=states_SD.device)
            pooled.append(zeros.index_add(0, text_S, states_SD.float()) / (ends_B - starts_B)[:, None])
        else:
            pooled.append(states_SD[{"last": ends_B - 1, "cls": starts_B}[name]].float())
    return torch.cat(pooled, dim=1)


def can_pack(backbone: Backbone, ids: list[np.ndarray], most: int = 16) -> Packing | None:
    """Whether the model gives every text in a pack the states it has alone, and what attention is then computed over.

    Asked of the model itself, with the job's longest text first and behind it others up to the longest row that will
    be computed, `most` texts in it: what goes wrong beyond a window or a table shows in no shorter ones.
    """
    structure = backbone.structure
    if structure.reads_padding or len(ids) < 2 or not {"attention_mask", "position_ids"} <= structure.accepts:
        return None
    # The longest text, the shortest, the middle one and so on, up to the longest row there will be.  Behind the end of
    # the model's own table of places nothing new can happen.
    lengths_N = np.array([len(text) for text in ids])
    order = np.argsort(-lengths_N, kind="stable")
    longest = min(int(lengths_N[order[:most]].sum()), backbone.max_length + 1, cuts.LONGEST_ROW)
    rows = np.array([order[0], order[-1], order[len(order) // 2], *np.resize(order, max(0, most - 3))])
    rows = rows[: max(2, 1 + int(np.searchsorted(lengths_N[rows].cumsum(), longest)))]
    try:
        with torch.inference_mode(), bounded_indices(backbone.device):
            packed = packed_batch(backbone, ids, rows)
            with tree_attention(cast("Tree", packed.tree)) as by_text, spans_told(packed.spans):
                states = backbone.model(**packed.inputs).last_hidden_state
            together = packed.read(states, "last+mean")[_ASKED]
            singles = [padded_batch(backbone, ids, rows[[place]]) for place in _ASKED]
            alone = torch.cat([single.read(single.states(backbone.model), "last+mean") for single in singles])
    except TreeError:
        return None
    except Exception as error:  # a model that takes no such input says so in any way
        if is_out_of_memory(error):
            raise
        return None
    if not agree(together, alone, backbone.dtype):
        return None
    return "texts" if by_text is not None and by_text.answers_all else "row"


class Packer:
    """Cuts batches into the cheapest passes and makes them."""

    def __init__(
        self, backbone: Backbone, ids: list[np.ndarray], cost: cuts.StepCost, *, packing: Packing | None
    ) -> None:
        self.backbone, self.ids, self.packing = backbone, ids, packing
        self.cost = cost = replace(cost, by_text=packing == "texts")
        self.lengths_N = np.array([len(text) for text in ids], dtype=np.int64)
        config: Any = backbone.model.config
        heads = cuts.heads_of(config, backbone.width)
        self.prices = cuts.prices(cost, backbone.device.type, backbone.n_layers, heads)

    def in_one_pass(self) -> None:
        """From now on batches are not cut: processes that share weights must make the same number of passes.

        Raises:
            SettingError: the model takes texts of one length only.
        """
        if self.backbone.structure.reads_padding:
            raise SettingError(
                f"the states of {self.backbone.name} depend on padding, so a batch takes as many passes as it has "
                "lengths, and weights cannot be sharded; train without --shard"
            )
        self.prices = replace(self.prices, one_pass=cuts.PROHIBITIVE)

    def plan(self, rows: np.ndarray, most: int) -> list[cuts.Group]:
        """The cheapest groups of at most so many texts."""
        alike = self.backbone.structure.reads_padding
        return cuts.plan_groups(
            rows, self.lengths_N, self.prices, most=most, packing=self.packing is not None, one_length=alike
        )

    def batch(self, group: cuts.Group) -> TextBatch:
        """The inputs of a group."""
        if group.packed:
            return packed_batch(self.backbone, self.ids, group.rows)
        return padded_batch(self.backbone, self.ids, group.rows)

    def flops(self, group: cuts.Group) -> float:
        """Counted FLOPs of a pass."""
        return self.cost.of(self.lengths_N[group.rows], packed=group.packed)
