"""A story as a table of the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokenworth.report.displayed_values import cut, duration, shown, tight
from tokenworth.report.terminal.tables import BEST, add_cells, plain_table

if TYPE_CHECKING:
    from rich.table import Table

    from tokenworth.report.story import Story


def story_table(story: Story) -> Table:
    """One line a classifier that was fitted, as they are told of; the best is marked."""
    title = f"{cut(story.ranking.task['name'], 60)}: weighted F1 on texts that none has seen"
    table = plain_table(title, ("", "F1", "95 %", "texts", "time"), left=("",), folded=("",))
    best = max(row.f1 for row in story.measured)
    for row in story.measured:
        figures = (shown(row.f1), tight(row.f1_low, row.f1_high), f"{row.texts:,}", duration(row.seconds))
        add_cells(table, (cut(row.name, 60), *figures), BEST if row.f1 == best else "")
    return table
