"""Layer and k chosen for each panel, as in the published figures, and what a correlation found in this way is worth.

One model has three different scores in the three published figures, so layer and k were chosen for each.  The cells of
the route `published` hold the whole grid.  Here the best Spearman r over it is found as published, tested against
shuffles of which each may choose anew, and checked on tasks that it was not chosen on.

Axes: T tasks, L layers, K shares, B shuffles.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from tokenworth.base.keywords import known_keywords
from tokenworth.study.cell_results import PUBLISHED
from tokenworth.study.correlation import p_value, rank_correlation
from tokenworth.study.grid import AS_PUBLISHED, Study
from tokenworth.study.published_relations import OURS, Relation
from tokenworth.study.results_table import by_route, named_cells
from tokenworth.study.study_store import StudyStore, read_result

SHUFFLES, HALVINGS = 2000, 200
FEWEST_TASKS = 6  # below this a half has too few tasks for a correlation
FIGURES = {
    "accuracy": "accuracy, training rows",
    "squared error": "- squared error, training rows",
    "gain": "- (LoRA - probe), accuracy",
}
"""What stands on the vertical axis, in the direction in which the published r is positive: logistic and linear
read-outs on the rows they were fitted on, and what LoRA adds to the probe on test rows."""


@dataclass(frozen=True, eq=False, slots=True)
class Sweep:
    """The scores of one backbone on some tasks for every layer and k, and what they are put against."""

    figure: str
    """Of the paper: a key of `FIGURES`, which says what the outcome is."""
    backbone: str
    """By the study's name for it."""
    tasks: tuple[str, ...]
    """The T tasks, by name."""
    shares: tuple[float, ...]
    """The K values of k, as shares of the width."""
    score_TLK: np.ndarray
    """NTPS of the published code by task, layer and k."""
    outcome_TL: np.ndarray
    """By task and layer, signed so that the published r is positive."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The layer and k with the largest r, and what that r is worth."""

    figure: str
    """Of the paper, whose score and outcome it takes."""
    backbone: str
    """By the study's name for it."""
    tasks: int
    """How many it was chosen on."""
    layer: int
    """With the largest r."""
    share: float
    """k as a share of the width."""
    r: float
    """Spearman, over the tasks it was chosen on."""
    p: float
    """As if layer and k had been known beforehand."""
    p_chosen: float
    """Against shuffled tasks, each with the layer and k that suit it best."""
    r_elsewhere: float
    """Chosen on a random half of the tasks, taken on the other; mean over halvings."""


def sweeps(study: Study | None, root: str | Path, table: pd.DataFrame) -> list[Sweep]:
    """One a figure and backbone with enough finished cells of the route `published`.

    Args:
        study: whose cells; None takes all that lie in the folder.
        root: the folder.
        table: of these cells, for what LoRA brought.
    """
    gains = _gains(table)
    candidates = [
        _sweep(figure, backbone, measured, gains.get(backbone, {}))
        for backbone, measured in _measured(study, StudyStore(Path(root))).items()
        for figure in FIGURES
    ]
    return [sweep for sweep in candidates if sweep is not None]


def _measured(study: Study | None, store: StudyStore) -> dict[str, dict[str, Any]]:
    """What the cells of the route hold, by backbone and task."""
    cells, names = named_cells(study, store)
    by_backbone: dict[str, dict[str, Any]] = {}
    for cell, key in cells:
        path = store.run_folder(key) / PUBLISHED
        if cell.route == AS_PUBLISHED and path.is_file():
            task, backbone = names.of(cell)
            by_backbone.setdefault(str(backbone), {}).setdefault(task, read_result(path))
    return by_backbone


def _gains(table: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Accuracy of LoRA less that of the probe, by backbone and task."""
    wide = by_route(table, "accuracy")
    if not {"probe", "lora", "backbone"} <= set(wide.columns):
        return {}
    wide = wide.assign(gain=wide["lora"] - wide["probe"]).dropna(subset=["gain"])
    return {str(name): dict(zip(rows["task"], rows["gain"], strict=True)) for name, rows in wide.groupby("backbone")}


def _sweep(figure: str, backbone: str, measured: dict[str, Any], gains: dict[str, float]) -> Sweep | None:
    tasks = tuple(task for task in measured if figure != "gain" or task in gains)
    if len(tasks) < FEWEST_TASKS:
        return None
    score = np.array([[row["ntps"] for row in measured[task]["layers"]] for task in tasks], dtype=float)
    outcome = np.array([_outcomes(figure, measured[task]["layers"], gains.get(task, np.nan)) for task in tasks])
    return Sweep(figure, backbone, tasks, tuple(measured[tasks[0]]["shares"]), score, outcome)


def _outcomes(figure: str, layers: list[dict[str, Any]], gain: float) -> list[float]:
    """What a task is put against, by layer, in the direction in which the published r is positive."""
    if figure == "gain":
        return [-gain] * len(layers)
    return [row["train_accuracy"] if figure == "accuracy" else -row["train_squared_error"] for row in layers]


@known_keywords
def choose(sweep: Sweep, *, seed: int = 0) -> Choice:
    """The best layer and k of a sweep; k of which a task has no score is left out."""
    rng, outcome_TL = np.random.default_rng(seed), sweep.outcome_TL
    r_LK = spearman_grid(sweep.score_TLK, outcome_TL)
    layer, k = _best(r_LK)
    orders_BT = np.stack([rng.permutation(len(sweep.tasks)) for _ in range(SHUFFLES)])
    score_LKT, outcome_LT = _unit_scores(sweep.score_TLK), _unit_ranks(outcome_TL.T)
    shuffled_BLK = (score_LKT @ np.moveaxis(outcome_LT[:, orders_BT], 1, 2)).transpose(2, 0, 1)
    r = float(r_LK[layer, k])
    return Choice(
        sweep.figure, sweep.backbone, len(sweep.tasks), layer, sweep.shares[k], r,
        p=p_value(np.abs(shuffled_BLK[:, layer, k]), abs(r)),
        p_chosen=p_value(np.nanmax(shuffled_BLK, (1, 2)), r),
        r_elsewhere=float(np.nanmean(list(_elsewhere(sweep, rng)))),
    )  # fmt: skip


def _elsewhere(sweep: Sweep, rng: np.random.Generator) -> Iterator[float]:
    n = len(sweep.tasks)
    for _ in range(HALVINGS):
        order = rng.permutation(n)
        here, other = order[: n // 2], order[n // 2 :]
        layer, k = _best(spearman_grid(sweep.score_TLK[here], sweep.outcome_TL[here]))
        yield float(spearman_grid(sweep.score_TLK[other], sweep.outcome_TL[other])[layer, k])


def spearman_grid(score_TLK: np.ndarray, outcome_TL: np.ndarray) -> np.ndarray:
    """Spearman r over tasks for every layer and k (L, K); NaN where a score is missing or nothing varies."""
    return np.asarray((_unit_scores(score_TLK) @ _unit_ranks(outcome_TL.T)[..., None])[..., 0])


def _unit_scores(score_TLK: np.ndarray) -> np.ndarray:
    score_LKT = np.moveaxis(score_TLK, 0, -1)
    whole_LK1 = ~np.isnan(score_LKT).any(-1, keepdims=True)
    return np.where(whole_LK1, _unit_ranks(np.nan_to_num(score_LKT)), np.nan)


def _unit_ranks(values: np.ndarray) -> np.ndarray:
    """Ranks along the last axis, centred and of length 1, so that a product is Spearman's r; NaN if nothing varies."""
    ranks = rankdata(values, axis=-1)
    ranks -= ranks.mean(-1, keepdims=True)
    norm = np.sqrt((ranks**2).sum(-1, keepdims=True))
    return np.asarray(ranks / np.where(norm > 1e-12, norm, np.nan))


def _best(r_LK: np.ndarray) -> tuple[int, int]:
    """The first of the largest; equal ones may differ in the last digit."""
    place = int(np.argmax(np.nan_to_num(r_LK, nan=-2.0).round(12)))
    layer, k = np.unravel_index(place, r_LK.shape)
    return int(layer), int(k)


def chosen_relations(all_sweeps: list[Sweep], choices: list[Choice]) -> list[Relation]:
    """One chart a figure: every backbone at the layer and k chosen for its panel."""
    charts = []
    for figure, meaning in FIGURES.items():
        chosen = [pair for pair in zip(all_sweeps, choices, strict=True) if pair[0].figure == figure]
        if not chosen:
            continue
        points = pd.concat([_points(sweep, choice) for sweep, choice in chosen], ignore_index=True)
        statistics = [
            {"source": OURS, "backbone": name, **rank_correlation(part["x"].to_numpy(), part["y"].to_numpy())}
            for name, part in points.groupby("backbone", sort=False)
        ]
        name, title = f"chosen-{figure.replace(' ', '-')}", f"layer and k chosen for each panel: NTPS against {figure}"
        charts.append(
            Relation(name, f"As published, {title}", "NTPS of the published code", meaning, points, statistics)
        )
    return charts


def _points(sweep: Sweep, choice: Choice) -> pd.DataFrame:
    x, y = sweep.score_TLK[:, choice.layer, sweep.shares.index(choice.share)], sweep.outcome_TL[:, choice.layer]
    facts = {"backbone": sweep.backbone, "task": list(sweep.tasks), "x": x, "y": y, "source": OURS}
    return pd.DataFrame(facts)
