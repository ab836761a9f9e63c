"""The relations of a study as charts of its page and as figures (PNG and SVG files)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tokenworth.report.pages.theme as theme
from tokenworth.errors import SettingError
from tokenworth.report.displayed_values import clean, hover, short
from tokenworth.report.pages.theme import Key, Panel

if TYPE_CHECKING:
    from tokenworth.study.published_relations import Relation

PUBLISHED = "published"
_INCHES = (6.4, 4.2)


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
    half = 1.96 / max(n - 3, 1) ** 0.5
    known = f"an r is known to about ±{half:.2f}" if half < 1 else "too few for an r to say anything"
    return f"{n} points or more a cloud: {known}."


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
