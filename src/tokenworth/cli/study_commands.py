"""tokenworth study: run a grid of cells, see how far it is, read it as tables."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tokenworth.backbones.model_choice import WeightChoice
from tokenworth.cli.console import print_lines, say, tell
from tokenworth.cli.options import Given, Options, Output, said, takes
from tokenworth.errors import TokenworthError
from tokenworth.study.study_options import StudyChoice, StudyEngine, StudyMetric

if TYPE_CHECKING:
    from tokenworth.study.study_view import StudyView

_Study = Annotated[str, said("A file, a name of `list`, or the folder of a study.")]
_Table = Annotated[Path, said("A .csv, .tsv, .jsonl or .parquet file.")]


@takes(StudyChoice, StudyEngine, WeightChoice, Options(Output, "quiet", "verbose"))
def run(study: Annotated[str, said("A file, or a name of `list`.")], /, *, options: Given) -> None:
    from tokenworth.study.study_run import run_study
    from tokenworth.study.study_view import chosen_study

    chosen, place = chosen_study(study, StudyChoice(**options.of(StudyChoice)))
    total, done = len(chosen.cells()), 0

    def report(cell: object, state: str) -> None:
        nonlocal done
        done += 1
        say(f"{done}: {cell}: {state}")

    say(f"{chosen.name}: {total} cells")
    counts = run_study(chosen, place, StudyEngine(**options.of(StudyEngine)), report)
    tell(", ".join(f"{counts[state]} {state}" for state in sorted(counts)))
    if counts["failed"]:
        raise TokenworthError(f"{counts['failed']} of {total} cells failed; tokenworth study status says why")
    if left := counts["interrupted"] + counts["waiting"]:
        raise TokenworthError(f"{left} of {total} cells did not end; the same command goes on with them")


@takes(StudyChoice, WeightChoice, Options(Output, "json"))
def status(study: _Study, /, *, options: Given) -> None:
    table = _view(study, options).table
    counts = table["state"].value_counts().to_dict()
    failures = table[table["error"].notna()][["task", "backbone", "route", "seed", "error"]].to_dict("records")
    lines = [", ".join(f"{count} {state}" for state, count in counts.items())]
    lines += [f"! {r['task']} {r['backbone'] or ''} {r['route']} seed {r['seed']}: {r['error']}" for r in failures]
    print_lines({"cells": len(table), "states": counts, "failures": failures}, lines, json=options.json)


@takes(StudyChoice, WeightChoice, StudyMetric, Options(Output, "json"))
def tables(study: _Study, /, *, options: Given) -> None:
    from tokenworth.report.terminal.tables import frame_table, show
    from tokenworth.study import by_route

    view, metric = _view(study, options), StudyMetric(**options.of(StudyMetric)).metric
    table = by_route(view.table, metric)
    if options.json:
        tell(table.to_json(orient="records", indent=1))
        return
    tell(f"{view.name}: {metric}, means over seeds")
    show(frame_table(table))


@takes(StudyChoice, WeightChoice)
def export(study: _Study, to: _Table, /, *, options: Given) -> None:
    from tokenworth.adaptation.storage.prediction_table import write_predictions

    write_predictions(_view(study, options).table, to)


@takes(StudyChoice, StudyMetric, Options(Output, "quiet"))
def figures(study: _Study, /, *, options: Given) -> None:
    from tokenworth.report.study_figures import write_figures

    paths, page = write_figures(_view(study, options), StudyMetric(**options.of(StudyMetric)).metric)
    for path in paths:
        say(f"figure: {path}")
    say(f"report: {page}")


@takes()
def list_() -> None:
    from tokenworth.study import load_study, shipped_studies

    for name in shipped_studies():
        tell(f"{name:<16} {len(load_study(name).cells()):>5} cells")


def _view(study: str, options: Given) -> StudyView:
    from tokenworth.study.study_view import view_study

    return view_study(study, StudyChoice(**options.of(StudyChoice)))
