"""Massive activations: the few states, usually of the first token, that are many times as long as all others.

Of each layer is kept where its largest state stands and how long first tokens' states are beside the others': a handful
of numbers that processes and checkpoints add up.  Source: Sun, Chen, Kolter and Liu (2024), arXiv 2402.17762.

Axes: B texts of a batch, T positions, D width, L' layers, 7 facts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp

import torch
from torch import Tensor

from tokenworth.scores.context_batch import Places

FACTS = ("norm", "value", "position", "coordinate", "first", "others", "n_others", "n_first")
"""Of the longest state its norm, the value of its largest coordinate and where; then sums of log norms, and counts."""
LEAST_RATIO = 10.0
"""Norm of the longest state over the mean of others from which on it is called massive: first tokens reach 170 in
SmolLM2-135M and 14 in Gemma-3-270M (docs/results/states.md)."""


@dataclass(frozen=True, slots=True)
class LargestState:
    """The longest state of a layer over all texts of a pass."""

    layer: int
    ratio: float
    """Its norm over the geometric mean of the norms of states that are not their text's first."""
    position: int
    """Of its token in its text; 0 is the first."""
    coordinate: int
    """That is the largest in it."""
    value: float
    """Of that coordinate."""
    first_ratio: float
    """The same mean of the states of first tokens over that of the others."""

    @property
    def massive(self) -> bool:
        """Whether it is so much longer than the others that it decides about means and second moments."""
        return self.ratio >= LEAST_RATIO


def nothing_seen() -> Tensor:
    """The facts (8,) of no states."""
    return torch.zeros(len(FACTS), dtype=torch.float64)


def facts_of(states_BTD: Tensor, places: Places) -> Tensor:
    """The facts (8,) of a batch's states, on their device; padding may hold anything."""
    mask_BT, wide = places.mask_BT, torch.float64 if states_BTD.dtype == torch.float64 else torch.float32
    norm_BT = torch.linalg.vector_norm(states_BTD, dim=-1, dtype=wide).masked_fill(~mask_BT, 0)
    first_BT = mask_BT & (places.length_BT == 1)
    top = norm_BT.flatten().argmax()
    longest_D = states_BTD.flatten(0, 1)[top].to(wide)
    coordinate = longest_D.abs().argmax()
    log_BT = norm_BT.clamp(min=torch.finfo(wide).tiny).log().masked_fill(~mask_BT, 0)  # few huge ones do not move it
    first = log_BT.masked_fill(~first_BT, 0).sum()
    facts = (
        norm_BT.flatten()[top], longest_D[coordinate], places.length_BT.flatten()[top] - 1, coordinate,
        first, log_BT.sum() - first, mask_BT.sum() - first_BT.sum(), first_BT.sum(),
    )  # fmt: skip
    kept = torch.float32 if states_BTD.device.type == "mps" else torch.float64
    return torch.stack([fact.to(kept) for fact in facts])


def together(facts: Tensor, more: Tensor) -> Tensor:
    """The facts (..., 8) of the states of both."""
    more = more.to(facts)
    longest = torch.where(more[..., :1] > facts[..., :1], more[..., :4], facts[..., :4])
    return torch.cat([longest, facts[..., 4:] + more[..., 4:]], dim=-1)


def largest_states(facts_L8: Tensor, layers: Sequence[int]) -> list[LargestState]:
    """The facts of some layers in words of their own; a layer none of whose texts has two tokens is left out."""
    described = []
    for layer, facts in zip(layers, facts_L8.tolist(), strict=True):
        norm, value, position, coordinate, first, others, n_others, n_first = facts
        if n_others:
            typical = exp(others / n_others)
            ratios = norm / typical, exp(first / n_first) / typical
            described.append(LargestState(layer, ratios[0], int(position), int(coordinate), value, ratios[1]))
    return described
