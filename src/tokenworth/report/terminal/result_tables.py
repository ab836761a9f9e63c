"""What a terminal shows of each kind of result: its table, and what is to be doubted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rich.table import Table

from tokenworth.report.pages.decision_charts import decision_table
from tokenworth.report.pages.page_tables import doubts
from tokenworth.report.pages.trace_page_tables import trace_table
from tokenworth.report.terminal.route_tables import adapt_table
from tokenworth.report.terminal.tables import assessment_table, ranking_table

_KINDS: dict[str, tuple[Callable[[Any], Table], Callable[[Any], Sequence[str]]]] = {
    "Assessment": (
        assessment_table,
        lambda result: [f"{one.score}, {one.where}: {one.reason}" for one in doubts(result)],
    ),
    "Ranking": (ranking_table, lambda _: ()),
    "AdaptResult": (adapt_table, lambda _: ()),
    "Decision": (decision_table, lambda result: result.warnings),
    "Trace": (trace_table, lambda result: result.notes),
}
"""By the name of the result's class: table and warnings."""


def table_of(result: Any) -> Table:
    """The table that `show` prints."""
    return _KINDS[type(result).__name__][0](result)


def lines_below(result: Any) -> list[str]:
    """What the result says, and what is to be doubted."""
    warnings = _KINDS[type(result).__name__][1](result)
    return [*(f"- {sentence}" for sentence in result.sentences), *(f"! {warning}" for warning in warnings)]
