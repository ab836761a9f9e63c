"""Delete-a-group jackknife: intervals for functions of moments.  Source: Efron and Tibshirani (1993), chapter 11."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from scipy.special import stdtrit
from torch import Tensor

from tokenworth.scores.pooled import PooledMoments, add_up


@dataclass(frozen=True, eq=False, slots=True)
class Interval:
    """Estimate, standard error and t interval of a statistic; arrays of one shape."""

    estimate: Tensor
    """Of all texts."""
    error: Tensor
    """Standard error of the estimate."""
    low: Tensor
    """Lower end of the t interval."""
    high: Tensor
    """Upper end of the t interval."""
    replicates: Tensor
    """(G, ...) the statistic without each group."""


def jackknife(
    groups: Sequence[PooledMoments], statistic: Callable[[PooledMoments], Tensor | float], *, level: float = 0.95
) -> Interval:
    """Interval of statistic(all groups) from the G values without one group each.

    error^2 = (G - 1) / G sum (value - mean)^2; low and high are the estimate -+ the t quantile with G - 1 degrees of
    freedom times the error.  Cost: G + 1 evaluations.

    Raises:
        ValueError: fewer than two groups.
    """
    if len(groups) < 2:
        raise ValueError(f"{len(groups)} group of texts; the jackknife leaves one of at least two out")
    total = add_up(groups)
    replicates = torch.stack([_as_tensor(statistic(total - group)) for group in groups])
    return interval(_as_tensor(statistic(total)), replicates, level=level)


def interval(estimate: Tensor, replicates: Tensor, *, level: float = 0.95) -> Interval:
    """The jackknife interval from an estimate (...) and its values without each group (G, ...)."""
    n_groups = len(replicates)
    spread = (replicates - replicates.mean(0)).square().sum(0)
    error = (spread * (n_groups - 1) / n_groups).sqrt()
    width = float(stdtrit(n_groups - 1, (1 + level) / 2)) * error
    return Interval(estimate, error, estimate - width, estimate + width, replicates)


def _as_tensor(value: Tensor | float) -> Tensor:
    return value if isinstance(value, Tensor) else torch.tensor(value, dtype=torch.float64)
