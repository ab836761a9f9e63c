"""Which layer is best, decided on training texts alone, and how sure that is.

Axes: L' layers assessed, N training texts, G folds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tokenworth.base.aliases import Floats, Ints


@dataclass(frozen=True, slots=True)
class LayerChoice:
    """The best layer, how often each was best with one group left out, and which are within noise of it."""

    best: int
    frequency: dict[int, float]
    within_noise: tuple[int, ...]
    order: tuple[int, ...]
    """All layers, best first."""


def choose_layer(loss_LN: Floats, folds_N: Ints, layers: tuple[int, ...]) -> LayerChoice:
    """Least mean of the losses of each layer's probe on each training text it did not see.

    A layer is within noise where its loss exceeds the best one's by less than two jackknife standard errors of the
    paired difference over groups.
    """
    n_folds = int(folds_N.max()) + 1
    sizes_G = np.bincount(folds_N, minlength=n_folds)
    sums_LG = np.stack([np.bincount(folds_N, weights=row, minlength=n_folds) for row in loss_LN])
    mean_L = sums_LG.sum(1) / sizes_G.sum()
    without_LG = (sums_LG.sum(1, keepdims=True) - sums_LG) / (sizes_G.sum() - sizes_G)
    best = int(mean_L.argmin())
    winners = np.bincount(without_LG.argmin(0), minlength=len(layers)) / n_folds
    difference_LG = without_LG - without_LG[best]
    spread_L = np.square(difference_LG - difference_LG.mean(1, keepdims=True)).sum(1)
    error_L = np.sqrt(spread_L * (n_folds - 1) / n_folds)
    near = tuple(layers[i] for i in range(len(layers)) if mean_L[i] - mean_L[best] <= 2 * error_L[i])
    return LayerChoice(
        best=layers[best],
        frequency={layers[i]: float(winners[i]) for i in range(len(layers)) if winners[i]},
        within_noise=near,
        order=tuple(layers[i] for i in mean_L.argsort(kind="stable")),
    )
