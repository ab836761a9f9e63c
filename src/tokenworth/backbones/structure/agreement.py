"""Whether two computations of the same states agree but for rounding.

Axes: N vectors, D coordinates.
"""

from __future__ import annotations

import torch
from torch import Tensor

_EXACT = 1e-4
_UNITS = 8.0
"""Units in the last place, of a vector's norm, that orders of summation may make over the depth of a model."""


def agree(states_ND: Tensor, expected_ND: Tensor, dtype: torch.dtype) -> bool:
    """Whether every vector is the expected one to rounding, relative to its norm: 1e-4 in float32, 8 units in the last
    place in narrower formats; NaN agrees with nothing.
    """
    tolerance = _EXACT if dtype in {torch.float32, torch.float64} else _UNITS * torch.finfo(dtype).eps
    states, expected = states_ND.double(), expected_ND.double()
    apart = ((states - expected).norm(dim=-1) / expected.norm(dim=-1).clamp(min=1e-30)).max()
    return float(apart) <= tolerance
