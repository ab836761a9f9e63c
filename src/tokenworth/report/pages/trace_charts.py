"""Perception against tokens: one chart a task, whose axis the page switches to FLOPs.

FLOPs are tokens times a constant, so the switch changes the ticks and nothing else.  On the logarithmic axis 0 tokens
stand at the left edge, joined by a dotted line that is straight in tokens.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import tokenworth.report.pages.theme as theme
from tokenworth.report.displayed_values import clean, number, numbers, series, shown, tight
from tokenworth.report.pages.theme import Key, Panel
from tokenworth.report.pages.trace_page_tables import REFERENCES, ROUTES, between, flops_text, tokens_text
from tokenworth.report.result_protocols import Row, TraceLike

_COLOURS = {"probe": theme.SERIES[0], "lora": theme.SERIES[1], "bow": theme.GREY, "scratch": theme.SERIES[2]}
_BANDS = {"probe": theme.BAND, "bow": "rgba(139,147,157,0.16)", "scratch": "rgba(42,157,119,0.13)"}
_AIR = 0.12
"""Share of the axis that 0 tokens stand left of the first step, and that the axis goes on at both ends."""


@dataclass(frozen=True, slots=True)
class _Axis:
    """From tokens to places on the axis: log10, and 0 left of the first step."""

    first: float
    """Tokens of the first checkpoint beyond 0."""
    last: float

    @classmethod
    def of(cls, tokens: Sequence[float]) -> _Axis:
        seen = [one for one in tokens if one > 0] or [1.0]
        return cls(min(seen), max(seen))

    @property
    def zero(self) -> float:
        return math.log10(self.first) - max(0.35, 2 * _AIR * self.span)

    @property
    def span(self) -> float:
        return math.log10(self.last / self.first)

    def place(self, tokens: float) -> float:
        """Between 0 and the first step straight in tokens, as the crossings are."""
        if tokens >= self.first:
            return math.log10(tokens)
        return self.zero + (math.log10(self.first) - self.zero) * tokens / self.first

    def range(self, from_zero: bool) -> list[float]:
        """With some air."""
        air = max(0.08, 0.05 * self.span)
        return [(self.zero if from_zero else math.log10(self.first)) - air, math.log10(self.last) + air]

    def ticks(self, unit: float, name: str) -> dict[str, Any]:
        """What plotly's relayout takes for an axis in tokens times a unit."""
        low, high = self.first * unit, self.last * unit
        steps = (1,) if self.span >= 2 else (1, 2, 5)
        powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        round_ones = [step * 10.0**power for power in powers for step in steps]
        shown_ones = [one for one in round_ones if 0.98 * low <= one <= 1.02 * high] or [low, high]
        places = [self.zero, *(math.log10(one / unit) for one in shown_ones)]
        return {
            "xaxis.tickvals": places,
            "xaxis.ticktext": ["0", *(_tick(one) for one in shown_ones)],
            "xaxis.title.text": name,
        }


def _tick(value: float) -> str:
    if value < 1e10:
        return tokens_text(value)
    power = math.floor(math.log10(value) + 1e-9)
    factor = round(value / 10**power)
    return f"{'' if factor == 1 else f'{factor}·'}10<sup>{power}</sup>"


def trace_panels(trace: TraceLike) -> list[Panel]:
    """One chart a task."""
    return [_panel(trace, task, f"trace-{place}") for place, task in enumerate(trace.tasks)]


def _panel(trace: TraceLike, task: Row, name: str) -> Panel:
    rows = [row for row in trace.rows if row["task"] == task["name"]]
    marked = any(one["state"] == "inside" for one in task["crossings"])
    return Panel(
        name=name,
        title=clean(task["name"]),
        says="Weighted F1 on the test texts with 95 % intervals, against what the weights had seen in pretraining.",
        trust="The horizontal lines need no pretraining: a route is worth it where its curve stays above both.",
        figure=_figure(trace, task, rows),
        keys=tuple(_keys(rows, marked)),
        height=380,
    )


def _keys(rows: Sequence[Row], marked: bool) -> list[Key]:
    names = {"probe": "linear probe", "lora": "LoRA", "bow": "bag of words", "scratch": "training from random weights"}
    known = [route for route in names if any(number(row[f"{route}_f1"]) is not None for row in rows)]
    keys = [Key("dash" if route in REFERENCES else "line", names[route], _COLOURS[route]) for route in known]
    return keys + ([Key("diamond", "crossing, 95 % interval", theme.GREY)] if marked else [])


def _figure(trace: TraceLike, task: Row, rows: Sequence[Row]) -> theme.Figure:
    axis = _Axis.of([row["tokens"] for row in rows])
    ends = axis.range(from_zero=rows[0]["tokens"] == 0)
    traces = [
        *_level("bow", rows[-1], ends),
        *_level("scratch", rows[-1], ends),
        *_curve("probe", rows, axis),
        *_curve("lora", rows, axis),
        *(trace_ for one in task["crossings"] for trace_ in _crossing(one, rows[-1], axis, ends)),
    ]
    units = {"tokens": (1.0, "pretraining tokens"), "flops": (trace.run["flops_per_token"], "pretraining FLOPs")}
    axes = {name: axis.ticks(unit, title) for name, (unit, title) in units.items()}
    first = {key.rpartition("xaxis.")[2]: value for key, value in axes["tokens"].items() if "title" not in key}
    x = theme.axis(name="pretraining tokens", range=ends, **first)
    figures = [value for row in rows for key, value in row.items() if "_f1" in key]
    y = theme.axis(name="weighted F1", range=theme.padded(numbers(figures)), nticks=7)
    return theme.figure(
        traces, x, y, margin={"l": 50, "r": 14, "t": 8, "b": 44}, meta={"axes": axes},
    )  # fmt: skip


def _level(route: str, row: Row, ends: list[float]) -> list[theme.Trace]:
    """What needs no pretraining: a line across, with its interval as a band."""
    value, low, high = (number(row[f"{route}_f1{end}"]) for end in ("", "_low", "_high"))
    if value is None:
        return []
    words = f"{REFERENCES[route]}<br><b>F1 {shown(value)}</b> ({tight(low, high)})"
    many = 40  # points along the line, so that the pointer finds it anywhere
    x = [ends[0] + (ends[1] - ends[0]) * i / many for i in range(many + 1)]
    across = theme.line(
        x, [value] * len(x), colour=_COLOURS[route], width=1.8, line={"dash": "dash"},
        hovertemplate=f"{words}<extra></extra>",
    )  # fmt: skip
    return [*theme.band(ends, [low, low], [high, high], _BANDS[route]), across]


def _curve(route: str, rows: Sequence[Row], axis: _Axis) -> list[theme.Trace]:
    """A route along the run; the way from 0 tokens to the first step is dotted."""
    known = [row for row in rows if number(row[f"{route}_f1"]) is not None]
    if not known:
        return []
    name, colour = f"{route}_f1", _COLOURS[route]
    x, y = [axis.place(row["tokens"]) for row in known], series(known, name)
    low, high = series(known, f"{name}_low"), series(known, f"{name}_high")
    bars = theme.band(x, low, high) if route == "probe" else [
        theme.line([at, at], [a, b], colour=colour, width=1.5, hoverinfo="skip")
        for at, a, b in zip(x, low, high, strict=True)
    ]  # fmt: skip
    solid = 1 if known[0]["tokens"] == 0 and len(known) > 1 else 0
    points = theme.line(
        x[solid:], y[solid:], colour=colour, mode="lines+markers", marker={"size": 7},
        hovertext=[_hover(route, row) for row in known[solid:]], hovertemplate="%{hovertext}<extra></extra>",
    )  # fmt: skip
    if not solid:
        return [*bars, points]
    start = theme.line(*_from_zero(known, name, axis), colour=colour, line={"dash": "dot"}, hoverinfo="skip")
    ring = theme.dots(
        x[:1], y[:1], colour=colour, marker={"symbol": "circle-open", "line": {"width": 2}},
        hovertext=[_hover(route, known[0])], hovertemplate="%{hovertext}<extra></extra>",
    )  # fmt: skip
    return [*bars, start, points, ring]


def _from_zero(known: Sequence[Row], name: str, axis: _Axis) -> tuple[list[float], list[float | None]]:
    """From 0 tokens to the next checkpoint, straight in tokens as the crossings are, so bent on a logarithmic axis."""
    (start, end), to = series(known[:2], name), known[1]["tokens"]
    assert start is not None
    assert end is not None
    shares = [0.0, *(axis.first / to * (to / axis.first) ** (i / 30) for i in range(31))]
    return [axis.place(share * to) for share in shares], [start + share * (end - start) for share in shares]


def _hover(route: str, row: Row) -> str:
    name = f"{route}_f1"
    layer = f"<br>layer {row['best_layer']}" if route == "probe" else ""
    bits = number(row["bits_per_byte"])
    return (
        f"{ROUTES[route]} after {tokens_text(row['tokens'])} tokens, {flops_text(row['flops'])} FLOPs<br>"
        f"<b>F1 {shown(row[name])}</b> ({tight(row[f'{name}_low'], row[f'{name}_high'])}){layer}"
        + ("" if bits is None else f"<br>{shown(bits)} bits a byte")
    )


def _crossing(one: Row, row: Row, axis: _Axis, ends: list[float]) -> list[theme.Trace]:
    """A diamond where a route passes a line for good, and its interval along the line."""
    if one["state"] != "inside" or one["reference"] not in ("bow", "scratch"):
        return []
    level, colour = number(row[f"{one['reference']}_f1"]), _COLOURS[one["route"]]
    low = axis.place(one["low"]) if one["low"] is not None else ends[1]
    high = axis.place(one["high"]) if one["high"] is not None else ends[1]
    words = (
        f"{ROUTES[one['route']]} passes {REFERENCES[one['reference']]}<br>"
        f"<b>after {tokens_text(one['tokens'])} tokens</b> ({between(one)})"
    )
    return [
        theme.line([low, high], [level, level], colour=colour, width=5, opacity=0.45, hoverinfo="skip"),
        theme.dots(
            [axis.place(one["tokens"])], [level], colour=colour, size=11,
            marker={"symbol": "diamond", "line": {"width": 1.5, "color": "white"}},
            hovertext=[words], hovertemplate="%{hovertext}<extra></extra>",
        ),
    ]  # fmt: skip
