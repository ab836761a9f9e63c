"""Six routes on real tasks with small real models: where does pretraining pay, where does a bag of words win?

    python bench/routes.py --data FOLDER --models FOLDER [--out out/study/worth-cpu] [--workers 2] [--only-table]

Runs what is missing of the shipped study `routes-cpu`: stopped at any moment, the command goes on.  The table goes to
docs/results/routes.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
from statistics import mean

from pages import write_page
from tokenworth.adaptation import AdaptResult
from tokenworth.adaptation.storage.adapt_result import RESULT
from tokenworth.study import Cell, Study, StudyStore, load_study, run_local
from tokenworth.study.cell_run import keyed_cells

ROUTES = ("bow", "prompt", "probe", "lora", "full", "scratch")
TRAINED = ("lora", "full", "scratch")
PAGE = Path(__file__).parents[1] / "docs" / "results" / "routes.md"

Found = dict[Cell, AdaptResult]


def main() -> None:
    """Run what is missing, then write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("out/study/worth-cpu"))
    parser.add_argument("--page", type=Path, default=PAGE)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only-table", action="store_true")
    options = parser.parse_args()
    study = load_study("routes-cpu", data=options.data, models=options.models)
    if not options.only_table:
        run_local(study, options.out, workers=options.workers, report=print)
    cells = keyed_cells(study)
    write_page(options.page, _page(study, _finished(cells, StudyStore(options.out)), len(cells)))


def _finished(cells: Iterable[tuple[Cell, str]], store: StudyStore) -> Found:
    folders = ((cell, store.run_folder(key)) for cell, key in cells)
    return {cell: AdaptResult.load(folder) for cell, folder in folders if (folder / RESULT).is_file()}


def _page(study: Study, found: Found, cells: int) -> list[str]:
    lines = [*_head(found, cells), ""]
    for model in study.backbones:
        lines += [f"## {Path(model).name}", "", *_table(study, found, model), ""]
    return [*lines, "## What it took", "", *_costs(study, found)]


def _head(found: Found, cells: int) -> list[str]:
    one = next(result for cell, result in found.items() if cell.route == "lora")
    rates = sorted({(cell.route, cell.settings["lr"]) for cell in found if cell.route in TRAINED})
    shape = {name: one.settings[name] for name in ("steps", "batch", "max_length")}
    return [
        "# Six routes on real tasks",
        "",
        "Weighted F1 on the test split. {steps:,} steps of {batch} texts cut at {max_length} tokens,".format(**shape),
        f"learning rates {', '.join(f'{route} {rate:g}' for route, rate in rates)} (chosen on sst2 with",
        f"tinystories-656k), otherwise the protocol. {len(found)} of {cells} cells of the study `routes-cpu`.",
        f"torch {one.environment['torch']}, one thread a run, float32.",
        "",
        "    python bench/routes.py --data ../shared/data/tasks --models ../shared/models",
        "",
        "Mean over seeds (a star: one seed only); (±) half their range where it is above .005. **Bold**: best of",
        "the row, and every route whose mean lies inside the best one's 95 % interval of the first seed.",
    ]


def _table(study: Study, found: Found, model: str) -> list[str]:
    lines = ["| task | classes | majority | " + " | ".join(ROUTES) + " |", "|---|--:|--:|" + "--:|" * len(ROUTES)]
    for task in study.tasks:
        own = {route: _results(found, model, task, route) for route in ROUTES}
        lines.append(_row(study, Path(task).stem, {route: results for route, results in own.items() if results}))
    return lines


def _results(found: Found, model: str, task: str, route: str) -> list[AdaptResult]:
    """By seed."""
    own = [(cell.seed, result) for cell, result in found.items() if _is(cell, model, task, route)]
    return [result for _, result in sorted(own, key=lambda one: one[0])]


def _is(cell: Cell, model: str, task: str, route: str) -> bool:
    return (cell.task, cell.route) == (task, route) and cell.backbone in (None, model)


def _row(study: Study, task: str, have: dict[str, list[AdaptResult]]) -> str:
    best = max(have, key=lambda route: _mean_f1(have[route]))
    first = have[best][0]
    shown = []
    for route in ROUTES:
        wanted = len(study.seeds) if route in (*TRAINED, "probe") else 1
        shown.append(_shown(have[route], first.metrics["weighted_f1_low"], wanted) if route in have else "-")
    majority = first.facts["majority"]["weighted_f1"]
    return f"| {task} | {len(first.task['label_names'])} | {majority:.3f} | {' | '.join(shown)} |"


def _mean_f1(results: list[AdaptResult]) -> float:
    return mean(result.metrics["weighted_f1"] for result in results)


def _shown(results: list[AdaptResult], low: float, wanted: int) -> str:
    values = [result.metrics["weighted_f1"] for result in results]
    half = (max(values) - min(values)) / 2
    star = "\\*" if len(values) < wanted else ""
    text = f"{mean(values):.3f}" + (f" (±{half:.3f})" if half > 0.005 else "")
    return f"**{text}**{star}" if mean(values) >= low else text + star


def _costs(study: Study, found: Found) -> list[str]:
    lines = ["| model | route | trainable | FLOPs of training | seconds | real tokens/s |", "|---|---|--:|--:|--:|--:|"]
    for model in study.backbones:
        for route in TRAINED:
            own = [result for task in study.tasks for result in _results(found, model, task, route)]
            if own:
                lines.append(_cost(Path(model).name, route, own))
    return lines


def _cost(name: str, route: str, results: list[AdaptResult]) -> str:
    costs = [result.cost for result in results]
    rate = sum(cost["tokens"] for cost in costs) / sum(cost["loop_seconds"] for cost in costs)
    flops, seconds = (mean(cost[key] for cost in costs) for key in ("train_flops", "loop_seconds"))
    trainable = results[0].parameters["trainable"]
    return f"| {name} | {route} | {trainable:,} | {flops:.1e} | {seconds:.0f} | {rate:,.0f} |"


if __name__ == "__main__":
    main()
