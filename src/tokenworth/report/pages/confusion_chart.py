"""Which class the best probe takes for which: the matrix, and the mistakes that happen most."""

from __future__ import annotations

from dataclasses import dataclass, replace

import tokenworth.report.pages.theme as theme
from tokenworth.report.displayed_values import clean, hover, label
from tokenworth.report.pages.class_charts import FEW, MOST, class_axis
from tokenworth.report.pages.theme import Panel
from tokenworth.report.result_protocols import ConfusedLike

_FEW_COLOURS = [[0, "rgba(59,130,214,0.03)"], [1, "rgba(59,130,214,0.72)"]]  # pale enough for counts on top
_MANY_COLOURS = [[0, "rgba(59,130,214,0.02)"], [0.02, "rgba(59,130,214,0.14)"], [0.25, "rgba(59,130,214,0.5)"],
                 [1, "rgba(59,130,214,1)"]]  # fmt: skip  # rare mistakes stay visible among thousands of cells


@dataclass(frozen=True, slots=True)
class Confused:
    """One kind of mistake: ``count`` texts of class ``true`` were taken for ``predicted``, a ``share`` of the class."""

    true: str
    predicted: str
    count: int
    share: float


def confusion_panel(result: ConfusedLike, who: str = "the best probe") -> Panel:
    """Rows are true classes, columns predicted ones; colour is the share of the row, counts where there is room."""
    confusion = result.confusion or {}
    counts, names = confusion.get("counts") or [], [clean(name) for name in confusion.get("labels") or []]
    which = f"; the probe is {clean(confusion['probe'])}" if confusion.get("probe") else ""
    panel = Panel(
        name="confusion",
        title=f"What {who} takes for what",
        says=f"Test texts of each true class (row) by predicted class (column){which}.",
        trust="The darker the diagonal the better; a dark cell beside it is a pair of classes the layer keeps close.",
    )
    if not counts:
        return replace(panel, reason="No probe was evaluated, so there is nothing to confuse.")
    if len(names) > MOST:
        return replace(
            panel, reason=f"{len(names):,} classes are too many for a matrix; see the most frequent mistakes."
        )
    figure, size = _matrix(_heat(counts, names), names), len(names)
    return replace(panel, figure=figure, height=_height(size), min_width=_width(size), zoom=size > FEW)


def _heat(counts: list[list[int]], names: list[str]) -> theme.Trace:
    few = len(names) <= FEW
    full = [hover(name, 80) for name in names]
    gap = 2 if few else 0.5
    heat = {
        "type": "heatmap", "z": [[count / max(sum(row), 1) for count in row] for row in counts], "zmin": 0, "zmax": 1,
        "showscale": False, "colorscale": _FEW_COLOURS if few else _MANY_COLOURS, "xgap": gap, "ygap": gap,
        "hovertext": [_row(full[i], full, row) for i, row in enumerate(counts)],
        "hovertemplate": "%{hovertext}<extra></extra>",
    }  # fmt: skip
    written = {"text": [[str(count) for count in row] for row in counts], "texttemplate": "%{text}"}
    return {**heat, **(written if few else {})}


def _row(true: str, names: list[str], counts: list[int]) -> list[str]:
    """Hover texts of one true class."""
    total = sum(counts)
    shares = [f"<b>{count:,}</b> of {total:,} ({count / max(total, 1):.0%})" for count in counts]
    return [f"true: {true}<br>predicted: {name}<br>{share}" for name, share in zip(names, shares, strict=True)]


def _matrix(heat: theme.Trace, names: list[str]) -> theme.Figure:
    few = len(names) <= FEW
    below = 16 if len(names) <= 2 else 14 if few else 22  # characters of a name under its column
    common = {"tickvals": list(range(len(names))), "tickfont": {"size": 11 if few else 9}, "fixedrange": few}
    x = theme.axis(
        name="predicted", ticktext=[label(name, below) for name in names], showgrid=False,
        tickangle=0 if len(names) <= 3 else -60 if few else -90, range=[-0.5, len(names) - 0.5], **common,
    )  # fmt: skip
    y = {**class_axis(names), **common}
    y |= {"ticktext": [label(name, 16 if few else 26) for name in names], "title": {**x["title"], "text": "true"}}
    margin = {"l": 40, "r": 8, "t": 4 if few else 34, "b": 40}
    return theme.figure([heat], x, y, margin=margin, dragmode=False if few else "zoom")


def _height(classes: int) -> int:
    if classes <= 3:
        return 200 + 45 * classes
    return 230 + 38 * classes if classes <= FEW else 210 + 12 * classes


def _width(classes: int) -> int:
    """Where cells would shrink below legibility the chart keeps this width and scrolls inside its frame."""
    return 0 if classes <= 5 else 170 + (32 if classes <= FEW else 11) * classes


def most_confused(result: ConfusedLike, limit: int = 12) -> list[Confused]:
    """The mistakes that happen most often, by number of texts."""
    confusion = result.confusion or {}
    names, counts = confusion.get("labels") or [], confusion.get("counts") or []
    wrong = [
        Confused(clean(names[i]), clean(names[j]), int(count), count / max(sum(row), 1))
        for i, row in enumerate(counts) for j, count in enumerate(row) if i != j and count
    ]  # fmt: skip
    return sorted(wrong, key=lambda mistake: -mistake.count)[:limit]
