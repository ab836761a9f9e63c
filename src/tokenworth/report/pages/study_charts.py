"""A study as figures (PNG and SVG files) and as one page with tables that sort and filter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import tokenworth.report.pages.theme as theme
from tokenworth.errors import SettingError
from tokenworth.report.displayed_values import ABSENT, clean, hover, number, short, shown, tight
from tokenworth.report.pages.cards import Card
from tokenworth.report.pages.page_tables import Cell, Table, TableRow
from tokenworth.report.pages.theme import Key, Panel
from tokenworth.report.result_protocols import ChoiceLike, RelationLike, Row

PUBLISHED = "published"
_INCHES = (6.4, 4.2)


def frame_rows(frame: Any) -> Table:
    """A pandas table for the page: numbers sort as numbers, the best of a row's routes is not marked."""
    heads = tuple(str(column).removeprefix("setting ") for column in frame.columns)
    return Table(heads, tuple(TableRow(tuple(map(_cell, row))) for row in frame.itertuples(index=False)))


def _cell(value: Any) -> Cell:
    if isinstance(value, str):
        return Cell(clean(value), clean(value))
    known = number(value)
    if known is None:
        return Cell(ABSENT)
    return Cell(f"{known:,.0f}" if isinstance(value, int | np.integer) else shown(known), known)


def study_cards(states: Mapping[str, int], table: Any) -> list[Card]:
    """How far it is, and what it is made of."""
    total = sum(states.values())
    unfinished = [f"{count} {state}" for state, count in states.items() if state != "finished"]
    kinds = [len(set(table[name].dropna())) for name in ("task", "backbone", "route", "seed")]
    return [
        Card("Cells finished", f"{states.get('finished', 0)}", (f"of {total}", *unfinished), accent=True),
        *(Card(name, str(count)) for name, count in zip(("Tasks", "Backbones", "Routes", "Seeds"), kinds, strict=True)),
    ]


def relation_panels(relations: Sequence[RelationLike]) -> list[Panel]:
    """One chart a relation."""
    return [_panel(relation) for relation in relations]


def _panel(relation: RelationLike) -> Panel:
    traces, keys = [], []
    for colour, (source, backbone, own) in zip(_colours(relation), groups(relation), strict=True):
        printed = source == PUBLISHED
        words = [f"{hover(task)}<br>{hover(short(backbone))}, {source}" for task in own["task"]]
        traces.append(
            theme.dots(
                list(map(float, own["x"])), list(map(float, own["y"])), colour=colour, size=7,
                marker={"symbol": "circle-open" if printed else "circle"}, hovertext=words,
                hovertemplate="%{hovertext}<br>%{x:.3f}, <b>%{y:.3f}</b><extra></extra>",
            )
        )  # fmt: skip
        keys.append(Key("ring" if printed else "dot", f"{clean(short(backbone))}, {source}", colour))
    traces += [_line(relation)] if relation.line else []
    x, y = theme.axis(name=relation.x, nticks=6), theme.axis(name=relation.y, nticks=6)
    return Panel(
        name=relation.name, title=relation.title, says=_says(relation), trust=_trust(relation),
        figure=theme.figure(traces, x, y, margin={"l": 50, "r": 14, "t": 8, "b": 44}), keys=tuple(keys), height=300,
    )  # fmt: skip


def groups(relation: RelationLike) -> list[tuple[str, str, Any]]:
    """Source, backbone and points of each cloud."""
    parts = relation.points.groupby(["source", "backbone"], sort=False)
    return [(str(source), str(backbone), own) for (source, backbone), own in parts]


def _colours(relation: RelationLike) -> list[str]:
    return [theme.SERIES[place % len(theme.SERIES)] for place in range(len(groups(relation)))]


def _line(relation: RelationLike) -> theme.Trace:
    fit, x = relation.statistics[0], relation.points["x"]
    ends = [float(x.min()), float(x.max())]
    return theme.line(ends, [fit["intercept"] + fit["slope"] * end for end in ends], colour=theme.GREY, width=1.5)


def _says(relation: RelationLike) -> str:
    if relation.line:
        fit = relation.statistics[0]
        between = f"{fit['low']:.2f} to {fit['high']:.2f}"
        return f"R2 {format(fit['r2'], '.2f')} ({between}), permutation p {fit['p']:.2g}, {fit['n']} tasks."
    return "One point a task; Spearman r by backbone stands in the table below."


def _trust(relation: RelationLike) -> str:
    n = min(row["n"] for row in relation.statistics)
    return f"{n} points or more a cloud: an r is known to about ±{1.96 / max(n - 3, 1) ** 0.5:.2f}."


def statistics_table(relations: Sequence[RelationLike]) -> Table:
    """Every correlation with its p-value and interval."""
    heads = ("Relation", "Source", "Backbone", "Points", "r", "95 %", "p")
    rows = [
        TableRow(
            (
                Cell(relation.title, relation.title), Cell(row["source"], row["source"]),
                Cell(clean(short(row["backbone"])), clean(row["backbone"])), Cell(str(row["n"]), row["n"]),
                *_correlation(row), Cell(f"{row['p']:.2g}", row["p"]),
            )
        )
        for relation in relations
        for row in relation.statistics
    ]  # fmt: skip
    return Table(heads, tuple(rows))


def _correlation(row: Row) -> tuple[Cell, Cell]:
    between = tight(row["low"], row["high"], 2) + (" (of R2)" if "r2" in row else "")
    return Cell(shown(row["r"], 2), number(row["r"])), Cell(between, number(row["low"]))


def choices_table(choices: Sequence[ChoiceLike]) -> Table:
    """Layers and k chosen for a figure, with r and p as published and as they ought to be."""
    heads = ("Figure", "Backbone", "Tasks", "Layer", "k", "r", "p as published", "p, choosing counted", "r elsewhere")
    rows = [
        TableRow(
            (
                Cell(clean(one.figure), one.figure), Cell(clean(short(one.backbone)), clean(one.backbone)),
                Cell(str(one.tasks), one.tasks), Cell(str(one.layer), one.layer), Cell(shown(one.share, 2), one.share),
                Cell(shown(one.r, 2), one.r), Cell(f"{one.p:.2g}", one.p), Cell(f"{one.p_chosen:.2g}", one.p_chosen),
                Cell(shown(one.r_elsewhere, 2), one.r_elsewhere),
            )
        )
        for one in choices
    ]  # fmt: skip
    return Table(heads, tuple(rows))


def save_figures(relations: Sequence[RelationLike], folder: Path) -> list[Path]:
    """NAME.png and NAME.svg of each relation.

    Raises:
        SettingError: matplotlib is not installed.
    """
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError as error:
        raise SettingError("figures as files need matplotlib: pip install tokenworth[figures]") from error
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    with mpl.rc_context({"svg.hashsalt": "tokenworth", "svg.fonttype": "none", "font.size": 9}):
        for relation in relations:
            figure = Figure(figsize=_INCHES, layout="constrained", dpi=150)
            _draw(figure.add_subplot(), relation)
            for kind in ("png", "svg"):
                path = folder / f"{relation.name}.{kind}"
                figure.savefig(path, metadata={"Date": None} if kind == "svg" else {"Software": None})
                made.append(path)
    return made


def _draw(axes: Any, relation: RelationLike) -> None:
    for colour, (source, backbone, own) in zip(_colours(relation), groups(relation), strict=True):
        face = "none" if source == PUBLISHED else colour
        label = f"{short(backbone)}, {source}"
        axes.scatter(own["x"], own["y"], s=22, edgecolors=colour, facecolors=face, linewidths=1.2, label=label)
    if relation.line:
        line = _line(relation)
        axes.plot(line["x"], line["y"], color=theme.GREY, linewidth=1.2)
        for row in relation.points.itertuples():
            axes.annotate(row.task, (row.x, row.y), textcoords="offset points", xytext=(4, 3), fontsize=6.5)
        axes.set_title(f"{relation.title}\n{_says(relation)}", fontsize=9, loc="left")
    else:
        axes.set_title(relation.title, fontsize=10, loc="left")
        axes.legend(fontsize=6.5, frameon=False, ncols=1 + (len(groups(relation)) > 6))
    axes.set_xlabel(relation.x)
    axes.set_ylabel(relation.y)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25, linewidth=0.5)
