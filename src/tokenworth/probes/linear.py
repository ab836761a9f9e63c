"""A linear read-out as plain arrays: what is left of any linear classifier once it is fitted.

Axes: N texts, D features, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tokenworth.base.aliases import Floats


@dataclass(frozen=True, eq=False, slots=True)
class Linear:
    """scores = x @ weights + intercept; their softmax is the probability of each class."""

    weights_DC: Floats
    intercept_C: Floats

    def scores(self, x_ND: Any) -> Floats:
        """Log-odds (N, C), up to a constant a row; x may be sparse."""
        return np.asarray(x_ND @ self.weights_DC + self.intercept_C, dtype=np.float64)


def from_logistic(model: Any, n_classes: int, *, mean_D: Any = 0.0, scale_D: Any = 1.0) -> Linear:
    """The read-out of a fitted scikit-learn LogisticRegression, in the units before standardising.

    Two classes have one row of coefficients there, and classes the training labels lack have none: they get zero
    weights and an intercept at which their probability vanishes.
    """
    coefficients_KD, intercept_K = np.asarray(model.coef_, np.float64), np.asarray(model.intercept_, np.float64)
    if len(coefficients_KD) == 1:
        coefficients_KD = np.concatenate([-coefficients_KD / 2, coefficients_KD / 2])
        intercept_K = np.concatenate([-intercept_K / 2, intercept_K / 2])
    scaled_KD = coefficients_KD / scale_D
    weights_DC, intercept_C = np.zeros((scaled_KD.shape[1], n_classes)), np.full(n_classes, -1e4)
    weights_DC[:, model.classes_] = scaled_KD.T
    intercept_C[model.classes_] = intercept_K - (scaled_KD * mean_D).sum(1)
    return Linear(weights_DC, intercept_C)
