"""How many pooled texts say something of their own: what generalised cross-validation may count.

Axes: N texts, B a block of them, D width.  Equal texts with equal labels are fitted for nothing: the residual of a
read-out vanishes with its penalty while degrees of freedom seem to be left, so that cross-validation by leverages
interpolates.  Leaving one text out is fooled in the same way by its double.
"""

from __future__ import annotations

import torch
from torch import Tensor

NEARNESS = 0.1
"""Texts are one where their distance is below this share of that of two texts drawn at random (root mean square)."""
_BLOCK = 1024


def distinct_texts(pooled_ND: Tensor) -> int:
    """Number of texts that lie apart from every earlier one, in coordinates of unit variance.  Cost O(N^2 D).

    Rounding of states keeps equal texts from being equal to the bit, and texts that differ in a comma are as good as
    equal to a read-out.
    """
    z_ND = pooled_ND.to(torch.float64)
    z_ND = z_ND - z_ND.mean(0)
    spread_D = z_ND.square().mean(0).sqrt()
    z_ND = z_ND / torch.where(spread_D > 0, spread_D, torch.ones_like(spread_D))
    length_N = z_ND.square().sum(1)
    nearest = 2 * NEARNESS**2 * float(length_N.mean())  # two drawn at random are twice the variance apart
    repeats = 0
    for start in range(0, len(z_ND), _BLOCK):
        rows = slice(start, start + _BLOCK)
        distance_BN = length_N[rows, None] + length_N - 2 * z_ND[rows] @ z_ND.T
        repeats += int((distance_BN < nearest).tril(start - 1).any(1).sum())
    return len(z_ND) - repeats
