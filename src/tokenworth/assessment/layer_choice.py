"""Which layer and pooling are best, decided on training texts alone, how sure that is, and what choosing costs.

Axes: K candidates, N training texts, G folds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tokenworth.base.aliases import Floats, Ints
from tokenworth.encode import Reading


class Candidate(NamedTuple):
    """What a probe reads: a layer, in one way."""

    layer: int
    reading: Reading


@dataclass(frozen=True, slots=True)
class LayerChoice:
    """The best candidate, how often each layer was best with one fold left out, and which are within noise of it."""

    best: Candidate
    frequency: dict[int, float]
    """By layer."""
    within_noise: tuple[int, ...]
    """Layers one of whose readings is within noise of the best."""
    order: tuple[Candidate, ...]
    """The best reading of each layer, best layer first."""
    candidates: int
    """Among how many was chosen."""
    nested_N: Ints
    """For each text the candidate (its place among all) that was best on the texts of the other folds."""

    def of_layer(self, layer: int) -> Candidate:
        """The best reading of a layer."""
        return next(candidate for candidate in self.order if candidate.layer == layer)


def choose_layer(losses: Mapping[Candidate, Floats], folds_N: Ints) -> LayerChoice:
    """Least mean of the losses (N,) of each candidate's probe on each training text it did not see.

    A candidate is within noise where its loss exceeds the best one's by less than two jackknife standard errors of the
    paired difference over folds.

    The least of many losses is too good by chance: `nested_N` chooses for each fold by the other folds alone, so that
    what the choices made so say of the texts they were made without is an honest figure of the whole procedure.
    """
    candidates, loss_KN = tuple(losses), np.stack(list(losses.values()))
    n_folds = int(folds_N.max()) + 1
    sizes_G = np.bincount(folds_N, minlength=n_folds)
    sums_KG = np.stack([np.bincount(folds_N, weights=row, minlength=n_folds) for row in loss_KN])
    mean_K = sums_KG.sum(1) / sizes_G.sum()
    without_KG = (sums_KG.sum(1, keepdims=True) - sums_KG) / (sizes_G.sum() - sizes_G)
    best, winners_G = int(mean_K.argmin()), without_KG.argmin(0)
    difference_KG = without_KG - without_KG[best]
    spread_K = np.square(difference_KG - difference_KG.mean(1, keepdims=True)).sum(1)
    error_K = np.sqrt(spread_K * (n_folds - 1) / n_folds)
    near = {candidates[k].layer for k in range(len(candidates)) if mean_K[k] - mean_K[best] <= 2 * error_K[k]}
    winners = [candidates[k].layer for k in winners_G]
    of_layer: dict[int, Candidate] = {}
    for k in mean_K.argsort(kind="stable"):
        of_layer.setdefault(candidates[k].layer, candidates[k])
    return LayerChoice(
        best=candidates[best],
        frequency={layer: winners.count(layer) / n_folds for layer in sorted(set(winners))},
        within_noise=tuple(sorted(near)),
        order=tuple(of_layer.values()),
        candidates=len(candidates),
        nested_N=winners_G[folds_N],
    )
