"""The charts and tables of a route's page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import tokenworth.report.pages.theme as theme
from tokenworth.report.displayed_values import ABSENT, clean, cut, duration, number, shown, tight
from tokenworth.report.pages.cards import Card
from tokenworth.report.pages.page_tables import parameters
from tokenworth.report.pages.smoothing import running_mean, thinned
from tokenworth.report.pages.theme import Key, Panel
from tokenworth.report.result_protocols import AdaptLike, Row
from tokenworth.report.terminal.route_tables import METRIC_NAMES


def adapt_cards(result: AdaptLike) -> list[Card]:
    """What it reached, the gap to training, what learnt, what it cost."""
    metrics, cost = result.metrics, result.cost
    majority = (result.facts.get("majority") or {}).get("weighted_f1")
    between = tight(metrics.get("weighted_f1_low"), metrics.get("weighted_f1_high"))
    trainable, total = (result.parameters.get(name, 0) for name in ("trainable", "total"))
    flops = number(cost.get("train_flops"))
    return [
        Card(
            "Weighted F1, test",
            shown(metrics.get("weighted_f1")),
            (f"{between} (95 %)", f"most frequent class {shown(majority)}"),
            accent=True,
        ),
        Card("Accuracy", shown(metrics.get("accuracy")), (f"on training texts {shown(_train(result, 'accuracy'))}",)),
        Card(
            "Calibration error",
            shown(metrics.get("ece")),
            (f"log-loss {shown(metrics.get('log_loss'))}", f"temperature {result.temperature:.2f}"),
        ),
        Card("Trainable", parameters(trainable) if trainable else "none", (f"of {parameters(total)} parameters",)),
        Card("Time", duration(cost.get("seconds")), (f"{flops:.1e} FLOPs of training",) if flops else ("no training",)),
    ]


def _train(result: AdaptLike, name: str) -> Any:
    return result.train_metrics.get(name)


def metric_rows(result: AdaptLike) -> list[dict[str, str]]:
    """Every metric on test and training texts."""
    return [
        {
            "name": words,
            "test": shown(result.metrics.get(name)),
            "between": tight(result.metrics.get(f"{name}_low"), result.metrics.get(f"{name}_high")),
            "train": shown(_train(result, name)),
        }
        for name, words in METRIC_NAMES.items()
    ]


def loss_panel(result: AdaptLike) -> Panel:
    """Training loss by step, and the validation metric where there is one."""
    panel = Panel(
        name="loss",
        title="Training loss",
        says="Cross-entropy of each batch before its update, in nats; the strong line is a running mean.",
        trust="A curve that is still falling at the end was stopped early; one at 0 may know texts by heart.",
    )
    losses = [float(value) for value in result.training.get("losses") or []]
    if not losses:
        return replace(panel, reason="This route runs no training loop.")
    steps, means = thinned(losses)
    smooth = running_mean(means)
    traces = [
        theme.line(steps, list(means), colour=theme.SOFT, width=1, hoverinfo="skip"),
        theme.line(steps, list(smooth), hovertemplate="step %{x:,}<br><b>%{y:.3f}</b> nats<extra></extra>"),
    ]
    x, y = theme.axis(name="step", nticks=6), theme.axis(name="nats a text", rangemode="tozero", nticks=6)
    keys = (Key("line", "running mean"), Key("thin", "batches", theme.SOFT))
    return replace(panel, figure=theme.figure(traces, x, y), keys=keys, height=240)


def reliability_panel(result: AdaptLike) -> Panel:
    """Accuracy by confidence."""
    panel = Panel(
        name="reliability",
        title="Confidence against accuracy",
        says="Test texts in bins of the predicted class's probability; larger dots hold more texts.",
        trust="Dots below the dashed line: the route is surer than it may be. --calibrate fits a temperature.",
    )
    rows = [row for row in result.calibration if row.get("texts")]
    if not rows:
        return replace(panel, reason="No text was evaluated.")
    most = max(row["texts"] for row in rows)
    sizes = [6 + 14 * (row["texts"] / most) ** 0.5 for row in rows]
    said = [
        f"{row['texts']:,} texts<br>confidence {row['confidence']:.2f}<br>accuracy {row['accuracy']:.2f}"
        for row in rows
    ]
    dots = theme.dots(
        [row["confidence"] for row in rows], [row["accuracy"] for row in rows], marker={"size": sizes, "opacity": 0.85},
        hovertext=said, hovertemplate="%{hovertext}<extra></extra>", cliponaxis=False,
    )  # fmt: skip
    even = theme.line([0, 1], [0, 1], colour=theme.GREY, width=1.2, line={"dash": "dash"}, hoverinfo="skip")
    x = theme.axis(name="mean confidence", range=[0, 1.02], nticks=6)
    y = theme.axis(name="accuracy", range=[0, 1.02], nticks=6)
    keys = (Key("dot", "a bin of texts"), Key("dash", "as sure as right", theme.GREY))
    return replace(panel, figure=theme.figure([even, dots], x, y), keys=keys, height=240)


def diagnosis_panel(result: AdaptLike) -> Panel:
    """Probe accuracy by layer before and after training."""
    panel = Panel(
        name="diagnosis",
        title="The backbone before and after",
        says="Accuracy on test texts of a ridge probe fitted to every layer, before and after training.",
        trust="Where the line rises, training wrote the task into that layer; NTPS and retained area are below.",
    )
    rows = (result.diagnosis or {}).get("layers") or []
    if not rows:
        return replace(panel, reason="Not looked at; --diagnose does for lora, full and scratch.")
    layers = [row["layer"] for row in rows]
    traces = [
        theme.line(layers, [number(row.get("probe_accuracy_before")) for row in rows], colour=theme.GREY),
        theme.line(layers, [number(row.get("probe_accuracy_after")) for row in rows]),
    ]
    keys = (Key("line", "after"), Key("line", "before", theme.GREY))
    figure = theme.figure(traces, theme.axis(name="layer", dtick=1), theme.axis(name="probe accuracy", nticks=6))
    return replace(panel, figure=figure, keys=keys, height=240)


_DIAGNOSED = {
    "ntps": "NTPS",
    "retained_auc": "retained area",
    "probe_f1": "probe F1",
    "hscore": "H-score",
    "logme": "LogME",
}


def diagnosis_rows(result: AdaptLike) -> dict[str, Any]:
    """Heads and cells: scores before and after, by layer."""
    rows = (result.diagnosis or {}).get("layers") or []
    heads = ["layer", *(f"{words}, {when}" for words in _DIAGNOSED.values() for when in ("before", "after"))]
    cells = [
        [str(row["layer"]), *(shown(row.get(f"{name}_{when}")) for name in _DIAGNOSED for when in ("before", "after"))]
        for row in rows
    ]
    return {"heads": heads, "cells": cells}


def update_rows(result: AdaptLike) -> dict[str, Any]:
    """Heads and cells: how much each linear map moved."""
    rows = (result.diagnosis or {}).get("updates") or []
    heads = ["linear map", "shape", "relative size", "effective rank", "intruder dimensions"]
    cells = [
        [
            row["name"],
            " x ".join(map(str, row["shape"])),
            shown(row["relative_size"]),
            shown(row["effective_rank"], 1),
            f"{row['intruders']} of {row['looked_at']}",
        ]
        for row in rows
        if row["relative_size"] > 0
    ]
    return {"heads": heads, "cells": cells}


def mislabelled_rows(result: AdaptLike) -> list[dict[str, str]]:
    """Texts to look at again."""
    return [
        {
            "row": f"{row['row']:,}",
            "text": cut(clean(row["text"]), 240),
            "label": clean(row["label"]),
            "suggested": clean(row["suggested"]),
            "odds": f"{row['p_label']:.2f} / {row['p_suggested']:.2f}",
        }
        for row in result.mislabelled
    ]


def tuning_rows(result: AdaptLike) -> list[dict[str, str]]:
    """The trials of a search."""
    metric = str(result.settings.get("metric"))
    return [
        {
            "lr": f"{trial['lr']:.2e}",
            "rank": str(trial["rank"]),
            "steps": f"{trial['steps']:,}",
            "value": shown(trial.get(metric)),
        }
        for trial in result.tuning
    ]


def flat(values: Mapping[str, Any] | None) -> Row:
    """Facts for the page's details: lists and long things are left to result.json."""
    kept: dict[str, Any] = {}
    for name, value in (values or {}).items():
        if isinstance(value, Mapping):
            kept |= {f"{name}: {inner}": one for inner, one in value.items() if not isinstance(one, list | dict)}
        elif not isinstance(value, list) or len(value) <= 6:
            kept[name] = ABSENT if value is None else value
    return kept
