"""The classes: their balance, how many texts of each are recognised, and which is taken for which."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import tokenworth.report.pages.theme as theme
from tokenworth.report.displayed_values import clean, hover, labels
from tokenworth.report.pages.panel_words import panel_of
from tokenworth.report.pages.theme import Key, Panel

if TYPE_CHECKING:
    from tokenworth.adaptation import AdaptResult
    from tokenworth.assessment import Assessment

FEW = 15
"""Up to this many classes counts are written into the confusion matrix and charts stand side by side."""
MOST = 150
"""So many classes are drawn; of more, the largest."""

_MARGIN = {"l": 40, "r": 14, "t": 4, "b": 40}
_FEW_COLOURS = [[0, "rgba(59,130,214,0.03)"], [1, "rgba(59,130,214,0.72)"]]
"""Pale enough for counts on top."""
_MANY_COLOURS = [
    [share, f"rgba(59,130,214,{opacity})"] for share, opacity in ((0, 0.02), (0.02, 0.14), (0.25, 0.5), (1, 1))
]
"""Rare mistakes stay visible among thousands of cells."""


def balance_panel(result: Assessment) -> Panel:
    """Share of every class in the training and test texts, the largest class on top."""
    names, (train, test) = _class_names(result), _counts(result)
    panel = panel_of("balance")
    if not train:
        return panel.without("The task does not say how many texts each class has.")
    order = _largest_first(train)
    parts = [("train", train, theme.ACCENT), ("test", test, theme.GREY)][: 2 if test else 1]
    totals = {split: _texts_of(result, split) if result.several else sum(counts) for split, counts, _ in parts}
    keys = [Key("bar", f"{split}, {totals[split]:,} texts", colour) for split, _, colour in parts]
    traces = [_bars(counts, totals[split], names, order, colour, split) for split, counts, colour in parts]
    x = theme.axis(name="share of the split", tickformat=".1~%", rangemode="tozero", nticks=5)
    bars = {"barmode": "group", "bargap": 0.3, "bargroupgap": 0.08}
    figure = theme.figure(traces, x, _class_axis([names[i] for i in order]), margin=_MARGIN, **bars)
    note = f"The {MOST} largest of {len(train):,} classes are shown." if len(train) > MOST else ""
    return panel.with_figure(figure, keys, _bars_height(order), note=note)


def _texts_of(result: Assessment, split: str) -> int:
    """Texts of a part; of several labels a text the sum over labels is more."""
    return int(dict[str, Any](result.task["texts"])[split])


def _bars(counts: list[int], n_texts: int, names: list[str], order: list[int], colour: str, split: str) -> theme.Trace:
    total = max(n_texts, 1)
    texts = [f"{hover(names[i])}<br><b>{counts[i]:,} {split} texts</b>, {counts[i] / total:.1%}" for i in order]
    shares, places = [counts[i] / total for i in order], list(range(len(order)))
    return theme.bars(shares, places, colour, orientation="h", **theme.hover_texts(texts))


def recall_panel(result: Assessment) -> Panel | None:
    """Share of each class the best probe recognises, as the balance chart is ordered; None without a matrix."""
    counts, (train, _) = result.confusion.get("counts") or [], _counts(result)
    if not counts or len(train) != len(counts):
        return None
    names, order = _class_names(result), _largest_first(train)
    recalls = [counts[i][i] / sum(counts[i]) if sum(counts[i]) else None for i in order]
    texts = [f"{hover(names[i])}<br><b>{counts[i][i]:,}</b> of {sum(counts[i]):,} test texts found" for i in order]
    x = theme.axis(name="share of the class found", tickformat=".0%", range=[0, 1.03], nticks=5)
    figure = theme.figure(_stems(recalls, texts), x, _class_axis([names[i] for i in order]), margin=_MARGIN)
    panel = panel_of("recall")
    return panel.with_figure(figure, (Key("dot", "recall"),), _bars_height(order))


def _stems(shares: theme.Values, texts: list[str]) -> list[theme.Trace]:
    """A dot for each share on a thin line from zero; one trace draws all lines, broken by missing points."""
    rows = range(len(shares))
    along = [end for share in shares for end in (0.0, share, None)]
    across: theme.Values = [end for row in rows for end in (row, row, None)]
    stems = theme.line(along, across, colour=theme.SOFT, width=1, hoverinfo="skip")
    size = 9 if len(shares) <= FEW else 7
    return [stems, theme.dots(shares, list(rows), size=size, cliponaxis=False, **theme.hover_texts(texts))]


def _class_axis(names: list[str]) -> dict[str, Any]:
    """Class names down the side, first on top; positions are numbers, so equal short names stay apart."""
    ticks: dict[str, Any] = {"tickvals": list(range(len(names))), "ticktext": labels(names, 26)}
    size = {"tickfont": {"size": 11 if len(names) <= FEW else 10}}
    return theme.axis(range=[len(names) - 0.5, -0.5], showgrid=False, **ticks, **size)


def are_few(result: Assessment | AdaptResult) -> bool:
    """Whether charts of the classes stand side by side."""
    return len(_class_names(result)) <= FEW


def _class_names(result: Assessment | AdaptResult) -> list[str]:
    return [clean(name) for name in result.task.get("label_names") or ()]


def _largest_first(train: list[int]) -> list[int]:
    return sorted(range(len(train)), key=lambda index: -train[index])[:MOST]


def _bars_height(order: list[int]) -> int:
    return 70 + (34 if len(order) <= FEW else 17) * len(order)


def _counts(result: Assessment) -> tuple[list[int], list[int]]:
    """Texts of every class in train and test; empty lists when unknown or not matching the class names."""
    classes = result.task.get("counts", {}).get("classes") or {}
    size = len(_class_names(result))
    train, test = (list(classes.get(split) or []) for split in ("train", "test"))
    return (train if len(train) == size else []), (test if len(test) == size else [])


@dataclass(frozen=True, slots=True)
class Confused:
    """One kind of mistake: ``count`` texts of class ``true`` were taken for ``predicted``, a ``share`` of the class."""

    true: str
    predicted: str
    count: int
    share: float


def confusion_panel(result: Assessment | AdaptResult, who: str = "the best probe") -> Panel:
    """Rows are true classes, columns predicted ones; colour is the share of the row, counts where there is room."""
    confusion: Any = result.confusion
    counts, names = confusion.get("counts") or [], [clean(name) for name in confusion.get("labels") or []]
    which = f"; the probe is {clean(confusion['probe'])}" if confusion.get("probe") else ""
    panel = panel_of("confusion", who=who, which=which)
    if not counts:
        return panel.without("No probe was evaluated, so there is nothing to confuse.")
    size = len(names)
    if size > MOST:
        return panel.without(f"{size:,} classes are too many for a matrix; see the most frequent mistakes.")
    figure = _matrix(_heat(counts, names), names)
    return panel.with_figure(figure, (), _matrix_height(size), min_width=_matrix_width(size), zoom=size > FEW)


def _heat(counts: list[list[int]], names: list[str]) -> theme.Trace:
    few = len(names) <= FEW
    full = [hover(name, 80) for name in names]
    gap = 2 if few else 0.5
    shares = [[count / max(sum(row), 1) for count in row] for row in counts]
    look = {"showscale": False, "colorscale": _FEW_COLOURS if few else _MANY_COLOURS, "xgap": gap, "ygap": gap}
    written = {"text": [[str(count) for count in row] for row in counts], "texttemplate": "%{text}"} if few else {}
    texts = theme.hover_texts([_row_texts(full[i], full, row) for i, row in enumerate(counts)])
    return {"type": "heatmap", "z": shares, "zmin": 0, "zmax": 1, **look, **texts, **written}


def _row_texts(true: str, names: list[str], counts: list[int]) -> list[str]:
    """Hover texts of one true class."""
    total = sum(counts)
    shares = [f"<b>{count:,}</b> of {total:,} ({count / max(total, 1):.0%})" for count in counts]
    return [f"true: {true}<br>predicted: {name}<br>{share}" for name, share in zip(names, shares, strict=True)]


def _matrix(heat: theme.Trace, names: list[str]) -> theme.Figure:
    size = len(names)
    few = size <= FEW
    below = 16 if size <= 2 else 14 if few else 22  # characters of a name under its column
    common = {"tickvals": list(range(size)), "tickfont": {"size": 11 if few else 9}, "fixedrange": few}
    columns = {"ticktext": labels(names, below), "tickangle": 0 if size <= 3 else -60 if few else -90}
    x = theme.axis(name="predicted", showgrid=False, range=[-0.5, size - 0.5], **columns, **common)
    y = {**_class_axis(names), **common, "ticktext": labels(names, 16 if few else 26)}
    y |= {"title": {**x["title"], "text": "true"}}
    margin = {"l": 40, "r": 8, "t": 4 if few else 34, "b": 40}
    return theme.figure([heat], x, y, margin=margin, dragmode=False if few else "zoom")


def _matrix_height(classes: int) -> int:
    if classes <= 3:
        return 200 + 45 * classes
    return 230 + 38 * classes if classes <= FEW else 210 + 12 * classes


def _matrix_width(classes: int) -> int:
    """Where cells would shrink below legibility the chart keeps this width and scrolls inside its frame."""
    return 0 if classes <= 5 else 170 + (32 if classes <= FEW else 11) * classes


def most_confused(result: Assessment, limit: int = 12) -> list[Confused]:
    """The mistakes that happen most often, by number of texts."""
    confusion: Any = result.confusion
    names, counts = confusion.get("labels") or [], confusion.get("counts") or []
    wrong = [
        Confused(clean(names[i]), clean(names[j]), int(count), count / max(sum(row), 1))
        for i, row in enumerate(counts)
        for j, count in enumerate(row)
        if i != j and count
    ]
    return sorted(wrong, key=lambda mistake: -mistake.count)[:limit]
