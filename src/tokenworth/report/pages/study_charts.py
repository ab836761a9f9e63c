"""A study as figures (PNG and SVG files) and as one page with tables that sort and filter."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tokenworth.report.pages.theme as theme
from tokenworth.errors import SettingError
from tokenworth.report.displayed_values import clean, hover, number, short, shown, tight
from tokenworth.report.pages.cards import Card
from tokenworth.report.pages.page_tables import Cell, Table, number_cell, table_of, word_cell
from tokenworth.report.pages.theme import Key, Panel
from tokenworth.report.result_values import Row

if TYPE_CHECKING:
    from tokenworth.study.layer_and_k import Choice
    from tokenworth.study.published_relations import Relation

PUBLISHED = "published"
_INCHES = (6.4, 4.2)


def frame_rows(frame: Any) -> Table:
    """A pandas table for the page: numbers sort as numbers, the best of a row's routes is not marked."""
    columns = [
        (str(column).removeprefix("setting "), lambda row, place=place: _frame_cell(row[place]))
        for place, column in enumerate(frame.columns)
    ]
    return table_of(columns, frame.itertuples(index=False))


def _frame_cell(value: Any) -> Cell:
    if isinstance(value, str):
        return word_cell(value)
    known = number(value)
    whole = isinstance(value, int) or (getattr(value, "dtype", None) is not None and value.dtype.kind == "i")
    return Cell(f"{known:,.0f}", known) if whole and known is not None else number_cell(known)


def cell_rows(table: Any) -> Table:
    """Every cell without its intervals."""
    columns = [column for column in table.columns if not str(column).endswith(("_low", "_high"))]
    return frame_rows(table[columns].dropna(axis=1, how="all"))


def study_cards(table: Any) -> list[Card]:
    """How far it is, and what it is made of."""
    states = table["state"].value_counts().to_dict()
    unfinished = [f"{count} {state}" for state, count in states.items() if state != "finished"]
    finished = (f"of {sum(states.values())}", *unfinished)
    kinds = {"Tasks": "task", "Backbones": "backbone", "Routes": "route", "Seeds": "seed"}
    return [
        Card("Cells finished", f"{states.get('finished', 0)}", finished, accent=True),
        *(Card(name, str(len(set(table[column].dropna())))) for name, column in kinds.items()),
    ]


def relation_panels(relations: Sequence[Relation]) -> list[Panel]:
    """Of each relation: one point a task, one colour a source and backbone."""
    return [_panel(relation) for relation in relations]


def _panel(relation: Relation) -> Panel:
    traces, keys = [], []
    for place, (source, backbone, points) in enumerate(_clouds(relation)):
        printed, colour = source == PUBLISHED, theme.series_colour(place)
        words = [f"{hover(task)}<br>{hover(short(backbone))}, {source}" for task in points["task"]]
        template = "%{hovertext}<br>%{x:.3f}, <b>%{y:.3f}</b><extra></extra>"
        x, y = (list(map(float, points[axis])) for axis in ("x", "y"))
        marker = {"symbol": "circle-open" if printed else "circle"}
        traces.append(theme.dots(x, y, colour=colour, marker=marker, hovertext=words, hovertemplate=template))
        keys.append(Key("ring" if printed else "dot", f"{clean(short(backbone))}, {source}", colour))
    traces += [_line(relation)] if relation.line else []
    axes = (theme.axis(name=name, nticks=6) for name in (relation.x, relation.y))
    figure = theme.figure(traces, *axes, margin={"l": 50, "r": 14, "t": 8, "b": 44})
    return Panel(relation.name, relation.title, _says(relation), _trust(relation)).with_figure(figure, keys, 300)


def _clouds(relation: Relation) -> list[tuple[str, str, Any]]:
    """Source, backbone and points of each cloud."""
    parts = relation.points.groupby(["source", "backbone"], sort=False)
    return [(str(source), str(backbone), points) for (source, backbone), points in parts]


def _line(relation: Relation) -> theme.Trace:
    fit, x = relation.statistics[0], relation.points["x"]
    ends = [float(x.min()), float(x.max())]
    return theme.line(ends, [fit["intercept"] + fit["slope"] * end for end in ends], colour=theme.GREY, width=1.5)


def _says(relation: Relation) -> str:
    if relation.line:
        fit = relation.statistics[0]
        between = f"{fit['low']:.2f} to {fit['high']:.2f}"
        return f"R2 {fit['r2']:.2f} ({between}), permutation p {fit['p']:.2g}, {fit['n']} tasks."
    return "One point a task; Spearman r by backbone stands in the table below."


def _trust(relation: Relation) -> str:
    n = min(row["n"] for row in relation.statistics)
    return f"{n} points or more a cloud: an r is known to about ±{1.96 / max(n - 3, 1) ** 0.5:.2f}."


def _p_cell(value: float) -> Cell:
    return Cell(f"{value:.2g}", value)


def statistics_table(relations: Sequence[Relation]) -> Table:
    """Every correlation with its p-value and interval."""
    columns = {
        "Relation": lambda row: Cell(row["title"], row["title"]),
        "Source": lambda row: Cell(row["source"], row["source"]),
        "Backbone": lambda row: Cell(clean(short(row["backbone"])), clean(row["backbone"])),
        "Points": lambda row: Cell(str(row["n"]), row["n"]),
        "r": lambda row: number_cell(row["r"], 2),
        "95 %": _interval_cell,
        "p": lambda row: _p_cell(row["p"]),
    }
    rows = ({**row, "title": relation.title} for relation in relations for row in relation.statistics)
    return table_of(columns, rows)


def _interval_cell(row: Row) -> Cell:
    return Cell(tight(row["low"], row["high"], 2) + (" (of R2)" if "r2" in row else ""), number(row["low"]))


def choices_table(choices: Sequence[Choice]) -> Table:
    """Layers and k chosen for a figure, with r and p as published and as they ought to be."""
    columns = {
        "Figure": lambda choice: Cell(clean(choice.figure), choice.figure),
        "Backbone": lambda choice: Cell(clean(short(choice.backbone)), clean(choice.backbone)),
        "Tasks": lambda choice: Cell(str(choice.tasks), choice.tasks),
        "Layer": lambda choice: Cell(str(choice.layer), choice.layer),
        "k": lambda choice: Cell(shown(choice.share, 2), choice.share),
        "r": lambda choice: Cell(shown(choice.r, 2), choice.r),
        "p as published": lambda choice: _p_cell(choice.p),
        "p, choosing counted": lambda choice: _p_cell(choice.p_chosen),
        "r elsewhere": lambda choice: Cell(shown(choice.r_elsewhere, 2), choice.r_elsewhere),
    }
    return table_of(columns, choices)


def save_figures(relations: Sequence[Relation], folder: Path) -> list[Path]:
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
    paths = []
    with mpl.rc_context({"svg.hashsalt": "tokenworth", "svg.fonttype": "none", "font.size": 9}):
        for relation in relations:
            figure = Figure(figsize=_INCHES, layout="constrained", dpi=150)
            _draw(figure.add_subplot(), relation)
            for kind in ("png", "svg"):
                paths.append(folder / f"{relation.name}.{kind}")
                figure.savefig(paths[-1], metadata={"Date": None} if kind == "svg" else {"Software": None})
    return paths


def _draw(axes: Any, relation: Relation) -> None:
    clouds = _clouds(relation)
    for place, (source, backbone, points) in enumerate(clouds):
        colour = theme.series_colour(place)
        look = {"edgecolors": colour, "facecolors": "none" if source == PUBLISHED else colour, "linewidths": 1.2}
        axes.scatter(points["x"], points["y"], s=22, label=f"{short(backbone)}, {source}", **look)
    if relation.line:
        line = _line(relation)
        axes.plot(line["x"], line["y"], color=theme.GREY, linewidth=1.2)
        for row in relation.points.itertuples():
            axes.annotate(row.task, (row.x, row.y), textcoords="offset points", xytext=(4, 3), fontsize=6.5)
        axes.set_title(f"{relation.title}\n{_says(relation)}", fontsize=9, loc="left")
    else:
        axes.set_title(relation.title, fontsize=10, loc="left")
        axes.legend(fontsize=6.5, frameon=False, ncols=1 + (len(clouds) > 6))
    axes.set_xlabel(relation.x)
    axes.set_ylabel(relation.y)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25, linewidth=0.5)
