"""A corpus file as data: sources, stages, and the mix that is wanted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

KINDS = ("text", "jsonl", "csv", "parquet", "html", "warc", "code", "latex", "docstrings", "hub")
"""What a source can be."""
PARTS = ("file", "paragraphs", "lines")
"""What a document of a text file can be."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """Documents that are counted, mixed and reported under one name."""

    name: str
    path: str = ""
    """A file, a folder (searched with all below it) or a pattern with *; packages, or an id of the hub."""
    kind: str | None = None
    """One of KINDS; None goes by the files' endings."""
    text: tuple[str, ...] = ("text",)
    """Columns or fields that hold the text; several are joined by empty lines, as a question and its answer."""
    documents: str = "file"
    """What a document of a .txt file is, one of PARTS."""
    weight: float | None = None
    """Share of the output's bytes, in (0, 1]; all sources have one, or none has."""
    annealing_weight: float | None = None
    """The same in the last part of a pretraining run's tokens; all sources have one, or none has."""
    repeats: float = 1.0
    """How often a document may stand in the output at most."""
    synthetic: bool = False
    """Whether a model wrote it."""
    skip: tuple[str, ...] = ()
    """Stages its documents do not go through."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Mix:
    """What is written in the end."""

    total_mb: float | None = None
    """Megabytes of text; None writes as much as weights and repeats allow."""
    shard_mb: float = 64.0
    """Megabytes of text in an output file, held in memory when it is shuffled."""
    max_synthetic: float | None = None
    """Largest share of the output's bytes that models may have written."""
    least_variety: float | None = None
    """Variety of a synthetic source, as a share of that of real text, below which less of it is used."""
    annealing_share: float = 0.1
    """Last part of a pretraining run's tokens that follows the sources' `annealing_weight`, where they have one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pack:
    """Token shards to make of the output, ready for pretraining."""

    tokenizer: dict[str, Any] | str = field(default_factory=dict)
    """Folder of one, or the settings (kind, vocabulary, ...) of one to train on the output."""
    held_out_share: float = 0.01
    """Share of every source's documents that nothing is to be learnt from."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Corpus:
    """All that a corpus file says."""

    name: str
    sources: tuple[Source, ...]
    stages: tuple[Any, ...]
    mix: Mix = field(default_factory=Mix)
    pack: Pack | None = None
    seed: int = 0
    shard_documents: int = 2000
    """Most documents of a shard on the way."""
    shard_mb: float = 16.0
    """Megabytes after which a shard is closed; several times as much is in memory for each worker."""
    max_document_mb: float = 4.0
    """Longer texts are cut into documents of this size at white space; longer lines of JSON are refused."""
    keep_dropped: bool = False
    """Whether dropped documents are written to files of their own, with the reason."""
