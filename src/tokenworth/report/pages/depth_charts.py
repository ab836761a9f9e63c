"""Every score against depth: one small chart a score, its interval, its chance level, the best layer marked."""

from __future__ import annotations

from dataclasses import replace
from statistics import median

import tokenworth.report.pages.theme as theme
from tokenworth.report.displayed_values import interval, number, sentence, series, shown
from tokenworth.report.pages.metric_texts import GROUPS, Group, Metric
from tokenworth.report.pages.theme import Key, Panel, Trace
from tokenworth.report.result_protocols import AssessmentLike, Row, probe_of_kind, row_at


def depth_groups(result: AssessmentLike) -> list[tuple[Group, list[Panel]]]:
    """The panels of every group of scores, in reading order."""
    return [(group, [depth_panel(metric, result) for metric in group.metrics]) for group in GROUPS]


def depth_panel(metric: Metric, result: AssessmentLike) -> Panel:
    """One score over the layers; without a single value, the reason in its place."""
    values = series(result.layers, metric.key)
    panel = Panel(name=f"depth-{metric.key}", title=metric.title, says=metric.says, trust=metric.trust)
    if all(value is None for value in values):
        return replace(panel, reason=_reason(metric, result) or "No layer has a value for this score.")
    extra, keys = _extras(metric, result)
    traces = [*_interval(metric, result), *extra, *_chance(metric, result), *_curve(metric, result)]
    missing = [row["layer"] for row, value in zip(result.layers, values, strict=True) if value is None]
    note = (f"No value at {layers_text(missing)}. " if missing else "") + _reason(metric, result)
    return replace(panel, figure=_figure(metric, result, traces), keys=keys, note=note)


def _figure(metric: Metric, result: AssessmentLike, traces: list[Trace]) -> theme.Figure:
    layers = [row["layer"] for row in result.layers]
    span = max(layers) - min(layers)
    x = theme.axis(
        name="layer", range=[min(layers) - 0.04 * span - 0.3, max(layers) + 0.04 * span + 0.3], showgrid=False,
        dtick=max(1, -(-span // 8)), tick0=0,
    )  # fmt: skip
    seen = [number(row.get(metric.key + end)) for row in result.layers for end in ("", "_low", "_high")]
    y = theme.octaves_axis(seen) if metric.log else theme.axis(nticks=5, range=_range(metric, result))
    marker = {"type": "line", "xref": "x", "yref": "paper", "x0": result.best_layer, "x1": result.best_layer}
    return theme.figure(
        traces, x, y, shapes=[{**marker, "y0": 0, "y1": 1, "layer": "below", "line": {"color": theme.SOFT, "width": 1}}]
    )


def _range(metric: Metric, result: AssessmentLike) -> list[float] | None:
    """All that is drawn; only an interval over three times as wide as usual may leave the frame."""
    reach = {row["layer"]: _reach(row, metric.key) for row in result.layers}
    widths = [width for width in reach.values() if width]
    usual = 3 * median(widths) if widths else 0.0
    values = series(result.layers, metric.key)
    ends = [
        value + sign * min(reach[row["layer"]], usual)
        for row, value in zip(result.layers, values, strict=True) for sign in (-1, 1) if value is not None
    ]  # fmt: skip
    extra = ("probe_accuracy", "logistic_f1") if metric.companion else ()
    others = [value for key in (f"{metric.key}_chance", *extra) for value in series(result.layers, key)]
    bow = [number(probe_of_kind(result, "bow").get("f1"))] if metric.companion else []
    return theme.padded([*ends, *others, *bow], 0.06)


def _reach(row: Row, key: str) -> float:
    """The longer arm of an interval; 0 without one."""
    value, low, high = (number(row.get(name)) for name in (key, f"{key}_low", f"{key}_high"))
    return 0.0 if value is None or low is None or high is None else max(high - value, value - low, 0.0)


def _interval(metric: Metric, result: AssessmentLike) -> list[Trace]:
    """The band, where there is a value for it to belong to."""
    rows = [row for row in result.layers if number(row.get(metric.key)) is not None]
    known = [row if row in rows else {"layer": row["layer"]} for row in result.layers]
    low, high = (series(known, metric.key + end) for end in ("_low", "_high"))
    return theme.band([row["layer"] for row in known], low, high)


def _chance(metric: Metric, result: AssessmentLike) -> list[Trace]:
    levels = series(result.layers, f"{metric.key}_chance")
    if all(level is None for level in levels):
        return []
    x = [row["layer"] for row in result.layers]
    if sum(level is not None for level in levels) == 1:  # a dash at a lone layer, where no line can be drawn
        return [theme.dots(x, levels, colour=theme.GREY, size=12, marker={"symbol": "line-ew-open"}, hoverinfo="skip")]
    return [theme.line(x, levels, colour=theme.GREY, width=1.5, line={"dash": "dash"}, hoverinfo="skip")]


def _curve(metric: Metric, result: AssessmentLike) -> list[Trace]:
    x = [row["layer"] for row in result.layers]
    y = series(result.layers, metric.key)
    words = [_hover(metric, row) for row in result.layers]
    curve = theme.line(x, y, mode="lines+markers", marker={"size": 5 if len(x) <= 20 else 3}, line={"width": 2.2})
    hovered = {**curve, "text": words, "hovertemplate": "%{text}<extra></extra>"}
    best = number(row_at(result, result.best_layer).get(metric.key))
    ring = {"symbol": "circle", "color": theme.ACCENT, "line": {"color": theme.ACCENT, "width": 6}}
    return [hovered, theme.dots([result.best_layer], [best], size=6, marker=ring, hoverinfo="skip")]


def _hover(metric: Metric, row: Row) -> str:
    key, digits = metric.key, metric.digits
    lines = [f"layer {row['layer']}", f"<b>{shown(row.get(key), digits)}</b>"]
    between = interval(row.get(f"{key}_low"), row.get(f"{key}_high"), digits)
    lines += [f"95 % interval {between}"] if between else []
    chance = number(row.get(f"{key}_chance"))
    lines += [f"chance level {shown(chance, digits)}"] if chance is not None else []
    lines += [f"accuracy {shown(row.get(metric.companion))}"] if metric.companion else []
    return "<br>".join(lines)


def _extras(metric: Metric, result: AssessmentLike) -> tuple[list[Trace], tuple[Key, ...]]:
    """What only the probe's panel has: accuracy, the logistic probe where it was fitted, the bag of words to beat."""
    if not metric.companion:
        return [], ()
    x = [row["layer"] for row in result.layers]
    traces = [theme.line(x, series(result.layers, metric.companion), width=1, hoverinfo="skip")]
    keys = [Key("line", "F1"), Key("thin", "accuracy")]
    logistic = series(result.layers, "logistic_f1")
    if any(value is not None for value in logistic):
        look = {"symbol": "diamond-open", "line": {"width": 1.5}}
        said = {"hovertemplate": "layer %{x}<br>logistic probe, F1 %{y:.3f}<extra></extra>"}
        traces.append(theme.dots(x, logistic, size=9, marker=look, **said))
        keys.append(Key("diamond", "logistic F1"))
    bow = number(probe_of_kind(result, "bow").get("f1"))
    if bow is not None:
        ends = [min(x), max(x)] if len(x) > 1 else [x[0] - 0.3, x[0] + 0.3]
        traces.append(theme.line(ends, [bow, bow], colour=theme.GREY, width=1.5, hoverinfo="skip"))
        keys.append(Key("line", "bag of words F1", theme.GREY))
    return traces, tuple(keys)


def _reason(metric: Metric, result: AssessmentLike) -> str:
    """What the flags say about this score; each reason once."""
    reasons = (sentence(flag["reason"]) for flag in result.flags if _concerns(str(flag["score"]), metric))
    first, *more = dict.fromkeys(reasons) or [""]
    return f"{first} More of this kind under “What not to trust here”." if more else first


def _concerns(score: str, metric: Metric) -> bool:
    """A flag on "retained" speaks for "retained_auc", one on "ntps_ridge" for "ntps"."""
    named = {metric.key, metric.flagged_as} - {""}
    return any(score == key or score.startswith(f"{key}_") or key.startswith(f"{score}_") for key in named)


def layers_text(layers: list[int]) -> str:
    """``layer 3``, ``layers 0 to 4 and 6``: consecutive numbers joined."""
    runs: list[list[int]] = []
    for layer in sorted(set(layers)):
        if runs and layer == runs[-1][-1] + 1:
            runs[-1].append(layer)
        else:
            runs.append([layer])
    said = [f"{run[0]} to {run[-1]}" if len(run) > 1 else str(run[0]) for run in runs]
    listed = ", ".join(said[:-1]) + " and " + said[-1] if len(said) > 1 else "".join(said)
    return f"layer{'s' if sum(map(len, runs)) > 1 else ''} {listed}"
