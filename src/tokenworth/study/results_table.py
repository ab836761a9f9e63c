"""The cells of a study as one table.

Tasks and backbones are called by the last part of their path, and more where two would be one.  A store may have been
written from several places: the same model under another path is one backbone, two models whose folders have the same
name are two.  What they are made of (their fingerprints) tells.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from tokenworth.adaptation.storage.adapt_result import RESULT
from tokenworth.assessment.short_names import short_names
from tokenworth.backbones.model_names import model_name
from tokenworth.base.keywords import known_keywords
from tokenworth.base.sentences import nearest
from tokenworth.base.versions import version_of
from tokenworth.errors import SettingError
from tokenworth.probes.probability_metrics import LOWER_IS_BETTER, METRICS
from tokenworth.study.cell_results import COUNTED, PUBLISHED
from tokenworth.study.cell_run import keyed_cells
from tokenworth.study.grid import Cell, Study
from tokenworth.study.study_store import ASSESSED, Contents, StudyStore, read_result

_SCORES = (
    "ntps", "ntps_chance", "ntps_excess", "ntps_published", "retained_auc", "k90", "hscore", "logme", "label_r2",
    "probe_accuracy", "probe_f1",
)  # fmt: skip
_ANY = "any"  # stands for an axis that does not matter to a route


@dataclass(frozen=True, slots=True)
class Names:
    """Names by what a cell says, tasks without the ending of their file."""

    task: dict[str, str]
    backbone: dict[str, str]

    def of(self, cell: Cell) -> tuple[str, str | None]:
        """Of the task and the backbone of a cell; None for a route without one."""
        return self.task[cell.task], None if cell.backbone is None else self.backbone[cell.backbone]


def names_by_contents(cells: Iterable[tuple[Cell, Contents]], *, moved: bool = True) -> Names:
    """Names of tasks and backbones of cells that may have been run from several places.

    Args:
        cells: with the fingerprints of their texts and weights.
        moved: whether paths that end alike may be one thing.
    """
    tasks, backbones = dict[str, set[str]](), dict[str, set[str]]()
    for cell, (texts, weights) in cells:
        tasks.setdefault(cell.task, set()).update([texts] if texts else [])
        if cell.backbone is not None:
            backbones.setdefault(cell.backbone, set()).update([weights] if weights else [])
    return Names(_called(tasks, lambda path: Path(path).stem, moved=moved), _called(backbones, model_name, moved=moved))


def _called(prints: Mapping[str, set[str]], first: Callable[[str], str], *, moved: bool) -> dict[str, str]:
    same = _same(prints) if moved else {place: place for place in prints}
    names = short_names(same.values(), first=first)
    return {place: names[named_as] for place, named_as in same.items()}


def _same(prints: Mapping[str, set[str]]) -> dict[str, str]:
    """Of each path the first one of the same thing: it ends alike and shares a fingerprint, or none is known."""
    first: dict[str, str] = {}
    known: dict[str, set[str]] = {}
    for place in sorted(prints, key=lambda path: (not prints[path], path)):  # what is known first
        alike = [path for path in known if Path(path).name == Path(place).name]
        shared = [path for path in alike if known[path] & prints[place]] or (alike if not prints[place] else [])
        first[place] = shared[0] if len(shared) == 1 else place
        known.setdefault(first[place], set()).update(prints[place])
    return first


def named_cells(study: Study | None, store: StudyStore) -> tuple[list[tuple[Cell, str]], Names]:
    """Cells with their keys, and what their tasks and backbones are called.

    Args:
        study: whose cells, by the paths of now; None takes all that were ever begun in the folder.
        store: the folder.
    """
    if study is None:
        cells = [(store.cell(key), key) for key in store.begun()]
        return cells, names_by_contents((cell, store.contents(key, cell)) for cell, key in cells)
    cells = keyed_cells(study)
    return cells, names_by_contents([(cell, (None, None)) for cell, _ in cells], moved=False)


def cell_table(study: Study, root: str | Path) -> pd.DataFrame:
    """One row a cell of the study, finished or not: its key, state and coordinates, and its figures."""
    return _table(study, StudyStore(Path(root)))


def read_table(root: str | Path) -> pd.DataFrame:
    """One row a finished cell of whatever studies wrote into a folder; needs no study file, texts or weights."""
    table = begun_table(root)
    return table if table.empty else table[table["state"] == "finished"].reset_index(drop=True)


def begun_table(root: str | Path) -> pd.DataFrame:
    """As `read_table`, with the cells that were begun and have not ended, or failed."""
    return _table(None, StudyStore(Path(root)))


def _table(study: Study | None, store: StudyStore) -> pd.DataFrame:
    cells, names = named_cells(study, store)
    return pd.DataFrame([_row(store, cell, key, names) for cell, key in cells])


def _row(store: StudyStore, cell: Cell, key: str, names: Names) -> dict[str, Any]:
    task, backbone = names.of(cell)
    error, result = store.error(key), store.result(key)
    return {
        "key": key,
        "state": store.state(key),
        "task": task,
        "backbone": backbone,
        "route": cell.route,
        "seed": cell.seed,
        **{f"setting {name}": value for name, value in cell.settings.items()},
        "error": None if error is None else error["message"],
        **({} if result is None else _FIGURES[result.name](read_result(result))),
    }


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
        **{name: best.get(name) for name in _SCORES},
        "best_layer": result["best_layer"],
        "tokens_of_texts": result["task"]["tokens"]["train"]["total"],
        "parameters": result["backbone"]["n_parameters"],
        "seconds": result["timings"]["total"],
        "classes": len(result["task"]["label_names"]),
        "version": version_of(result["environment"]),
        "dtype": result["backbone"]["dtype"],
        "texts": result["task"]["texts"]["train"],
    }


def _as_published(result: dict[str, Any]) -> dict[str, Any]:
    last = {name: result["layers"][-1][name] for name in ("train_accuracy", "train_squared_error")}
    ran = {"seconds": result["seconds"], "classes": result["classes"], "version": version_of(result["environment"])}
    return {**last, **ran, "texts": result["texts"]}


def _counted(result: dict[str, Any]) -> dict[str, Any]:
    counts = {name: result[name] for name in ("printed", "parameters", "trainable")}
    return {**counts, "version": version_of(result["environment"])}


_LESS = LOWER_IS_BETTER | {"trainable", "parameters", "train_tokens", "train_flops", "seconds", "train_squared_error"}


def less_is_better(figure: str) -> bool:
    """Whether the best cell has the least of a figure: a loss, or what a run takes."""
    return figure in _LESS


_FIGURES = {RESULT: _adapted, ASSESSED: _assessed, PUBLISHED: _as_published, COUNTED: _counted}
"""What stands in the table, by result file."""


@known_keywords
def by_route(table: pd.DataFrame, metric: str = "weighted_f1") -> pd.DataFrame:
    """Means over seeds of a metric: a row a task, backbone and point of the axes, a column a route.

    What needs no backbone (bow) stands in every row of its task.  Cells of several versions of the numbers, or computed
    in several number formats (two machines, dtype auto), stand in rows of their own: they are never averaged.

    Raises SettingError: no cell has such a figure.
    """
    done = table[table["state"] == "finished"]
    figures = done.select_dtypes("number").columns
    if metric not in {*figures, *METRICS} and not done.empty:
        raise SettingError(f"the cells have no figure {metric!r}; {nearest(metric, figures)}")
    if metric not in done or done.empty:
        return pd.DataFrame(columns=["task", "backbone"])
    done = done[done[metric].notna()]
    axes = [column for column in done.columns if column.startswith("setting ") and _varies(done, column)]
    for column in axes:
        done = done.assign(**{column: [_ANY if pd.isna(value) else value for value in done[column]]})
    apart = _several(done, "version")
    with_backbone = done[done["backbone"].notna()]
    index = ["task", "backbone", *axes, *apart, *_several(with_backbone, "dtype")]
    wide, alone = _means(with_backbone, index, metric), _means(done[done["backbone"].isna()], ["task", *apart], metric)
    if alone.empty or wide.empty:
        return alone if wide.empty else wide
    return wide.merge(alone, on=["task", *apart], how="outer")


def _several(table: pd.DataFrame, column: str) -> list[str]:
    """The column's name, if the cells differ in it."""
    return [column] if column in table and len(set(table[column].dropna())) > 1 else []


def _means(rows: pd.DataFrame, index: list[str], metric: str) -> pd.DataFrame:
    return rows.pivot_table(index=index, columns="route", values=metric, aggfunc="mean").reset_index()


def _varies(table: pd.DataFrame, column: str) -> bool:
    """Within a route: what differs between routes only (a learning rate of each) is no axis."""
    return any(len(set(values.dropna())) > 1 for _, values in table.groupby("route")[column])
