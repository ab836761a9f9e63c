"""What the page and the table read of a trace."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tokenworth.report.displayed_values import ABSENT, flops_text, number, tokens_text

if TYPE_CHECKING:
    from tokenworth.tracing import Trace
    from tokenworth.tracing.trace_result import Crossing, TaskEntry

ROUTES = {"probe": "probe", "lora": "LoRA"}
REFERENCES = {"bow": "bag of words", "scratch": "scratch", "both": "both"}
ANSWERS = {"yes": "yes", "no": "no", "unclear": "cannot tell", "without": "no: random does"}


def last_row(trace: Trace, task: TaskEntry) -> Mapping[str, Any]:
    """The last checkpoint of a task, with LoRA's figures at the last one that it adapted."""
    rows = [row for row in trace.rows if row["task"] == task["name"]]
    adapted = [row for row in rows if number(row["lora_f1"]) is not None]
    names = [name for name in rows[-1] if name.startswith("lora_")] if adapted else []
    return {**rows[-1], **{name: adapted[-1][name] for name in names}}


def crossing_range(crossing: Crossing) -> str:
    """The interval of a crossing; an end that lies beyond the run is said so."""
    if crossing["low"] is None:
        return "never"
    high = "never" if crossing["high"] is None else tokens_text(crossing["high"])
    low = tokens_text(crossing["low"])
    return low if low == high else f"{low} to {high}"


def crossing_flops(trace: Trace, crossing: Crossing) -> str:
    """FLOPs of the run up to a crossing."""
    tokens = number(crossing["tokens"])
    return ABSENT if tokens is None else flops_text(tokens * trace.run["flops_per_token"], "0")
