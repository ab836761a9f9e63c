"""The classes: how many texts each has in train and test, and how many of them the best probe finds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import tokenworth.report.pages.theme as theme
from tokenworth.report.displayed_values import clean, hover, label
from tokenworth.report.pages.theme import Key, Panel
from tokenworth.report.result_protocols import AssessmentLike

FEW = 15
"""Up to this many classes counts are written into the confusion matrix and charts stand side by side."""

MOST = 150
"""So many classes are drawn; of more, the largest."""

_MARGIN = {"l": 40, "r": 14, "t": 4, "b": 40}


def balance_panel(result: AssessmentLike) -> Panel:
    """Share of every class in the training and test texts, the largest class on top."""
    names, (train, test) = class_names(result), _counts(result)
    panel = Panel(
        name="balance",
        title="Class balance",
        says="Share of the texts that carry each label; the counts are in the hover box.",
        trust="Where bars of one class differ, test figures describe another mixture than the probe was fitted on.",
    )
    if not train:
        return replace(panel, reason="The task does not say how many texts each class has.")
    order = _largest_first(train)
    keys = [Key("bar", f"train, {sum(train):,} texts")]
    traces = [_bars(train, names, order, theme.ACCENT, "train")]
    if test:
        keys.append(Key("bar", f"test, {sum(test):,} texts", theme.GREY))
        traces.append(_bars(test, names, order, theme.GREY, "test"))
    x = theme.axis(name="share of the split", tickformat=".0%", rangemode="tozero", nticks=5)
    bars = {"barmode": "group", "bargap": 0.3, "bargroupgap": 0.08}
    figure = theme.figure(traces, x, class_axis([names[i] for i in order]), margin=_MARGIN, **bars)
    note = f"The {MOST} largest of {len(train):,} classes are shown." if len(train) > MOST else ""
    return replace(panel, figure=figure, keys=tuple(keys), height=_height(order), note=note)


def _bars(counts: list[int], names: list[str], order: list[int], colour: str, split: str) -> theme.Trace:
    total = max(sum(counts), 1)
    said = [f"{hover(names[i])}<br><b>{counts[i]:,} {split} texts</b>, {counts[i] / total:.1%}" for i in order]
    return {
        "type": "bar", "orientation": "h", "x": [counts[i] / total for i in order], "y": list(range(len(order))),
        "hovertext": said, "hovertemplate": "%{hovertext}<extra></extra>", "marker": {"color": colour},
    }  # fmt: skip


def recall_panel(result: AssessmentLike) -> Panel | None:
    """Share of each class the best probe finds, in the order of the balance chart; None without a confusion matrix."""
    counts, (train, _) = (result.confusion or {}).get("counts") or [], _counts(result)
    if not counts or len(train) != len(counts):
        return None
    names, order = class_names(result), _largest_first(train)
    found = [counts[i][i] / sum(counts[i]) if sum(counts[i]) else None for i in order]
    said = [f"{hover(names[i])}<br><b>{counts[i][i]:,}</b> of {sum(counts[i]):,} test texts found" for i in order]
    x = theme.axis(name="share of the class found", tickformat=".0%", range=[0, 1.03], nticks=5)
    axis = class_axis([names[i] for i in order])
    return Panel(
        name="recall",
        title="Found by the best probe",
        says="Share of each class's test texts that get the right label; same order as the class balance.",
        trust="Falling dots towards the bottom mean that the probe does well on the large classes only.",
        figure=theme.figure(_stems(found, said), x, axis, margin=_MARGIN),
        keys=(Key("dot", "recall"),),
        height=_height(order),
    )


def _stems(found: theme.Values, said: list[str]) -> list[theme.Trace]:
    """A dot for each share on a thin line from zero; one trace draws all lines, broken by missing points."""
    rows = range(len(found))
    along = [end for share in found for end in (0.0, share, None)]
    across: theme.Values = [end for row in rows for end in (row, row, None)]
    size = 9 if len(found) <= FEW else 7
    text = {"hovertext": said, "hovertemplate": "%{hovertext}<extra></extra>", "cliponaxis": False}
    stems = theme.line(along, across, colour=theme.SOFT, width=1, hoverinfo="skip")
    return [stems, {**theme.dots(found, list(rows), size=size), **text}]


def class_axis(names: list[str]) -> dict[str, Any]:
    """Class names down the side, first on top; positions are numbers, so equal short names stay apart."""
    size = 11 if len(names) <= FEW else 10
    return theme.axis(
        tickvals=list(range(len(names))), ticktext=[label(name, 26) for name in names], tickfont={"size": size},
        range=[len(names) - 0.5, -0.5], showgrid=False,
    )  # fmt: skip


def class_names(result: AssessmentLike) -> list[str]:
    """The names of the classes, safe to show."""
    return [clean(name) for name in result.task.get("label_names") or ()]


def _largest_first(train: list[int]) -> list[int]:
    return sorted(range(len(train)), key=lambda index: -train[index])[:MOST]


def _height(order: list[int]) -> int:
    return 70 + (34 if len(order) <= FEW else 17) * len(order)


def _counts(result: AssessmentLike) -> tuple[list[int], list[int]]:
    """Texts of every class in train and test; empty lists when unknown or not matching the class names."""
    classes = (result.task.get("counts") or {}).get("classes") or {}
    size = len(class_names(result))
    train, test = (list(classes.get(split) or []) for split in ("train", "test"))
    return (train if len(train) == size else []), (test if len(test) == size else [])
