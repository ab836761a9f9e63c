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

from tokenworth.base.keywords import known_keywords
from tokenworth.study.correlation import line_fit, rank_correlation
from tokenworth.study.grid import ASSESS
from tokenworth.study.results_table import by_route

OURS, PUBLISHED = "this study", "published"
_POINT = ["backbone", "task", "x", "y", "source"]
_SCORES = {
    "ntps": "NTPS, corrected",
    "ntps_published": "NTPS as the published code computes it",
    "ntps_excess": "NTPS beyond its chance level",
}


@dataclass(frozen=True, eq=False, slots=True)
class Relation:
    """Two figures of the same tasks and backbones against each other."""

    name: str
    """For file names."""
    title: str
    """For people."""
    x: str
    """What the horizontal axis shows."""
    y: str
    """What the vertical axis shows."""
    points: pd.DataFrame
    """Columns backbone, task, x, y, source (OURS or PUBLISHED)."""
    statistics: list[dict[str, Any]]
    """One a source and backbone, or one a source: n, r, p, low, high; r2, slope and intercept for a line."""
    line: bool = False
    """Whether a straight line is fitted through the points."""


def published(name: str) -> pd.DataFrame:
    """Printed numbers: "table1" or "ntps"."""
    return pd.read_csv(Path(str(files("tokenworth.study") / "published" / f"{name}.csv")))


def beside_published(table: pd.DataFrame) -> pd.DataFrame:
    """Weighted F1 by task and backbone, ours and, where Table 1 printed one, the published for lora and scratch."""
    ours = by_route(table)
    if "backbone" not in ours:
        return ours
    printed = published("table1")
    printed["f1"] = printed["f1_percent"] / 100
    wide = printed.pivot_table(index=["task", "backbone"], columns="route", values="f1").add_prefix("published ")
    return ours.merge(wide.reset_index(), on=["task", "backbone"], how="left").dropna(axis=1, how="all")


@known_keywords
def row_means(table: pd.DataFrame, metric: str = "weighted_f1") -> pd.DataFrame:
    """Mean over tasks by backbone and route, as Table 1 prints them."""
    ours = by_route(table, metric)
    if "backbone" not in ours:
        return ours
    routes = [name for name in ours.columns if ours[name].dtype.kind == "f"]
    return ours.groupby("backbone", as_index=False)[routes].mean()


def relations(table: pd.DataFrame) -> list[Relation]:
    """Every relation whose figures the study has."""
    candidates = [
        _gap_and_tokens(table),
        *(_score_and_probe(table, score) for score in _SCORES),
        *(_score_and_gain(table, score) for score in _SCORES),
    ]
    return [relation for relation in candidates if relation is not None]


def _wide(table: pd.DataFrame, *routes: str) -> pd.DataFrame | None:
    """Weighted F1 of the routes, where the study has run all of them on backbones."""
    wide = by_route(table)
    return wide if {*routes, "backbone"} <= set(wide.columns) else None


def _assessed(table: pd.DataFrame, score: str, by: list[str]) -> pd.DataFrame:
    """Mean of a score by task and backbone, and then by fewer of the two."""
    rows = table[(table["route"] == ASSESS) & (table["state"] == "finished")]
    if score not in rows:
        return pd.DataFrame(columns=[*by, score])
    means = rows.groupby(["task", "backbone"], as_index=False)[[score]].mean().dropna()
    return means.groupby(by, as_index=False)[[score]].mean()


def _gap_and_tokens(table: pd.DataFrame) -> Relation | None:
    """Figure 1 of the first paper: what LoRA brings over scratch, mean over backbones, against log tokens."""
    wide = _wide(table, "lora", "scratch")
    if wide is None:
        return None
    wide["gap"] = 100 * (wide["lora"] - wide["scratch"])
    gaps = wide.dropna(subset=["gap"]).groupby("task", as_index=False)["gap"].mean()
    points = gaps.merge(_assessed(table, "tokens_of_texts", ["task"]))
    points = points.assign(x=np.log10(points["tokens_of_texts"]), y=points["gap"], backbone="mean", source=OURS)
    if len(points) < 3:
        return None
    return Relation(
        name="gap-tokens",
        title="What LoRA brings over training from random weights",
        x="log10 of the task's training tokens",
        y="F1 points, LoRA - scratch",
        points=points[_POINT],
        statistics=[{"source": OURS, "backbone": "mean", **line_fit(points["x"].to_numpy(), points["y"].to_numpy())}],
        line=True,
    )


def _score_and_probe(table: pd.DataFrame, score: str) -> Relation | None:
    wide = _wide(table, "probe")
    if wide is None:
        return None
    printed = published("ntps").rename(columns={"ntps_probe_figure": "x", "probe_accuracy_train": "y"})
    y = "F1 of the probe; published: accuracy" if score == "ntps_published" else "F1 of the probe"
    wide = wide.assign(y=wide["probe"])
    return _by_backbone(table, score, wide, printed, ("probe", "against the probe", y))


def _score_and_gain(table: pd.DataFrame, score: str) -> Relation | None:
    wide = _wide(table, "probe", "lora")
    if wide is None:
        return None
    printed = published("ntps").rename(columns={"ntps_lora_figure": "x"})
    printed["y"] = 100 * (printed["lora_accuracy"] - printed["linear_accuracy"])
    wide = wide.assign(y=100 * (wide["lora"] - wide["probe"]))
    words = ("gain", "against what LoRA adds to the probe", "points, LoRA - probe")
    return _by_backbone(table, score, wide, printed, words)


def _by_backbone(
    table: pd.DataFrame, score: str, wide: pd.DataFrame, printed: pd.DataFrame, words: tuple[str, str, str]
) -> Relation | None:
    """A score against the column y, with the printed figures where they are of this score; ``words`` name it."""
    scores = _assessed(table, score, ["task", "backbone"])
    ours = wide.merge(scores, on=["task", "backbone"]).rename(columns={score: "x"})
    parts = [ours.assign(source=OURS), *([printed.assign(source=PUBLISHED)] if score == "ntps_published" else [])]
    points = pd.concat([part[_POINT] for part in parts], ignore_index=True).dropna()
    statistics = [
        {"source": source, "backbone": backbone, **rank_correlation(part["x"].to_numpy(), part["y"].to_numpy())}
        for (source, backbone), part in points.groupby(["source", "backbone"], sort=False)
        if len(part) >= 4
    ]
    if not any(row["source"] == OURS for row in statistics):
        return None
    name, title, y = f"{score.replace('_', '-')}-{words[0]}", f"{_SCORES[score]}, {words[1]}", words[2]
    return Relation(name, title, _SCORES[score], y, points, statistics)
