"""Dots with their 95 % intervals, one row each: the probes against the baselines, and backbones side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import tokenworth.report.pages.theme as theme
from tokenworth.report.displayed_values import duration, hover, interval, label, number, series, short, shown
from tokenworth.report.pages.panel_words import panel_of
from tokenworth.report.pages.theme import Key, Panel, Trace
from tokenworth.report.result_values import Row, is_tied, rank_figures

if TYPE_CHECKING:
    from tokenworth.assessment import Assessment, Ranking
    from tokenworth.report.story import Measured, Story

_BASELINES = {"majority": 0, "bow": 1}
_LOOKS = (("f1", "F1", -0.13, "circle"), ("accuracy", "accuracy", 0.16, "circle-open"))
_ENDS = ("", "_low", "_high")
_MARGIN = {"l": 20, "r": 20, "t": 6, "b": 40}
_ABOVE, _GAP = -0.85, 0.27
"""In rows: the upper end, and from a row up to its name."""
_KIND_COLOURS = {"words": theme.GREY, "random": theme.SERIES[1], "trained": theme.ACCENT, "advised": theme.SERIES[2]}
_KIND_WORDS = {
    "words": "no network",
    "random": "network with random weights",
    "trained": "network as it was trained",
    "advised": "the advised route",
}


def rows_figure(traces: list[Trace], names: list[str], ends: list[float | None], x_name: str) -> theme.Figure:
    """Named rows from top to bottom, and an axis that shows all ends.

    Names stand above their rows: beside them they took two thirds of the width of a telephone.
    """
    y = theme.axis(range=[_below(len(names)), _ABOVE], showgrid=False, showticklabels=False)
    place = {"xref": "paper", "x": 0, "xanchor": "left", "yanchor": "bottom", "showarrow": False, "align": "left"}
    notes = [{**place, "y": row - _GAP, "text": name, "font": {"size": 11.5}} for row, name in enumerate(names)]
    x = theme.axis(name=x_name, nticks=7, range=theme.padded_range(ends))
    return theme.figure(traces, x, y, margin=_MARGIN, annotations=notes)


def _below(count: int) -> float:
    """The lower end of so many rows."""
    return count - 0.6


def row_name(name: object, f1: object) -> str:
    """What stands above a row: a name, cut where it is long, and its F1 in bold type."""
    return f"{label(name, 36)}  <b>{shown(f1)}</b>"


def interval_line(row: Row, key: str, height: float, **look: object) -> Trace:
    """The bar between `{key}_low` and `{key}_high` of a row at a height."""
    ends = [number(row.get(f"{key}_low")), number(row.get(f"{key}_high"))]
    return theme.line(ends, [height, height], hoverinfo="skip", **look)


def probes_panel(result: Assessment) -> Panel:
    """F1 and accuracy, the baselines on top in grey, the backbone's probes in colour."""
    probes: list[Row] = sorted(result.probes, key=lambda probe: _BASELINES.get(probe.get("kind", ""), 2))
    panel = panel_of("probes")
    if not any(number(probe.get("f1")) is not None for probe in probes):
        return panel.without("No probe was evaluated.")
    traces = [trace for look in _LOOKS for trace in _probe_dots(probes, *look)]
    names = [row_name(probe["name"], probe.get("f1")) for probe in probes]
    ends = [number(probe.get(key + end)) for probe in probes for key in ("f1", "accuracy") for end in _ENDS]
    keys = (Key("dot", "F1"), Key("ring", "accuracy"), Key("dot", "baseline", theme.GREY))
    return panel.with_figure(rows_figure(traces, names, ends, "score on the test texts"), keys, 66 + 46 * len(probes))


def _probe_dots(probes: Sequence[Row], key: str, name: str, offset: float, symbol: str) -> list[Trace]:
    heights = [index + offset for index in range(len(probes))]
    colours = [theme.GREY if probe.get("kind") in _BASELINES else theme.ACCENT for probe in probes]
    width = 3 if key == "f1" else 1.2
    lines = [
        interval_line(probe, key, height, colour=colour, width=width)
        for probe, height, colour in zip(probes, heights, colours, strict=True)
    ]
    texts = theme.hover_texts([f"{hover(probe['name'])}<br><b>{name} {_with_interval(probe, key)}" for probe in probes])
    look = {"color": colours, "symbol": symbol, "line": {"width": 1.6, "color": colours}}
    values = [number(probe.get(key)) for probe in probes]
    return [*lines, theme.dots(values, heights, size=11 if key == "f1" else 8, marker=look, cliponaxis=False, **texts)]


def _with_interval(row: Row, key: str) -> str:
    """The figure, which ends bold type, and its interval on a line of its own."""
    between = interval(row.get(f"{key}_low"), row.get(f"{key}_high"))
    return f"{shown(row.get(key))}</b>" + (f"<br>95 % interval {between}" if between else "")


def ranking_panel(ranking: Ranking) -> Panel:
    """F1 of every backbone's best probe and its interval; filled dots share the first place, a line is the baseline."""
    rows = [{**row, **rank_figures(row)} for row in ranking.rows if number(rank_figures(row)["f1"]) is not None]
    bow: Row = ranking.baseline
    panel = panel_of("ranking", baseline=bow.get("name", "bag of words"))
    if not rows:
        return panel.without("No backbone could be assessed.")
    keys = [Key("dot", "best, or tied with it"), Key("ring", "behind")]
    if number(bow.get("f1")) is not None:
        keys.append(Key("line", f"bag of words {shown(bow.get('f1'))}", theme.GREY))
    return panel.with_figure(_backbone_dots(rows, bow), keys, 80 + 44 * len(rows))


def _backbone_dots(rows: Sequence[Row], bow: Row) -> theme.Figure:
    lines = [interval_line(row, "f1", height, width=3) for height, row in enumerate(rows)]
    symbols = ["circle" if is_tied(row) or row.get("rank") == 1 else "circle-open" for row in rows]
    look = {"symbol": symbols, "line": {"width": 2, "color": theme.ACCENT}}
    texts = theme.hover_texts(
        [f"{hover(row['name'])}<br>layer {row.get('best_layer')}<br><b>F1 {_with_interval(row, 'f1')}" for row in rows]
    )
    heights = list(range(len(rows)))
    tips = theme.dots(series(rows, "f1"), heights, size=11, marker=look, cliponaxis=False, **texts)
    names = [row_name(short(row["name"]), row["f1"]) + ("  tied with the best" if is_tied(row) else "") for row in rows]
    ends = [number(row.get(f"f1{end}")) for row in [*rows, bow] for end in _ENDS]
    return rows_figure([*baseline(bow, len(rows)), *lines, tips], names, ends, "F1 on the test texts")


def story_panel(story: Story) -> Panel:
    """F1 of everything that was fitted, best last fitted at the bottom, against the same scale."""
    rows = story.measured
    panel = panel_of("story")
    colours = [_KIND_COLOURS[row.kind] for row in rows]
    lines = [
        theme.line([row.f1_low, row.f1_high], [height, height], colour=colour, width=3, hoverinfo="skip")
        for height, (row, colour) in enumerate(zip(rows, colours, strict=True))
    ]
    look = {"color": colours, "line": {"width": 1.6, "color": colours}}
    hovers = theme.hover_texts([_measured_hover(row) for row in rows])
    heights = list(range(len(rows)))
    dots = theme.dots([row.f1 for row in rows], heights, size=12, marker=look, cliponaxis=False, **hovers)
    names = [row_name(row.name, row.f1) for row in rows]
    ends: theme.Values = [end for row in rows for end in (row.f1_low, row.f1, row.f1_high)]
    keys = [Key("dot", _KIND_WORDS[kind], _KIND_COLOURS[kind]) for kind in dict.fromkeys(row.kind for row in rows)]
    figure = rows_figure([*lines, dots], names, ends, "weighted F1 on the test texts")
    return panel.with_figure(figure, keys, 70 + 46 * len(rows))


def _measured_hover(row: Measured) -> str:
    between = f"95 % interval {interval(row.f1_low, row.f1_high)}"
    learnt = f"learnt from {row.texts:,} texts, {duration(row.seconds)}"
    return f"{hover(row.name)}<br><b>F1 {shown(row.f1)}</b><br>{between}<br>{learnt}"


def baseline(bow: Row, count: int) -> list[Trace]:
    """The bag of words through all rows, its interval as a grey strip."""
    f1, low, high = (number(bow.get(key)) for key in ("f1", "f1_low", "f1_high"))
    top, bottom = _ABOVE, _below(count)
    grey = "rgba(139,147,157,0.14)"
    strip = theme.line(
        [low, low, high, high], [top, bottom, bottom, top], width=0, fill="toself", fillcolor=grey, hoverinfo="skip"
    )
    rule = theme.line([f1, f1], [top, bottom], colour=theme.GREY, width=1.5, hoverinfo="skip")
    return ([strip] if low is not None and high is not None else []) + ([rule] if f1 is not None else [])
