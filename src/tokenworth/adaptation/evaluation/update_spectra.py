"""How weights moved: size and rank of the update of each linear map, and its intruder dimensions.

An intruder dimension is a left singular vector among the strongest of the new matrix that resembles no left singular
vector of the old one: its largest cosine with any of them is below a threshold.
Source: Shuttleworth et al. (2024), LoRA vs Full Fine-tuning: An Illusion of Equivalence.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tokenworth.adaptation.storage.adapt_result import Moved, Update

STRONGEST = 10
"""Singular vectors of the new matrix that are looked at."""
THRESHOLD = 0.5


def compare(before: nn.Module, after: nn.Module) -> list[Update]:
    """One row a linear map: name, shape, relative size, effective rank of the update, intruder dimensions."""
    old = dict(_matrices(before))
    return [{"name": name, **compare_matrices(old[name], new)} for name, new in _matrices(after) if name in old]


def compare_matrices(old: Tensor, new: Tensor, *, strongest: int = STRONGEST) -> Moved:
    """Of one pair of matrices (out, in)."""
    old, new = old.double(), new.double()
    update = new - old
    values = torch.linalg.svdvals(update)
    return {
        "shape": list(old.shape),
        "relative_size": float(update.norm() / old.norm().clamp(min=1e-300)),
        "effective_rank": effective_rank(values),
        "intruders": intruder_dimensions(old, new, strongest=strongest),
        "looked_at": min(strongest, *old.shape),
    }


def effective_rank(values_R: Tensor) -> float:
    """exp of the entropy of the singular values' shares; 0 where nothing moved.  Source: Roy and Vetterli (2007)."""
    total = values_R.sum()
    if not total > 0:
        return 0.0
    share_R = values_R / total
    return float(torch.special.entr(share_R).sum().exp())


def intruder_dimensions(old: Tensor, new: Tensor, *, strongest: int = STRONGEST, threshold: float = THRESHOLD) -> int:
    """How many of the strongest left singular vectors of `new` resemble none of `old`."""
    u_old, u_new = (torch.linalg.svd(matrix, full_matrices=False)[0] for matrix in (old, new))
    cosine = (u_old.T @ u_new[:, :strongest]).abs().amax(0)
    return int((cosine < threshold).sum())


def _matrices(model: nn.Module) -> list[tuple[str, Tensor]]:
    return [
        (name, module.weight.detach())
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and min(module.weight.shape) > 1
    ]
