"""A learned route's F1 with its interval, from calibration cells."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from tokenworth.base.aliases import Floats
from tokenworth.decision.conformal import Errors, learn
from tokenworth.decision.decision_result import PredictedBy
from tokenworth.decision.indicators import INDICATORS
from tokenworth.decision.pooled_line import Pooled
from tokenworth.decision.predictors import DEFAULT, LogOdds, Predictor
from tokenworth.errors import SettingError

LEVEL = 0.9
FEWEST_TASKS = 3  # of calibration, for a prediction at all


@dataclass(frozen=True, slots=True)
class Prediction:
    """Weighted F1 of a route."""

    f1: float
    low: float
    high: float
    draws: Floats
    explanation: PredictedBy


@dataclass(slots=True)
class Forecaster:
    """Predictors of all routes, fitted on calibration cells, with their errors on tasks left out."""

    cells: pd.DataFrame
    name: str = DEFAULT
    _fitted: dict[str, tuple[Predictor, Errors]] = field(default_factory=dict)

    def routes(self) -> list[str]:
        """Routes with enough tasks to learn from."""
        tasks = self.cells.groupby("route")["task"].nunique()
        return sorted(str(route) for route, n in tasks.items() if n >= FEWEST_TASKS)

    def predict(
        self, route: str, said: dict[str, float], *, task_S: np.ndarray, rng: np.random.Generator
    ) -> Prediction:
        """The F1 of a route where an assessment says this.

        Args:
            route: lora, full, scratch or prompt.
            said: INDICATORS of the assessment.
            task_S: tasks by whose errors outcomes are drawn, the same for all routes.
            rng: for the rest of the draw.

        Raises:
            SettingError: too few calibration tasks have the route.
        """
        fitted, errors = self.learned(route)
        row = pd.DataFrame([{**said, "route": route, "task": ""}])
        f1, spread = float(fitted.predict(row)[0]), float(fitted.spread(row)[0])
        low, high = errors.interval(f1, LEVEL, spread)
        explanation: PredictedBy = {
            "predictor": self.name,
            "indicators": {name: said[name] for name in fitted.indicators},
            "slopes": fitted.slopes() if isinstance(fitted, LogOdds | Pooled) else {},
            "mean_absolute_error": errors.mean_absolute(),
        }
        return Prediction(f1, low, high, errors.draw(f1, task_S, rng, spread), explanation)

    def learned(self, route: str) -> tuple[Predictor, Errors]:
        """The predictor of a route, and its errors on tasks left out.

        Raises:
            SettingError: too few calibration tasks have the route.
        """
        if route not in self._fitted:
            if route not in self.routes():
                raise SettingError(
                    f"the calibration has fewer than {FEWEST_TASKS} tasks with the route {route}; run a study with it "
                    "and name its folder with --calibration"
                )
            cells = self.cells[self.cells["route"] == route].reset_index(drop=True)
            self._fitted[route] = learn(self.name, cells)
        return self._fitted[route]

    def outside(self, said: dict[str, float]) -> list[str]:
        """Indicators of an assessment that lie beyond all calibration cells, with the range of these."""
        beyond = []
        for name in INDICATORS:
            low, high = self.cells[name].min(), self.cells[name].max()
            room = 0.05 * (high - low)
            if said[name] < low - room or said[name] > high + room:
                values, plain = (said[name], low, high), name.removeprefix("log_")
                is_log = name != plain
                here, least, most = (f"{math.exp(x):,.0f}" if is_log else f"{x:.3g}" for x in values)
                beyond.append(f"{plain.replace('_', ' ')} {here}, calibrated from {least} to {most}")
        return beyond
