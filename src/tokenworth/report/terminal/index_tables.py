"""An index and the comparison of two of its results for the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.table import Table

from tokenworth.report.displayed_values import ABSENT, clean, cut, shown
from tokenworth.report.index.folder_reader import ResultIndex
from tokenworth.report.index.index_entry import Entry, Headline
from tokenworth.report.index.result_comparison import Comparison, kind_words
from tokenworth.report.terminal.tables import add_cells, plain_table

_MOST_ROWS = 30


def index_table(index: ResultIndex) -> Table:
    """One line a result that is no part of another, the newest first; of many the first thirty."""
    words = ("result", "kind", "task", "folder", "figure")
    heads = ("result", "kind", "task", "figure", "", "compared with", "ahead by", "folder")
    own = [entry for entry in index.entries if not entry.part_of]
    caption = f"and {len(own) - _MOST_ROWS:,} more, on the page" if len(own) > _MOST_ROWS else ""
    table = plain_table("results", heads, left=words, folded=("result", "folder"), caption=caption)
    for entry in own[:_MOST_ROWS]:
        add_cells(table, _cells(entry))
    return table


def _cells(entry: Entry) -> Iterator[str]:
    headline = entry.content.headline
    yield cut(entry.content.title, 40)
    yield kind_words(entry.kind, 1)
    yield cut(entry.content.task, 30) if entry.content.task else ABSENT
    yield ("not finished" if not entry.content.finished else ABSENT) if headline is None else headline.name
    yield ABSENT if headline is None else _figure(headline, headline.value)
    yield _beside(headline)
    yield ABSENT if headline is None or headline.lead is None else f"{headline.lead:+.3f}"
    yield cut(entry.place, 60)


def _beside(headline: Headline | None) -> str:
    if headline is None or not headline.references:
        return ABSENT
    first = headline.references[0]
    return f"{first.name} {_figure(headline, first.value)}"


def _figure(headline: Headline, value: float) -> str:
    return shown(value, 3 if headline.is_share else 0)


def changes_table(comparison: Comparison) -> Table:
    """One line a fact in which the two differ."""
    heads = ("", "fact", "A", "B", "B - A")
    alike = ", ".join(f"{section} {count}" for section, count in comparison.alike.items() if count)
    caption = f"the same in both: {alike or 'nothing'}"
    table = plain_table("what changed", heads, left=heads[:4], folded=heads[1:4], caption=caption)
    before = ""
    for change in comparison.changes:
        section = change.section if change.section != before else ""
        difference = "" if change.difference is None else f"{change.difference:+.3g}"
        add_cells(table, (section, cut(change.name, 60), cut(change.first, 60), cut(change.second, 60), difference))
        before = change.section
    return table


def comparison_lines(comparison: Comparison) -> list[str]:
    """What the two are, and whether their figures can be set against each other."""
    lines = [
        f"{letter}: {clean(entry.content.title)} ({clean(entry.place)})"
        + f": {clean(entry.content.sentence)}" * bool(entry.content.sentence)
        for letter, entry in (("A", comparison.first), ("B", comparison.second))
    ]
    prints = [entry.content.fingerprint for entry in (comparison.first, comparison.second)]
    if comparison.same_texts:
        lines.append("Both are on the same texts, labels and split.")
    elif all(prints):
        lines.append("! They are on other texts, labels or splits, so their figures cannot be set against each other.")
    return lines


def index_facts(index: ResultIndex) -> dict[str, Any]:
    """An index for programs."""
    return {
        "root": str(index.root),
        "results": [entry_facts(entry) for entry in index.entries],
        "faults": [{"file": fault.file, "sentence": fault.sentence} for fault in index.faults],
    }


def entry_facts(entry: Entry) -> dict[str, Any]:
    """A result for programs."""
    content, headline = entry.content, entry.content.headline
    figure = None
    if headline is not None:
        references = {reference.name: reference.value for reference in headline.references}
        ends = {"low": headline.low, "high": headline.high}
        figure = {
            "name": headline.name,
            "value": headline.value,
            **ends,
            "references": references,
            "lead": headline.lead,
        }
    return {
        "kind": entry.kind,
        "folder": entry.place,
        "file": entry.file,
        "page": entry.page or None,
        "part_of": entry.part_of or None,
        "title": content.title,
        "task": content.task or None,
        "figure": figure,
        "sentence": content.sentence,
        "finished": content.finished,
        "seconds": content.seconds,
        "written": entry.changed,
    }


def comparison_facts(comparison: Comparison) -> dict[str, Any]:
    """A comparison for programs."""
    names = ("section", "name", "first", "second", "difference")
    return {
        "first": entry_facts(comparison.first),
        "second": entry_facts(comparison.second),
        "same_texts": comparison.same_texts,
        "changes": [{name: getattr(change, name) for name in names} for change in comparison.changes],
        "alike": comparison.alike,
    }
