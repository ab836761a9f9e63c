"""Ridge regression on standardised columns: what every predictor of a decision fits, thousands of times when judged.

    z = (x - mean) / std,   unknown x taken as the mean
    b = argmin sum_n w_n (y_n - a - b z_n)^2 + penalty |b|^2

Axes: N rows, F columns.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from tokenworth.base.aliases import Floats


@dataclass(slots=True)
class Line:
    """Fitted once, then read; without penalty the slopes of least norm."""

    penalty: float = 0.0
    slope_F: Floats = field(default_factory=lambda: np.zeros(0))
    """Change of y by one standard deviation of each column."""
    _mean_F: Floats = field(default_factory=lambda: np.zeros(0))
    _std_F: Floats = field(default_factory=lambda: np.zeros(0))
    _intercept: float = 0.0

    def fit(self, x_NF: Floats, y_N: Floats, weight_N: Floats | None = None) -> None:
        """Learn from rows; NaN in x is unknown, and a column of which nothing is known counts for nothing."""
        known_NF = ~np.isnan(x_NF)
        count_F = np.maximum(known_NF.sum(0), 1)
        self._mean_F = np.where(known_NF, x_NF, 0.0).sum(0) / count_F
        centred_NF = np.where(known_NF, x_NF - self._mean_F, 0.0)
        std_F = np.sqrt((centred_NF**2).mean(0))
        self._std_F = np.where(std_F > np.finfo(float).eps * np.abs(self._mean_F), std_F, 1.0)
        z_NF, w_N = centred_NF / self._std_F, np.ones(len(y_N)) if weight_N is None else weight_N
        middle_F, mean = w_N @ z_NF / w_N.sum(), w_N @ y_N / w_N.sum()
        weighted_FN = ((z_NF - middle_F) * w_N[:, None]).T
        gram_FF = weighted_FN @ (z_NF - middle_F) + self.penalty * np.eye(z_NF.shape[1])
        self.slope_F = np.linalg.lstsq(gram_FF, weighted_FN @ (y_N - mean), rcond=None)[0]
        self._intercept = float(mean - middle_F @ self.slope_F)

    def predict(self, x_NF: Floats) -> Floats:
        """y of each row (N)."""
        z_NF = np.where(np.isnan(x_NF), 0.0, (x_NF - self._mean_F) / self._std_F)
        return np.asarray(self._intercept + z_NF @ self.slope_F)
