"""How good are the predictors?  Every figure on tasks (or backbones) that the predictor has not seen."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from tokenworth.base.aliases import Floats
from tokenworth.decision.advice import DRAWS, Option, best_measured, pick, regret_of_missing, weigh
from tokenworth.decision.conformal import BOTH, Errors, Make, held_out, left_out, tasks_drawn
from tokenworth.decision.predictors import predictor
from tokenworth.decision.route_costs import Cost

RESAMPLES = 2000


def predictor_row(name: str, cells: pd.DataFrame, by: str = BOTH, level: float = 0.9) -> dict[str, Any]:
    """Figures of one predictor on the cells of one route.

    Args:
        name: of the predictor.
        cells: of one route.
        by: what is left out whole: "task", "backbone" or `BOTH`.
        level: of the intervals.

    Returns:
        error (mean absolute, F1), error_low and error_high (95 % bootstrap interval over tasks), rmse, within_3 and
        within_5 (share of cells off by at most so many points), spearman (of predicted with true gain over the probe,
        mean over backbones), coverage with its interval, width (median).
    """
    told = held_out_intervals(name, cells, level, by)
    off_N = (told["f1"] - told["predicted"]).abs().to_numpy()
    low, high = clustered(off_N, told["task"].to_numpy())
    return {
        "predictor": name,
        "by": by,
        "cells": len(told),
        "error": task_mean(off_N, told),
        "error_low": low,
        "error_high": high,
        "rmse": float(np.sqrt(task_mean(off_N**2, told))),
        "within_3": task_mean(off_N <= 0.03, told),
        "within_5": task_mean(off_N <= 0.05, told),
        # Means of the other tasks rank backwards by themselves: a task with a high gain lowers the mean of the others.
        "spearman": gain_spearman(told) if predictor(name).indicators else float("nan"),
        **coverage(told),
    }


def held_out_intervals(name: str, cells: pd.DataFrame, level: float = 0.9, by: str = BOTH) -> pd.DataFrame:
    """The cells of one route with what a predictor that has not seen them says: columns predicted, spread, low, high.

    The interval of a cell is made of the errors on cells that share nothing with it that is left out (cross-conformal:
    Vovk 2015); cells for which nothing is left to learn from are dropped.
    """
    return intervals_of(partial(predictor, name), cells, level, by)


def intervals_of(make: Make, cells: pd.DataFrame, level: float = 0.9, by: str = BOTH) -> pd.DataFrame:
    """The same of a predictor that is made for every part anew."""
    told, errors = _told(make, cells, by)
    ends_N2 = np.zeros((len(told), 2))
    for others, held_out_places in left_out(told, by):
        rest = errors.part(others)
        for place in held_out_places:
            guess, spread = told["predicted"].iloc[place], told["spread"].iloc[place]
            ends_N2[place] = rest.interval(float(guess), level, float(spread))
    return told.assign(low=ends_N2[:, 0], high=ends_N2[:, 1])


def _told(make: Make, cells: pd.DataFrame, by: str) -> tuple[pd.DataFrame, Errors]:
    """Cells of one route with predicted and spread, and the errors of these, in the same order."""
    predicted_N, spread_N = held_out(make, cells, by)
    told = cells.assign(predicted=predicted_N, spread=spread_N).dropna(subset=["predicted"]).reset_index(drop=True)
    columns = (told[column].to_numpy() for column in ("f1", "predicted", "task", "spread"))
    return told, Errors(*columns)


def task_mean(value_N: Floats | np.ndarray | pd.Series, cells: pd.DataFrame) -> float:
    """Mean over cells in which tasks weigh the same, however many seeds each was run with."""
    return float(pd.Series(value_N, dtype=float).groupby(cells["task"].to_numpy()).mean().mean())


def gain_spearman(told: pd.DataFrame) -> float:
    """Spearman r of predicted and true gain over the probe within a backbone, mean over backbones."""
    correlations = []
    for _, rows in told.groupby("backbone"):
        by_task = rows.assign(guess=rows["predicted"] - rows["probe_f1"], gain=rows["f1"] - rows["probe_f1"])
        means = by_task.groupby("task")[["guess", "gain"]].mean()
        if len(means) > 2 and means["guess"].std() > 1e-12:
            correlations.append(float(spearmanr(means["guess"], means["gain"])[0]))
    return float(np.mean(correlations)) if correlations else float("nan")


def coverage(told: pd.DataFrame) -> dict[str, float]:
    """Share of cells that lie in their intervals, tasks weighing the same, with its interval; median width."""
    inside_N = ((told["low"] <= told["f1"]) & (told["f1"] <= told["high"])).to_numpy(dtype=float)
    low, high = clustered(inside_N, told["task"].to_numpy())
    shares = {"coverage": task_mean(inside_N, told), "coverage_low": low, "coverage_high": high}
    return shares | {"width": float((told["high"] - told["low"]).median())}


def clustered(value_N: np.ndarray, group_N: np.ndarray, *, seed: int = 0) -> tuple[float, float]:
    """95 % bootstrap interval of a mean over groups that are drawn whole."""
    means_G = pd.Series(value_N).groupby(group_N).mean().to_numpy()
    drawn_B = np.random.default_rng(seed).choice(means_G, (RESAMPLES, len(means_G))).mean(1)
    low, high = np.percentile(drawn_B, [2.5, 97.5])
    return float(low), float(high)


def seed_noise(cells: pd.DataFrame) -> float:
    """Mean absolute deviation of a run from the mean over seeds of its cell; NaN with one seed."""
    groups = cells.groupby(["task", "backbone", "route"])["f1"]
    many = groups.transform("size") > 1
    return float((cells["f1"] - groups.transform("mean"))[many].abs().mean()) if many.any() else float("nan")


Rule = Callable[[list[Option]], Option | None]
HINDSIGHT = "in hindsight"


def rules(tolerance: float = 0.01) -> dict[str, Rule]:
    """Ways to choose a route: the advice, and what it has to beat."""
    return {
        "the advice": lambda options: pick(options, tolerance),
        "best expected": lambda options: options[0],
        **{f"always {route}": partial(_first, route=route) for route in ("bow", "probe", "lora", "scratch")},
        "bow or probe": lambda options: next(option for option in options if option.source == "measured"),
    }


def _first(options: list[Option], route: str) -> Option | None:
    return next((option for option in options if option.route == route), None)


def regret_table(cells: pd.DataFrame, name: str, tolerance: float = 0.01) -> pd.DataFrame:
    """One row a task, backbone and rule: F1 lost by following it on a task the predictor has not seen, FLOPs spent.

    The routes of a place are bow, the probe and the learned routes with finished cells (means over seeds).  regret is
    what is lost where the better of the route and what was measured (bow, probe) is kept, by the test texts; alone,
    where the route is taken whatever it has; spent, the share of the FLOPs of running all routes.  Rule `HINDSIGHT`
    takes the quickest of the routes that truly lose at most the tolerance: no advice can be as good and quicker.
    """
    rows = []
    for task, backbone, options, true in _held_out_places(cells, name):
        best, everything = max(true.values()), sum(option.cost.flops for option in options)
        picked = {rule: choose(options) for rule, choose in rules(tolerance).items()}
        enough = [option for option in options if true[option.route] >= best - tolerance]
        picked[HINDSIGHT] = min(enough, key=lambda option: option.cost.seconds)
        for rule, chosen in picked.items():
            if chosen is not None:
                alone, regret = best - true[chosen.route], best - _kept(chosen, options, true)
                figures = {"rule": rule, "route": chosen.route, "regret": regret, "alone": alone}
                spent = chosen.cost.flops / everything
                rows.append({"task": task, "backbone": backbone, **figures, "spent": spent})
    return pd.DataFrame(rows)


def chance_table(cells: pd.DataFrame, name: str, tolerance: float = 0.01) -> pd.DataFrame:
    """What was said on a task the predictor has not seen, with the chance that was given to it, and whether it was so.

    Rows: one a place with statement "better", that another route is better by more than the tolerance than what is kept
    of the advised one; one a place and route with statement "best", that it is the best.  Columns: task, backbone,
    statement, chance in [0, 1], true.
    """
    rows = []
    for task, backbone, options, true in _held_out_places(cells, name):
        chosen, best = pick(options, tolerance), max(true.values())
        assert chosen is not None, "without a budget there is one"
        kept = _kept(chosen, options, true)
        said = [("better", regret_of_missing(chosen, options, tolerance), best > kept + tolerance)]
        said += [("best", option.chance_best, true[option.route] == best) for option in options]
        rows += [
            {"task": task, "backbone": backbone, "statement": what, "chance": chance, "true": bool(was)}
            for what, chance, was in said
        ]
    return pd.DataFrame(rows)


def _kept(chosen: Option, options: list[Option], true: Mapping[str, float]) -> float:
    """F1 that is left where the better of a route and what was measured is kept."""
    had = best_measured(options)
    return true[chosen.route] if had is None else max(true[chosen.route], true[had.route])


Place = tuple[str, str, list[Option], dict[str, float]]
"""A task, a backbone, what decide would weigh there, and the true F1 of each route."""


def _held_out_places(cells: pd.DataFrame, name: str) -> Iterator[Place]:
    """Every task and backbone, seen by a predictor that has seen neither; of the routes that others were run with."""
    means = cells.groupby(["task", "backbone", "route"], as_index=False).mean(numeric_only=True)
    make = partial(predictor, name)
    by_route = {route: _told(make, own.reset_index(drop=True), BOTH) for route, own in means.groupby("route")}
    rng = np.random.default_rng(0)
    for task, backbone in sorted(set(zip(means["task"], means["backbone"], strict=True))):
        others = means[(means["task"] != task)]
        options, true = _options(task, backbone, by_route, tasks_drawn(others, DRAWS, rng), rng)
        if options:
            weigh(options)
            yield str(task), str(backbone), options, true


def _options(
    task: str,
    backbone: str,
    by_route: Mapping[Any, tuple[pd.DataFrame, Errors]],
    task_S: np.ndarray,
    rng: np.random.Generator,
) -> tuple[list[Option], dict[str, float]]:
    """Options of one task and backbone as `decide` would see them, and the true F1 of each route."""
    options, true = list[Option](), dict[str, float]()
    for route, (told, errors) in by_route.items():
        own = told[(told["task"] == task) & (told["backbone"] == backbone)]
        if own.empty:
            continue
        run, several = own.iloc[0], len(set(told["backbone"])) > 1
        kept = (told["task"] != task) & ((told["backbone"] != backbone) | (not several))
        rest, guess, spread = errors.part(kept.to_numpy()), float(run["predicted"]), float(run["spread"])
        low, high = rest.interval(guess, spread=spread)
        cost = _cost(run["train_flops"], run["seconds"])
        draws = rest.draw(guess, task_S, rng, spread)
        if not options:
            options, true = _measured(run)
        options.append(Option(backbone, str(route), "predicted", guess, low, high, cost, draws))
        true[str(route)] = float(run["f1"])
    return options, true


def _measured(run: pd.Series) -> tuple[list[Option], dict[str, float]]:
    """bow and probe, which run with the assessment."""
    forward = 2 * float(np.exp(run["log_parameters"] + run["log_tokens"]))
    options = [_known("bow", run["bow_f1"], 0.0, 1.0), _known("probe", run["probe_f1"], forward, 2.0)]
    return options, {"bow": float(run["bow_f1"]), "probe": float(run["probe_f1"])}


def _known(route: str, f1: float, flops: float, seconds: float) -> Option:
    return Option(None, route, "measured", f1, f1, f1, _cost(flops, seconds), np.full(DRAWS, f1))


def _cost(flops: float, seconds: float) -> Cost:
    return Cost(flops, seconds, None, 0, 0, 0.0, 0.0, None, 0)
