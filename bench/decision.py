"""How good is the advice?  Predictors compared on tasks and backbones they have not seen, regret, coverage.

    tokenworth study run worth-cpu --models FOLDER --data FOLDER
    tokenworth study run worth-cpu-pilots --out out/study/worth-cpu --models FOLDER --data FOLDER
    python bench/decision.py --studies out/study/worth-cpu [--beside-shipped] [--ship]

Writes docs/results/decision.md; with --ship also the cells that come with the package.  --beside-shipped adds those
that come with it now and are not in the studies: a study need not be run on one machine at one time.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from misses import misses, second_draws
from pages import write_page
from pilots import pilot_lines
from published_evidence import lora_evidence, scratch_evidence
from tokenworth.decision.calibration import calibration_of, full_length, read_calibration, with_runs_of
from tokenworth.decision.predictor_evaluation import (
    chance_table,
    clustered,
    coverage,
    held_out_intervals,
    predictor_row,
    regret_table,
    seed_noise,
    task_mean,
)
from tokenworth.decision.predictors import DEFAULT, predictors

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "results" / "decision.md"
REAL = ("smollm2-135m", "gemma3-270m", "all-minilm-l6-v2")
BY_PROBE = "probe as reference"
LEAST_TASKS = 9
"""A 90 % interval needs nine errors."""
SHIPPED = ROOT / "src" / "tokenworth" / "decision" / "cells.csv"


def main() -> None:
    """Read the cells, write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=Path, nargs="*", default=[])
    parser.add_argument("--beside-shipped", action="store_true")
    parser.add_argument("--ship", action="store_true")
    parser.add_argument("--page", type=Path, default=PAGE)
    options = parser.parse_args()
    cells = _cells(options.studies, options.beside_shipped)
    if options.ship:
        order = ["route", "backbone", "task", "steps", "seed"]
        cells.sort_values(order).round(6).to_csv(SHIPPED, index=False)
    whole = full_length(cells)
    parts = [
        _head(cells, whole),
        _outcomes(whole),
        *_predictors(whole),
        _real(whole),
        misses(whole, REAL),
        second_draws(whole, REAL),
        _regret(whole),
        _chances(whole),
        lora_evidence(whole),
        scratch_evidence(whole, REAL),
        pilot_lines(cells, REAL),
    ]
    write_page(options.page, ["\n\n".join(parts)])
    print(options.page)


def _cells(studies: list[Path], beside_shipped: bool) -> pd.DataFrame:
    if not studies:
        return read_calibration(SHIPPED)
    found = calibration_of(studies)
    return _enough(with_runs_of(found, read_calibration(SHIPPED)) if beside_shipped else found)


def _enough(cells: pd.DataFrame) -> pd.DataFrame:
    """The routes that were run on so many tasks that an interval can be promised."""
    tasks = cells.groupby("route")["task"].transform("nunique")
    return cells[tasks >= LEAST_TASKS].reset_index(drop=True)


def _head(cells: pd.DataFrame, whole: pd.DataFrame) -> str:
    names = ", ".join(sorted(set(whole["backbone"])))
    return f"""# How good is the advice?

{len(whole)} whole runs of learned routes on {whole["task"].nunique()} tasks with {names};
{len(cells) - len(whole)} short ones for the pilots. Study files: `worth-real`, `worth-cpu`, `worth-cpu-pilots`.

    python bench/decision.py        # from the cells that come with the package
    python bench/decision.py --studies out/study/worth-cpu --beside-shipped --ship      # and those of a study run since

Errors and regret are in points of weighted F1 (100 x F1). Every cell is predicted from other tasks on other backbones;
intervals are 95 % bootstrap intervals over whole tasks. Default predictor: {DEFAULT}."""


def _outcomes(whole: pd.DataFrame) -> str:
    means = whole.pivot_table(index=["backbone", "task"], columns="route", values="f1", aggfunc="mean")
    once = whole.drop_duplicates(["backbone", "task", "seed"])  # not once a route
    known = once.groupby(["backbone", "task"])[["bow_f1", "probe_f1"]].mean()
    table = known.rename(columns={"bow_f1": "bow", "probe_f1": "probe"}).join(means)
    best = table.max(axis=1)
    lines = ["| backbone | task | " + " | ".join(table.columns) + " |", "|---|---|" + "--:|" * len(table.columns)]
    for (backbone, task), row, top in zip(table.index, table.to_numpy(), best, strict=True):
        shown = ["-" if np.isnan(v) else f"**{v:.3f}**" if v >= top - 0.005 else f"{v:.3f}" for v in row]
        lines.append(f"| {backbone} | {task} | " + " | ".join(shown) + " |")
    return "## What the routes reached\n\nMeans over seeds; **bold**: within half a point of the best.\n\n" + "\n".join(
        lines
    )


def _predictors(whole: pd.DataFrame) -> list[str]:
    return [_of_route(route, whole[whole["route"] == route].reset_index(drop=True)) for route in _routes(whole)]


def _routes(whole: pd.DataFrame) -> list[str]:
    return sorted(set(whole["route"]))


def _of_route(route: str, cells: pd.DataFrame) -> str:
    lines = [
        f"## Predicting {route}\n",
        f"Noise of the seeds: {100 * seed_noise(cells):.1f} points (mean absolute deviation from a cell's mean).",
        "Spearman r is that of predicted and true gain over the probe, within a backbone.\n",
        "| predictor | error | 95 % | RMSE | within 3 | within 5 | Spearman r | coverage at 90 % | 95 % | width |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for one in predictors():
        row = predictor_row(one.name, cells)
        shares = [f"{row[name]:.0%}" for name in ("coverage", "coverage_low", "coverage_high")]
        lines.append(
            f"| {one.name} | {100 * row['error']:.1f} | {100 * row['error_low']:.1f}-{100 * row['error_high']:.1f} "
            f"| {100 * row['rmse']:.1f} | {row['within_3']:.0%} | {row['within_5']:.0%} | {_number(row['spearman'])} "
            f"| {shares[0]} | {shares[1]}-{shares[2]} | {100 * row['width']:.0f} |"
        )
    return "\n".join(lines)


def _real(whole: pd.DataFrame) -> str:
    """Every real backbone as if it had never been seen, nor the tasks that it is asked about."""
    lines = [
        "## The real backbones, each never seen\n",
        f"Cells of one backbone, predicted from other tasks on the other backbones by *{DEFAULT}*; bias: predicted",
        "less true; *of it*: that of *probe as reference*. Intervals at 90 %.\n",
        "| backbone | route | tasks | error | no gain | mean gain | RMSE | bias | of it | within 3 | inside | width |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for route in _routes(whole):
        cells = whole[whole["route"] == route].reset_index(drop=True)
        told = {name: held_out_intervals(name, cells) for name in (DEFAULT, "no gain", "mean gain", BY_PROBE)}
        lines += [_never_seen(told, route, name) for name in REAL if name in set(cells["backbone"])]
    return "\n".join(lines)


def _never_seen(told: dict[str, pd.DataFrame], route: str, backbone: str) -> str:
    own = {name: table[table["backbone"] == backbone].reset_index(drop=True) for name, table in told.items()}
    off = {name: 100 * (table["predicted"] - table["f1"]) for name, table in own.items()}
    errors = " | ".join(f"{task_mean(off[name].abs(), own[name]):.1f}" for name in (DEFAULT, "no gain", "mean gain"))
    bias, of_probe = (task_mean(off[name], own[name]) for name in (DEFAULT, BY_PROBE))
    found, rmse = coverage(own[DEFAULT]), np.sqrt(task_mean(off[DEFAULT] ** 2, own[DEFAULT]))
    return (
        f"| {backbone} | {route} | {own[DEFAULT]['task'].nunique()} | {errors} | {rmse:.1f} | {bias:+.1f} "
        f"| {of_probe:+.1f} | {task_mean(off[DEFAULT].abs() <= 3, own[DEFAULT]):.0%} | {found['coverage']:.0%} "
        f"| {100 * found['width']:.0f} |"
    )


def _number(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.2f}"


def _regret(whole: pd.DataFrame) -> str:
    lines = [
        "## Following the advice\n",
        "F1 lost against the best route in hindsight, and FLOPs spent as a share of running every route. Regret: where",
        "the better of the route and what was measured before (bow, probe) is kept, as the test texts say; taken as it",
        "is: where the route is kept whatever it has.\n",
        "| predictor | rule | regret | 95 % | worst | taken as it is | spent |",
        "|---|---|--:|--:|--:|--:|--:|",
    ]
    for name in dict.fromkeys((DEFAULT, "mean gain", "headroom", "log tokens", "published NTPS", "probe and words")):
        table = regret_table(whole, name)
        rules = sorted(set(table["rule"])) if name == DEFAULT else ["the advice"]
        lines += [f"| {name} | {rule} {_regret_cells(table[table['rule'] == rule])}" for rule in rules]
    advised = regret_table(whole, DEFAULT).query("rule == 'the advice'")
    lines += [
        "",
        "### The advice by backbone\n",
        "| backbone | places | regret | 95 % | worst | taken as it is | spent |",
    ]
    lines.append("|---|--:|--:|--:|--:|--:|--:|")
    lines += [f"| {name} | {len(own)} {_regret_cells(own)}" for name, own in advised.groupby("backbone")]
    return "\n".join(lines)


def _regret_cells(own: pd.DataFrame) -> str:
    low, high = clustered(own["regret"].to_numpy(), own["task"].to_numpy())
    mean, worst = 100 * own["regret"].mean(), 100 * own["regret"].max()
    alone, spent = 100 * own["alone"].mean(), own["spent"].mean()
    return f"| {mean:.2f} | {100 * low:.2f}-{100 * high:.2f} | {worst:.1f} | {alone:.2f} | {spent:.1%} |"


def _chances(whole: pd.DataFrame) -> str:
    """Whether what the advice gives a chance of 18 % is so in 18 of 100 places."""
    table = chance_table(whole, DEFAULT)
    lines = [
        "## Is the stated chance right?\n",
        "Brier: mean squared difference of the chance from what was so (1 or 0); in the last column, of always saying",
        "how often it is so.\n",
        "| statement | said | stated chance | so | Brier | of the frequency |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for statement, words in {
        "better": "another route is better by more than a point",
        "best": "this route is the best",
    }.items():
        own = table[table["statement"] == statement]
        often = own["true"].mean()
        brier = ((own["chance"] - own["true"]) ** 2).mean()
        lines.append(
            f"| {words} | {len(own)} times | {own['chance'].mean():.1%} | {often:.1%} | {brier:.3f} "
            f"| {often * (1 - often):.3f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
