"""The figures at the top of a story's page, and its tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokenworth.report.displayed_values import cut, duration, parameters, shown, tight
from tokenworth.report.pages.cards import Card
from tokenworth.report.pages.page_tables import Table, number_cell, table_of, word_cell

if TYPE_CHECKING:
    from tokenworth.report.story import Example, Measured, Story


def story_cards(story: Story) -> list[Card]:
    """What was measured, the first of each kind, and what everything took."""
    first = {row.kind: row for row in reversed(story.measured)}
    wanted = [first[kind] for kind in ("trained", "random", "words", "advised") if kind in first]
    cards = [_card(row) for row in wanted]
    size = next((row["n_parameters"] for row in story.ranking.rows if not row.get("failed")), None)
    return [
        *cards,
        Card("Time", duration(story.seconds), (f"{parameters(size)} parameters", "everything on this page")),
    ]


def _card(row: Measured) -> Card:
    lines = (f"{tight(row.f1_low, row.f1_high)} (95 %)", f"{row.texts:,} texts, {duration(row.seconds)}")
    return Card(f"F1, {cut(row.name, 44)}", shown(row.f1), lines, accent=row.kind == "trained")


def measured_table(story: Story) -> Table:
    """One row a classifier that was fitted."""
    best = max(row.f1 for row in story.measured)
    columns = {
        "Classifier": lambda row: word_cell(row.name),
        "Weighted F1": lambda row: number_cell(row.f1, 3, tight(row.f1_low, row.f1_high)),
        "Labelled texts": lambda row: number_cell(row.texts, 0),
        "Time": lambda row: word_cell(duration(row.seconds)),
    }
    return table_of(columns, story.measured, lambda row: row.f1 == best)


def guesses(example: Example) -> list[tuple[str, str, bool]]:
    """Classifier, the label it gave, and whether that is right."""
    return [(name, guess, guess == example.label) for name, guess in example.guesses.items()]
