"""Backbones side by side: F1 at their best layers, and their scores over relative depth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import tokenworth.report.pages.theme as theme
from tokenworth.report.displayed_values import hover, interval, label, number, series, short, shown
from tokenworth.report.pages.metric_texts import METRICS
from tokenworth.report.pages.page_tables import tied
from tokenworth.report.pages.theme import Key, Panel, Trace
from tokenworth.report.result_protocols import RankingLike, Row, ranked

OVERLAID = {
    "probe_f1": (
        "F1 of the ridge probe on the test texts.",
        "The figure to decide with; the chart above has the intervals at the best layers.",
    ),
    "retained_auc": (
        METRICS["retained_auc"].says,
        "Tells trained from random weights on many tasks; each backbone's own page has its chance level.",
    ),
    "hscore": (METRICS["hscore"].says, METRICS["hscore"].trust),
}
"""Scores drawn for all backbones on one axis, what they say and what to trust them for."""


def ranking_panel(ranking: RankingLike) -> Panel:
    """F1 of every backbone's best probe and its interval; filled dots share the first place, a line is the baseline."""
    rows = [{**row, **ranked(row)} for row in ranking.rows if number(ranked(row)["f1"]) is not None]
    bow = ranking.baseline or {}
    panel = Panel(
        name="ranking",
        title="F1 of the best probe",
        says=f"Test texts no probe has seen; bars are 95 % intervals. Grey line: {bow.get('name', 'bag of words')}.",
        trust="Backbones marked as tied cannot be told apart with this many test texts: take the cheapest of them.",
    )
    if not rows:
        return replace(panel, reason="No backbone could be assessed.")
    keys = [Key("dot", "best, or tied with it"), Key("ring", "behind")]
    keys += (
        [Key("line", f"bag of words {shown(bow.get('f1'))}", theme.GREY)] if number(bow.get("f1")) is not None else []
    )
    return replace(panel, figure=_dots(rows, bow), keys=tuple(keys), height=80 + 44 * len(rows))


def _dots(rows: Sequence[Row], bow: Row) -> theme.Figure:
    heights = list(range(len(rows)))
    bars = [
        theme.line([number(row["f1_low"]), number(row["f1_high"])], [y, y], width=3,
                   hoverinfo="skip")
        for y, row in zip(heights, rows, strict=True)
    ]  # fmt: skip
    symbols = ["circle" if _first(row) else "circle-open" for row in rows]
    look = {"symbol": symbols, "line": {"width": 2, "color": theme.ACCENT}}
    tips = theme.dots(series(rows, "f1"), heights, size=11, marker=look, hovertext=[_hover(row) for row in rows],
                      hovertemplate="%{hovertext}<extra></extra>", cliponaxis=False)  # fmt: skip
    names = [f"{label(short(row['name']), 30)}<br><b>{shown(row['f1'])}</b>{_tie(row)}" for row in rows]
    y = theme.axis(tickvals=heights, ticktext=names, range=[len(rows) - 0.5, -0.5], showgrid=False)
    ends = [number(row[f"f1{end}"]) for row in rows for end in ("", "_low", "_high")]
    ends += [number(bow.get(f"f1{end}")) for end in ("", "_low", "_high")]
    x = theme.axis(name="F1 on the test texts", nticks=7, range=theme.padded(ends))
    margin = {"l": 60, "r": 20, "t": 6, "b": 40}
    return theme.figure([*_baseline(bow, len(rows)), *bars, tips], x, y, margin=margin)


def _first(row: Row) -> bool:
    return tied(row) or row.get("rank") == 1


def _tie(row: Row) -> str:
    return "  tied with the best" if tied(row) else ""


def _baseline(bow: Row, count: int) -> list[Trace]:
    """The bag of words through all rows, its interval as a grey strip."""
    f1, low, high = (number(bow.get(key)) for key in ("f1", "f1_low", "f1_high"))
    ends: list[float | None] = [-0.5, count - 0.5]
    strip = [low, low, high, high]
    shade = theme.line(strip, [ends[0], ends[1], ends[1], ends[0]], width=0, fill="toself",
                       fillcolor="rgba(139,147,157,0.14)", hoverinfo="skip")  # fmt: skip
    rule = theme.line([f1, f1], ends, colour=theme.GREY, width=1.5, hoverinfo="skip")
    return ([shade] if low is not None and high is not None else []) + ([rule] if f1 is not None else [])


def _hover(row: Row) -> str:
    between = interval(row["f1_low"], row["f1_high"])
    more = f"<br>95 % interval {between}" if between else ""
    return f"{hover(row['name'])}<br>layer {row.get('best_layer')}<br><b>F1 {shown(row['f1'])}</b>{more}"


def colours(ranking: RankingLike) -> tuple[Key, ...]:
    """One colour a backbone, the same in all overlaid charts; after ten they repeat with dashes."""
    return tuple(
        Key("line" if index < len(theme.SERIES) else "dash", label_text, theme.SERIES[index % len(theme.SERIES)])
        for index, label_text in enumerate(short(row["name"]) for row in ranking.rows[: len(ranking.assessments)])
    )


def overlay_panels(ranking: RankingLike) -> list[Panel]:
    """Each score of all backbones against relative depth, 0 the embedding output and 1 the last layer."""
    return [_overlay(ranking, key) for key in OVERLAID]


def _overlay(ranking: RankingLike, key: str) -> Panel:
    metric = METRICS[key]
    panel = Panel(name=f"overlay-{key}", title=metric.title, says=OVERLAID[key][0], trust=OVERLAID[key][1])
    traces: list[Trace] = []
    for assessment, look in zip(ranking.assessments, colours(ranking), strict=True):
        depth = max(int(assessment.backbone.get("n_layers") or 0), 1)
        x = [row["layer"] / depth for row in assessment.layers]
        y = series(assessment.layers, key)
        if any(value is not None for value in y):
            said = [_point(look.text, row["layer"], value) for row, value in zip(assessment.layers, y, strict=True)]
            dash: Trace = {"line": {"dash": "dash"}} if look.shape == "dash" else {}
            more: Trace = {
                "mode": "lines+markers",
                "marker": {"size": 5},
                "hovertemplate": "%{hovertext}<extra></extra>",
            }
            traces.append(theme.line(x, y, colour=look.colour, hovertext=said, **more, **dash))
    if not traces:
        return replace(panel, reason="No backbone has a value for this score.")
    x_axis = theme.axis(name="relative depth", range=[-0.04, 1.04], showgrid=False, tickvals=[0, 0.5, 1])
    return replace(panel, figure=theme.figure(traces, x_axis, theme.axis(nticks=6)), height=260)


def _point(name: str, layer: int, value: float | None) -> str:
    return f"{hover(name)}<br>layer {layer}<br><b>{shown(value)}</b>"
