"""Scores against depth: of one backbone a small chart a score, of several their scores on one axis."""

from __future__ import annotations

from dataclasses import replace
from statistics import median
from typing import TYPE_CHECKING, Any

import tokenworth.report.pages.theme as theme
from tokenworth.report.displayed_values import hover, interval, number, sentence, series, short, shown
from tokenworth.report.pages.panel_words import Group, Metric, metric_groups, metric_of, overlays
from tokenworth.report.pages.theme import Key, Panel, Trace
from tokenworth.report.result_values import Row, layers_text, probe_of_kind, row_at

if TYPE_CHECKING:
    from tokenworth.assessment import Assessment, Ranking


def depth_groups(result: Assessment) -> list[tuple[Group, list[Panel]]]:
    """The panels of every group of scores, in reading order."""
    return [(group, [depth_panel(metric, result) for metric in group.metrics]) for group in metric_groups()]


def depth_panel(metric: Metric, result: Assessment) -> Panel:
    """One score over the layers, with its interval, its chance level and the best layer marked; else the reason."""
    values = series(result.layers, metric.key)
    panel = Panel(f"depth-{metric.key}", metric.title, metric.says, metric.trust)
    if all(value is None for value in values):
        return panel.without(_reason(metric, result) or "No layer has a value for this score.")
    extra, keys = _extras(metric, result)
    traces = [*_interval(metric, result), *extra, *_chance(metric, result), *_curve(metric, result)]
    missing = [layer for layer, value in zip(_layers(result), values, strict=True) if value is None]
    note = (f"No value at {layers_text(missing)}. " if missing else "") + _reason(metric, result)
    return panel.with_figure(_figure(metric, result, traces), keys, note=note)


def _layers(result: Assessment) -> list[int]:
    return [int(row["layer"]) for row in result.layers]


def _figure(metric: Metric, result: Assessment, traces: list[Trace]) -> theme.Figure:
    x = theme.layer_axis(min(_layers(result)), max(_layers(result)), showgrid=False)
    seen = [number(row.get(metric.key + end)) for row in result.layers for end in ("", "_low", "_high")]
    y = theme.octaves_axis(seen) if metric.log else theme.axis(nticks=5, range=_range(metric, result))
    upright = {"type": "line", "xref": "x", "yref": "paper", "x0": result.best_layer, "x1": result.best_layer}
    marker = {**upright, "y0": 0, "y1": 1, "layer": "below", "line": {"color": theme.SOFT, "width": 1}}
    return theme.figure(traces, x, y, shapes=[marker])


def _range(metric: Metric, result: Assessment) -> list[float] | None:
    """All that is drawn; only an interval over three times as wide as usual may leave the frame."""
    reaches = [_reach(row, metric.key) for row in result.layers]
    widths = [width for width in reaches if width]
    usual = 3 * median(widths) if widths else 0.0
    values = zip(series(result.layers, metric.key), reaches, strict=True)
    ends = [value + sign * min(reach, usual) for value, reach in values for sign in (-1, 1) if value is not None]
    extra = ("probe_accuracy", "logistic_f1") if metric.companion else ()
    others = [value for key in (f"{metric.key}_chance", *extra) for value in series(result.layers, key)]
    bow = [number(probe_of_kind(result, "bow").get("f1"))] if metric.companion else []
    return theme.padded_range([*ends, *others, *bow], 0.06)


def _reach(row: Row, key: str) -> float:
    """The longer arm of an interval; 0 without one."""
    value, low, high = (number(row.get(name)) for name in (key, f"{key}_low", f"{key}_high"))
    return 0.0 if value is None or low is None or high is None else max(high - value, value - low, 0.0)


def _interval(metric: Metric, result: Assessment) -> list[Trace]:
    """The band, where there is a value for it to belong to."""
    known: list[Row] = [{} if number(row.get(metric.key)) is None else row for row in result.layers]
    low, high = (series(known, metric.key + end) for end in ("_low", "_high"))
    return theme.band(_layers(result), low, high)


def _chance(metric: Metric, result: Assessment) -> list[Trace]:
    x, levels = _layers(result), series(result.layers, f"{metric.key}_chance")
    if all(level is None for level in levels):
        return []
    if sum(level is not None for level in levels) == 1:  # a dash at a lone layer, where no line can be drawn
        return [theme.dots(x, levels, colour=theme.GREY, size=12, marker={"symbol": "line-ew-open"}, hoverinfo="skip")]
    return [theme.line(x, levels, colour=theme.GREY, width=1.5, line={"dash": "dash"}, hoverinfo="skip")]


def _curve(metric: Metric, result: Assessment) -> list[Trace]:
    x, y = _layers(result), series(result.layers, metric.key)
    words = {"text": [_hover(metric, row) for row in result.layers], "hovertemplate": "%{text}<extra></extra>"}
    look = {"mode": "lines+markers", "marker": {"size": 5 if len(x) <= 20 else 3}, "line": {"width": 2.2}}
    best = number(row_at(result, result.best_layer).get(metric.key))
    ring = {"symbol": "circle", "color": theme.ACCENT, "line": {"color": theme.ACCENT, "width": 6}}
    large = theme.dots([result.best_layer], [best], size=6, marker=ring, hoverinfo="skip")
    return [theme.line(x, y, **look, **words), large]


def _hover(metric: Metric, row: Row) -> str:
    key, digits = metric.key, metric.digits
    lines = [f"layer {row['layer']}", f"<b>{shown(row.get(key), digits)}</b>"]
    between = interval(row.get(f"{key}_low"), row.get(f"{key}_high"), digits)
    lines += [f"95 % interval {between}"] if between else []
    chance = number(row.get(f"{key}_chance"))
    lines += [f"chance level {shown(chance, digits)}"] if chance is not None else []
    lines += [f"accuracy {shown(row.get(metric.companion))}"] if metric.companion else []
    return "<br>".join(lines)


def _extras(metric: Metric, result: Assessment) -> tuple[list[Trace], tuple[Key, ...]]:
    """What only the probe's panel has: accuracy, the logistic probe where it was fitted, the bag of words to beat."""
    if not metric.companion:
        return [], ()
    x = _layers(result)
    traces = [theme.line(x, series(result.layers, metric.companion), width=1, hoverinfo="skip")]
    keys = [Key("line", "F1"), Key("thin", "accuracy")]
    logistic = series(result.layers, "logistic_f1")
    if any(value is not None for value in logistic):
        look = {"symbol": "diamond-open", "line": {"width": 1.5}}
        words = "layer %{x}<br>logistic probe, F1 %{y:.3f}<extra></extra>"
        traces.append(theme.dots(x, logistic, size=9, marker=look, hovertemplate=words))
        keys.append(Key("diamond", "logistic F1"))
    bow = number(probe_of_kind(result, "bow").get("f1"))
    if bow is not None:
        ends = [min(x), max(x)] if len(x) > 1 else [x[0] - 0.3, x[0] + 0.3]
        traces.append(theme.line(ends, [bow, bow], colour=theme.GREY, width=1.5, hoverinfo="skip"))
        keys.append(Key("line", "bag of words F1", theme.GREY))
    return traces, tuple(keys)


def _reason(metric: Metric, result: Assessment) -> str:
    """What the flags say about this score; each reason once."""
    reasons = (sentence(flag["reason"]) for flag in result.flags if _concerns(str(flag["score"]), metric))
    first, *more = dict.fromkeys(reasons) or [""]
    return f"{first} More of this kind under “What not to trust here”." if more else first


def _concerns(score: str, metric: Metric) -> bool:
    """A flag on "retained" speaks for "retained_auc", one on "ntps_ridge" for "ntps"."""
    named = {metric.key, metric.flagged_as} - {""}
    return any(score == key or score.startswith(f"{key}_") or key.startswith(f"{score}_") for key in named)


def colours(ranking: Ranking) -> tuple[Key, ...]:
    """One colour a backbone, the same in all overlaid charts; after ten they repeat with dashes."""
    names = [short(row["name"]) for row in ranking.rows[: len(ranking.assessments)]]
    return tuple(
        Key("line" if place < len(theme.SERIES) else "dash", name, theme.series_colour(place))
        for place, name in enumerate(names)
    )


def overlay_panels(ranking: Ranking) -> list[Panel]:
    """Each score of all backbones against depth, 0 the embedding output and `deepest` the last layer."""
    return [_overlay(ranking, panel) for panel in overlays()]


def deepest(ranking: Ranking) -> int:
    """Where the last layer stands on a common axis: at its number where all have as many layers, else at 1."""
    depths = {int(result.backbone.get("n_layers") or 0) for result in ranking.assessments}
    return max(depths.pop(), 1) if len(depths) == 1 else 1


def _overlay(ranking: Ranking, words: Panel) -> Panel:
    key, panel, end = words.name, replace(words, name=f"overlay-{words.name}"), deepest(ranking)
    traces: list[Trace] = []
    for result, look in zip(ranking.assessments, colours(ranking), strict=True):
        y = series(result.layers, key)
        if any(value is not None for value in y):
            depth = max(int(result.backbone.get("n_layers") or 0), 1) / end
            points = zip(_layers(result), y, strict=True)
            texts = [f"{hover(look.text)}<br>layer {layer}<br><b>{shown(value)}</b>" for layer, value in points]
            more: Trace = {"mode": "lines+markers", "marker": {"size": 5}, **theme.hover_texts(texts)}
            more |= {"line": {"dash": "dash"}} if look.shape == "dash" else {}
            traces.append(theme.line([layer / depth for layer in _layers(result)], y, colour=look.colour, **more))
    if not traces:
        return panel.without("No backbone has a value for this score.")
    words_line = _words_line(ranking, end) if metric_of(key).companion else []
    keys = [Key("line", "bag of words", theme.GREY)] if words_line else []
    figure = theme.figure([*words_line, *traces], _depth_axis(end), theme.axis(nticks=6))
    return panel.with_figure(figure, keys, 260)


def _words_line(ranking: Ranking, end: int) -> list[Trace]:
    """The bag of words, behind the probes that have to beat it."""
    bow = number(ranking.baseline.get("f1"))
    words = theme.hover_texts([f"bag of words<br><b>{shown(bow)}</b>"] * 2)
    return [] if bow is None else [theme.line([0, end], [bow, bow], colour=theme.GREY, width=1.5, **words)]


def _depth_axis(end: int) -> dict[str, Any]:
    """Layers, where all backbones have equally many; else shares of the depth."""
    if end == 1:
        return theme.axis(name="relative depth", range=[-0.04, 1.04], showgrid=False, tickvals=[0, 0.5, 1])
    return theme.layer_axis(0, end, showgrid=False)
