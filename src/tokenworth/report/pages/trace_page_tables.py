"""The table, the charts and the page of a trace."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import Any

import rich.table
from rich.text import Text

from tokenworth.report.displayed_values import ABSENT, clean, cut, number, shown, tight
from tokenworth.report.pages.cards import Card
from tokenworth.report.pages.page_tables import Cell, Table, TableRow, parameters
from tokenworth.report.result_protocols import Row, TraceLike
from tokenworth.report.terminal.tables import plain_table

ROUTES = {"probe": "probe", "lora": "LoRA"}
REFERENCES = {"bow": "bag of words", "scratch": "scratch", "both": "both"}
ANSWERS = {"yes": "yes", "no": "no", "unclear": "cannot tell", "without": "no: random does"}
SCORES = {
    "cv_accuracy": "Cross-fitted accuracy",
    "cv_loss": "Cross-fitted loss",
    "logme": "LogME",
    "label_r2": "Label R2",
    "hscore": "H-score",
    "knn_accuracy": "kNN accuracy",
    "ntps": "NTPS",
    "ntps_excess": "NTPS beyond chance",
    "ar_r2": "Autoregressive R2",
    "retained_auc": "Retained area",
    "k90": "k90",
}
_NOWHERE = "nowhere in sight"
"""A crossing more than a thousand runs away."""


def tokens_text(count: Any) -> str:
    """0, 950, 12 k, 1.3 M."""
    value = number(count)
    return "0" if value == 0 else parameters(value)


def flops_text(value: Any) -> str:
    """1.3e+14, or 0."""
    flops = number(value)
    return ABSENT if flops is None else "0" if flops == 0 else f"{flops:.1e}"


def trace_table(trace: TraceLike) -> rich.table.Table:
    """One line a task: the answer, after how many tokens, and F1 at the end of the run."""
    table = plain_table(f"perception along {cut(trace.run['name'], 60)}, {tokens_text(trace.run['tokens'])} tokens")
    heads = ("task", "worth it", "route", "tokens", "95 %", "FLOPs", "probe", "LoRA", "bow", "scratch")
    for head in heads:
        words = head in ("task", "worth it")
        table.add_column(head, justify="left" if words else "right", no_wrap=not words, overflow="fold")
    for task in trace.tasks:
        table.add_row(*map(Text, _cells(trace, task)))
    table.caption = Text("F1 at the end of the run; tokens: from where on the route stays above bow and scratch")
    return table


def _cells(trace: TraceLike, task: Row) -> Iterator[str]:
    found, end = task["verdict"], last_row(trace, task)
    yield cut(task["name"], 40)
    yield ANSWERS[found["answer"]]
    yield ROUTES[found["route"]]
    yield "never" if found["state"] == "never" else tokens_text(found["tokens"])
    yield between(found)
    yield _crossing_flops(trace, found)
    for route in ("probe", "lora", "bow", "scratch"):
        yield shown(end[f"{route}_f1"])


def _crossing_flops(trace: TraceLike, crossing: Row) -> str:
    tokens = number(crossing["tokens"])
    return ABSENT if tokens is None else flops_text(tokens * trace.run["flops_per_token"])


def last_row(trace: TraceLike, task: Row) -> Row:
    """The last checkpoint of a task, with LoRA's figures at the last one that it adapted."""
    rows = [row for row in trace.rows if row["task"] == task["name"]]
    adapted = [row for row in rows if number(row["lora_f1"]) is not None]
    names = [name for name in rows[-1] if name.startswith("lora_")] if adapted else []
    return {**rows[-1], **{name: adapted[-1][name] for name in names}}


def between(crossing: Row) -> str:
    """The interval of a crossing; an end that lies beyond the run is said so."""
    if crossing["low"] is None:
        return "never"
    high = "never" if crossing["high"] is None else tokens_text(crossing["high"])
    low = tokens_text(crossing["low"])
    return low if low == high else f"{low} to {high}"


def trace_cards(trace: TraceLike) -> list[Card]:
    """The count of answers, and what the run was."""
    yes = sum(task["verdict"]["answer"] == "yes" for task in trace.tasks)
    run, bits = trace.run, [number(one["bits_per_byte"]) for one in trace.checkpoints]
    known = [one for one in bits if one is not None]
    loss = (f"{shown(known[0], 2)} to {shown(known[-1], 2)} bits a byte",) if known else ()
    adapted = sum(bool(one["adapted"]) for one in trace.checkpoints)
    return [
        Card("Worth its cost", f"{yes} of {len(trace.tasks)}", ("tasks within this run",), accent=True),
        Card("Tokens seen", tokens_text(run["tokens"]), loss),
        Card("FLOPs", flops_text(run["flops"]), (f"{flops_text(run['flops_per_token'])} a token",)),
        Card("Parameters", parameters(run["parameters"])),
        Card("Checkpoints", str(len(trace.checkpoints)), (f"{adapted} adapted by LoRA",)),
    ]


def answer_rows(trace: TraceLike) -> Table:
    """One row a task."""
    heads = ("Task", "Worth it", "Route", "After tokens", "Lead at the end", "Probe", "LoRA", "Bag of words", "Scratch")
    return Table(heads, tuple(_answer(trace, task) for task in trace.tasks))


def _answer(trace: TraceLike, task: Row) -> TableRow:
    found, end = task["verdict"], last_row(trace, task)
    name, crossed = clean(task["name"]), found["state"] != "never"
    flops = f"{_crossing_flops(trace, found)} FLOPs" if crossed else ""
    cells = (
        Cell(name, name.casefold(), (f"{task['texts']['test']:,} test texts",)),
        Cell(ANSWERS[found["answer"]], found["answer"]),
        Cell(ROUTES[found["route"]], found["route"]),
        Cell(
            tokens_text(found["tokens"]) if crossed else "never",
            number(found["tokens"]),
            tuple(text for text in (between(found), flops) if text not in ("", "never")),
        ),
        Cell(f"{found['lead']:+.3f}", found["lead"], (tight(found["lead_low"], found["lead_high"]),)),
        *(_f1(end, route) for route in ("probe", "lora", "bow", "scratch")),
    )
    return TableRow(cells, best=found["answer"] == "yes")


def _f1(row: Row, route: str) -> Cell:
    name = f"{route}_f1"
    small = tight(row.get(f"{name}_low"), row.get(f"{name}_high"))
    return Cell(shown(row.get(name)), number(row.get(name)), (small,) if small else ())


def crossing_rows(task: Row, trace: TraceLike) -> list[tuple[str, ...]]:
    """Every crossing of a task in words and figures."""
    return [
        (
            f"{ROUTES[one['route']]} over {REFERENCES[one['reference']]}",
            {"start": "from the first checkpoint", "never": "never in this run"}.get(
                one["state"], tokens_text(one["tokens"])
            ),
            between(one),
            _crossing_flops(trace, one),
            ABSENT if one["sure_from"] is None else tokens_text(one["sure_from"]),
            f"{one['share_never']:.0%}",
            f"{one['lead']:+.3f} ({tight(one['lead_low'], one['lead_high'])})",
        )
        for one in task["crossings"]
    ]


def checkpoint_rows(trace: TraceLike) -> Table:
    """One row a task and checkpoint."""
    present = [name for name in SCORES if any(number(row.get(name)) is not None for row in trace.rows)]
    heads = ("Task", "Tokens", "FLOPs", "Bits a byte", "On these texts", "Probe", "LoRA", "Layer",
             *(SCORES[name] for name in present))  # fmt: skip
    return Table(heads, tuple(_checkpoint(row, present) for row in trace.rows))


def _checkpoint(row: Row, scores: Sequence[str]) -> TableRow:
    name = clean(row["task"])
    layer = number(row.get("best_layer"))
    return TableRow(
        (
            Cell(name, name.casefold()),
            Cell(tokens_text(row["tokens"]), row["tokens"]),
            Cell(flops_text(row["flops"]), row["flops"]),
            *(Cell(shown(row[key]), number(row[key])) for key in ("bits_per_byte", "text_bits_per_byte")),
            _f1(row, "probe"),
            _f1(row, "lora"),
            Cell(shown(layer, 0), layer),
            *(_score(row, key) for key in scores),
        )
    )


def _score(row: Row, key: str) -> Cell:
    digits = 0 if key == "k90" else 3
    chance = number(row.get(f"{key}_chance"))
    small = (f"chance {shown(chance, digits)}",) if chance is not None else ()
    return Cell(shown(row.get(key), digits), number(row.get(key)), small)


def relation_rows(trace: TraceLike) -> Table:
    """One row a score: how well it follows the loss at the chosen layer, task by task; more stands underneath."""
    names = [clean(task["name"]) for task in trace.tasks]
    several = ("Median",) if len(names) > 1 else ()
    known = [{(one["score"], one["layer"], one["target"]): one for one in task["relations"]} for task in trace.tasks]
    scores = [name for name in SCORES if any((name, "chosen", "loss") in one for one in known)]
    return Table(("Score", *several, *names), tuple(_relation(name, known, bool(several)) for name in scores))


def _relation(score: str, known: Sequence[Mapping[Any, Row]], several: bool) -> TableRow:
    overall = (_correlation(score, known, ""),) if several else ()
    cells = [_correlation(score, [one], _ends(one.get((score, "chosen", "loss")), several)) for one in known]
    return TableRow((Cell(SCORES[score], SCORES[score]), *overall, *cells))


def _ends(one: Row | None, several: bool) -> str:
    """The interval, only where there is room for it."""
    return "" if one is None or several else tight(one["low"], one["high"], 2)


def _correlation(score: str, known: Sequence[Mapping[Any, Row]], ends: str) -> Cell:
    """Median over tasks: with the loss at the chosen layer, and at the last one; with F1."""

    def middle(layer: str, target: str) -> float | None:
        values = [one[score, layer, target]["r"] for one in known if (score, layer, target) in one]
        return median(values) if values else None

    value, last, f1 = middle("chosen", "loss"), middle("last", "loss"), middle("chosen", "f1")
    beside = [f"{words} {r:+.2f}" for words, r in (("last layer", last), ("with F1", f1)) if r is not None]
    return Cell(ABSENT if value is None else f"{value:+.2f}", value, (*([ends] if ends else []), *beside))


def fit_rows(trace: TraceLike) -> list[tuple[str, ...]]:
    """One row a task and route that has a fit."""
    return [_fit(task, fit) for task in trace.tasks for fit in task["fits"]]


def _fit(task: Row, fit: Row) -> tuple[str, ...]:
    meets = fit["crossings"]["bow"]
    ends = [flops_text(meets[end]) if meets[end] else _NOWHERE for end in ("low", "high")]
    return (
        f"{clean(task['name'])}, {ROUTES[fit['route']]}",
        {"line": "a + b ln C", "power": "top - A / C^alpha"}[fit["form"]],
        str(fit["points"]),
        f"{fit['slope']:+.3f} ({tight(fit['slope_low'], fit['slope_high'])})",
        shown(fit["left_out_error"]),
        f"{flops_text(meets['flops'])}{', extrapolated' if meets['beyond'] else ''}" if meets["flops"] else _NOWHERE,
        _NOWHERE if ends[0] == _NOWHERE else " to ".join(ends),
    )
