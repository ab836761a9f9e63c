"""The NTPS experiments with small decoders: does the score say what a probe reads, and what LoRA adds?

    python bench/ntps.py --data FOLDER --models FOLDER [--out out/study/ntps-cpu] [--workers 2] [--only-table]

Runs what is missing of the shipped study `ntps-cpu`: stopped at any moment, the command goes on.  The tables go to
docs/results/ntps.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

from pages import write_page
from tokenworth.study import Choice, Relation, cell_table, choose, load_study, relations, run_local, sweeps
from tokenworth.study.published_relations import OURS

PAGE = Path(__file__).parents[1] / "docs" / "results" / "ntps.md"


def main() -> None:
    """Run what is missing, then write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("out/study/ntps-cpu"))
    parser.add_argument("--page", type=Path, default=PAGE)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only-table", action="store_true")
    options = parser.parse_args()
    study = load_study("ntps-cpu", data=options.data, models=options.models)
    if not options.only_table:
        run_local(study, options.out, workers=options.workers, report=print)
    table = cell_table(study, options.out)
    choices = [choose(sweep) for sweep in sweeps(study, options.out, table)]
    write_page(options.page, _page(table, relations(table), choices))


def _page(table: pd.DataFrame, found: list[Relation], choices: list[Choice]) -> list[str]:
    finished = int((table["state"] == "finished").sum())
    return [
        "# NTPS with small decoders",
        "",
        "Four decoders of .26 to .97 M parameters on the second paper's twelve tasks, at most 2,000 texts each, LoRA",
        f"of 300 steps; {finished} of {len(table)} cells of the study `ntps-cpu` (`study figures` draws them).",
        "",
        "    python bench/ntps.py --data ../shared/data/tasks --models ../shared/models",
        "",
        "## As it should be measured",
        "",
        "Cross-fitted probes and LoRA on test texts, layer and k by one rule for all. Spearman r over tasks, its 95 %",
        "bootstrap interval over them, and the p of a permutation test.",
        "",
        "| figure | backbone | tasks | r | 95 % | p |",
        "|---|---|--:|--:|--:|--:|",
        *(_relation(one, row) for one in found for row in one.statistics if row["source"] == OURS and not one.line),
        "",
        "## As it was published",
        "",
        "Read-outs scored on the rows they were fitted on, layer and k chosen for every panel. *p* as if they had been",
        "known before; *p, choosing counted*: against shuffled tasks that may choose as well; *r elsewhere*: chosen",
        "on a half of the tasks, taken on the other, mean of 200 halvings. The sign is that of the published r.",
        "",
        "| figure | backbone | tasks | layer | k | r | p | p, choosing counted | r elsewhere |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|",
        *map(_choice, choices),
    ]


def _relation(relation: Relation, row: dict[str, float]) -> str:
    numbers = f"{row['n']} | {row['r']:.2f} | {row['low']:.2f} to {row['high']:.2f} | {row['p']:.3f}"
    return f"| {relation.title} | {row['backbone']} | {numbers} |"


def _choice(one: Choice) -> str:
    numbers = f"{one.r:.2f} | {one.p:.4f} | {one.p_chosen:.3f} | {one.r_elsewhere:.2f}"
    return f"| {one.figure} | {one.backbone} | {one.tasks} | {one.layer} | {one.share:.2f} | {numbers} |"


if __name__ == "__main__":
    main()
