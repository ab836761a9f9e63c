"""Six routes on real tasks with small real models: where does pretraining pay, where does a bag of words win?

    python bench/routes.py --data FOLDER --models FOLDER [--out out/routes] [--workers 2] [--only-table]

Every cell is a run of `tokenworth adapt` in a folder of its own: stopped at any moment, the command goes on.  The table
goes to docs/results/routes.md.  The protocol's values but 1,000 steps and texts cut at 128 tokens.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from statistics import mean
from typing import Any

from pages import write_page

MODELS = ("tinystories-656k", "babyllama-tok361", "wikinovels-14m")
TASKS = ("clickbait", "sms_spam", "intent_classification", "sst2", "emotion", "banking77")
OF_MODEL = ("prompt", "probe", "lora", "full", "scratch")
PAGE = Path(__file__).parents[1] / "docs" / "results" / "routes.md"


@dataclass(frozen=True)
class Cell:
    """One run; bow needs no model."""

    model: str
    task: str
    route: str
    seed: int

    def folder(self, out: Path) -> Path:
        """Where the run lies."""
        return out / self.task / (self.model or "none") / f"{self.route}-{self.seed}"


def main() -> None:
    """Run what is missing, then write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--names", nargs="+", default=list(MODELS))
    parser.add_argument("--tasks", nargs="+", default=list(TASKS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1])
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--lr", type=float, default=1e-4)
    parser.add_argument("--out", type=Path, default=Path("out/routes"))
    parser.add_argument("--page", type=Path, default=PAGE)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only-table", action="store_true")
    options = parser.parse_args()
    cells = [Cell("", task, "bow", 0) for task in options.tasks]
    cells += [
        Cell(*cell) for seed in options.seeds for cell in product(options.names, options.tasks, OF_MODEL, (seed,))
    ]
    if not options.only_table:
        _run_all(cells, options)
    _write(cells, options)


def _run_all(cells: list[Cell], options: argparse.Namespace) -> None:
    with ProcessPoolExecutor(options.workers, mp_context=get_context("spawn")) as pool:
        futures = {pool.submit(_run, cell, options): cell for cell in cells}
        for future in as_completed(futures):
            cell = futures[future]
            print(f"{cell.task:24} {cell.model:20} {cell.route:8} {cell.seed}  {future.result()}", flush=True)


def _run(cell: Cell, options: argparse.Namespace) -> str:
    import torch

    from tokenworth.adaptation import adapt
    from tokenworth.errors import TokenworthError
    from tokenworth.tasks import load_task

    torch.set_num_threads(1)
    config = {"steps": options.steps, "lr": options.lr, "max_length": 128, "mislabelled": False}
    model = str(options.models / cell.model) if cell.model else None
    try:
        task = load_task(cell.task, data=options.data)
        result = adapt(model, task, cell.route, seed=cell.seed, config=config, out=cell.folder(options.out))
    except TokenworthError as error:
        return f"failed: {error}"
    return f"F1 {result.metrics['weighted_f1']:.3f}  {result.cost['seconds']:.0f} s"


def _write(cells: list[Cell], options: argparse.Namespace) -> None:
    """The page: one table a model, weighted F1 by task and route, means over seeds."""
    from tokenworth.adaptation import AdaptResult

    found = {cell: AdaptResult.load(f) for cell in cells if ((f := cell.folder(options.out)) / "result.json").is_file()}
    lines = [*_head(found, options), ""]
    for name in options.names:
        lines += [f"## {name}", "", *_table(found, name, options.tasks), ""]
    lines += ["## What it took", "", *_costs(found, options), ""]
    write_page(options.page, lines)


def _head(found: dict[Cell, Any], options: argparse.Namespace) -> list[str]:
    any_result = next(iter(found.values()))
    seeds = sorted({cell.seed for cell in found})
    settings = f"{options.steps:,} steps of 8 texts, learning rate {options.lr:g}, texts cut at 128 tokens"
    return [
        "# Six routes on real tasks",
        "",
        f"Weighted F1 on the test split. {settings}, otherwise the protocol;",
        f"seeds {', '.join(map(str, seeds))}; {len(found)} runs.",
        f"torch {any_result.environment['torch']}, one thread a run, float32.",
        "",
        "    python bench/routes.py --data ../shared/data/tasks --models ../shared/models",
        "",
        "Mean over seeds; (±) half their range where it is above .005. **Bold**: best of the row, and every route",
        "whose mean lies inside the best one's 95 % interval of the first seed.",
    ]


def _table(found: dict[Cell, Any], name: str, tasks: list[str]) -> list[str]:
    routes = ("bow", *OF_MODEL)
    lines = ["| task | classes | majority | " + " | ".join(routes) + " |", "|---|--:|--:|" + "--:|" * len(routes)]
    for task in tasks:
        runs = {
            route: [r for c, r in found.items() if (c.task, c.route) == (task, route) and c.model in ("", name)]
            for route in routes
        }
        have = {route: [r.metrics["weighted_f1"] for r in own] for route, own in runs.items() if own}
        if not have:
            continue
        best = max(have, key=lambda route: mean(have[route]))
        low = runs[best][0].metrics["weighted_f1_low"]
        first = runs[best][0]
        cells = [_cell(have.get(route), low) for route in routes]
        majority = first.facts["majority"]["weighted_f1"]
        lines.append(f"| {task} | {len(first.task['label_names'])} | {majority:.3f} | " + " | ".join(cells) + " |")
    return lines


def _cell(values: list[float] | None, low: float) -> str:
    if not values:
        return "-"
    middle, half = mean(values), (max(values) - min(values)) / 2
    text = f"{middle:.3f}" + (f" (±{half:.3f})" if half > 0.005 else "")
    return f"**{text}**" if middle >= low else text


def _costs(found: dict[Cell, Any], options: argparse.Namespace) -> list[str]:
    lines = ["| model | route | trainable | FLOPs of training | seconds | real tokens/s |", "|---|---|--:|--:|--:|--:|"]
    for name in options.names:
        for route in ("lora", "full", "scratch"):
            own = [r for c, r in found.items() if (c.model, c.route) == (name, route)]
            if own:
                costs = [r.cost for r in own]
                rate = sum(c["tokens"] for c in costs) / sum(c["loop_seconds"] for c in costs)
                flops, seconds = (mean(c[key] for c in costs) for key in ("train_flops", "loop_seconds"))
                trainable = own[0].parameters["trainable"]
                lines.append(f"| {name} | {route} | {trainable:,} | {flops:.1e} | {seconds:.0f} | {rate:,.0f} |")
    return lines


if __name__ == "__main__":
    main()
