"""The probes of every layer and pooling on one axis: among what the best was chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import tokenworth.report.pages.theme as theme
from tokenworth.report.displayed_values import shown
from tokenworth.report.pages.panel_words import panel_of
from tokenworth.report.pages.theme import Key, Panel
from tokenworth.report.result_values import reading_name

if TYPE_CHECKING:
    from tokenworth.assessment import Assessment


def pooling_panel(result: Assessment) -> Panel | None:
    """A line of cross-fitted accuracy a pooling, the chosen one marked; None where there was nothing to choose."""
    by_name: dict[str, dict[int, tuple[float, float]]] = {}
    for row in result.poolings:
        name = reading_name(row["pooling"], row["states"])
        by_name.setdefault(name, {})[row["layer"]] = row["cv_accuracy"], row["accuracy"]
    if len(by_name) < 2:
        return None
    layers = sorted({row["layer"] for row in result.poolings})
    chosen = reading_name(result.best_pooling, result.best_states)
    traces, keys = [], []
    for place, (name, points) in enumerate(by_name.items()):
        figures = [points.get(layer, (None, None)) for layer in layers]  # no line across layers that were not tried
        accuracies = [accuracy for accuracy, _ in figures]
        words = [
            f"{name}<br>layer {layer}<br><b>{shown(accuracy)}</b> cross-fitted<br>{shown(test)} on test texts"
            for layer, (accuracy, test) in zip(layers, figures, strict=True)
        ]
        colour = theme.series_colour(place)
        look = {"mode": "lines+markers", "marker": {"size": 5}, "line": {"width": 2.5 if name == chosen else 1.5}}
        traces.append(theme.line(layers, accuracies, colour=colour, **look, **theme.hover_texts(words)))
        keys.append(Key("line", name, colour))
    best = by_name[chosen][result.best_layer][0]
    ring = {"symbol": "circle-open", "line": {"width": 2}}
    traces.append(theme.dots([result.best_layer], [best], size=13, marker=ring, hoverinfo="skip"))
    span = max(row["layer"] for row in result.poolings)
    x_axis = theme.axis(name="layer", showgrid=False, dtick=max(1, -(-span // 8)), tick0=0)
    panel = panel_of("poolings", candidates=f"{len(result.poolings)}", nested=shown(result.nested_accuracy))
    return panel.with_figure(theme.figure(traces, x_axis, theme.axis(nticks=6)), tuple(keys), height=260)
