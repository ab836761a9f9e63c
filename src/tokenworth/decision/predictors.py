"""Predictors of what a learned route brings: each is fitted on calibration cells of one route and predicts weighted F1.

All are linear and small on purpose: some dozen tasks cannot carry more, and a line can be read.  Those that work on log
odds predict ln(F1 / (1 - F1)), so that a point near 1 is not taken for a point near one half.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from scipy.special import expit

from tokenworth.base.aliases import Floats
from tokenworth.decision.decide_settings import PREDICTOR
from tokenworth.decision.outcomes import WITHOUT_PROBE, known_columns, log_odds, reference
from tokenworth.decision.pooled_line import Pooled
from tokenworth.errors import SettingError

_PENALTY = 10.0


@dataclass(slots=True)
class Line:
    """Ridge regression on standardised columns: what every predictor fits, thousands of times when judged.

        z = (x - mean) / std,   unknown x taken as the mean
        b = argmin sum_n w_n (y_n - a - b z_n)^2 + penalty |b|^2

    Fitted once, then read; without penalty the slopes of least norm.  Axes: N rows, F columns.
    """

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


@dataclass(slots=True)
class Gain:
    """F1 = the reference + a line in some indicators, by least squares; without indicators, + the mean gain."""

    name: str
    indicators: tuple[str, ...] = ()
    _line: Line = field(default_factory=Line)

    def fit(self, cells: pd.DataFrame) -> None:
        """Learn the mean gain and its slopes."""
        self._line.fit(known_columns(cells, self.indicators), cells["f1"].to_numpy() - reference(cells))

    def predict(self, cells: pd.DataFrame) -> Floats:
        """F1 in [0, 1] of each row."""
        return np.clip(reference(cells) + self._line.predict(known_columns(cells, self.indicators)), 0.0, 1.0)

    def spread(self, cells: pd.DataFrame) -> Floats:
        """How unsure each prediction is beside the others (N): alike."""
        return np.ones(len(cells))

    def anew(self) -> Gain:
        """One of the same indicators that has learned nothing."""
        return Gain(self.name, self.indicators)


@dataclass(slots=True)
class Nothing:
    """F1 = the reference: as if training brought nothing."""

    name: str
    indicators: tuple[str, ...] = ()

    def fit(self, cells: pd.DataFrame) -> None:
        """There is nothing to learn."""

    def predict(self, cells: pd.DataFrame) -> Floats:
        """F1 in [0, 1] of each row."""
        return reference(cells)

    def spread(self, cells: pd.DataFrame) -> Floats:
        """How unsure each prediction is beside the others (N): alike."""
        return np.ones(len(cells))

    def anew(self) -> Nothing:
        """The same."""
        return self


@dataclass(slots=True)
class LogOdds:
    """Ridge regression of the log odds of F1 on standardised indicators; F1s among these enter as log odds too.

    What is predicted is the difference from the reference, so that without evidence it is the reference plus the mean.
    """

    name: str
    indicators: tuple[str, ...]
    penalty: float = _PENALTY
    against: str | None = None
    """Column of the reference; None takes that of the route."""
    of_route: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Indicators of routes that have others."""
    _line: Line = field(default_factory=Line)

    def fit(self, cells: pd.DataFrame) -> None:
        """Learn slopes and mean; every task weighs the same, however many cells it has."""
        self.indicators = self.of_route.get(cells["route"].iloc[0], self.indicators)
        weight_N = 1.0 / cells.groupby("task")["f1"].transform("size").to_numpy(dtype=float)
        self._line = Line(self.penalty)
        move_N = log_odds(cells["f1"].to_numpy()) - log_odds(reference(cells, self.against))
        self._line.fit(known_columns(cells, self.indicators, odds=True), move_N, weight_N)

    def predict(self, cells: pd.DataFrame) -> Floats:
        """F1 in [0, 1] of each row."""
        move_N = self._line.predict(known_columns(cells, self.indicators, odds=True))
        return np.asarray(expit(log_odds(reference(cells, self.against)) + move_N))

    def spread(self, cells: pd.DataFrame) -> Floats:
        """How unsure each prediction is beside the others (N): alike."""
        return np.ones(len(cells))

    def anew(self) -> LogOdds:
        """One of the same settings that has learned nothing."""
        return replace(self)

    def slopes(self) -> dict[str, float]:
        """Change of the log odds by one standard deviation of each indicator: how the prediction is explained."""
        return dict(zip(self.indicators, map(float, self._line.slope_F), strict=True))


Predictor = Nothing | Gain | LogOdds | Pooled
"""Learns from one table and predicts the F1 of the rows of another; both have the columns of a calibration."""


TASK = ("probe_f1", "bow_f1", "log_texts", "log_classes", "log_length")
SCORES = ("ntps_excess", "retained_auc", "label_r2", "hscore", "logme")


def predictors() -> list[Predictor]:
    """All that are compared, fresh: baselines first."""
    return [
        Nothing("no gain"),
        Gain("mean gain"),
        Gain("log tokens", ("log_tokens",)),
        Gain("headroom", ("probe_f1",)),
        Gain("published NTPS", ("ntps_published",)),
        Gain("NTPS", ("ntps",)),
        Gain("NTPS beyond chance", ("ntps_excess",)),
        Gain("LogME", ("logme",)),
        LogOdds("probe and words", ("probe_f1", "bow_f1")),
        LogOdds("probe, words and classes", ("probe_f1", "bow_f1", "log_classes")),
        LogOdds("task", TASK),
        LogOdds("task and text loss", (*TASK, "nll", "bits_per_byte")),
        LogOdds("task and scores", TASK + SCORES),
        LogOdds("task, scores and budget", (*TASK, *SCORES, "log_epochs", "log_parameters")),
        LogOdds("probe as reference", ("probe_f1", "bow_f1", "log_classes"), against="probe_f1"),
        LogOdds("what a route can know", ("probe_f1", "bow_f1"), of_route=WITHOUT_PROBE),
        Pooled("partial pooling"),
    ]


DEFAULT = PREDICTOR
"""What decide uses; docs/results/decision.md has the comparison."""


def predictor(name: str = DEFAULT) -> Predictor:
    """One of `predictors` by name.

    Raises:
        SettingError: there is none.
    """
    by_name = {known.name: known for known in predictors()}
    if name not in by_name:
        raise SettingError(f"predictor {name!r} is not known; choose from {', '.join(by_name)}")
    return by_name[name]
