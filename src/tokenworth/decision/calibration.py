"""Calibration: finished cells of studies, each beside what the assessment of its task and backbone said before."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tokenworth.adaptation.storage.adapt_result import RESULT, AdaptResult
from tokenworth.assessment import Assessment
from tokenworth.base.versions import version_of
from tokenworth.decision.decision_metric import DEFAULT_METRIC, IN_WORDS, OTHERS
from tokenworth.decision.indicators import INDICATORS, indicators_of, references_of
from tokenworth.errors import SettingError
from tokenworth.study import StudyStore
from tokenworth.study.cell_results import TEXT_LOSS
from tokenworth.study.grid import ASSESS, Cell
from tokenworth.study.published_relations import published
from tokenworth.study.results_table import names_by_contents
from tokenworth.study.study_store import ASSESSED, Contents, read_result

LEARNED = ("prompt", "lora", "full", "contrastive", "scratch")
"""Routes of which the outcome is predicted; bow and probe are run with the assessment itself."""
BUDGET = ("steps", "log_epochs", "log_rate")
"""What a run was given: optimiser steps, passes over the training texts, learning rate (natural logarithms)."""
PUBLISHED, PUBLISHED_STEPS = "published", 5000.0
"""What names the second paper's runs among calibration folders, and the steps they had."""
_DIGITS = 4
"""Shipped cells are rounded; a budget is told apart by so many decimals of its logarithms."""
_RUN = ("task", "backbone", "route", "seed")
COLUMNS = (*_RUN, "f1", "train_flops", "seconds", "version", *BUDGET, *INDICATORS, *OTHERS)


def calibration_of(folders: Iterable[str | Path]) -> pd.DataFrame:
    """One row a finished cell of a learned route, from folders of studies: COLUMNS.

    A cell counts if its task and backbone were assessed in one of the folders, and its texts have one class each.  It
    is described by the assessment of its own seed, which may have drawn other texts, or by that of the first seed.

    Raises:
        SettingError: a folder holds no study.
    """
    assessed: list[tuple[Cell, Path]] = []
    runs: list[tuple[Cell, AdaptResult]] = []
    contents: list[tuple[Cell, Contents]] = []
    for folder in folders:
        store = StudyStore(Path(folder))
        if not (Path(folder) / "cells").is_dir():
            raise SettingError(f"{folder} holds no study; give the folder that tokenworth study run wrote")
        for key in store.begun():
            cell, place = store.cell(key), store.run_folder(key)
            contents.append((cell, store.contents(key, cell)))
            if cell.route == ASSESS and (place / ASSESSED).is_file():
                assessed.append((cell, place))
            elif cell.route in LEARNED and (place / RESULT).is_file():
                run = AdaptResult.load(place)
                if not run.several:  # weighted F1 of labels is another quantity
                    runs.append((cell, run))
    names = names_by_contents(contents)
    said = {(names.of(cell), cell.seed): _said(place) for cell, place in reversed(assessed)}
    first = {name: indicators for (name, _), indicators in sorted(said.items(), key=lambda item: -item[0][1])}
    rows = [
        _row(cell, run, *names.of(cell)) | said.get((names.of(cell), cell.seed), first[names.of(cell)])
        for cell, run in runs
        if names.of(cell) in first
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _said(folder: Path) -> dict[str, float]:
    """Indicators of an assessment, and its references by every other metric."""
    assessment, loss = Assessment.load(folder), folder / TEXT_LOSS
    others = (metric for metric in IN_WORDS if metric != DEFAULT_METRIC)
    return indicators_of(assessment, read_result(loss) if loss.is_file() else {}) | {
        f"{who}_{metric}": value for metric in others for who, value in references_of(assessment, metric).items()
    }


def _row(cell: Cell, run: AdaptResult, task: str, backbone: str | None) -> dict[str, Any]:
    return {
        "task": task,
        "backbone": backbone,
        "route": cell.route,
        "seed": cell.seed,
        "f1": run.metrics[DEFAULT_METRIC],
        **{metric: run.metrics[metric] for metric in IN_WORDS if metric != DEFAULT_METRIC},
        "train_flops": run.cost.get("train_flops"),
        "seconds": run.cost["seconds"],
        "version": version_of(run.environment),
        **budget_of(run.settings, run.task["texts"]["train"]),
    }


def budget_of(settings: dict[str, Any], texts: int) -> dict[str, float]:
    """BUDGET of a run's settings on so many training texts."""
    used = min(texts, settings.get("train_size") or texts)
    return {
        "steps": float(settings["steps"]),
        "log_epochs": float(np.log(settings["steps"] * settings["batch"] / used)),
        "log_rate": float(np.log(settings["lr"])),
    }


def published_cells() -> pd.DataFrame:
    """The second paper's LoRA runs (figure 3: 8 backbones of .3 to 8 B parameters, 12 tasks), as far as they are known.

    Accuracy stands in the place of F1; the probe is the paper's linear one; all other indicators are unknown.
    """
    rows = [
        dict.fromkeys(COLUMNS, float("nan"))
        | {
            "task": row["task"],
            "backbone": row["backbone"],
            "route": "lora",
            "seed": 0,
            "f1": row["lora_accuracy"],
            "accuracy": row["lora_accuracy"],
            "steps": PUBLISHED_STEPS,
            "version": PUBLISHED,
            "probe_f1": row["linear_accuracy"],
            "probe_accuracy": row["linear_accuracy"],
            "ntps_published": row["ntps_lora_figure"],
            "log_texts": float(np.log(row["train_rows"])),
            "log_classes": float(np.log(row["classes"])),
            "log_parameters": float(np.log(row["parameters"])),
        }
        for row in published("ntps").to_dict("records")
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def shipped_calibration() -> pd.DataFrame:
    """The cells that come with the package: what docs/results/decision.md was measured on."""
    return read_calibration(Path(str(files("tokenworth.decision") / "cells.csv")))


def read_calibration(path: str | Path) -> pd.DataFrame:
    """Cells that were written as .csv.

    Raises:
        SettingError: a column is missing.
    """
    table = pd.read_csv(path, dtype={"task": str, "backbone": str, "route": str})
    if missing := [name for name in COLUMNS if name not in table]:
        raise SettingError(f"{path} is no table of calibration cells: it has no column {missing[0]}")
    return table


def with_runs_of(table: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
    """A table of cells and, under it, those of another whose run it does not hold.

    One run is one task, backbone, route and seed with one budget; a run measured anew thus does not count twice.
    """

    def runs(cells: pd.DataFrame) -> list[tuple[object, ...]]:
        return list(cells[[*_RUN, *BUDGET]].round(_DIGITS).itertuples(index=False, name=None))

    held = set(runs(table))
    return pd.concat([table, other[[run not in held for run in runs(other)]]], ignore_index=True)


def cells_of(folders: Sequence[str | Path]) -> pd.DataFrame:
    """The cells of one's own studies (with own = True), those that come with the package, with PUBLISHED the paper's.

    Raises:
        SettingError: a folder holds no study.
    """
    studies = [folder for folder in folders if str(folder) != PUBLISHED]
    cells = shipped_calibration().assign(own=False)
    if studies:
        cells = with_runs_of(calibration_of(studies).assign(own=True), cells)
    if len(studies) < len(folders):
        cells = pd.concat([cells, published_cells().assign(own=False)], ignore_index=True)
    return cells


def described(cells: pd.DataFrame) -> dict[str, Any]:
    """What a calibration consists of, as JSON writes it."""
    return {
        "cells": len(cells),
        "tasks": int(cells["task"].nunique()),
        "backbones": sorted(set(cells["backbone"])),
        "steps": sorted({int(steps) for steps in cells["steps"]}),
    }


def full_length(table: pd.DataFrame) -> pd.DataFrame:
    """The cells whose route had the most steps of its task and backbone: what a route brings, pilots apart."""
    most = table.groupby(["task", "backbone", "route"])["steps"].transform("max")
    return table[table["steps"] == most].reset_index(drop=True)
