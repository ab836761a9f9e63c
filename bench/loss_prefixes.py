"""What the losses of LoRA's first steps tell of where it ends.

    tokenworth study run worth-real --models FOLDER --data FOLDER
    python bench/loss_prefixes.py --study out/study/worth-real
    python bench/loss_prefixes.py        # the page, from docs/results/loss_prefixes.csv

Writes docs/results/loss_prefixes.md; with a folder first docs/results/loss_prefixes.csv.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
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
PAGE, TABLE = RESULTS / "loss_prefixes.md", RESULTS / "loss_prefixes.csv"
STEPS, WINDOW = (10, 20, 50, 100, 200), 10
"""Seen so far, of 200; a loss is the mean of the last ten, which are 80 texts."""
_KEY = ["backbone", "task"]


def main() -> None:
    """Read a study or the table of it, write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--study", type=Path, help="folder of the study worth-real")
    options = parser.parse_args()
    if options.study is not None:
        runs_of(options.study).sort_values(_KEY).round(5).to_csv(TABLE, index=False)
    write_page(PAGE, [page(pd.read_csv(TABLE))])
    print(PAGE)


def runs_of(folder: Path) -> pd.DataFrame:
    """A row for each run of LoRA whose probe and bag of words are there too."""
    store = StudyStore(folder)
    cells, names = named_cells(None, store)
    f1: dict[str, dict[tuple[str, str], float]] = {"bow": {}, "probe": {}}
    rows: list[dict[str, Any]] = []
    for cell, key in cells:
        place = store.run_folder(key)
        if cell.seed or not (place / RESULT).is_file():
            continue
        (task, named), run = names.of(cell), AdaptResult.load(place)
        backbone = named or ""
        if cell.route in f1:
            f1[cell.route][backbone, task] = run.metrics["weighted_f1"]
        elif cell.route == "lora":
            rows.append({"backbone": backbone, "task": task, "f1": run.metrics["weighted_f1"], **_losses(run)})
    for row in rows:
        row["bow"], row["probe"] = f1["bow"].get(("", row["task"])), f1["probe"].get((row["backbone"], row["task"]))
    return pd.DataFrame(rows).dropna()


def _losses(run: AdaptResult) -> dict[str, float]:
    """Means of ten steps before each of STEPS, in shares of what guessing among the classes loses."""
    losses, guess = run.training["losses"], math.log(len(run.task["label_names"]))
    return {f"loss_{step}": float(np.mean(losses[step - WINDOW : step])) / guess for step in STEPS}


def page(runs: pd.DataFrame) -> str:
    """How far off the end is predicted, by what was seen."""
    counts = ", ".join(f"{name} on {len(own)} tasks" for name, own in runs.groupby("backbone"))
    lines = [
        "# What the first losses tell of the end\n",
        "LoRA's weighted F1 after its 200 steps of 8 (study `worth-real`: 600 texts of each part, cut at 128 tokens),",
        "predicted for each task from the others, over backbones: the log-odds of F1 are those of the probe and a mean",
        "gain, or these and a slope times the training loss of the last ten steps seen, as a share of what guessing",
        "loses. *Ahead*: of the mean gain alone, in points, with a 95 % interval over tasks.\n",
        f"Runs: {counts}.\n",
        "    python bench/loss_prefixes.py        # from docs/results/loss_prefixes.csv\n",
        "| seen | off by, points | within 3 | within 5 | ahead of the mean gain |",
        "|---|--:|--:|--:|--:|",
    ]
    plain_N = 100 * np.abs(_predicted(runs, []) - runs["f1"].to_numpy())
    lines.append(_line("nothing: the probe and the mean gain", plain_N, None))
    for step in STEPS:
        off_N = 100 * np.abs(_predicted(runs, [f"loss_{step}"]) - runs["f1"].to_numpy())
        ahead = clustered(plain_N - off_N, runs["task"].factorize()[0])
        said = f"{step} steps ({step / STEPS[-1]:.0%})"
        lines.append(_line(said, off_N, f"{(plain_N - off_N).mean():+.1f} ({ahead[0]:+.1f} to {ahead[1]:+.1f})"))
    return "\n".join(lines)


def _line(name: str, off_N: np.ndarray, ahead: str | None) -> str:
    shares = [f"{np.mean(off_N <= bound):.0%}" for bound in (3, 5)]
    return f"| {name} | {off_N.mean():.1f} | {' | '.join(shares)} | {ahead or ''} |"


def _predicted(runs: pd.DataFrame, columns: Sequence[str]) -> np.ndarray:
    """F1 of each run from the runs of other tasks."""
    probe_N, gain_N = _log_odds(runs["probe"]), _log_odds(runs["f1"]) - _log_odds(runs["probe"])
    known_NK = np.column_stack([np.ones(len(runs)), *(runs[name].to_numpy() for name in columns)])
    said_N = np.empty(len(runs))
    for task in runs["task"].unique():
        held_N = (runs["task"] == task).to_numpy()
        slopes_K, *_ = np.linalg.lstsq(known_NK[~held_N], gain_N[~held_N], rcond=None)
        said_N[held_N] = probe_N[held_N] + known_NK[held_N] @ slopes_K
    return np.asarray(1 / (1 + np.exp(-said_N)))


def _log_odds(f1: pd.Series) -> np.ndarray:
    clipped_N = np.clip(f1.to_numpy(dtype=float), 0.005, 0.995)
    return np.asarray(np.log(clipped_N / (1 - clipped_N)))


if __name__ == "__main__":
    main()
