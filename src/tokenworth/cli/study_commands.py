"""tokenworth study: run a grid of cells, see how far it is, read it as tables."""

from __future__ import annotations

import json as encoder
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import tokenworth.cli.shared_options as options
from tokenworth.cli.console import say, set_verbosity
from tokenworth.errors import SettingError, TokenworthError

if TYPE_CHECKING:
    import pandas as pd

    from tokenworth.study import Study

app = typer.Typer(help="Run a grid of backbones, tasks, routes and seeds as cells.", no_args_is_help=True)

File = Annotated[str, typer.Argument(metavar="STUDY", help="A file, or a name of `list`.", show_default=False)]
Shown = Annotated[
    str,
    typer.Argument(metavar="STUDY", help="A file, a name of `list`, or the folder of a study.", show_default=False),
]
Only = Annotated[list[str] | None, typer.Option("--only", help="Only this task, backbone or route; several times.")]
Models = Annotated[Path | None, typer.Option(help="Folder in which backbones lie by name.", show_default=False)]
Folder = Annotated[
    Path | None,
    typer.Option(
        "--out", help="Folder of the study.", show_default="out/study/NAME", parser=options.folder, metavar="PATH"
    ),
]


@app.command()
@options.reads_pickles
def run(
    study: File,
    out: Folder = None,
    only: Only = None,
    data: options.Data = None,
    models: Models = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Cells at a time.", show_default="by machine")] = None,
    engine: Annotated[str, typer.Option(help="local, or ray.")] = "local",
    address: Annotated[
        str | None, typer.Option(help="Of a running Ray cluster.", show_default="one is started here")
    ] = None,
    pass_workers: Annotated[int, typer.Option(min=1, help="With ray: workers that share a forward pass.")] = 1,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Also run cells that failed before.")] = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Run every cell that is not finished; the same command goes on where it was."""
    from tokenworth.study import run_local, run_on_ray

    if engine not in ("local", "ray"):
        raise SettingError(f"engine {engine!r} is not understood; choose from local, ray")
    set_verbosity(verbose=verbose, quiet=quiet)
    loaded = _load(study, only, data, models)
    total, done = len(loaded.cells()), 0

    def report(cell: object, state: str) -> None:
        nonlocal done
        done += 1
        say(f"{done}: {cell}: {state}", quiet=quiet)

    say(f"{loaded.name}: {total} cells", quiet=quiet)
    execute: Callable[..., Counter[str]] = run_local
    if engine == "ray":
        execute = partial(run_on_ray, address=address, pass_workers=pass_workers)
    counts = execute(loaded, _place(out, loaded.name), workers=workers, retry_failed=retry_failed, report=report)
    typer.echo(", ".join(f"{counts[state]} {state}" for state in sorted(counts)))
    if counts["failed"]:
        raise TokenworthError(f"{counts['failed']} of {total} cells failed; tokenworth study status says why")
    if left := counts["interrupted"] + counts["waiting"]:
        raise TokenworthError(f"{left} of {total} cells did not end; the same command goes on with them")


@app.command()
@options.reads_pickles
def status(
    study: Shown,
    out: Folder = None,
    only: Only = None,
    data: options.Data = None,
    models: Models = None,
    json: options.Json = False,
) -> None:
    """Which cells are finished, running, failed (and why) or waiting."""
    table = _seen(study, out, only, data, models).table
    counts = table["state"].value_counts().to_dict()
    failures = table[table["error"].notna()][["task", "backbone", "route", "seed", "error"]].to_dict("records")
    if json:
        typer.echo(encoder.dumps({"cells": len(table), "states": counts, "failures": failures}, indent=1))
        return
    typer.echo(", ".join(f"{count} {state}" for state, count in counts.items()))
    for row in failures:
        typer.echo(f"! {row['task']} {row['backbone'] or ''} {row['route']} seed {row['seed']}: {row['error']}")


@app.command()
@options.reads_pickles
def tables(
    study: Shown,
    out: Folder = None,
    only: Only = None,
    data: options.Data = None,
    models: Models = None,
    metric: options.Metric = None,
    json: options.Json = False,
) -> None:
    """A metric by task, backbone and route: means over seeds."""
    from tokenworth.study import by_route

    seen = _seen(study, out, only, data, models)
    table = by_route(seen.table, metric or "weighted_f1")
    if json:
        typer.echo(table.to_json(orient="records", indent=1))
        return
    from tokenworth.report.terminal.tables import frame_table, show

    typer.echo(f"{seen.name}: {metric or 'weighted_f1'}, means over seeds")
    show(frame_table(table))


@app.command()
@options.reads_pickles
def export(
    study: Shown,
    to: Annotated[Path, typer.Argument(metavar="FILE")],
    out: Folder = None,
    only: Only = None,
    data: options.Data = None,
    models: Models = None,
) -> None:
    """Every cell with its coordinates and figures as one .csv, .tsv, .jsonl or .parquet file."""
    from tokenworth.adaptation.storage.prediction_table import write_predictions

    write_predictions(_seen(study, out, only, data, models).table, to)


@app.command()
def figures(
    study: Shown,
    out: Folder = None,
    only: Only = None,
    data: options.Data = None,
    models: Models = None,
    metric: options.Metric = None,
    quiet: options.Quiet = False,
) -> None:
    """Figures as PNG and SVG, and one page with all tables, beside the published numbers."""
    from tokenworth.report.pages.study_charts import save_figures
    from tokenworth.report.report_page import write_study_page
    from tokenworth.study import (
        beside_published,
        by_route,
        choose,
        chosen_relations,
        relations,
        row_means,
        sweeps,
    )

    seen = _seen(study, out, only, data, models)
    place, table = seen.place, seen.table
    if "weighted_f1" not in table:
        raise TokenworthError(f"no cell of {seen.name} is finished in {place}; run tokenworth study run first")
    grids, name = sweeps(seen.study, place, table), metric or "weighted_f1"
    choices = [choose(grid) for grid in grids]
    found = [*relations(table), *chosen_relations(grids, choices)]
    for path in save_figures(found, place / "figures"):
        say(f"figure: {path}", quiet=quiet)
    routes = beside_published(table) if name == "weighted_f1" else by_route(table, name)
    means, path = row_means(table, name), place / "report.html"
    page = write_study_page(seen.name, table, routes, means, found, path, choices=choices)
    say(f"report: {page}", quiet=quiet)


@app.command("list")
def list_() -> None:
    """The studies that come with the package."""
    from tokenworth.study import load_study, shipped_studies

    for name in shipped_studies():
        typer.echo(f"{name:<16} {len(load_study(name).cells()):>5} cells")


@dataclass(frozen=True, eq=False, slots=True)
class _Seen:
    """A study to look at."""

    name: str
    place: Path
    table: pd.DataFrame
    study: Study | None
    """None for a folder alone: what lies in it needs neither study file nor texts nor weights."""


def _seen(study: str, out: Path | None, only: list[str] | None, data: Path | None, models: Path | None) -> _Seen:
    from tokenworth.study import begun_table, cell_table

    folder = Path(study)
    if not (folder / "cells").is_dir():
        loaded = _load(study, only, data, models)
        place = _place(out, loaded.name)
        return _Seen(loaded.name, place, cell_table(loaded, place), loaded)
    if out or only or data or models:
        raise SettingError(
            f"{study} is the folder of a study, of which everything is shown; "
            "--out, --only, --data and --models go with a study file"
        )
    return _Seen(folder.resolve().name, folder, begun_table(folder), None)


def _load(study: str, only: list[str] | None, data: Path | None, models: Path | None) -> Study:
    from tokenworth.study import load_study

    loaded = load_study(study, data=data, models=models)
    return loaded.only(only) if only else loaded


def _place(out: Path | None, name: str) -> Path:
    return Path("out") / "study" / name if out is None else out
