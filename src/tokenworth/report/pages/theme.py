"""The look of every chart, as plotly data: transparent, mid-grey, one accent; the page's style sheet adapts the text.

Charts are plain dictionaries (``{"data": [...], "layout": {...}}``), which keeps plotly out of every import here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any

ACCENT = "#3b82d6"
BAND = "rgba(59,130,214,0.18)"
GREY = "#8b939d"
SOFT = "rgba(139,147,157,0.45)"
GRID = "rgba(139,147,157,0.18)"
SERIES = ("#3b82d6", "#d9772b", "#2a9d77", "#a45fc4", "#c9a227", "#d4587a", "#4fb0c6", "#7d8f3a", "#8b6f5c", "#8b939d")
"""Colours of backbones in a comparison, legible on white and on near-black."""

_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"

Figure = dict[str, Any]
Trace = dict[str, Any]
Values = list[float | None]


@dataclass(frozen=True, slots=True)
class Key:
    """One entry of a chart's legend, which the page draws in HTML so that it never covers data."""

    shape: str  # line | thin | dash | band | dot | ring | diamond | bar
    text: str
    colour: str = ACCENT


@dataclass(frozen=True, slots=True)
class Panel:
    """A chart with the words around it; ``reason`` stands in for the chart when there is nothing to draw."""

    name: str
    title: str
    says: str = ""
    trust: str = ""
    figure: Figure | None = None
    keys: Sequence[Key] = ()
    reason: str = ""
    note: str = ""
    height: int = 210
    min_width: int = 0
    zoom: bool = False
    html: Any = field(default=None, compare=False)

    def with_figure(self, figure: Figure, keys: Sequence[Key] = (), height: int = 210, **more: Any) -> Panel:
        """With its chart."""
        return replace(self, figure=figure, keys=keys, height=height, **more)

    def without(self, reason: str) -> Panel:
        """With the reason why there is no chart."""
        return replace(self, reason=reason)


def axis(**changes: Any) -> dict[str, Any]:
    """A quiet axis: light grid, no zero line, no zooming by accident while scrolling."""
    base = {
        "gridcolor": GRID,
        "linecolor": SOFT,
        "zeroline": False,
        "ticks": "",
        "automargin": True,
        "fixedrange": True,
        "tickfont": {"size": 11},
        "title": {"font": {"size": 11.5}, "standoff": 8},
    }
    title = {"title": {**base["title"], "text": changes.pop("name")}} if "name" in changes else {}  # type: ignore[dict-item]
    return {**base, **title, **changes}


def figure(traces: list[Trace], x: dict[str, Any], y: dict[str, Any], **layout: Any) -> Figure:
    """Traces on one pair of axes in the page's look."""
    base = {
        "template": "none",
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": _FONT, "size": 12, "color": GREY},
        "margin": {"l": 40, "r": 14, "t": 8, "b": 36},
        "showlegend": False,
        "hovermode": "closest",
        "dragmode": False,
        "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": GREY, "activecolor": ACCENT},
        "hoverlabel": {"align": "left", "font": {"family": _FONT, "size": 12}},
    }
    return {"data": traces, "layout": {**base, "xaxis": x, "yaxis": y, **layout}}


def line(x: list[Any], y: list[Any], *, colour: Any = ACCENT, width: Any = 2, **more: Any) -> Trace:
    """A line that breaks where a value is missing."""
    look = {"color": colour, "width": width, **more.pop("line", {})}
    return {"type": "scatter", "mode": "lines", "x": x, "y": y, "line": look, "connectgaps": False, **more}


def dots(x: list[Any], y: list[Any], *, colour: Any = ACCENT, size: Any = 7, **more: Any) -> Trace:
    """Markers without a line."""
    look = {"color": colour, "size": size, **more.pop("marker", {})}
    return {"type": "scatter", "mode": "markers", "x": x, "y": y, "marker": look, **more}


def bars(x: list[Any], y: list[Any], colour: Any, **more: Any) -> Trace:
    """Bars."""
    return {"type": "bar", "x": x, "y": y, "marker": {"color": colour}, **more}


def hover_texts(texts: Sequence[Any]) -> Trace:
    """What the hover boxes of a trace say, one text a mark."""
    return {"hovertext": texts, "hovertemplate": "%{hovertext}<extra></extra>"}


def series_colour(place: int) -> str:
    """The colour of the nth of several, from 0."""
    return SERIES[place % len(SERIES)]


def band(x: list[Any], low: Values, high: Values, colour: str = BAND) -> list[Trace]:
    """The interval as one polygon per unbroken run; a lone point becomes a short upright bar."""
    points = list(zip(x, low, high, strict=False))
    known = groupby(points, lambda point: point[1] is not None and point[2] is not None)
    traces = []
    for run in (list(part) for is_known, part in known if is_known):
        places, lows, highs = (list(values) for values in zip(*run, strict=True))
        if len(run) == 1:
            traces.append(line(places * 2, lows + highs, colour=colour, width=7, hoverinfo="skip"))
        else:
            around = {"width": 0, "fill": "toself", "fillcolor": colour, "hoverinfo": "skip"}
            traces.append(line(places + places[::-1], highs + lows[::-1], **around))
    return traces


def padded_range(values: Iterable[float | None], share: float = 0.05) -> list[float] | None:
    """The range of the known values with some air at both ends; None leaves it to plotly."""
    known = [value for value in values if value is not None]
    air = share * (max(known) - min(known)) or 0.05 if known else 0.0
    return [min(known) - air, max(known) + air] if known else None


def layer_axis(first: int, last: int, **changes: Any) -> dict[str, Any]:
    """Layers from one to another with some air, at most nine ticks however many there are: 0, 4, 8, ... of 31."""
    span = last - first
    room = [first - 0.04 * span - 0.3, last + 0.04 * span + 0.3]
    return axis(name="layer", range=room, dtick=max(1, -(-span // 8)), tick0=0, **changes)


def octaves_axis(values: Iterable[float | None], **changes: Any) -> dict[str, Any]:
    """A log axis from the power of two below the values to the one above, so that it always has two ticks."""
    known = [value for value in values if value is not None and value >= 1] or [1]
    low, high = math.floor(math.log2(min(known))), math.ceil(math.log2(max(known)))
    ticks = [2**power for power in range(low, max(high, low + 1) + 1)]
    ends = [math.log10(ticks[0] * 0.92), math.log10(ticks[-1] * 1.08)]
    shown = ticks[:: -(-len(ticks) // 6)]
    return axis(type="log", range=ends, tickvals=shown, ticktext=[f"{tick:,}" for tick in shown], **changes)


def log2_axis(top: float, **changes: Any) -> dict[str, Any]:
    """A log axis of counts with powers of two as ticks that never crowd: 1, 4, 16, ..."""
    ticks = [2**power for power in range(0, 40, 2 if top > 64 else 1) if 2**power <= max(top, 1)]
    return axis(type="log", tickvals=ticks, ticktext=[f"{tick:,}" for tick in ticks], **changes)
