"""The cells of a study as one table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from tokenworth.adaptation.storage.adapt_result import RESULT
from tokenworth.base.versions import version_of
from tokenworth.probes.probability_metrics import METRICS
from tokenworth.study.cell_results import COUNTED, PUBLISHED
from tokenworth.study.cell_run import keyed_cells
from tokenworth.study.display_names import Names, names_by_contents, names_of
from tokenworth.study.grid import Cell, Study
from tokenworth.study.study_store import ASSESSED, StudyStore, read_result

_ASSESSED = (
    "ntps",
    "ntps_chance",
    "ntps_excess",
    "ntps_published",
    "retained_auc",
    "k90",
    "hscore",
    "logme",
    "label_r2",
    "probe_accuracy",
    "probe_f1",
)


def cell_table(study: Study, root: str | Path) -> pd.DataFrame:
    """One row a cell of the study, finished or not: its key, state and coordinates, and its figures."""
    store, cells = StudyStore(Path(root)), keyed_cells(study)
    names = names_of(cell for cell, _ in cells)
    rows = [
        {"key": key, "state": store.state(key), **_coordinates(store, key, cell, names), **_figures(store, key)}
        for cell, key in cells
    ]
    return pd.DataFrame(rows)


def read_table(root: str | Path) -> pd.DataFrame:
    """One row a finished cell of whatever studies wrote into a folder; needs no study file, texts or weights."""
    table = begun_table(root)
    return table if table.empty else table[table["state"] == "finished"].reset_index(drop=True)


def begun_table(root: str | Path) -> pd.DataFrame:
    """As `read_table`, with the cells that were begun and have not ended, or failed."""
    store = StudyStore(Path(root))
    cells = {key: store.cell(key) for key in store.begun()}
    names = names_by_contents((cell, store.contents(key, cell)) for key, cell in cells.items())
    rows = [
        {"key": key, "state": store.state(key), **_coordinates(store, key, cell, names), **_figures(store, key)}
        for key, cell in cells.items()
    ]
    return pd.DataFrame(rows)


def _coordinates(store: StudyStore, key: str, cell: Cell, names: Names) -> dict[str, Any]:
    error = store.error(key)
    task, backbone = names.of(cell)
    return {
        "task": task,
        "backbone": backbone,
        "route": cell.route,
        "seed": cell.seed,
        **{f"setting {name}": value for name, value in cell.settings.items()},
        "error": None if error is None else error["message"],
    }


def _figures(store: StudyStore, key: str) -> dict[str, Any]:
    folder = store.run_folder(key)
    if (folder / RESULT).is_file():
        return _adapted(read_result(folder / RESULT))
    if (folder / ASSESSED).is_file():
        return _assessed(read_result(folder / ASSESSED))
    if (folder / PUBLISHED).is_file():
        return _as_published(read_result(folder / PUBLISHED))
    if (folder / COUNTED).is_file():
        found = read_result(folder / COUNTED)
        names = ("printed", "parameters", "trainable")
        return {**{name: found[name] for name in names}, "version": version_of(found["environment"])}
    return {}


def _adapted(result: dict[str, Any]) -> dict[str, Any]:
    metrics, cost = result["metrics"], result["cost"]
    ends = ("", "_low", "_high")
    return {
        **{f"{name}{end}": metrics.get(f"{name}{end}") for name in METRICS for end in ends},
        "majority_f1": result["facts"]["majority"]["weighted_f1"],
        "trainable": result["parameters"]["trainable"],
        "parameters": result["parameters"]["total"],
        "train_tokens": cost.get("tokens"),
        "train_flops": cost.get("train_flops"),
        "seconds": cost["seconds"],
        "classes": len(result["task"]["label_names"]),
        "version": version_of(result["environment"]),
        "dtype": result["facts"].get("products_in", (result["backbone"] or {}).get("dtype")),
        "texts": result["task"]["texts"]["train"],
    }


def _assessed(result: dict[str, Any]) -> dict[str, Any]:
    best = next(row for row in result["layers"] if row["layer"] == result["best_layer"])
    return {
        **{name: best.get(name) for name in _ASSESSED},
        "best_layer": result["best_layer"],
        "tokens_of_texts": result["task"]["tokens"]["train"]["total"],
        "parameters": result["backbone"]["n_parameters"],
        "seconds": result["timings"]["total"],
        "classes": len(result["task"]["label_names"]),
        "version": version_of(result["environment"]),
        "dtype": result["backbone"]["dtype"],
        "texts": result["task"]["texts"]["train"],
    }


def _as_published(found: dict[str, Any]) -> dict[str, Any]:
    last = found["layers"][-1]
    return {
        "train_accuracy": last["train_accuracy"],
        "train_squared_error": last["train_squared_error"],
        "seconds": found["seconds"],
        "classes": found["classes"],
        "version": version_of(found["environment"]),
        "texts": found["texts"],
    }


def by_route(table: pd.DataFrame, metric: str = "weighted_f1") -> pd.DataFrame:
    """Means over seeds of a metric: a row a task, backbone and point of the axes, a column a route.

    What needs no backbone (bow) stands in every row of its task.  Cells of several versions of the program, or computed
    in several number formats (two machines, dtype auto), stand in rows of their own: they are never averaged.
    """
    done = table[table["state"] == "finished"]
    if metric not in done or done.empty:
        return pd.DataFrame(columns=["task", "backbone"])
    done = done[done[metric].notna()]
    axes = [column for column in done.columns if column.startswith("setting ") and _varies(done, column)]
    for column in axes:
        done = done.assign(**{column: [_ANY if pd.isna(value) else value for value in done[column]]})
    apart = _several(done, "version")
    own = done[done["backbone"].notna()]
    with_one = _means(own, ["task", "backbone", *axes, *apart, *_several(own, "dtype")], metric)
    alone = _means(done[done["backbone"].isna()], ["task", *apart], metric)
    if alone.empty or with_one.empty:
        return alone if with_one.empty else with_one
    return with_one.merge(alone, on=["task", *apart], how="outer")


def _several(table: pd.DataFrame, column: str) -> list[str]:
    """The column's name, if the cells differ in it."""
    return [column] if column in table and len(set(table[column].dropna())) > 1 else []


def _means(rows: pd.DataFrame, index: list[str], metric: str) -> pd.DataFrame:
    return rows.pivot_table(index=index, columns="route", values=metric, aggfunc="mean").reset_index()


_ANY = "any"
"""Stands for an axis that does not matter to a route."""


def _varies(table: pd.DataFrame, column: str) -> bool:
    """Within a route: what differs between routes only (a learning rate of each) is no axis."""
    return any(len(set(own.dropna())) > 1 for _, own in table.groupby("route")[column])
