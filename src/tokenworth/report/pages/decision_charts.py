"""The charts and tables of a decision's page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import tokenworth.report.pages.theme as theme
from tokenworth.adaptation.route_names import route_title
from tokenworth.report.displayed_values import (
    ABSENT,
    bytes_text,
    clean,
    duration,
    flops_text,
    hover,
    money_text,
    number,
    parameters,
    short,
    shown,
    tight,
)
from tokenworth.report.pages.cards import Card
from tokenworth.report.pages.headlines import words_row
from tokenworth.report.pages.interval_charts import baseline, interval_line, row_name, rows_figure
from tokenworth.report.pages.page_tables import Cell, Table, table_of, word_cell
from tokenworth.report.pages.panel_words import panel_of
from tokenworth.report.pages.theme import Key, Panel
from tokenworth.report.result_values import Row, is_advised, kept_out, metric_word

if TYPE_CHECKING:
    from tokenworth.decision import Decision

ROUTE_TABLE_LEAD = (
    "Click a head to sort. Left: what one is expected to be left with where the better of a run and what was measured "
    "is kept, and how many points that is below the most that can be afforded. To keep: what the route adds to the "
    "backbone."
)

_SHOWN = 0.0005
"""The least difference that is not 0.0 points."""


def _head(decision: Decision) -> str:
    word = metric_word(decision)
    return word[0].upper() + word[1:]


def route_table(decision: Decision) -> Table:
    """One row a route, with what each leaves behind."""
    columns: dict[str, Callable[[Row], Cell]] = {
        "Route": lambda row: word_cell(_route(row), *_code(row), *kept_out(row)),
        "Backbone": lambda row: Cell(clean(row["model"] or ABSENT), clean(row["model"] or "")),
        _head(decision): lambda row: Cell(
            shown(row["f1"]), number(row["f1"]), (tight(row["f1_low"], row["f1_high"]), row["source"])
        ),
        "Left": _left,
        "Best with chance": _amount("chance_best", lambda share: f"{share:.0%}"),
        "FLOPs": _amount("flops", flops_text),
        "Time": _amount("seconds", duration),
        "Price": _amount("money", money_text),
        "A million predictions": _amount("million_seconds", duration),
        "Their price": _amount("million_money", money_text),
        "Learns": _amount("trainable", lambda count: parameters(count) if count else ABSENT),
        "To keep": _amount("storage_bytes", bytes_text),
        "Memory, at least": _amount("memory_bytes", bytes_text),
    }
    if not any(number(row.get("money")) is not None for row in decision.options):
        del columns["Price"], columns["Their price"]
    if not _several_models(decision.options):  # the head of the page names it, and on a screen the last column fits
        del columns["Backbone"]
    return table_of(columns, decision.options, lambda row: is_advised(decision, row))


def _route(row: Row) -> str:
    """In words."""
    return clean(route_title(row["route"]))


def _code(row: Row) -> tuple[str, ...]:
    """What `--route` takes, where the words are others."""
    return () if _route(row).casefold() == row["route"] else (row["route"],)


def _left(row: Row) -> Cell:
    """What one is expected to be left with, and the points below the most."""
    left, below = number(row.get("f1_kept")), number(row.get("shortfall"))
    less = () if below is None or below < _SHOWN else (f"{100 * below:.1f} below",)
    return Cell(ABSENT if left is None else shown(left), left, less)


def _amount(key: str, words: Callable[[float], str]) -> Callable[[Row], Cell]:
    """A column of numbers in words of their own."""

    def cell(row: Row) -> Cell:
        value = number(row.get(key))
        return Cell(ABSENT if value is None else words(value), value)

    return cell


def decision_cards(decision: Decision) -> list[Card]:
    """The advice, what it brings and costs, and how much is known."""
    advised, known = decision.recommended, decision.settings.get("calibration") or {}
    amounts = (f"{known.get('tasks', 0)} tasks", f"{len(known.get('backbones') or ())} backbones")
    calibration = Card("Learned from", f"{known.get('cells', 0):,} cells", amounts)
    if advised is None:
        budget = clean(decision.settings.get("budget"))
        return [Card("Advice", "nothing fits", (f"budget {budget}",), accent=True), calibration]
    model = clean(short(advised["model"], 1) if advised["model"] else "no backbone")
    between = f"{tight(advised['f1_low'], advised['f1_high'])} (90 %)"
    words, million = words_row(decision), duration(advised["million_seconds"])
    return [
        Card("Advice", _route(advised), (model,), accent=True),
        Card(_head(decision), shown(advised["f1"]), (between, *_source(advised), *_words("f1", words, shown))),
        Card("Time", duration(advised["seconds"]), _words("seconds", words, duration)),
        Card("A million predictions", million, _words("million_seconds", words, duration)),
        calibration,
    ]


def _source(advised: Row) -> tuple[str, ...]:
    """Whether it was measured or predicted, and what keeping the better brings beyond it."""
    left, f1 = number(advised.get("f1_kept")), number(advised["f1"])
    more = left is not None and f1 is not None and left >= f1 + _SHOWN
    return (advised["source"], *((f"{shown(left)} if the better is kept",) if more else ()))


def _words(key: str, row: Row, said: Callable[[Any], str]) -> tuple[str, ...]:
    """The same figure of the bag of words, where there is one."""
    return () if number(row.get(key)) is None else (f"{_route(row)}: {said(row[key])}",)


def decision_panel(decision: Decision) -> Panel:
    """The metric of every route with its interval, a row each, those that take least time on top."""
    rows = sorted(decision.options, key=lambda row: number(row["seconds"]) or 0.0)
    panel, words = panel_of("routes", metric=_head(decision)), words_row(decision)
    keys = [Key("dot", "advised"), Key("ring", "measured"), Key("ring", "predicted", theme.SERIES[1])]
    if number(words.get("f1")) is not None:
        keys.append(Key("line", f"bag of words {shown(words['f1'])}", theme.GREY))
    return panel.with_figure(_dots(decision, rows, words), keys, 80 + 44 * len(rows))


def _dots(decision: Decision, rows: Sequence[Row], words: Row) -> theme.Figure:
    colours = [theme.ACCENT if row["source"] == "measured" else theme.SERIES[1] for row in rows]
    bars = [interval_line(row, "f1", at, colour=colours[at], width=2) for at, row in enumerate(rows)]
    symbols = ["circle" if is_advised(decision, row) else "circle-open" for row in rows]
    look = {"symbol": symbols, "color": colours, "line": {"width": 2, "color": colours}}
    texts = theme.hover_texts([_hover(row) for row in rows])
    f1 = [number(row["f1"]) for row in rows]
    points = theme.dots(f1, list(range(len(rows))), size=11, marker=look, cliponaxis=False, **texts)
    ends = [number(end) for row in rows for end in (row["f1"], row["f1_low"], row["f1_high"])]
    several = _several_models(rows)
    names = [_name(row, several) for row in rows]
    return rows_figure([*baseline(words, len(rows)), *bars, points], names, ends, metric_word(decision))


def _several_models(rows: Sequence[Row]) -> bool:
    return len({row["model"] for row in rows if row["model"]}) > 1


def _name(row: Row, several: bool) -> str:
    """Route, its model where there are several, the figure and the time it takes."""
    model = f" of {short(row['model'], 1)}" if several and row["model"] else ""
    return f"{row_name(_route(row) + model, row['f1'])}  {duration(row['seconds'])}"


def _hover(row: Row) -> str:
    return (
        f"{_route(row)}, {hover(row['model'] or 'no backbone')}<br><b>{shown(row['f1'])}</b> "
        f"({tight(row['f1_low'], row['f1_high'])}, {row['source']})<br>{duration(row['seconds'])}"
    )


def label_panel(decision: Decision) -> Panel:
    """The metric against training texts for the routes that can be run on parts of them."""
    panel = panel_of("labels", metric=_head(decision))
    if not decision.labels:
        return panel.without("Asked for with labels=True (--labels).")
    traces, keys = [], []
    for place, curve in enumerate(decision.labels):
        colour, texts, f1 = theme.series_colour(place), list(curve["texts"]), list(curve["f1"])
        traces.append(theme.line(texts, f1, colour=colour, mode="lines+markers"))
        if beyond := curve.get("beyond"):
            n, values = [texts[-1], *(point["texts"] for point in beyond)], [f1[-1], *(point["f1"] for point in beyond)]
            traces.append(theme.line(n, values, colour=colour, line={"dash": "dot"}))
        model = f", {clean(short(curve['model'], 1))}" if curve["model"] else ""
        keys.append(Key("line", f"{_route(curve)}{model}", colour))
    x, y = theme.axis(name="training texts", type="log"), theme.axis(name=metric_word(decision), nticks=6)
    return panel.with_figure(theme.figure(traces, x, y), keys, 260)
