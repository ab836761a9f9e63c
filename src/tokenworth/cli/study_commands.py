"""tokenworth study: run a grid of cells, see how far it is, read it as tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tokenworth.adaptation.route_settings import AdaptConfig
from tokenworth.backbones.model_choice import WeightChoice
from tokenworth.cli.console import print_json, say, tell
from tokenworth.cli.options import Given, Options, Output, said, takes
from tokenworth.errors import SettingError, TokenworthError
from tokenworth.study.study_options import StudyChoice, StudyEngine

if TYPE_CHECKING:
    import pandas as pd

    from tokenworth.study import Study

_Shown = Annotated[str, said("A file, a name of `list`, or the folder of a study.")]
_Metric = Options(AdaptConfig, "metric")


@takes(StudyChoice, StudyEngine, WeightChoice, Options(Output, "quiet", "verbose"))
def run(study: Annotated[str, said("A file, or a name of `list`.")], /, *, given: Given) -> None:
    from tokenworth.study import run_local, run_on_ray

    settings = given.of(StudyEngine)
    engine = settings.pop("engine", "local")
    ray: dict[str, Any] = {"address": None, "pass_workers": 1}
    ray |= {name: settings.pop(name) for name in ray if name in settings}
    if engine not in ("local", "ray"):
        raise SettingError(f"engine {engine!r} is not understood; choose from local, ray")
    loaded = _load(study, given)
    total, done = len(loaded.cells()), 0

    def report(cell: object, state: str) -> None:
        nonlocal done
        done += 1
        say(f"{done}: {cell}: {state}")

    say(f"{loaded.name}: {total} cells")
    execute: Callable[..., Counter[str]] = partial(run_on_ray, **ray) if engine == "ray" else run_local
    counts = execute(loaded, _place(given, loaded.name), report=report, **settings)
    tell(", ".join(f"{counts[state]} {state}" for state in sorted(counts)))
    if counts["failed"]:
        raise TokenworthError(f"{counts['failed']} of {total} cells failed; tokenworth study status says why")
    if left := counts["interrupted"] + counts["waiting"]:
        raise TokenworthError(f"{left} of {total} cells did not end; the same command goes on with them")


@takes(StudyChoice, WeightChoice, Options(Output, "json"))
def status(study: _Shown, /, *, given: Given) -> None:
    table = _seen(study, given).table
    counts = table["state"].value_counts().to_dict()
    failures = table[table["error"].notna()][["task", "backbone", "route", "seed", "error"]].to_dict("records")
    if given.json:
        print_json({"cells": len(table), "states": counts, "failures": failures})
        return
    tell(", ".join(f"{count} {state}" for state, count in counts.items()))
    for row in failures:
        tell(f"! {row['task']} {row['backbone'] or ''} {row['route']} seed {row['seed']}: {row['error']}")


@takes(StudyChoice, WeightChoice, _Metric, Options(Output, "json"))
def tables(study: _Shown, /, *, given: Given) -> None:
    from tokenworth.study import by_route

    seen, metric = _seen(study, given), given.get("metric", "weighted_f1")
    table = by_route(seen.table, metric)
    if given.json:
        tell(table.to_json(orient="records", indent=1))
        return
    from tokenworth.report.terminal.route_tables import frame_table
    from tokenworth.report.terminal.tables import show

    tell(f"{seen.name}: {metric}, means over seeds")
    show(frame_table(table))


@takes(StudyChoice, WeightChoice)
def export(
    study: _Shown, to: Annotated[Path, said("A .csv, .tsv, .jsonl or .parquet file.")], /, *, given: Given
) -> None:
    from tokenworth.adaptation.storage.prediction_table import write_predictions

    write_predictions(_seen(study, given).table, to)


@takes(Options(StudyChoice), _Metric, Options(Output, "quiet"))
def figures(study: _Shown, /, *, given: Given) -> None:
    from tokenworth.report.pages.study_charts import save_figures
    from tokenworth.report.report_page import write_study_page
    from tokenworth.study import beside_published, by_route, choose, chosen_relations, relations, row_means, sweeps

    seen, metric = _seen(study, given), given.get("metric", "weighted_f1")
    place, table = seen.place, seen.table
    if "weighted_f1" not in table:
        raise TokenworthError(f"no cell of {seen.name} is finished in {place}; run tokenworth study run first")
    grids = sweeps(seen.study, place, table)
    choices = [choose(grid) for grid in grids]
    drawn = [*relations(table), *chosen_relations(grids, choices)]
    for path in save_figures(drawn, place / "figures"):
        say(f"figure: {path}")
    routes = beside_published(table) if metric == "weighted_f1" else by_route(table, metric)
    means, path = row_means(table, metric), place / "report.html"
    say(f"report: {write_study_page(seen.name, table, routes, means, drawn, path, choices=choices)}")


@takes()
def list_() -> None:
    from tokenworth.study import load_study, shipped_studies

    for name in shipped_studies():
        tell(f"{name:<16} {len(load_study(name).cells()):>5} cells")


@dataclass(frozen=True, eq=False, slots=True)
class _Seen:
    """A study to look at."""

    name: str
    place: Path
    table: pd.DataFrame
    study: Study | None
    """None for a folder alone: what lies in it needs neither study file nor texts nor weights."""


def _seen(study: str, given: Given) -> _Seen:
    from tokenworth.study import begun_table, cell_table

    folder = Path(study)
    if not (folder / "cells").is_dir():
        loaded = _load(study, given)
        place = _place(given, loaded.name)
        return _Seen(loaded.name, place, cell_table(loaded, place), loaded)
    if given.of(StudyChoice):
        raise SettingError(
            f"{study} is the folder of a study, of which everything is shown; "
            "--out, --only, --data and --models go with a study file"
        )
    return _Seen(folder.resolve().name, folder, begun_table(folder), None)


def _load(study: str, given: Given) -> Any:
    from tokenworth.study import load_study

    loaded = load_study(study, data=given.get("data"), models=given.get("models"))
    return loaded.only(given["only"]) if given.get("only") else loaded


def _place(given: Given, name: str) -> Path:
    return given.out or Path("out") / "study" / name
