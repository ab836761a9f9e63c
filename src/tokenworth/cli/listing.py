"""tokenworth tasks and doctor: what there is, and what this machine would do."""

from __future__ import annotations

import json as encoder
import os
import shutil
from typing import Any

import typer

import tokenworth.cli.options as options
from tokenworth.cli.console import print_rows


def tasks(json: options.Json = False) -> None:
    """The published tasks by name, where they come from and how their columns are read."""
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
    print_rows(rows, json=json)


def doctor(json: options.Json = False) -> None:
    """What this machine has, and what `auto` would choose on it."""
    from tokenworth.assessment.environment import describe_environment
    from tokenworth.backbones import resolve_device, resolve_dtype

    device = resolve_device("auto")
    free = shutil.disk_usage(".").free
    facts: dict[str, Any] = {
        **describe_environment(),
        "device auto": str(device),
        "dtype auto": str(resolve_dtype("auto", device)).removeprefix("torch."),
        "memory": _memory(),
        "disk free here": f"{free / 1e9:.0f} GB",
        "published tasks read from": os.environ.get("TOKENWORTH_DATA") or "the hub (TOKENWORTH_DATA is not set)",
        "hub": "offline (HF_HUB_OFFLINE)" if os.environ.get("HF_HUB_OFFLINE") == "1" else "asked when needed",
    }
    if json:
        typer.echo(encoder.dumps(facts, indent=1))
        return
    width = max(map(len, facts))
    for name, value in facts.items():
        typer.echo(f"{name:<{width}}  {value if value is not None else '-'}")


def _memory() -> str:
    try:
        size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not a POSIX system
        return "unknown"
    return f"{size / 1e9:.0f} GB"
