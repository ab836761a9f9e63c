"""What has to be beaten: the probes beside the majority class and the bag of words, with their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import tokenworth.report.pages.theme as theme
from tokenworth.report.displayed_values import hover, interval, label, number, shown
from tokenworth.report.pages.theme import Key, Panel, Trace
from tokenworth.report.result_protocols import AssessmentLike, Row

_ORDER = {"majority": 0, "bow": 1}
_LOOKS = (("f1", "F1", -0.13, "circle"), ("accuracy", "accuracy", 0.16, "circle-open"))


def probes_panel(result: AssessmentLike) -> Panel:
    """Dots and 95 % intervals of F1 and accuracy, the baselines on top in grey, the backbone's probes in colour."""
    probes = sorted(result.probes, key=lambda probe: _ORDER.get(probe.get("kind", ""), 2))
    panel = Panel(
        name="probes",
        title="Probes against baselines",
        says="Test texts no probe has seen; the bar spans the 95 % interval over those texts.",
        trust="The backbone earns its cost where its dot stands clear to the right of the bag of words, by more "
        "than the intervals.",
    )
    if not any(number(probe.get("f1")) is not None for probe in probes):
        return replace(panel, reason="No probe was evaluated.")
    keys = (Key("dot", "F1"), Key("ring", "accuracy"), Key("dot", "baseline", theme.GREY))
    traces = [trace for look in _LOOKS for trace in _dots(probes, *look)]
    return replace(panel, figure=_figure(probes, traces), keys=keys, height=66 + 46 * len(probes))


def _dots(probes: Sequence[Row], key: str, name: str, offset: float, symbol: str) -> list[Trace]:
    rows = [index + offset for index in range(len(probes))]
    colours = [theme.GREY if probe.get("kind") in _ORDER else theme.ACCENT for probe in probes]
    traces = [
        theme.line([number(probe.get(f"{key}_low")), number(probe.get(f"{key}_high"))], [row, row], colour=colour,
                   width=3 if key == "f1" else 1.2, hoverinfo="skip")
        for probe, row, colour in zip(probes, rows, colours, strict=True)
    ]  # fmt: skip
    said = [_hover(probe, key, name) for probe in probes]
    look = {"color": colours, "symbol": symbol, "line": {"width": 1.6, "color": colours}}
    values = [number(probe.get(key)) for probe in probes]
    more: Trace = {"hovertext": said, "hovertemplate": "%{hovertext}<extra></extra>", "cliponaxis": False}
    return [*traces, theme.dots(values, rows, size=11 if key == "f1" else 8, marker=look, **more)]


def _hover(probe: Row, key: str, name: str) -> str:
    between = interval(probe.get(f"{key}_low"), probe.get(f"{key}_high"))
    more = f"<br>95 % interval {between}" if between else ""
    return f"{hover(probe['name'])}<br><b>{name} {shown(probe.get(key))}</b>{more}"


def _figure(probes: Sequence[Row], traces: list[Trace]) -> theme.Figure:
    names = [f"{label(probe['name'], 34)}  <b>{shown(probe.get('f1'))}</b>" for probe in probes]
    y = theme.axis(
        tickvals=list(range(len(probes))), ticktext=[_two_lines(name) for name in names],
        range=[len(probes) - 0.5, -0.5], showgrid=False,
    )  # fmt: skip
    ends = [
        number(probe.get(key + end)) for probe in probes for key in ("f1", "accuracy") for end in ("", "_low", "_high")
    ]
    x = theme.axis(name="score on the test texts", nticks=7, range=theme.padded(ends))
    return theme.figure(traces, x, y, margin={"l": 60, "r": 20, "t": 6, "b": 40})


def _two_lines(name: str) -> str:
    """The score under the name, so that labels stay narrow on a phone."""
    return name.replace("  <b>", "<br><b>")
