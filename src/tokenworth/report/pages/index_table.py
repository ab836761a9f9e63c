"""The table of an index, and what the page needs to compare any two of its rows."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote

from tokenworth.report.displayed_values import ABSENT, clean, duration, shown, tight
from tokenworth.report.index.index_entry import SECTIONS, Entry, Headline, Value
from tokenworth.report.index.result_comparison import kind_words
from tokenworth.report.pages.page_tables import Cell, count_cell, word_cell

HEADS = ("Result", "Kind", "Task", "Figure", "Compared with", "Ahead by", "Texts", "Time", "Written")
TEXT_HEADS = ("Result", "Kind", "Task")


def link_of(entry: Entry) -> str:
    """The page of a result, else its file; relative, and safe whatever the names hold."""
    target = entry.page or ("" if entry.kind == "study" else entry.file)
    return f"./{quote(os.fsencode(target))}" if target else ""


def identity(entry: Entry) -> str:
    """What the page's address calls a result."""
    return quote(os.fsencode(entry.file))


def row_cells(entry: Entry) -> tuple[Cell, ...]:
    """The cells of a result, under `HEADS`."""
    content, headline = entry.content, entry.content.headline
    return (
        Cell(content.title, content.title.casefold(), (clean(entry.place),)),
        word_cell(kind_words(entry.kind, 1), f"part of {clean(entry.part_of)}" if entry.part_of else ""),
        word_cell(content.task) if content.task else Cell(ABSENT),
        _figure_cell(headline, finished=content.finished),
        _reference_cell(headline),
        _lead_cell(headline),
        Cell(ABSENT) if content.texts is None else count_cell(int(content.texts)),
        Cell(duration(content.seconds), content.seconds),
        Cell(f"{written(entry.changed):%Y-%m-%d}", entry.changed, (f"{written(entry.changed):%H:%M}",)),
    )


def written(seconds: float) -> datetime:
    """A moment in the time of this machine."""
    return datetime.fromtimestamp(seconds).astimezone()


def _figure_cell(headline: Headline | None, *, finished: bool) -> Cell:
    state = () if finished else ("not finished",)
    if headline is None:
        return Cell(ABSENT, None, state)
    small = (headline.name, tight(headline.low, headline.high), headline.remark)
    return Cell(_shown(headline, headline.value), headline.value, (*filter(None, small), *state))


def _reference_cell(headline: Headline | None) -> Cell:
    if headline is None or not headline.references:
        return Cell(ABSENT)
    first, *others = headline.references
    beside = (f"{other.name} {_shown(headline, other.value)}" for other in others)
    return Cell(_shown(headline, first.value), first.value, (first.name, *beside))


def _lead_cell(headline: Headline | None) -> Cell:
    lead = None if headline is None else headline.lead
    return Cell(ABSENT) if lead is None else Cell(f"{lead:+.3f}", lead)


def _shown(headline: Headline, value: float) -> str:
    return shown(value, 3 if headline.is_share else 0)


def compared_facts(entries: Sequence[Entry], rows: Mapping[str, str]) -> str:
    """JSON for the page's script: what it compares, sections that many results share kept once."""
    places: dict[str, int] = {}
    pool: list[Any] = []

    def pooled(values: Mapping[str, Value]) -> int:
        key = json.dumps(values)
        if key not in places:
            places[key] = len(pool)
            pool.append(values)
        return places[key]

    listed = [
        {
            "row": rows[entry.file],
            "id": identity(entry),
            "kind": entry.kind,
            "one": kind_words(entry.kind, 1),
            "title": entry.content.title,
            "place": clean(entry.place),
            "texts": entry.content.fingerprint,
            "link": link_of(entry),
            "says": entry.content.sentence,
            "facts": [pooled(entry.content.facts.get(section, {})) for section in SECTIONS],
        }
        for entry in entries
    ]
    content = json.dumps({"sections": SECTIONS, "pool": pool, "results": listed}, ensure_ascii=True)
    return content.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
