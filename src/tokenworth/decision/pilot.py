"""Pilots: short runs of the learned routes, the better half of them twice as long, to sharpen the prediction.

A pilot learns from a part of the training texts and is measured on another: the test split is not touched.  What a run
of an eighth of the steps says of the whole is learned from calibration cells that were run both ways.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from tokenworth.adaptation import adapt
from tokenworth.decision.advice import FIRST_RUNG, Option
from tokenworth.decision.conformal import held_out_errors
from tokenworth.decision.decision_result import PilotRow
from tokenworth.decision.forecaster import LEVEL
from tokenworth.decision.outcomes import WITHOUT_PROBE, log_odds, reference
from tokenworth.decision.predictors import LogOdds
from tokenworth.decision.run_plan import Plan, width_said
from tokenworth.errors import SettingError
from tokenworth.tasks import Task
from tokenworth.tasks.split import split

SHARES = (FIRST_RUNG, 1 / 4)
"""Of the steps, rung by rung."""
_VALIDATION = 0.2
_FEWEST_PAIRS = 5


def pilot_task(task: Task, seed: int) -> Task:
    """The training texts alone, a fifth of them in the place of the test part."""
    kept, cut = split(task.train.labels, _VALIDATION, seed, task.train.units())
    return replace(task, train=task.train.take(kept), test=task.train.take(cut))


def pilot_pairs(cells: pd.DataFrame, route: str, share: float) -> pd.DataFrame:
    """Whole runs of a route beside the short run of the same task, backbone and seed: its F1 in a column pilot_f1, and
    in pilot_moved how far it had come from the reference of the route, in log odds.
    """
    runs = cells[cells["route"] == route]
    whole = runs[runs["steps"] == runs.groupby(["task", "backbone"])["steps"].transform("max")]
    short = runs.rename(columns={"steps": "pilot_steps", "f1": "pilot_f1"})
    place = ["task", "backbone", "seed"]
    joined = whole.merge(short[[*place, "pilot_steps", "pilot_f1"]], on=place)
    near = np.isclose(joined["pilot_steps"] / joined["steps"], share, rtol=0.2)
    return _with_moved(joined[near].reset_index(drop=True))


def _with_moved(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(pilot_moved=log_odds(rows["pilot_f1"].to_numpy()) - log_odds(reference(rows)))


def pilot_line() -> LogOdds:
    """A line through how far the short run has come: two numbers.

    With the F1 itself beside those of probe and bag of words the penalty of the line takes most of it for theirs, and
    the pilot adds nothing (docs/log.md).
    """
    return LogOdds("pilot", ("pilot_moved",))


def line_without_pilot() -> LogOdds:
    """What is known beside it, in one line."""
    return LogOdds("without a pilot", ("probe_f1", "bow_f1", "log_classes"), of_route=WITHOUT_PROBE)


@dataclass(frozen=True, slots=True)
class Narrowing:
    """What short runs are worth: how wide they leave an interval, found on runs that were made both ways."""

    shares: dict[float, float]
    """Width of the 90 % interval with the pilot, in log odds, as a share of that without; by share of the steps."""
    runs: int


def narrowing_of(cells: pd.DataFrame, route: str) -> Narrowing | None:
    """Of a route, by tasks and backbones not seen; None where too few of its runs were made both ways."""
    shares, runs = {}, []
    for share in SHARES:
        pairs = pilot_pairs(cells, route, share)
        half, half_with = (held_out_errors(line, pairs).half_width(LEVEL) for line in (line_without_pilot, pilot_line))
        if not (math.isfinite(half) and half > 0):
            return None
        shares[share] = half_with / half
        runs.append(len(pairs))
    return Narrowing(shares, min(runs))


class Piloted:
    """What short runs of a route say of whole ones."""

    def __init__(self, cells: pd.DataFrame, route: str, share: float) -> None:
        self.pairs = pilot_pairs(cells, route, share)
        if self.pairs["task"].nunique() < _FEWEST_PAIRS:
            raise SettingError(
                f"the calibration has no runs of {share:g} of the steps for the route {route} to learn from; run them "
                "as a study, or leave the pilot out"
            )
        self.line = pilot_line()
        self.line.fit(self.pairs)
        self.errors = held_out_errors(pilot_line, self.pairs)

    def sharpen(
        self, option: Option, said: dict[str, float], pilot_f1: float, task_S: np.ndarray, rng: np.random.Generator
    ) -> None:
        """Put the prediction from the pilot in the place of the one from the assessment, if it is the sharper one."""
        row = _with_moved(pd.DataFrame([{**said, "task": "", "route": option.route, "pilot_f1": pilot_f1}]))
        f1 = float(self.line.predict(row)[0])
        low, high = self.errors.interval(f1, LEVEL)
        if high - low < option.f1_high - option.f1_low:
            option.f1, option.f1_low, option.f1_high = f1, low, high
            option.draws = self.errors.draw(f1, task_S, rng)


def check_share(share: float | None) -> None:
    """Refuse a pilot's share before anything runs.

    Raises:
        SettingError: it is none.
    """
    if share is not None and not 0 < share < 1:
        raise SettingError(f"pilot {share} is not understood; give a share of the routes' time between 0 and 1")


@dataclass(frozen=True, eq=False, slots=True)
class Pilots:
    """Short runs on the training texts of a task."""

    sources: dict[str, str]
    """What to load for the name of a backbone."""
    said: dict[str, dict[str, float]]
    """Indicators by the name of a backbone."""
    task: Task
    plan: Plan
    """Settings of the whole runs."""
    cells: pd.DataFrame
    """Calibration, short runs among it."""
    task_S: np.ndarray
    """Tasks by whose errors outcomes are drawn, those of the options."""
    metric: str
    """What the runs are judged by."""
    seed: int
    """Of split and runs."""
    running: dict[str, Any]
    """Device and the like, for `adapt`."""

    def run(self, options: list[Option], share: float) -> list[PilotRow]:
        """Successive halving over the predicted options that can be afforded, until a share of their time is spent.

        Args:
            options: weighed; the predictions of those that are run are sharpened.
            share: of the time of all whole runs, in (0, 1).

        Returns:
            One row a run: model, route, steps, f1, before, after, seconds.

        Raises:
            SettingError: nothing is known of short runs.
        """
        left = [option for option in options if option.source == "predicted" and option.affordable]
        limit, rng = share * sum(option.cost.seconds for option in left), np.random.default_rng(self.seed)
        rows: list[PilotRow] = []
        known = {(option.route, rung): Piloted(self.cells, option.route, rung) for option in left for rung in SHARES}
        halved, begun = pilot_task(self.task, self.seed), time.perf_counter()
        for rung in SHARES:
            reached = {}
            for option in left:
                assert option.model is not None, "bow is never predicted"
                if time.perf_counter() - begun + rung * option.cost.seconds > limit:
                    continue
                row = self._run(option, halved, rung)
                before = option.f1
                known[option.route, rung].sharpen(option, self.said[option.model], row["f1"], self.task_S, rng)
                rows.append({**row, "before": before, "after": option.f1})
                reached[option.name] = row["f1"]
            left = sorted((o for o in left if o.name in reached), key=lambda o: -reached[o.name])
            left = left[: max(1, len(left) // 2)]
        return rows

    def _run(self, option: Option, task: Task, rung: float) -> PilotRow:
        assert option.model is not None, "bow is never predicted"
        whole = self.plan.of(option.route, width_said(self.said[option.model]))
        steps = max(1, round(rung * whole.steps))
        short = replace(whole, steps=steps, selection="last", patience=None, eval_steps=None, mislabelled=False)
        done = adapt(self.sources[option.model], task, option.route, seed=self.seed, config=short, **self.running)
        return {
            "model": option.model,
            "route": option.route,
            "steps": short.steps,
            "f1": done.metrics[self.metric],
            "seconds": done.cost["seconds"],
        }
