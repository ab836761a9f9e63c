"""tokenworth tasks: the published ones."""

from __future__ import annotations

from tokenworth.cli.console import print_rows
from tokenworth.cli.options import Given, Options, Output, takes


@takes(Options(Output, "json"))
def tasks(*, given: Given) -> None:
    from tokenworth.tasks import PUBLISHED

    rows = [
        {
            "name": name,
            "hub id": entry.hub,
            "classes": entry.classes,
            "text": " + ".join(entry.composed_of or [c for c in (entry.text, entry.text_pair) if c]),
            "label": entry.label,
            "test": entry.test or "held out of train",
            "note": entry.note,
        }
        for name, entry in sorted(PUBLISHED.items())
    ]
    rows.append({"name": "docstrings", "hub id": "(built from installed packages)", "note": "works offline"})
    print_rows(rows, json=given.json)
