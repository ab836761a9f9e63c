"""Whether two computations of the same states agree but for rounding.

Axes: N vectors, D coordinates.
"""

from __future__ import annotations

import torch
from torch import Tensor

_EXACT = 1e-4
_UNITS = 8.0
"""Units in the last place, of a vector's norm, that orders of summation may make over the depth of a model."""


def agree(found_ND: Tensor, expected_ND: Tensor, dtype: torch.dtype) -> bool:
    """Whether every vector is the expected one to rounding; NaN agrees with nothing."""
    return apart(found_ND, expected_ND) <= tolerance(dtype)


def apart(found_ND: Tensor, expected_ND: Tensor) -> float:
    """Largest distance of a vector from the expected one, relative to its norm."""
    found, expected = found_ND.double(), expected_ND.double()
    return float(((found - expected).norm(dim=-1) / expected.norm(dim=-1).clamp(min=1e-30)).max())


def tolerance(dtype: torch.dtype) -> float:
    """Relative distance that rounding may make: 1e-4 in float32, 8 units in the last place in narrower formats."""
    return _EXACT if dtype in {torch.float32, torch.float64} else _UNITS * torch.finfo(dtype).eps
