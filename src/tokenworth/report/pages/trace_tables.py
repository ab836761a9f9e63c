"""The cards and tables of a trace's page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from statistics import median
from typing import TYPE_CHECKING, Any

from tokenworth.report.displayed_values import ABSENT, clean, flops_text, number, parameters, shown, tight, tokens_text
from tokenworth.report.pages.cards import Card
from tokenworth.report.pages.page_tables import Cell, Table, number_cell, table_of
from tokenworth.report.pages.panel_words import names_of
from tokenworth.report.result_values import ANSWERS, ROUTES, Row, crossing_flops, crossing_range, last_row

if TYPE_CHECKING:
    from tokenworth.tracing import Trace

_ROUTES = {"Probe": "probe", "LoRA": "lora", "Bag of words": "bow", "From random weights": "scratch"}


def trace_cards(trace: Trace) -> list[Card]:
    """The count of answers, and what the run was."""
    yes = sum(task["verdict"]["answer"] == "yes" for task in trace.tasks)
    run, bits = trace.run, [number(checkpoint["bits_per_byte"]) for checkpoint in trace.checkpoints]
    known = [value for value in bits if value is not None]
    loss = (f"{shown(known[0], 2)} to {shown(known[-1], 2)} bits a byte",) if known else ()
    adapted = sum(bool(checkpoint["adapted"]) for checkpoint in trace.checkpoints)
    return [
        Card("Worth its cost", f"{yes} of {len(trace.tasks)}", ("tasks within this run",), accent=True),
        Card("Tokens seen", tokens_text(run["tokens"]), loss),
        Card("FLOPs", flops_text(run["flops"], "0"), (f"{flops_text(run['flops_per_token'], '0')} a token",)),
        Card("Parameters", parameters(run["parameters"])),
        Card("Checkpoints", str(len(trace.checkpoints)), (f"{adapted} adapted by LoRA",)),
    ]


def answer_rows(trace: Trace) -> Table:
    """One row a task."""
    columns: dict[str, Callable[[Row], Cell]] = {
        "Task": lambda row: _task_cell(row["name"], f"{row['texts']['test']:,} test texts"),
        "Worth it": lambda row: Cell(ANSWERS[row["answer"]], row["answer"]),
        "Route": lambda row: Cell(ROUTES[row["route"]], row["route"]),
        "After tokens": lambda row: _crossing_cell(trace, row),
        "Lead at the end": lambda row: Cell(
            f"{row['lead']:+.3f}", row["lead"], (tight(row["lead_low"], row["lead_high"]),)
        ),
        **{head: partial(_end_cell, route=route) for head, route in _ROUTES.items()},
    }
    rows = ({**task, **task["verdict"], "end_row": last_row(trace, task)} for task in trace.tasks)
    return table_of(columns, rows, lambda row: row["answer"] == "yes")


def _task_cell(name: str, *small: str) -> Cell:
    return Cell(clean(name), clean(name).casefold(), small)


def _crossing_cell(trace: Trace, verdict: Any) -> Cell:
    crossed = verdict["state"] != "never"
    small = (crossing_range(verdict), f"{crossing_flops(trace, verdict)} FLOPs" if crossed else "")
    words = tokens_text(verdict["tokens"]) if crossed else "never"
    return Cell(words, number(verdict["tokens"]), tuple(text for text in small if text not in ("", "never")))


def _f1_cell(row: Row, route: str) -> Cell:
    name = f"{route}_f1"
    return number_cell(row.get(name), 3, tight(row.get(f"{name}_low"), row.get(f"{name}_high")))


def _end_cell(row: Row, route: str) -> Cell:
    return _f1_cell(row["end_row"], route)


def checkpoint_rows(trace: Trace) -> Table:
    """One row a task and checkpoint."""
    names = names_of("trace_scores")
    named = {row["tokens"]: (clean(row["name"]),) for row in trace.checkpoints if "name" in row}
    present = [name for name in names if any(number(row.get(name)) is not None for row in trace.rows)]
    columns: dict[str, Callable[[Row], Cell]] = {
        "Task": lambda row: _task_cell(row["task"]),
        "Tokens": lambda row: Cell(tokens_text(row["tokens"]), row["tokens"], named.get(row["tokens"], ())),
        "FLOPs": lambda row: Cell(flops_text(row["flops"], "0"), row["flops"]),
        "Bits a byte": lambda row: number_cell(row["bits_per_byte"]),
        "On these texts": lambda row: number_cell(row["text_bits_per_byte"]),
        "Probe": lambda row: _f1_cell(row, "probe"),
        "LoRA": lambda row: _f1_cell(row, "lora"),
        "Layer": lambda row: number_cell(row.get("best_layer"), 0),
        **{names[name]: partial(_score_cell, key=name) for name in present},
    }
    return table_of(columns, trace.rows)


def _score_cell(row: Row, key: str) -> Cell:
    digits, chance = 0 if key == "k90" else 3, number(row.get(f"{key}_chance"))
    return number_cell(row.get(key), digits, "" if chance is None else f"chance {shown(chance, digits)}")


def relation_rows(trace: Trace) -> Table:
    """One row a score: how well it follows the loss at the chosen layer, task by task; more stands underneath."""
    tasks, names = [clean(task["name"]) for task in trace.tasks], names_of("trace_scores")
    several = len(tasks) > 1
    known: list[Mapping[Any, Row]] = [
        {(entry["score"], entry["layer"], entry["target"]): entry for entry in task["relations"]}
        for task in trace.tasks
    ]
    scores = [name for name in names if any((name, "chosen", "loss") in of_task for of_task in known)]
    columns: list[tuple[str, Callable[[str], Cell]]] = [("Score", lambda score: Cell(names[score], names[score]))]
    columns += [("Median", lambda score: _correlation(score, known))] if several else []
    columns += [
        (name, partial(_correlation, known=[of_task], interval=not several))
        for name, of_task in zip(tasks, known, strict=True)
    ]
    return table_of(columns, scores)


def _correlation(score: str, known: Sequence[Mapping[Any, Row]], *, interval: bool = False) -> Cell:
    """Median over tasks: with the loss at the chosen layer, and at the last one; with F1."""

    def middle(layer: str, target: str) -> float | None:
        values = [of_task[score, layer, target]["r"] for of_task in known if (score, layer, target) in of_task]
        return median(values) if values else None

    value, last, f1 = middle("chosen", "loss"), middle("last", "loss"), middle("chosen", "f1")
    beside = [f"{words} {r:+.2f}" for words, r in (("last layer", last), ("with F1", f1)) if r is not None]
    entry = known[0].get((score, "chosen", "loss")) if interval else None
    ends = [] if entry is None else [tight(entry["low"], entry["high"], 2)]
    return Cell(ABSENT if value is None else f"{value:+.2f}", value, (*filter(None, ends), *beside))
