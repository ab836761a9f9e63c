"""Conformal intervals from errors on what was left out whole: a predictor will meet a new task and a new backbone.

Cells of one task are alike, so that tasks, not cells, are exchangeable.  Every task has weight 1 whatever its number of
cells, and the task to come has weight 1 at infinity (Dunn, Wasserman, Ramdas 2023, pooling the distributions of
groups); the interval is the quantile of the absolute errors (of log odds) under these weights, each in units of the
standard deviation that the predictor itself gave (Lei et al. 2018, section 5.2).  A cell is predicted from cells of
other tasks on other backbones; backbones are too few to be promised anything about on their own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import expit

from tokenworth.base.aliases import Floats
from tokenworth.decision.outcomes import log_odds
from tokenworth.decision.predictors import Predictor, predictor

Make = Callable[[], Predictor]


@dataclass(frozen=True, eq=False, slots=True)
class Errors:
    """What a predictor was wrong by on tasks it had not seen, in log odds: .98 for .99 weighs more than .50 for .51."""

    true_N: Floats
    predicted_N: Floats
    group_N: np.ndarray
    """The task of each."""
    spread_N: Floats | None = None
    """Standard deviations that the predictor gave; None where it gives none."""

    @property
    def error_N(self) -> Floats:  # noqa: N802  # the shape is in the name
        """Log odds of the true F1 minus those of the predicted one, in units of the spread."""
        spread_N = 1.0 if self.spread_N is None else self.spread_N
        return np.asarray((log_odds(self.true_N) - log_odds(self.predicted_N)) / spread_N)

    def part(self, kept_N: np.ndarray) -> Errors:
        """Those at the places that are kept."""
        spread_N = None if self.spread_N is None else self.spread_N[kept_N]
        return Errors(self.true_N[kept_N], self.predicted_N[kept_N], self.group_N[kept_N], spread_N)

    def weights(self) -> Floats:
        """Of each error: 1 / (cells of its task); they add up to the number of tasks."""
        _, place_N, count_G = np.unique(self.group_N, return_inverse=True, return_counts=True)
        return np.asarray(1.0 / count_G[place_N])

    def mean_absolute(self) -> float:
        """Mean absolute error in F1, tasks weighing the same."""
        return float(np.average(np.abs(self.true_N - self.predicted_N), weights=self.weights()))

    def half_width(self, level: float = 0.9) -> float:
        """Half the width of the interval in spreads of log odds; infinite where too few tasks are known for this level.

        With G tasks the quantile is taken at level (G + 1) / G, at most 1: an interval at level .9 needs 9 tasks.
        """
        groups = len(np.unique(self.group_N))
        if groups == 0 or level * (groups + 1) / groups > 1 + 1e-12:
            return float("inf")
        size_N = np.abs(self.error_N)
        order = np.argsort(size_N)
        reached = np.cumsum(self.weights()[order]) / groups
        place = int(np.searchsorted(reached, level * (groups + 1) / groups - 1e-9))
        return float(size_N[order][min(place, len(order) - 1)])

    def interval(self, f1: float, level: float = 0.9, spread: float = 1.0) -> tuple[float, float]:
        """Around a prediction with its spread, in [0, 1]."""
        middle, half = float(log_odds(np.array([f1]))[0]), self.half_width(level) * spread
        return float(expit(middle - half)), float(expit(middle + half))

    def draw(self, f1: float, task_S: np.ndarray, rng: np.random.Generator, spread: float = 1.0) -> Floats:
        """Outcomes of a prediction with its spread, (S): each with an error that was made on that task, or else on any.

        Routes that are drawn with the same tasks are wrong together: a task on which training brings more than
        predicted is one for LoRA and for full training alike.
        """
        weight_N = self.weights()
        drawn_S = rng.choice(self.error_N, size=len(task_S), p=weight_N / weight_N.sum())
        for task in np.unique(task_S):
            own_N, here_S = self.error_N[self.group_N == task], task_S == task
            if len(own_N):
                drawn_S[here_S] = rng.choice(own_N, size=int(here_S.sum()))
        return np.asarray(expit(log_odds(np.array([f1])) + spread * drawn_S))


def tasks_drawn(cells: pd.DataFrame, n: int, rng: np.random.Generator) -> np.ndarray:
    """n tasks of a calibration, with equal chances: what the errors of all routes are drawn by."""
    return rng.choice(sorted(set(cells["task"])), size=n)


BOTH = "task and backbone"
"""Left out: what shares the task, and what shares the backbone."""


def left_out(cells: pd.DataFrame, by: str = "task") -> list[tuple[np.ndarray, np.ndarray]]:
    """Places of the cells that are learned from and of those that are predicted, part by part.

    Args:
        cells: of one route.
        by: a column, each of whose values is left out whole; or BOTH: a cell is predicted from other tasks on other
            backbones, or from other tasks where there is one backbone.
    """
    if by == BOTH and len(set(cells["backbone"])) > 1:
        pairs = cells[["task", "backbone"]].drop_duplicates().itertuples(index=False)
        found = []
        for task, backbone in pairs:
            is_task, is_backbone = cells["task"].to_numpy() == task, cells["backbone"].to_numpy() == backbone
            found.append((np.flatnonzero(~is_task & ~is_backbone), np.flatnonzero(is_task & is_backbone)))
        return found
    values = cells["task" if by == BOTH else by].to_numpy()
    return [(np.flatnonzero(values != value), np.flatnonzero(values == value)) for value in sorted(set(values))]


def held_out_predictions(make: Make, cells: pd.DataFrame, by: str = "task") -> Floats:
    """F1 of every cell, predicted from the cells with others left out (N); NaN where none is left."""
    return held_out(make, cells, by)[0]


def held_out(make: Make, cells: pd.DataFrame, by: str = BOTH) -> tuple[Floats, Floats]:
    """F1 of every cell, and the spread that the predictor gave (N, N); NaN where nothing is left to learn from."""
    predicted_N, spread_N = np.full(len(cells), np.nan), np.ones(len(cells))
    for others, held_out in left_out(cells, by):
        if len(others):
            fitted, own = make(), cells.iloc[held_out]
            fitted.fit(cells.iloc[others])
            predicted_N[held_out], spread_N[held_out] = fitted.predict(own), fitted.spread(own)
    return predicted_N, spread_N


def held_out_errors(make: Make, cells: pd.DataFrame, by: str = BOTH) -> Errors:
    """Errors on what was left out, one part after the other."""
    predicted_N, spread_N = held_out(make, cells, by)
    known = ~np.isnan(predicted_N)
    columns = (cells["f1"].to_numpy()[known], predicted_N[known], cells["task"].to_numpy()[known], spread_N[known])
    return Errors(*columns)


def learn(name: str, cells: pd.DataFrame) -> tuple[Predictor, Errors]:
    """The predictor of a name, fitted on all cells, and its errors on tasks and backbones left out."""
    fitted = predictor(name)
    fitted.fit(cells)
    return fitted, held_out_errors(fitted.anew, cells)
