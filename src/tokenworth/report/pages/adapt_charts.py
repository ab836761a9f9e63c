"""The charts and tables of a route's page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tokenworth.report.pages.theme as theme
from tokenworth.report.displayed_values import duration, number, parameters, shown, tight
from tokenworth.report.pages.cards import Card
from tokenworth.report.pages.loss_curves import batch_loss_traces
from tokenworth.report.pages.panel_words import panel_of
from tokenworth.report.pages.theme import Key, Panel

if TYPE_CHECKING:
    from tokenworth.adaptation import AdaptResult

_WHEN = ("before", "after")


def adapt_cards(result: AdaptResult) -> list[Card]:
    """What it reached, the gap to training, what learnt, what it cost."""
    metrics, train, cost = result.metrics, result.train_metrics, result.cost
    majority = shown((result.facts.get("majority") or {}).get("weighted_f1"))
    between = tight(metrics.get("weighted_f1_low"), metrics.get("weighted_f1_high"))
    trainable, total = (result.parameters.get(name, 0) for name in ("trainable", "total"))
    weights = f"of {parameters(total)} parameters" if total else "the weights are the server's"
    common, right = ("label", "All labels right") if result.several else ("class", "Accuracy")
    f1 = (f"{between} (95 %)", f"most frequent {common} {majority}")
    calibration = (f"log-loss {shown(metrics.get('log_loss'))}", f"temperature {result.temperature:.2f}")
    return [
        Card("Weighted F1, test", shown(metrics.get("weighted_f1")), f1, accent=True),
        Card(right, shown(metrics.get("accuracy")), (f"on training texts {shown(train.get('accuracy'))}",)),
        Card("Calibration error", shown(metrics.get("ece")), calibration),
        Card("Trainable", parameters(trainable) if trainable else "none", (weights,)),
        Card("Time", duration(cost.get("seconds")), _spent(cost)),
    ]


def _spent(cost: dict[str, Any]) -> tuple[str, ...]:
    """Money for answers of a server, or FLOPs of training."""
    flops, money, million = (number(cost.get(name)) for name in ("train_flops", "money", "million_money"))
    if money is not None and million is not None:
        return f"{money:,.4g} paid", f"a million texts {million:,.4g}"
    return (f"{flops:.1e} FLOPs of training" if flops else "no training",)


def loss_panel(result: AdaptResult) -> Panel:
    """Training loss by step."""
    panel = panel_of("training-loss")
    losses = [float(value) for value in result.training.get("losses") or []]
    if not losses:
        return panel.without("This route runs no training loop.")
    traces = batch_loss_traces(losses, None, "step %{x:,}<br><b>%{y:.3f}</b> nats<extra></extra>")
    x, y = theme.axis(name="step", nticks=6), theme.axis(name="nats a text", rangemode="tozero", nticks=6)
    keys = (Key("line", "running mean"), Key("thin", "batches", theme.SOFT))
    return panel.with_figure(theme.figure(traces, x, y), keys, 240)


def reliability_panel(result: AdaptResult) -> Panel:
    """Accuracy by confidence."""
    panel = panel_of("reliability")
    rows = [row for row in result.calibration if row.get("texts")]
    if not rows:
        return panel.without("No text was evaluated.")
    most = max(row["texts"] for row in rows)
    marker = {"size": [6 + 14 * (row["texts"] / most) ** 0.5 for row in rows], "opacity": 0.85}
    texts = [
        f"{row['texts']:,} texts<br>confidence {row['confidence']:.2f}<br>accuracy {row['accuracy']:.2f}"
        for row in rows
    ]
    x, y = ([row[name] for row in rows] for name in ("confidence", "accuracy"))
    dots = theme.dots(x, y, marker=marker, cliponaxis=False, **theme.hover_texts(texts))
    even = theme.line([0, 1], [0, 1], colour=theme.GREY, width=1.2, line={"dash": "dash"}, hoverinfo="skip")
    x_axis, y_axis = (theme.axis(name=name, range=[0, 1.02], nticks=6) for name in ("mean confidence", "accuracy"))
    bins = "a bin of texts and labels" if result.several else "a bin of texts"
    keys = (Key("dot", bins), Key("dash", "as sure as right", theme.GREY))
    return panel.with_figure(theme.figure([even, dots], x_axis, y_axis), keys, 240)


def abstention_panel(result: AdaptResult) -> Panel:
    """Error among the surest texts by their share, and the bound of it."""
    from tokenworth.adaptation.evaluation.abstention import risk_curve

    panel, curve = panel_of("abstention"), risk_curve(result)
    if curve is None:
        return panel.without("There are no test predictions.")
    texts = [
        f"{share:.0%} answered<br><b>{error:.3f}</b> wrong"
        for share, error in zip(curve["coverage"], curve["error"], strict=True)
    ]
    line = theme.line(curve["coverage"], curve["error"], **theme.hover_texts(texts))
    hover = [
        f"{share:.0%} answered<br>at most <b>{bound:.3f}</b>"
        for share, bound in zip(curve["shares"], curve["bounds"], strict=True)
    ]
    dots = theme.dots(curve["shares"], curve["bounds"], colour=theme.GREY, **theme.hover_texts(hover))
    x = theme.axis(name="share of test texts answered", range=[0, 1.02], tickformat=".0%", nticks=6)
    y = theme.axis(name="error among them", rangemode="tozero", nticks=6)
    keys = (Key("line", "wrong among the surest"), Key("dot", "certified at .95", theme.GREY))
    return panel.with_figure(theme.figure([line, dots], x, y), keys, 240)


def diagnosis_panel(result: AdaptResult) -> Panel:
    """Probe accuracy by layer before and after training."""
    panel = panel_of("diagnosis")
    rows = (result.diagnosis or {}).get("layers") or []
    if not rows:
        return panel.without("Not looked at; --diagnose does for lora, full, contrastive and scratch.")
    layers = [row["layer"] for row in rows]
    traces = [
        theme.line(layers, [number(row.get(f"probe_accuracy_{when}")) for row in rows], colour=colour)
        for when, colour in zip(_WHEN, (theme.GREY, theme.ACCENT), strict=True)
    ]
    keys = (Key("line", "after"), Key("line", "before", theme.GREY))
    x, y = theme.layer_axis(min(layers), max(layers)), theme.axis(name="probe accuracy", nticks=6)
    return panel.with_figure(theme.figure(traces, x, y), keys, 240)
