"""How a batch is cut into passes: the cheapest way, found exactly, from counted FLOPs and a price for every pass.

Axes: B texts of a batch, sorted by length.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

ATTENTION_WEIGHT = 1.4
"""How much longer a FLOP of attention takes than one of a linear map (measured on a CPU, 45 against 65 GFLOP/s)."""
PAIR_FLOPS_PER_HEAD = {"cpu": 1000.0}
"""FLOPs that could be computed in the time a pair of tokens takes in one head of one block, forward and backward,
however narrow the head (measured: 15 ns at widths of 8 and of 64)."""
PASS_FLOPS_PER_BLOCK = {"cpu": 3e8}
PROHIBITIVE = 1e30
LONGEST_ROW = 4096
"""Tokens of a pack at most: attention over more costs more than padding, and a row this long can still be tried."""
_PASS_FLOPS_ELSEWHERE = 1e11  # launching kernels takes the time of very many products


@dataclass(frozen=True, slots=True)
class StepCost:
    """What one pass takes, FLOPs or bytes: per token, per pair of tokens that share a row, and per text."""

    token: float
    pair: float
    text: float
    by_text: bool = False
    """Whether texts packed in one row attend apart, so that only pairs within a text cost anything."""

    @classmethod
    def through(cls, lengths: Sequence[int], counts: Sequence[float]) -> StepCost:
        """From what single texts of three lengths were counted to take, or of two: then nothing is said of a text."""
        powers = (1, 2, 0)[: len(lengths)]
        powers_LP = np.stack([np.array(lengths, dtype=np.float64) ** power for power in powers], axis=1)
        token, pair, *text = np.linalg.solve(powers_LP, np.array(counts, dtype=np.float64)).tolist()
        return cls(token, pair, max(0.0, *text, 0.0))

    def of(self, lengths_B: np.ndarray, *, packed: bool) -> float:
        """Cost of texts in one pass."""
        return self.packed(lengths_B) if packed else self.padded(lengths_B)

    def padded(self, lengths_B: np.ndarray) -> float:
        """Cost of texts in one batch, padded to the longest."""
        longest, n = float(lengths_B.max()), len(lengths_B)
        return n * (longest * self.token + longest**2 * self.pair + self.text)

    def packed(self, lengths_B: np.ndarray) -> float:
        """Cost of texts behind one another in one row."""
        total = float(lengths_B.sum())
        pairs = float((lengths_B.astype(np.float64) ** 2).sum()) if self.by_text else total**2
        return total * self.token + pairs * self.pair + len(lengths_B) * self.text


@dataclass(frozen=True, eq=False, slots=True)
class Group:
    """Texts of one pass, shortest first."""

    rows: np.ndarray
    packed: bool


@dataclass(frozen=True, slots=True)
class Prices:
    """What passes cost in time, as FLOPs of linear maps."""

    cost: StepCost
    """With a dearer pair."""
    one_pass: float
    """One more pass, whatever its size."""


def prices(cost: StepCost, device: str, n_blocks: int, n_heads: int) -> Prices:
    """Prices of training on a device "cpu" or "cuda", from counted FLOPs, the blocks and the heads of each."""
    pair = max(ATTENTION_WEIGHT * cost.pair, n_blocks * n_heads * PAIR_FLOPS_PER_HEAD.get(device, 0.0))
    one_pass = n_blocks * PASS_FLOPS_PER_BLOCK.get(device, _PASS_FLOPS_ELSEWHERE)
    return Prices(replace(cost, pair=pair), one_pass)


def heads_of(config: Any, width: int) -> int:
    """Attention heads of a block, where the configuration says; else as many of 64 as fit."""
    stated = getattr(config.get_text_config(), "num_attention_heads", None)
    return stated if isinstance(stated, int) else max(1, width // 64)


def plan_groups(
    rows: np.ndarray, lengths_N: np.ndarray, price: Prices, *, most: int, packing: bool, one_length: bool = False
) -> list[Group]:
    """Cut some texts, sorted by length, where the sum of prices is least: O(B^2) by dynamic programming.

    Without packing there is one padded group, or several of `most` texts in the order drawn; with `one_length` there
    are groups of one length, which need neither.
    """
    if one_length:
        return [
            Group(alike[start : start + most], packed=False)
            for alike in (rows[lengths_N[rows] == length] for length in np.unique(lengths_N[rows]))
            for start in range(0, len(alike), most)
        ]
    if not packing:
        return [Group(rows[start : start + most], packed=False) for start in range(0, len(rows), most)]
    ordered = rows[np.argsort(lengths_N[rows], kind="stable")]
    lengths_B = lengths_N[ordered]
    best: list[tuple[float, int, bool]] = [(0.0, 0, False)]  # price of the first texts, where their last group begins
    for end in range(1, len(ordered) + 1):
        choices = []
        for start in range(max(0, end - most), end):
            part, before = lengths_B[start:end], best[start][0] + price.one_pass
            choices.append((before + price.cost.padded(part), start, False))
            if end - start > 1 and part.sum() <= LONGEST_ROW:
                choices.append((before + price.cost.packed(part), start, True))
        best.append(min(choices))
    groups, end = [], len(ordered)
    while end:
        _, start, packed = best[end]
        groups.append(Group(ordered[start:end], packed))
        end = start
    return groups[::-1]
