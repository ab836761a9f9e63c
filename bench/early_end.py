"""Does training that ends by its validation loss lose anything?  Two studies of the same cells, side by side.

    tokenworth study run worth-real --models FOLDER --data FOLDER
    tokenworth study run bench/runs/early-end.yaml --models FOLDER --data FOLDER --out out/study/early-end
    python bench/early_end.py --whole out/study/worth-real --early out/study/early-end
    python bench/early_end.py        # the page, from docs/results/early_end.csv

Writes docs/results/early_end.md; with folders first docs/results/early_end.csv.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pages import write_page
from tokenworth.adaptation.storage.adapt_result import RESULT, AdaptResult
from tokenworth.decision.predictor_evaluation import clustered
from tokenworth.study import StudyStore
from tokenworth.study.results_table import named_cells

RESULTS = Path(__file__).parents[1] / "docs" / "results"
PAGE, TABLE = RESULTS / "early_end.md", RESULTS / "early_end.csv"
CELL = ["route", "backbone", "task"]


def main() -> None:
    """Read two studies or the table of them, write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--whole", type=Path, help="study whose runs make all their steps")
    parser.add_argument("--early", type=Path, help="study of the same cells, each ended by its validation loss")
    options = parser.parse_args()
    if options.whole is not None and options.early is not None:
        pairs = _runs(options.early).merge(_runs(options.whole), on=CELL, suffixes=("_early", "_whole"))
        pairs.sort_values(CELL).round(5).to_csv(TABLE, index=False)
    write_page(PAGE, [_page(pd.read_csv(TABLE))])
    print(PAGE)


def _runs(folder: Path) -> pd.DataFrame:
    store = StudyStore(folder)
    cells, names = named_cells(None, store)
    rows: list[dict[str, Any]] = []
    for cell, key in cells:
        place = store.run_folder(key)
        if cell.route in ("lora", "full", "scratch") and (place / RESULT).is_file():
            task, backbone = names.of(cell)
            run = AdaptResult.load(place)
            figures = {"f1": run.metrics["weighted_f1"], "log_loss": run.metrics["log_loss"]}
            steps = {"steps": len(run.training["losses"]), "kept": run.training["best_step"]}
            rows.append({"route": cell.route, "backbone": backbone, "task": task, **figures, **steps})
    return pd.DataFrame(rows)


def _page(pairs: pd.DataFrame) -> str:
    lines = [
        "# Ended early, or run to the end?\n",
        "Weighted F1 (log-loss) on test texts of the same cells: 600 texts of each part, cut at 128 tokens, LoRA",
        "with 200 steps of 8 and scratch with 400, rates by the rule, one seed. *Ended early*: a tenth of the",
        "training texts is cut off, after three of ten evaluations without a lower loss training ends, the step of",
        "the lowest is kept. *To the end*: all training texts, all steps, the last one kept.\n",
        "    python bench/early_end.py        # from docs/results/early_end.csv\n",
        "| route | backbone | task | ended early | step kept, of | to the end | points |",
        "|---|---|---|--:|--:|--:|--:|",
    ]
    for row in pairs.to_dict("records"):
        early, whole = (f"{row[f'f1_{how}']:.3f} ({row[f'log_loss_{how}']:.2f})" for how in ("early", "whole"))
        gain = 100 * (row["f1_whole"] - row["f1_early"])
        kept = f"{row['kept_early']:.0f}, {row['steps_early']}"
        lines.append(
            f"| {row['route']} | {row['backbone']} | {row['task']} | {early} | {kept} | {whole} | {gain:+.1f} |"
        )
    return "\n".join([*lines, "", *_means(pairs)])


def _means(pairs: pd.DataFrame) -> list[str]:
    lines = [
        "Points of F1 that running to the end brings, and what it costs:\n",
        "| route | backbone | tasks | mean | 95 % over tasks | better by a point | worse by a point | steps, times |",
        "|---|---|--:|--:|--:|--:|--:|--:|",
    ]
    for (route, backbone), own in pairs.groupby(["route", "backbone"]):
        gain_N = 100 * (own["f1_whole"] - own["f1_early"]).to_numpy(dtype=float)
        low, high = clustered(gain_N, np.arange(len(gain_N)))
        times = own["steps_whole"].sum() / own["steps_early"].sum()
        lines.append(
            f"| {route} | {backbone} | {len(own)} | {gain_N.mean():+.1f} | {low:+.1f} to {high:+.1f} "
            f"| {(gain_N > 1).sum()} | {(gain_N < -1).sum()} | {times:.2f} |"
        )
    return lines


if __name__ == "__main__":
    main()
