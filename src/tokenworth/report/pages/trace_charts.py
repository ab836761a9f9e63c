"""Perception against tokens: one chart a task, whose axis the page switches to FLOPs.

FLOPs are tokens times a constant, so the switch changes the ticks and nothing else.  On the logarithmic axis 0 tokens
stand at the left edge, joined by a dotted line that is straight in tokens.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import tokenworth.report.pages.theme as theme
from tokenworth.report.displayed_values import (
    clean,
    flops_text,
    number,
    numbers,
    series,
    shown,
    tight,
    tokens_text,
)
from tokenworth.report.pages.panel_words import panel_of
from tokenworth.report.pages.theme import Key, Panel
from tokenworth.report.result_values import REFERENCES, ROUTES, Row, crossing_range

if TYPE_CHECKING:
    from tokenworth.tracing import Trace
    from tokenworth.tracing.trace_result import Crossing, TaskEntry

_COLOURS = {"probe": theme.SERIES[0], "lora": theme.SERIES[1], "bow": theme.GREY, "scratch": theme.SERIES[2]}
_BANDS = {"probe": theme.BAND, "bow": "rgba(139,147,157,0.16)", "scratch": "rgba(42,157,119,0.13)"}
_NAMES = {"probe": "linear probe", "lora": "LoRA", "bow": "bag of words", "scratch": "training from random weights"}
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
        seen = [count for count in tokens if count > 0] or [1.0]
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
        rounded = [step * 10.0**power for power in powers for step in steps]
        inside = [value for value in rounded if 0.98 * low <= value <= 1.02 * high] or [low, high]
        return {
            "xaxis.tickvals": [self.zero, *(math.log10(value / unit) for value in inside)],
            "xaxis.ticktext": ["0", *map(_tick, inside)],
            "xaxis.title.text": name,
        }


def _tick(value: float) -> str:
    if value < 1e10:
        return tokens_text(value)
    power = math.floor(math.log10(value) + 1e-9)
    factor = round(value / 10**power)
    return f"{'' if factor == 1 else f'{factor}·'}10<sup>{power}</sup>"


def trace_panel(trace: Trace, task: TaskEntry, name: str) -> Panel:
    """Of one task: its routes, what they have to beat, and where they do."""
    rows: list[Row] = [row for row in trace.rows if row["task"] == task["name"]]
    known = [route for route in _NAMES if any(number(row[f"{route}_f1"]) is not None for row in rows)]
    keys = [Key("dash" if route in REFERENCES else "line", _NAMES[route], _COLOURS[route]) for route in known]
    if any(crossing["state"] == "inside" for crossing in task["crossings"]):
        keys.append(Key("diamond", "crossing, 95 % interval", theme.GREY))
    panel = panel_of("trace", name=name, task=clean(task["name"]))
    return panel.with_figure(_figure(trace, task, rows), keys, 380)


def _figure(trace: Trace, task: TaskEntry, rows: Sequence[Row]) -> theme.Figure:
    axis = _Axis.of([row["tokens"] for row in rows])
    ends = axis.range(from_zero=rows[0]["tokens"] == 0)
    traces = [
        *(level for route in ("bow", "scratch") for level in _level(route, rows[-1], ends)),
        *(curve for route in ("probe", "lora") for curve in _curve(route, rows, axis)),
        *(mark for crossing in task["crossings"] for mark in _crossing(crossing, rows[-1], axis, ends)),
    ]
    units = {"tokens": (1.0, "pretraining tokens"), "flops": (trace.run["flops_per_token"], "pretraining FLOPs")}
    axes = {name: axis.ticks(unit, title) for name, (unit, title) in units.items()}
    first = {key.rpartition("xaxis.")[2]: value for key, value in axes["tokens"].items() if "title" not in key}
    x = theme.axis(name="pretraining tokens", range=ends, **first)
    figures = [value for row in rows for key, value in row.items() if "_f1" in key]
    y = theme.axis(name="weighted F1", range=theme.padded_range(numbers(figures)), nticks=7)
    return theme.figure(traces, x, y, margin={"l": 50, "r": 14, "t": 8, "b": 44}, meta={"axes": axes})


def _level(route: str, row: Row, ends: list[float]) -> list[theme.Trace]:
    """What needs no pretraining: a line across, with its interval as a band."""
    value, low, high = (number(row[f"{route}_f1{end}"]) for end in ("", "_low", "_high"))
    if value is None:
        return []
    words = f"{REFERENCES[route]}<br><b>F1 {shown(value)}</b> ({tight(low, high)})<extra></extra>"
    many = 40  # points along the line, so that the pointer finds it anywhere
    x = [ends[0] + (ends[1] - ends[0]) * i / many for i in range(many + 1)]
    look = {"colour": _COLOURS[route], "width": 1.8, "line": {"dash": "dash"}}
    across = theme.line(x, [value] * len(x), hovertemplate=words, **look)
    return [*theme.band(ends, [low, low], [high, high], _BANDS[route]), across]


def _curve(route: str, rows: Sequence[Row], axis: _Axis) -> list[theme.Trace]:
    """A route along the run; the way from 0 tokens to the first step is dotted."""
    name, colour = f"{route}_f1", _COLOURS[route]
    known = [row for row in rows if number(row[name]) is not None]
    if not known:
        return []
    x, y = [axis.place(row["tokens"]) for row in known], series(known, name)
    low, high = series(known, f"{name}_low"), series(known, f"{name}_high")
    upright = [
        theme.line([at, at], list(ends), colour=colour, width=1.5, hoverinfo="skip")
        for at, *ends in zip(x, low, high, strict=True)
    ]
    bars = theme.band(x, low, high) if route == "probe" else upright
    solid = 1 if known[0]["tokens"] == 0 and len(known) > 1 else 0
    texts = [_hover(route, row) for row in known]
    look = {"colour": colour, "mode": "lines+markers", "marker": {"size": 7}}
    points = theme.line(x[solid:], y[solid:], **look, **theme.hover_texts(texts[solid:]))
    if not solid:
        return [*bars, points]
    start = theme.line(*_from_zero(known, name, axis), colour=colour, line={"dash": "dot"}, hoverinfo="skip")
    marker = {"symbol": "circle-open", "line": {"width": 2}}
    ring = theme.dots(x[:1], y[:1], colour=colour, marker=marker, **theme.hover_texts(texts[:1]))
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
        f"{ROUTES[route]} after {tokens_text(row['tokens'])} tokens, {flops_text(row['flops'], '0')} FLOPs<br>"
        f"<b>F1 {shown(row[name])}</b> ({tight(row[f'{name}_low'], row[f'{name}_high'])}){layer}"
        + ("" if bits is None else f"<br>{shown(bits)} bits a byte")
    )


def _crossing(crossing: Crossing, row: Row, axis: _Axis, ends: list[float]) -> list[theme.Trace]:
    """A diamond where a route passes a line for good, and its interval along the line."""
    tokens = crossing["tokens"]
    if crossing["state"] != "inside" or crossing["reference"] not in ("bow", "scratch") or tokens is None:
        return []
    level, colour = number(row[f"{crossing['reference']}_f1"]), _COLOURS[crossing["route"]]
    along = [ends[1] if end is None else axis.place(end) for end in (crossing["low"], crossing["high"])]
    words = (
        f"{ROUTES[crossing['route']]} passes {REFERENCES[crossing['reference']]}<br>"
        f"<b>after {tokens_text(tokens)} tokens</b> ({crossing_range(crossing)})"
    )
    marker = {"symbol": "diamond", "line": {"width": 1.5, "color": "white"}}
    return [
        theme.line(along, [level, level], colour=colour, width=5, opacity=0.45, hoverinfo="skip"),
        theme.dots([axis.place(tokens)], [level], colour=colour, size=11, marker=marker, **theme.hover_texts([words])),
    ]
