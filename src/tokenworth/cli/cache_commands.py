"""tokenworth cache list and tokenworth cache clear: the forward passes that are kept."""

from __future__ import annotations

import json as encoder
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import tokenworth.cli.shared_options as options
from tokenworth.cli.console import print_rows

if TYPE_CHECKING:
    from tokenworth.features.feature_store import Kept

app = typer.Typer(no_args_is_help=True, help="The forward passes that are kept for reuse, and those that can go on.")


@app.command("list")
def list_passes(cache: options.Cache = None, json: options.Json = False) -> None:
    """What is kept, the most recently used first, and how much room it takes."""
    from tokenworth.features import default_store

    store = default_store(cache)
    kept = store.kept()
    if json:
        facts: dict[str, Any] = {"folder": str(store.root), "max_bytes": store.max_bytes}
        typer.echo(encoder.dumps({**facts, "passes": [asdict(one) for one in kept]}, indent=1))
        return
    if kept:
        print_rows([_row(one) for one in kept], json=False, right=("texts", "layers", "size"))
    total = sum(one.bytes for one in kept)
    typer.echo(f"{len(kept)} passes, {_size(total)} of {_size(store.max_bytes)} in {store.root}")


@app.command("clear")
def clear_passes(
    cache: options.Cache = None,
    older_than_days: Annotated[float, typer.Option(min=0, help="Only what was not used for so many days.")] = 0.0,
    json: options.Json = False,
) -> None:
    """Remove what is kept; a pass that is running now stays."""
    from tokenworth.features import default_store

    store = default_store(cache)
    gone = store.clear(older_than_days=older_than_days)
    if json:
        typer.echo(encoder.dumps({"folder": str(store.root), "removed": [asdict(one) for one in gone]}, indent=1))
        return
    typer.echo(f"{len(gone)} passes removed, {_size(sum(one.bytes for one in gone))} freed in {store.root}")


def _row(one: Kept) -> dict[str, str]:
    return {
        "pass": one.name[:12],
        "backbone": Path(one.backbone).name,
        "state": one.state,
        "texts": f"{one.texts:,}",
        "layers": str(one.layers),
        "size": _size(one.bytes),
        "last used": datetime.fromtimestamp(one.used).strftime("%Y-%m-%d %H:%M"),
    }


def _size(n_bytes: int) -> str:
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if n_bytes >= factor:
            return f"{n_bytes / factor:.3g} {unit}"
    return f"{n_bytes} bytes"
