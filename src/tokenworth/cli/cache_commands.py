"""tokenworth cache list and tokenworth cache clear: the forward passes that are kept."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated

from tokenworth.cli.console import print_json, print_rows, tell
from tokenworth.cli.options import Given, Options, Output, said, takes
from tokenworth.settings import NonNegative

_Cache = Annotated[Path | None, said("Folder where they are kept; by default TOKENWORTH_CACHE or ~/.cache.")]


@takes(Options(Output, "json"))
def list_(*, cache: _Cache = None, given: Given) -> None:
    from tokenworth.features import default_store

    store = default_store(cache)
    kept = store.kept()
    if given.json:
        passes = [asdict(one) for one in kept]
        print_json({"folder": str(store.root), "max_bytes": store.max_bytes, "passes": passes})
        return
    if kept:
        rows = [
            {
                "pass": one.name[:12],
                "backbone": Path(one.backbone).name,
                "state": one.state,
                "texts": f"{one.texts:,}",
                "layers": str(one.layers),
                "size": _size(one.bytes),
                "last used": datetime.fromtimestamp(one.used).strftime("%Y-%m-%d %H:%M"),
            }
            for one in kept
        ]
        print_rows(rows, right=("texts", "layers", "size"))
    total = sum(one.bytes for one in kept)
    tell(f"{len(kept)} passes, {_size(total)} of {_size(store.max_bytes)} in {store.root}")


@takes(Options(Output, "json"))
def clear(
    *,
    cache: _Cache = None,
    older_than_days: Annotated[float, said("Only what was not used for so many days.", NonNegative)] = 0.0,
    given: Given,
) -> None:
    from tokenworth.features import default_store

    store = default_store(cache)
    gone = store.clear(older_than_days=older_than_days)
    if given.json:
        print_json({"folder": str(store.root), "removed": [asdict(one) for one in gone]})
        return
    tell(f"{len(gone)} passes removed, {_size(sum(one.bytes for one in gone))} freed in {store.root}")


def _size(n_bytes: int) -> str:
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if n_bytes >= factor:
            return f"{n_bytes / factor:.3g} {unit}"
    return f"{n_bytes} bytes"
