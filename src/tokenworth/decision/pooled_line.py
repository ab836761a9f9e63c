"""Partial pooling: a line in log odds whose tasks and backbones each have an effect of their own (mixed effects).

    y = a + z b + t(task) + m(backbone) + c(task, backbone) + s(source) + e

    y: log odds of F1 less those of a reference known beforehand; z: standardised indicators
    b, t, m, c, s, e: normal with mean 0 and the variances of `Variances`; a: normal with a wide one

Of a task or a backbone that was never seen the effect is 0 with its variance, so that the prediction is as unsure as
they differ; of one that was seen it is what its runs say, drawn towards 0 by how few they are.  Variances are those of
the highest posterior (Gelman & Hill 2007, chapter 12; priors: `_PRIOR`); everything else is in closed form, as a
Gaussian process with the covariance of the sum (Rasmussen & Williams 2006, equations 2.23 to 2.26, 2.30).

Axes: N rows learned from, M rows predicted, F indicators.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize
from scipy.special import expit

from tokenworth.base.aliases import Floats
from tokenworth.decision.outcomes import WITHOUT_PROBE, known_columns, log_odds, reference

_WIDE = 25.0
"""Variance of the intercept: log odds of -10 to 10."""
PRINTED = "published"
"""What stands in the place of a version where a figure was printed by others."""
_GROUPS = ("task", "backbone", "both", "source")
_PRIOR = np.log([0.03, 0.05, 0.05, 0.03, 0.05, 0.02])
"""Middle of each variance, in the order of `Variances`: effects of a few points of F1."""
_PRIOR_SPREAD = 1.5
"""Standard deviation of the logarithms: a variance may well be four times larger or smaller."""


class Variances(NamedTuple):
    """Of every effect, in squared log odds."""

    slope: float
    """Of the change by one standard deviation of an indicator."""
    task: float
    backbone: float
    both: float
    """Of a task together with a backbone, beyond what each has alone."""
    source: float
    """Of where a run comes from: measured here, or printed by others."""
    noise: float
    """Of a run: seed and test texts."""


@dataclass(slots=True)
class PooledLine:
    """Fitted once, then read."""

    variances: Variances | None = None
    """None finds them by the data; given ones are kept."""
    _mean_F: Floats = field(default_factory=lambda: np.zeros(0))
    _std_F: Floats = field(default_factory=lambda: np.ones(0))
    _z_NF: Floats = field(default_factory=lambda: np.zeros((0, 0)))
    _groups: pd.DataFrame = field(default_factory=pd.DataFrame)
    _factor: tuple[Floats, bool] = field(default_factory=lambda: (np.zeros((0, 0)), True))
    _weight_N: Floats = field(default_factory=lambda: np.zeros(0))

    def fit(self, x_NF: Floats, y_N: Floats, groups: pd.DataFrame) -> None:
        """Learn from rows.

        Args:
            x_NF: indicators; NaN is unknown and taken as the mean of the known.
            y_N: what is predicted.
            groups: columns task, backbone and source of the rows.
        """
        known_NF = ~np.isnan(x_NF)
        count_F = np.maximum(known_NF.sum(0), 1)
        self._mean_F = np.where(known_NF, x_NF, 0.0).sum(0) / count_F
        std_F = np.sqrt((np.where(known_NF, x_NF - self._mean_F, 0.0) ** 2).sum(0) / count_F)
        self._std_F = np.where(std_F > np.finfo(float).eps * np.abs(self._mean_F), std_F, 1.0)
        self._z_NF, self._groups = self._standardised(x_NF), _with_both(groups)
        parts = [*self._shared(self._z_NF, self._groups), np.eye(len(y_N))]
        if self.variances is None:
            self.variances = _likeliest(parts, y_N)
        self._factor = cho_factor(_sum(self.variances, parts), lower=True)
        self._weight_N = cho_solve(self._factor, y_N)

    def predict(self, x_MF: Floats, groups: pd.DataFrame) -> tuple[Floats, Floats]:
        """Mean and standard deviation of y of new rows (M, M), noise of a run included."""
        assert self.variances is not None, "fitted before it is asked"
        z_MF, own = self._standardised(x_MF), _with_both(groups)
        shared_MN = _sum(self.variances, self._shared(z_MF, own))
        alone_M = self.variances.slope * (z_MF**2).sum(1) + sum(self.variances[1:]) + _WIDE
        known_M = np.einsum("mn,nm->m", shared_MN, cho_solve(self._factor, shared_MN.T))
        return shared_MN @ self._weight_N, np.sqrt(np.maximum(alone_M - known_M, self.variances.noise))

    def slopes(self) -> Floats:
        """Posterior means of b (F): change of y by one standard deviation of each indicator."""
        assert self.variances is not None, "fitted before it is asked"
        return np.asarray(self.variances.slope * (self._z_NF.T @ self._weight_N))

    def _standardised(self, x_MF: Floats) -> Floats:
        return np.where(np.isnan(x_MF), 0.0, (x_MF - self._mean_F) / self._std_F)

    def _shared(self, z_MF: Floats, groups: pd.DataFrame) -> list[Floats]:
        """What new rows share with those learned from, effect by effect: (M, N) each, without variances."""
        same = [
            (groups[name].to_numpy()[:, None] == self._groups[name].to_numpy()[None]).astype(float) for name in _GROUPS
        ]
        return [z_MF @ self._z_NF.T, *same]


def _with_both(groups: pd.DataFrame) -> pd.DataFrame:
    both = groups["task"].astype(str) + "\n" + groups["backbone"].astype(str)
    return groups[["task", "backbone", "source"]].assign(both=both)


def _sum(variances: Variances, parts: list[Floats]) -> Floats:
    """Covariance of the sum of all effects; the noise is left out where the rows are others."""
    return sum((v * part for v, part in zip(variances, parts, strict=False)), start=np.full(parts[0].shape, _WIDE))


def _likeliest(parts: list[Floats], y_N: Floats) -> Variances:
    """Variances of the highest posterior density of their logarithms."""

    def cost(log_variances: Floats) -> float:
        covariance_NN = _sum(Variances(*np.exp(log_variances)), parts)
        factor = cho_factor(covariance_NN, lower=True)
        fit = 0.5 * y_N @ cho_solve(factor, y_N) + np.log(np.diag(factor[0])).sum()
        return float(fit + 0.5 * (((log_variances - _PRIOR) / _PRIOR_SPREAD) ** 2).sum())

    found = minimize(cost, _PRIOR, method="L-BFGS-B", bounds=[(low - 6, low + 6) for low in _PRIOR])
    return Variances(*map(float, np.exp(found.x)))


_OF_PRETRAINED = ("probe_f1", "bow_f1", "log_classes", "log_texts", "log_length")


@dataclass(slots=True)
class Pooled:
    """The pooled line of one route, against its reference (`outcomes.REFERENCE`)."""

    name: str
    _line: PooledLine = field(default_factory=PooledLine)
    indicators: tuple[str, ...] = _OF_PRETRAINED

    def fit(self, cells: pd.DataFrame) -> None:
        """Learn from the cells of one route."""
        self.indicators = WITHOUT_PROBE.get(cells["route"].iloc[0], _OF_PRETRAINED)
        self._line = PooledLine(self._line.variances)
        move_N = log_odds(cells["f1"].to_numpy(dtype=float)) - log_odds(reference(cells))
        self._line.fit(known_columns(cells, self.indicators, odds=True), move_N, _groups(cells))

    def predict(self, cells: pd.DataFrame) -> Floats:
        """F1 in [0, 1] of each row; a task or backbone learned from has its own effect."""
        return np.asarray(expit(log_odds(reference(cells)) + self._predicted(cells)[0]))

    def spread(self, cells: pd.DataFrame) -> Floats:
        """Standard deviation of each prediction in log odds (N)."""
        return self._predicted(cells)[1]

    def anew(self) -> Pooled:
        """One that learns from other cells with these variances: what a part of the cells is left out with."""
        return replace(self, _line=PooledLine(self._line.variances))

    def slopes(self) -> dict[str, float]:
        """Change of the log odds by one standard deviation of each indicator: how the prediction is explained."""
        return dict(zip(self.indicators, map(float, self._line.slopes()), strict=True))

    def _predicted(self, cells: pd.DataFrame) -> tuple[Floats, Floats]:
        return self._line.predict(known_columns(cells, self.indicators, odds=True), _groups(cells))


def _groups(cells: pd.DataFrame) -> pd.DataFrame:
    """Task, backbone and source of each row; a row without a backbone is of one that was never seen."""
    backbone = cells["backbone"] if "backbone" in cells else pd.Series("", index=cells.index)
    printed = cells["version"].eq(PRINTED) if "version" in cells else pd.Series(False, index=cells.index)
    return pd.DataFrame({"task": cells["task"], "backbone": backbone, "source": printed})
