"""What the cells of a study say, beside what the papers printed: relations between figures, with their uncertainty.

The published numbers come with the package (study/published: figures only).  Table 1 of "For Perception Tasks: is LLM
Pretraining by Next-Token Prediction Worth its Cost?"; the data of figures 2 and 3 of "Next Token Perception Score".
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tokenworth.study.correlation import line_fit, rank_correlation
from tokenworth.study.grid import ASSESS
from tokenworth.study.results_table import by_route

OURS, PUBLISHED = "this study", "published"


@dataclass(frozen=True, eq=False, slots=True)
class Relation:
    """Two figures of the same tasks and backbones against each other."""

    name: str
    title: str
    x: str
    """What the horizontal axis shows."""
    y: str
    points: pd.DataFrame
    """backbone, task, x, y, source (OURS or PUBLISHED)."""
    statistics: list[dict[str, Any]]
    """One a source and backbone, or one a source: n, r, p, low, high; r2, slope and intercept for a line."""
    line: bool = False


def published(name: str) -> pd.DataFrame:
    """Printed numbers: "table1" or "ntps"."""
    return pd.read_csv(Path(str(files("tokenworth.study") / "published" / f"{name}.csv")))


def beside_published(table: pd.DataFrame) -> pd.DataFrame:
    """Weighted F1 by task and backbone, ours and, where Table 1 printed one, the published for lora and scratch."""
    ours = by_route(table)
    printed = published("table1")
    printed["f1"] = printed["f1_percent"] / 100
    wide = printed.pivot_table(index=["task", "backbone"], columns="route", values="f1").add_prefix("published ")
    if "backbone" not in ours:
        return ours
    joined = ours.merge(wide.reset_index(), on=["task", "backbone"], how="left")
    return joined.dropna(axis=1, how="all")


def row_means(table: pd.DataFrame, metric: str = "weighted_f1") -> pd.DataFrame:
    """Mean over tasks by backbone and route, as Table 1 prints them."""
    ours = by_route(table, metric)
    if "backbone" not in ours:
        return ours
    routes = [name for name in ours.columns if ours[name].dtype.kind == "f"]
    return ours.groupby("backbone", as_index=False)[routes].mean()


def relations(table: pd.DataFrame) -> list[Relation]:
    """Every relation whose figures the study has."""
    made = [
        _gap_and_tokens(table),
        *(_score_and_probe(table, score) for score in ("ntps", "ntps_published", "ntps_excess")),
        *(_score_and_gain(table, score) for score in ("ntps", "ntps_published", "ntps_excess")),
    ]
    return [relation for relation in made if relation is not None]


_SCORES = {
    "ntps": "NTPS, corrected",
    "ntps_published": "NTPS as the published code computes it",
    "ntps_excess": "NTPS beyond its chance level",
}


def _assessed(table: pd.DataFrame, score: str) -> pd.DataFrame:
    own = table[(table["route"] == ASSESS) & (table["state"] == "finished")]
    if score not in own:
        return pd.DataFrame(columns=["task", "backbone", score])
    return own.groupby(["task", "backbone"], as_index=False)[[score]].mean().dropna()


def _gap_and_tokens(table: pd.DataFrame) -> Relation | None:
    """Figure 1 of the first paper: what LoRA brings over scratch, mean over backbones, against log tokens."""
    wide = by_route(table)
    if not {"lora", "scratch", "backbone"} <= set(wide.columns):
        return None
    wide["gap"] = 100 * (wide["lora"] - wide["scratch"])
    gaps = wide.dropna(subset=["gap"]).groupby("task", as_index=False)["gap"].mean()
    points = gaps.merge(_assessed(table, "tokens_of_texts").groupby("task", as_index=False)["tokens_of_texts"].mean())
    points = points.assign(x=np.log10(points["tokens_of_texts"]), y=points["gap"], backbone="mean", source=OURS)
    if len(points) < 3:
        return None
    return Relation(
        name="gap-tokens",
        title="What LoRA brings over training from random weights",
        x="log10 of the task's training tokens",
        y="F1 points, LoRA - scratch",
        points=points[["backbone", "task", "x", "y", "source"]],
        statistics=[{"source": OURS, "backbone": "mean", **line_fit(points["x"].to_numpy(), points["y"].to_numpy())}],
        line=True,
    )


def _score_and_probe(table: pd.DataFrame, score: str) -> Relation | None:
    wide = by_route(table)
    if not {"probe", "backbone"} <= set(wide.columns):
        return None
    ours = wide.merge(_assessed(table, score), on=["task", "backbone"]).rename(columns={score: "x", "probe": "y"})
    theirs = published("ntps").rename(columns={"ntps_probe_figure": "x", "probe_accuracy_train": "y"})
    return _by_backbone(
        f"{score.replace('_', '-')}-probe", f"{_SCORES[score]}, against the probe", _SCORES[score],
        "F1 of the probe; published: accuracy" if score == "ntps_published" else "F1 of the probe",
        ours, theirs if score == "ntps_published" else None,
    )  # fmt: skip


def _score_and_gain(table: pd.DataFrame, score: str) -> Relation | None:
    wide = by_route(table)
    if not {"probe", "lora", "backbone"} <= set(wide.columns):
        return None
    wide["y"] = 100 * (wide["lora"] - wide["probe"])
    ours = wide.merge(_assessed(table, score), on=["task", "backbone"]).rename(columns={score: "x"})
    theirs = published("ntps").rename(columns={"ntps_lora_figure": "x"})
    theirs["y"] = 100 * (theirs["lora_accuracy"] - theirs["linear_accuracy"])
    return _by_backbone(
        f"{score.replace('_', '-')}-gain", f"{_SCORES[score]}, against what LoRA adds to the probe", _SCORES[score],
        "points, LoRA - probe", ours, theirs if score == "ntps_published" else None,
    )  # fmt: skip


def _by_backbone(
    name: str, title: str, x: str, y: str, ours: pd.DataFrame, theirs: pd.DataFrame | None
) -> Relation | None:
    columns = ["backbone", "task", "x", "y", "source"]
    parts = [ours.assign(source=OURS)] + ([theirs.assign(source=PUBLISHED)] if theirs is not None else [])
    points = pd.concat([part[columns] for part in parts], ignore_index=True).dropna()
    statistics = [
        {"source": source, "backbone": backbone, **rank_correlation(own["x"].to_numpy(), own["y"].to_numpy())}
        for (source, backbone), own in points.groupby(["source", "backbone"], sort=False)
        if len(own) >= 4
    ]
    if not any(row["source"] == OURS for row in statistics):
        return None
    return Relation(name, title, x, y, points, statistics)
