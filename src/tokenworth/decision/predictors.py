"""Predictors of what a learned route brings: each is fitted on calibration cells of one route and predicts weighted F1.

All are linear and small on purpose: some dozen tasks cannot carry more, and a line can be read.  Those that work on log
odds predict ln(F1 / (1 - F1)), so that a point near 1 is not taken for a point near one half.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import pandas as pd
from scipy.special import expit

from tokenworth.base.aliases import Floats
from tokenworth.decision.decide_settings import PREDICTOR
from tokenworth.decision.ridge_line import Line
from tokenworth.errors import SettingError

REFERENCE = {"prompt": "majority_f1", "lora": "probe_f1", "full": "probe_f1", "scratch": "probe_f1"}
"""The figure known beforehand that the outcome of a route is seen against."""
_EDGE = 0.005
_PENALTY = 10.0


class Predictor(Protocol):
    """Learns from one table and predicts the F1 of the rows of another; both have the columns of a calibration."""

    name: str
    indicators: tuple[str, ...]

    def fit(self, cells: pd.DataFrame) -> None:
        """Learn from finished cells of one route."""

    def predict(self, cells: pd.DataFrame) -> Floats:
        """F1 in [0, 1] of each row."""


@dataclass(slots=True)
class Gain:
    """F1 = the reference + a line in some indicators, by least squares; without indicators, + the mean gain."""

    name: str
    indicators: tuple[str, ...] = ()
    _line: Line = field(default_factory=Line)

    def fit(self, cells: pd.DataFrame) -> None:
        """Learn the mean gain and its slopes."""
        self._line.fit(_known(cells, self.indicators), cells["f1"].to_numpy() - reference(cells))

    def predict(self, cells: pd.DataFrame) -> Floats:
        """F1 in [0, 1] of each row."""
        return np.clip(reference(cells) + self._line.predict(_known(cells, self.indicators)), 0.0, 1.0)


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
    _line: Line = field(default_factory=Line)

    def fit(self, cells: pd.DataFrame) -> None:
        """Learn slopes and mean; every task weighs the same, however many cells it has."""
        weight_N = 1.0 / cells.groupby("task")["f1"].transform("size").to_numpy(dtype=float)
        self._line = Line(self.penalty)
        move_N = log_odds(cells["f1"].to_numpy()) - log_odds(reference(cells, self.against))
        self._line.fit(_known(cells, self.indicators, odds=True), move_N, weight_N)

    def predict(self, cells: pd.DataFrame) -> Floats:
        """F1 in [0, 1] of each row."""
        move_N = self._line.predict(_known(cells, self.indicators, odds=True))
        return np.asarray(expit(log_odds(reference(cells, self.against)) + move_N))

    def slopes(self) -> dict[str, float]:
        """Change of the log odds by one standard deviation of each indicator: how the prediction is explained."""
        return dict(zip(self.indicators, map(float, self._line.slope_F), strict=True))


def reference(cells: pd.DataFrame, column: str | None = None) -> Floats:
    """The F1 known beforehand that the route of each row is seen against (N)."""
    if column is not None:
        return cells[column].to_numpy(dtype=float)
    route_N, found_N = cells["route"].to_numpy(), np.full(len(cells), np.nan)
    for route in set(route_N):
        own_N = route_N == route
        found_N[own_N] = cells[REFERENCE[route]].to_numpy(dtype=float)[own_N]
    return found_N


def log_odds(f1: Floats) -> Floats:
    """ln(F1 / (1 - F1)), F1 kept .005 away from 0 and 1."""
    kept = np.clip(f1, _EDGE, 1 - _EDGE)
    return np.asarray(np.log(kept / (1 - kept)))


def _known(cells: pd.DataFrame, indicators: tuple[str, ...], *, odds: bool = False) -> Floats:
    columns = [cells[name].to_numpy(dtype=float) for name in indicators]
    shown = [
        log_odds(column) if odds and name.endswith("_f1") else column
        for name, column in zip(indicators, columns, strict=True)
    ]
    return np.column_stack(shown) if shown else np.zeros((len(cells), 1))


TASK = ("probe_f1", "bow_f1", "log_texts", "log_classes", "log_length")
SCORES = ("ntps_excess", "retained_auc", "label_r2", "hscore", "logme")


def predictors() -> list[Predictor]:
    """All that are compared, fresh: baselines first."""
    return [
        Gain("mean gain"),
        Gain("log tokens", ("log_tokens",)),
        Gain("headroom", ("probe_f1",)),
        Gain("published NTPS", ("ntps_published",)),
        Gain("NTPS", ("ntps",)),
        Gain("NTPS beyond chance", ("ntps_excess",)),
        LogOdds("probe and words", ("probe_f1", "bow_f1")),
        LogOdds("probe, words and classes", ("probe_f1", "bow_f1", "log_classes")),
        LogOdds("task", TASK),
        LogOdds("task and text loss", (*TASK, "nll", "bits_per_byte")),
        LogOdds("task and scores", TASK + SCORES),
        LogOdds("task, scores and budget", (*TASK, *SCORES, "log_epochs", "log_parameters")),
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
