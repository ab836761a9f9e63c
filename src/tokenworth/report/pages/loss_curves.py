"""Curves of training runs as they are drawn: thinned to what an eye can tell apart, with a running mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tokenworth.report.pages.theme as theme
from tokenworth.report.displayed_values import clean
from tokenworth.report.pages.theme import Key, Panel, Trace

POINTS = 600
"""A longer curve is drawn by means over equal stretches."""


def stretch_means(losses: list[float]) -> tuple[list[int], list[float]]:
    """The last place of each stretch, counted from 1, and its mean."""
    width = -(-len(losses) // POINTS)
    parts = [losses[start : start + width] for start in range(0, len(losses), width)]
    return [min((i + 1) * width, len(losses)) for i in range(len(parts))], [sum(part) / len(part) for part in parts]


def running_mean(values: list[float], share: float = 0.05) -> list[float]:
    """Exponential mean over about a twentieth of the curve."""
    weight = 2 / (max(1.0, share * len(values)) + 1)
    means, mean = [], values[0]
    for value in values:
        mean += weight * (value - mean)
        means.append(mean)
    return means


def batch_loss_traces(losses: list[float], tokens: list[int] | None, hover: str) -> list[Trace]:
    """The losses of single batches, faint, and their running mean; by step, or by the tokens of each step."""
    places, means = stretch_means(losses)
    x = places if tokens is None else [tokens[place - 1] for place in places]
    return [
        theme.line(x, list(means), colour=theme.SOFT, width=1, hoverinfo="skip"),
        theme.line(x, list(running_mean(means)), hovertemplate=hover),
    ]


def source_panel(
    panel: Panel, curves: Mapping[str, tuple[list[int], list[float]]], unit: str, axes: tuple[Any, Any], **look: Any
) -> Panel:
    """One line a source: its tokens and its values, which the hover boxes say in a unit."""
    traces, keys = [], []
    for place, (name, (tokens, values)) in enumerate(curves.items()):
        hover = f"{clean(name)}<br>%{{x:,}} tokens<br><b>%{{y:.3f}}</b>{unit}<extra></extra>"
        colour = theme.series_colour(place)
        traces.append(theme.line(tokens, list(values), colour=colour, hovertemplate=hover, **look))
        keys.append(Key("line", clean(name), colour))
    return panel.with_figure(theme.figure(traces, *axes), keys, 260)
