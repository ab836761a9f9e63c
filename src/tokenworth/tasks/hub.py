"""Data sets of the hub, and local folders in its layout, through the `datasets` library; data only, never code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tokenworth.errors import TaskError
from tokenworth.tasks.table import Table

_CONVERTED = "refs/convert/parquet"
"""Branch on which the hub keeps every public data set as Parquet, also those made by scripts."""
_NOT_THERE = "there is no such data set on the hub, or it is private"
_PATIENCE = 10.0
"""Seconds; the library's own for one request."""


def load_parts(hub_id: str, config: str | None = None) -> dict[str, Table]:
    """All splits of a data set (an identifier such as `stanfordnlp/imdb`, or a local folder in the hub's layout), by
    name.

    Raises:
        TaskError: no network and no copy in the cache, no such data set, no access, or a configuration must be named.
    """
    try:
        splits = _load(hub_id, config)
        return {str(name): _table(split, f"{hub_id} ({name})") for name, split in splits.items()}
    except Exception as error:  # the library raises what its transports raise
        raise TaskError(_reason(hub_id, error)) from error


def _load(hub_id: str, config: str | None) -> Any:
    import datasets

    local = Path(hub_id).exists()
    with _settings(offline=not local and not _hub_answers()):
        try:
            return datasets.load_dataset(hub_id, config)
        except RuntimeError as error:
            if "script" not in str(error).lower() or local:
                raise
            return datasets.load_dataset(hub_id, config, revision=_CONVERTED)


@contextmanager
def _settings(offline: bool) -> Iterator[None]:
    """The library without its warnings, and looking at its cache alone if there is no network."""
    import datasets

    quiet, config = datasets.utils.logging, datasets.config
    before = quiet.get_verbosity(), config.HF_HUB_OFFLINE
    quiet.set_verbosity_error()
    config.HF_HUB_OFFLINE = offline or config.HF_HUB_OFFLINE
    try:
        yield
    finally:
        quiet.set_verbosity(before[0])
        config.HF_HUB_OFFLINE = before[1]


def _hub_answers() -> bool:
    """Whether the hub can be reached, asked once; the library asks six times in 23 seconds and prints each."""
    from huggingface_hub import constants, get_session

    try:
        get_session().head(constants.ENDPOINT, timeout=_PATIENCE)
    except Exception:  # what it raises depends on the version's transport
        return False
    return True


def _table(split: Any, source: str) -> Table:
    kinds = {column: getattr(kind, "feature", kind) for column, kind in split.features.items()}  # of lists: of an item
    names = {column: tuple(kind.names) for column, kind in kinds.items() if hasattr(kind, "names")}
    return Table(split.to_dict(), source, class_names=names)


def _reason(hub_id: str, error: Exception) -> str:
    """One sentence on why a data set did not load and what to do; the first reason that holds."""
    text = " ".join(str(error).split())
    first = text if len(text) <= 200 else text[:197] + "..."
    page, folder = f"https://huggingface.co/datasets/{hub_id}", f"DATA/{hub_id.rsplit('/', 1)[-1]}"
    bring = f"bring its train and test files (.parquet, .jsonl, .csv or .tsv) from {page} into a folder {folder}"
    reasons = [
        ("Config name is missing" in text, f"it has several configurations; write {hub_id}:NAME ({first})"),
        ("gated" in text.lower(), "access must be requested on its page, and then `hf auth login` run"),
        (_is_offline(error), f"no network, and no copy in the cache; {bring} and pass data=DATA (--data DATA)"),
        (Path(hub_id).exists(), f"the folder cannot be read ({first}); name its files train.* and test.*"),
        ("doesn't exist" in text or "not found" in text.lower(), _NOT_THERE),
    ]
    return f"{hub_id}: " + next((what for holds, what in reasons if holds), f"cannot be loaded ({first})")


def _is_offline(error: BaseException | None) -> bool:
    """Whether anything in the chain of causes is a failed connection or the hub's offline mode."""
    kinds = {"ConnectError", "ConnectTimeout", "ReadTimeout", "OfflineModeIsEnabled", "LocalEntryNotFoundError"}
    while error is not None:
        if isinstance(error, ConnectionError) or type(error).__name__ in kinds:
            return True
        error = error.__cause__ or error.__context__
    return False
