"""Where documents come from: the sources of a run, or of a tokenizer trained by itself, as a YAML file names them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tokenworth.base.keywords import line_of
from tokenworth.settings import NonNegative, Settings, build_each, exists, quoted

EXAMPLE = "sources: {wiki: wiki.parquet}"


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceConfig(Settings):
    """Documents of one kind."""

    path: str
    """A .txt, .csv, .tsv, .jsonl, .parquet or .arrow file (text also as .gz or .zst), a folder of such files or of
    `save_to_disk`, a pattern with *, or a Hugging Face dataset id."""
    source: str | None = None
    """Only rows of .parquet files whose column `source` says this, as those of a corpus do."""
    weight: NonNegative = 1.0
    """Share of the training sequences, against the weights of the other sources."""
    annealing_weight: NonNegative | None = None
    """Share of the training sequences in the annealing phase; None: as before it."""
    text: str | None = None
    """Column of the text, where it is not found by its name."""


def read_sources(values: Mapping[str, Any], name: str, home: Path, mistakes: list[str]) -> dict[str, SourceConfig]:
    """Sources of a section by name, each a path or settings of its own; paths are relative to `home`.

    Of an unknown key, a source without a path, or a value that does not fit, a sentence is added to the mistakes.
    """
    entries = section(values, name)
    if not isinstance(entries, Mapping):
        mistakes.append(f"{name} takes lines of its own, not {quoted(entries)}; write '{EXAMPLE}'")
        return {}
    named = {}
    for source, entry in entries.items():
        path = entry.get("path") if isinstance(entry, Mapping) else entry
        if isinstance(path, str) and path:
            named[source] = entry
        else:
            line = line_of(entries, source)
            mistakes.append(f"{line}the source {source} names no path; write '{source}: {{path: file.parquet}}'")
    sources = build_each(SourceConfig, named, "the source", mistakes)
    return {source: replace(config, path=placed(config.path, home)) for source, config in sources.items()}


def section(values: Mapping[str, Any], name: str) -> Any:
    """A section of a file: an empty one is none; what is not one is left to the checker."""
    return {} if values.get(name) is None else values[name]


def placed(path: str, home: Path) -> str:
    """Relative to the file that names it, if there is such a thing; else as it is: a hub id looks like a path."""
    return str(home / path) if "*" in path or exists(home / path) else path
