"""Summaries of a curve over k = 1 .. D, and what k means."""

from __future__ import annotations

import operator

import torch
from torch import Tensor

SHARE = 0.25
"""The share of D that tables show, fixed beforehand."""


def resolve_k(k: int | float, dim: int) -> int:
    """Number of directions: an int is a count, a float a share of D (at least one direction).

    Raises:
        ValueError: outside 1 .. D, or a share outside (0, 1].
    """
    if isinstance(k, float):
        if not 0 < k <= 1:
            raise ValueError(f"k = {k} as a share of the {dim} directions; it lies in (0, 1], or is an int")
        return max(1, round(k * dim))
    count = operator.index(k)
    if not 1 <= count <= dim:
        raise ValueError(f"k = {count} directions; there are 1 to {dim}")
    return count


def log2_area(curve_D: Tensor) -> float:
    """Trapezoid of curve(k) over log2 k from 1 to D, divided by log2 D: the mean height on that axis."""
    if len(curve_D) == 1:
        return float(curve_D[0])
    log_k = torch.arange(1, len(curve_D) + 1, dtype=torch.float64, device=curve_D.device).log2()
    return float(torch.trapezoid(curve_D.to(torch.float64), log_k) / log_k[-1])


def first_reaching(curve_D: Tensor, level: float) -> float:
    """Smallest k with curve(k) >= level; NaN where the curve is, D where it never gets there."""
    if torch.isnan(curve_D).any():
        return float("nan")
    reached = (curve_D >= level).nonzero()
    return float(reached[0] + 1) if len(reached) else float(len(curve_D))


def complete_in_any_order(cumulative_D: Tensor, rank: int) -> Tensor:
    """A cumulative curve whose directions beyond `rank` have no order: the expectation over all orders, a line."""
    dim = len(cumulative_D)
    if rank >= dim:
        return cumulative_D
    start = cumulative_D[rank - 1] if rank else torch.zeros_like(cumulative_D[0])
    share = torch.arange(1, dim - rank + 1, dtype=cumulative_D.dtype, device=cumulative_D.device) / (dim - rank)
    return torch.cat([cumulative_D[:rank], start + (cumulative_D[-1] - start) * share])
