"""The table, the chart and the page of a decision."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import rich.table
from rich.text import Text

import tokenworth.report.pages.theme as theme
from tokenworth.report.displayed_values import ABSENT, clean, cut, duration, hover, number, short, shown, tight
from tokenworth.report.pages.cards import Card
from tokenworth.report.pages.page_tables import Cell, Table, TableRow, parameters
from tokenworth.report.pages.theme import Key, Panel
from tokenworth.report.result_protocols import DecisionLike, Row
from tokenworth.report.terminal.tables import plain_table

_SLOWEST_CHART = 0.1
"""Seconds; what is faster stands at this end of the axis."""


def metric_word(decision: DecisionLike) -> str:
    """What routes are compared by: weighted F1."""
    words = {"accuracy": "accuracy", "macro_f1": "macro F1"}
    return words.get(str(decision.settings.get("metric")), "weighted F1")


def _head(decision: DecisionLike) -> str:
    word = metric_word(decision)
    return word[0].upper() + word[1:]


def is_chosen(decision: DecisionLike, row: Row) -> bool:
    """Whether an option is the one that is advised."""
    chosen = decision.recommended or {}
    return bool(chosen) and all(row.get(name) == chosen.get(name) for name in ("model", "route"))


def decision_table(decision: DecisionLike) -> rich.table.Table:
    """One line a route, best expected F1 first; the advised one is marked."""
    table = plain_table(f"routes for {cut(decision.task['name'], 60)}")
    heads = (
        "",
        "route",
        "backbone",
        metric_word(decision),
        "90 %",
        "",
        "FLOPs",
        "time",
        "a million predictions",
        "learns",
    )
    money = any(number(row.get("money")) is not None for row in decision.options)
    for head in (*heads, *(("price",) if money else ())):
        words = head in ("", "route", "backbone")
        table.add_column(head, justify="left" if words else "right", no_wrap=head != "backbone", overflow="fold")
    for row in decision.options:
        chosen = is_chosen(decision, row)
        cells = ["*" if chosen else "", *_cells(row), *([_money(row)] if money else [])]
        table.add_row(*map(Text, cells), style="bold cyan" if chosen else "" if row["affordable"] else "dim")
    table.caption = Text("* advised; measured: run with the assessment; predicted: from finished cells of studies")
    return table


def _cells(row: Row) -> Iterator[str]:
    yield row["route"]
    yield cut(row["model"] or ABSENT, 40)
    yield shown(row["f1"])
    yield tight(row["f1_low"], row["f1_high"])
    yield ", ".join((row["source"], *_kept_out(row)))
    yield _flops(row["flops"])
    yield duration(row["seconds"])
    yield duration(row["million_seconds"])
    yield parameters(row["trainable"]) if row["trainable"] else ABSENT


def _kept_out(row: Row) -> tuple[str, ...]:
    """Why a route is not to be had, for people."""
    if row["affordable"]:
        return ()
    return ("beyond the budget",) if row.get("fits", True) else ("does not fit into memory",)


def _flops(value: Any) -> str:
    flops = number(value)
    return f"{flops:.1e}" if flops else ABSENT


def _money(row: Row) -> str:
    money = number(row.get("money"))
    return ABSENT if money is None else f"${money:,.2f}"


def decision_rows(decision: DecisionLike) -> Table:
    """The same for the page, with what each route leaves behind."""
    heads = ("Route", "Backbone", _head(decision), "Loses", "Best with chance", "FLOPs", "Time", "Price",
             "A million predictions", "Learns", "To keep", "Memory, at least")  # fmt: skip
    return Table(heads, tuple(_page_row(decision, row) for row in decision.options))


def _page_row(decision: DecisionLike, row: Row) -> TableRow:
    f1, low, high = (number(row[name]) for name in ("f1", "f1_low", "f1_high"))
    loses, chance = number(row.get("shortfall")), number(row.get("chance_best"))
    small = (tight(low, high), row["source"])
    cells = (
        Cell(row["route"], row["route"], _kept_out(row)),
        Cell(clean(row["model"] or ABSENT), clean(row["model"] or "")),
        Cell(shown(f1), f1, small),
        Cell(ABSENT if loses is None else f"{100 * loses:.1f}", loses),
        Cell(ABSENT if chance is None else f"{chance:.0%}", chance),
        Cell(_flops(row["flops"]), number(row["flops"])),
        Cell(duration(row["seconds"]), number(row["seconds"])),
        Cell(_money(row), number(row.get("money"))),
        Cell(duration(row["million_seconds"]), number(row["million_seconds"])),
        Cell(parameters(row["trainable"]) if row["trainable"] else ABSENT, number(row["trainable"])),
        Cell(_bytes(row["storage_bytes"]), number(row["storage_bytes"])),
        Cell(_bytes(row["memory_bytes"]), number(row["memory_bytes"])),
    )
    return TableRow(cells, best=is_chosen(decision, row))


def _bytes(value: Any) -> str:
    size = number(value) or 0.0
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= scale:
            return f"{size / scale:.1f} {unit}"
    return ABSENT


def decision_cards(decision: DecisionLike) -> list[Card]:
    """The advice, what it brings and costs, and how much is known."""
    chosen, known = decision.recommended, decision.settings.get("calibration") or {}
    calibration = Card(
        "Learned from",
        f"{known.get('cells', 0):,} cells",
        (f"{known.get('tasks', 0)} tasks", f"{len(known.get('backbones') or ())} backbones"),
    )
    if chosen is None:
        budget = clean(decision.settings.get("budget"))
        return [Card("Advice", "nothing fits", (f"budget {budget}",), accent=True), calibration]
    what = short(chosen["model"], 1) if chosen["model"] else "no backbone"
    best = decision.options[0]
    return [
        Card("Advice", chosen["route"], (clean(what),), accent=True),
        Card(
            _head(decision),
            shown(chosen["f1"]),
            (f"{tight(chosen['f1_low'], chosen['f1_high'])} (90 %)", chosen["source"]),
        ),
        Card("Time", duration(chosen["seconds"]), (f"the best expected: {duration(best['seconds'])}",)),
        Card(
            "A million predictions",
            duration(chosen["million_seconds"]),
            (f"the best expected: {duration(best['million_seconds'])}",),
        ),
        calibration,
    ]


def decision_panel(decision: DecisionLike) -> Panel:
    """The metric with its interval against the time it takes to get it."""
    keys = (Key("dot", "advised"), Key("ring", "measured"), Key("ring", "predicted", theme.SERIES[1]))
    return Panel(
        name="routes",
        title="What each route brings, and what it takes",
        says=f"{_head(decision)} with its 90 % interval against the time to get it, on a logarithmic axis.",
        trust="Up and to the left is better. An interval that reaches over all others says: run it, or a pilot, first.",
        figure=_scatter(decision),
        keys=keys,
        height=330,
    )


def _scatter(decision: DecisionLike) -> theme.Figure:
    rows = decision.options
    x = [max(number(row["seconds"]) or 0.0, _SLOWEST_CHART) for row in rows]
    colours = [theme.ACCENT if row["source"] == "measured" else theme.SERIES[1] for row in rows]
    bars = [
        theme.line([at, at], [number(row["f1_low"]), number(row["f1_high"])], colour=colour, width=2, hoverinfo="skip")
        for at, row, colour in zip(x, rows, colours, strict=True)
    ]
    symbols = ["circle" if is_chosen(decision, row) else "circle-open" for row in rows]
    look = {"symbol": symbols, "color": colours, "line": {"width": 2, "color": colours}}
    points = theme.dots(
        x, [number(row["f1"]) for row in rows], size=11, marker=look, mode="markers+text", cliponaxis=False,
        text=[row["route"] for row in rows], textposition="middle right", textfont={"size": 11},
        hovertext=[_hover(row) for row in rows], hovertemplate="%{hovertext}<extra></extra>",
    )  # fmt: skip
    ends = [number(row[name]) for row in rows for name in ("f1", "f1_low", "f1_high")]
    y = theme.axis(name=metric_word(decision), range=theme.padded(ends), nticks=6)
    return theme.figure([*bars, points], _time_axis(), y, margin={"l": 46, "r": 60, "t": 8, "b": 40})


_TICKS = ((1, "1 s"), (10, "10 s"), (60, "1 min"), (600, "10 min"), (3600, "1 h"), (36_000, "10 h"), (360_000, "4 d"))


def _time_axis() -> dict[str, Any]:
    return theme.axis(
        name="time to get it", type="log", tickvals=[tick for tick, _ in _TICKS], ticktext=[text for _, text in _TICKS]
    )


def _hover(row: Row) -> str:
    return (
        f"{row['route']}, {hover(row['model'] or 'no backbone')}<br><b>{shown(row['f1'])}</b> "
        f"({tight(row['f1_low'], row['f1_high'])}, {row['source']})<br>{duration(row['seconds'])}"
    )


def explained(decision: DecisionLike) -> list[dict[str, Any]]:
    """How each prediction comes about: its indicators, and how one standard deviation of each moves it."""
    return [
        {
            "name": f"{row['route']}, {clean(short(row['model'], 1))}",
            "error": f"{100 * row['mean_absolute_error']:.1f}",
            "rows": [
                (name.replace("_", " "), shown(value), shown(row["slopes"].get(name)))
                for name, value in row["indicators"].items()
            ],
        }
        for row in decision.explanation
    ]


def label_panel(decision: DecisionLike) -> Panel:
    """The metric against training texts for the routes that can be run on parts of them."""
    panel = Panel(
        name="labels",
        title="How many labels does it need?",
        says=f"{_head(decision)} on the test texts after learning from fewer; the line goes on by a power law (dots).",
        trust="Means over draws of the smaller parts. A flat line says that more labels would not help this route.",
        height=260,
    )
    if not decision.labels:
        return replace(panel, reason="Asked for with labels=True (--labels).")
    traces, keys = [], []
    for place, curve in enumerate(decision.labels):
        colour = theme.SERIES[place % len(theme.SERIES)]
        known = list(zip(curve["texts"], curve["f1"], strict=True))
        traces.append(theme.line([n for n, _ in known], [f1 for _, f1 in known], colour=colour, mode="lines+markers"))
        beyond = curve.get("beyond") or []
        if beyond:
            dash = {"dash": "dot"}
            joined = [known[-1], *((point["texts"], point["f1"]) for point in beyond)]
            traces.append(theme.line([n for n, _ in joined], [f1 for _, f1 in joined], colour=colour, line=dash))
        keys.append(
            Key("line", f"{curve['route']} {clean(short(curve['model'], 1)) if curve['model'] else ''}", colour)
        )
    x = theme.axis(name="training texts", type="log")
    y = theme.axis(name=metric_word(decision), nticks=6)
    return replace(panel, figure=theme.figure(traces, x, y), keys=tuple(keys))


def pilot_rows(decision: DecisionLike) -> list[tuple[str, ...]]:
    """Short runs: what they reached, and how the prediction moved."""
    return [
        (
            f"{row['route']}, {clean(short(row['model'], 1))}",
            f"{row['steps']:,}",
            shown(row["f1"]),
            shown(row["before"]),
            shown(row["after"]),
            duration(row["seconds"]),
        )
        for row in decision.pilots
    ]
