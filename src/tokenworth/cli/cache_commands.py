"""tokenworth cache list and tokenworth cache clear: the forward passes that are kept."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from tokenworth.cli.console import print_json, print_lines, print_rows, tell
from tokenworth.cli.options import Given, Options, Output, said, takes
from tokenworth.settings import NonNegative

_Days = Annotated[float, said("Only what was not used for so many days.", NonNegative)]
_Cache = Annotated[Path | None, said("Folder where they are kept; by default TOKENWORTH_CACHE or ~/.cache.")]


@takes(Options(Output, "json"))
def list_(*, cache: _Cache = None, options: Given) -> None:
    from tokenworth.features import default_store
    from tokenworth.report.terminal.pass_rows import in_bytes, pass_rows

    store = default_store(cache)
    kept = store.kept()
    if options.json:
        print_json(
            {"folder": str(store.root), "max_bytes": store.max_bytes, "passes": [entry._asdict() for entry in kept]}
        )
        return
    if kept:
        print_rows(pass_rows(kept), right=("texts", "layers", "size"))
    total = sum(entry.bytes for entry in kept)
    tell(f"{len(kept)} passes, {in_bytes(total)} of {in_bytes(store.max_bytes)} in {store.root}")


@takes(Options(Output, "json"))
def clear(*, cache: _Cache = None, older_than_days: _Days = 0.0, options: Given) -> None:
    from tokenworth.features import default_store
    from tokenworth.report.terminal.pass_rows import in_bytes

    store = default_store(cache)
    gone = store.clear(older_than_days=older_than_days)
    facts = {"folder": str(store.root), "removed": [entry._asdict() for entry in gone]}
    freed = in_bytes(sum(entry.bytes for entry in gone))
    print_lines(facts, [f"{len(gone)} passes removed, {freed} freed in {store.root}"], json=options.json)
