"""A corpus file as data (sources, stages, the mix that is wanted), where its jobs run, and what an audit looks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

from tokenworth.settings import AsName, Bounds, Called, Count, FolderName, OneOf, Positive, Seed, Settings, Share
from tokenworth.settings.declarations import OptionName

KINDS = ("text", "jsonl", "csv", "parquet", "html", "warc", "code", "latex", "docstrings", "hub")
"""What a source can be."""
PARTS = ("file", "paragraphs", "lines")
"""What a document of a text file can be."""
_Part = Annotated[float, Bounds(above=0, most=1)]
_Inner = Annotated[float, Bounds(above=0, below=1)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """Documents that are counted, mixed and reported under one name."""

    name: str
    """Stands before every document's id."""
    path: str = ""
    """A file, a folder (searched with all below it) or a pattern with *; packages, or an id of the hub."""
    kind: Annotated[str, OneOf(KINDS)] | None = None
    """What it is; by default what the files' endings say."""
    text: tuple[str, ...] = ("text",)
    """Columns or fields that hold the text; several are joined by empty lines, as a question and its answer."""
    documents: Annotated[str, OneOf(PARTS)] = "file"
    """What a document of a .txt file is."""
    weight: _Part | None = None
    """Share of the output's bytes, in (0, 1]; all sources have one, or none has."""
    annealing_weight: Share | None = None
    """The same in the last part of a pretraining run's tokens; all sources have one, or none has."""
    repeats: Positive = 1.0
    """How often a document may stand in the output at most."""
    synthetic: bool = False
    """Whether a model wrote it."""
    skip: tuple[str, ...] = ()
    """Stages its documents do not go through."""

    @property
    def has_files(self) -> bool:
        """Whether its path is one of files, and not a name."""
        return self.kind not in ("docstrings", "hub")

    def placed(self, home: Path) -> Source:
        """With its path as seen from a folder."""
        return replace(self, path=str(home / self.path)) if self.has_files else self


@dataclass(frozen=True, kw_only=True, slots=True)
class Mix:
    """What is written in the end."""

    total_mb: Positive | None = None
    """Megabytes of text; by default as much as weights and repeats allow."""
    shard_mb: Positive = 64.0
    """Megabytes of text in an output file, held in memory when it is shuffled."""
    max_synthetic: Share | None = None
    """Largest share of the output's bytes that models may have written."""
    least_variety: _Part | None = None
    """Variety of a synthetic source, as a share of that of real text, below which less of it is used."""
    annealing_share: _Inner = 0.1
    """Last part of a pretraining run's tokens that follows the sources' `annealing_weight`, where they have one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pack:
    """Token shards to make of the output, ready for pretraining."""

    tokenizer: Annotated[dict[str, Any] | str, Called("a folder or settings such as 'kind: bpe'")] = field(
        default_factory=dict
    )
    """Folder of one, or the settings (kind, vocabulary, ...) of one to train on the output."""
    held_out_share: _Inner = 0.01
    """Share of every source's documents that nothing is to be learnt from."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Corpus:
    """All that a corpus file says."""

    name: Annotated[str, AsName(), FolderName()]
    """Stands on pages and in corpus.json; by default the file's own."""
    sources: tuple[Source, ...]
    """Where documents come from, by name; a path alone does for a source without settings."""
    stages: tuple[Any, ...]
    """What documents go through, in this order: names, or names with settings; by default all that need none."""
    mix: Mix = field(default_factory=Mix)
    """How much is written, and of what."""
    pack: Pack | None = None
    """Also make token shards; by default text alone is written."""
    seed: Seed = 0
    """Of the choice of documents and of their order."""
    shard_documents: Count = 2000
    """Most documents of a shard on the way."""
    shard_mb: Positive = 16.0
    """Megabytes after which a shard is closed; several times as much is in memory for each worker."""
    max_document_mb: Positive = 4.0
    """Longer texts are cut into documents of this size at white space; longer lines of JSON are refused."""
    keep_dropped: bool = False
    """Whether dropped documents are written to files of their own, with the reason."""


@dataclass(frozen=True, kw_only=True)
class EngineChoice(Settings):
    """Where jobs run."""

    workers: Count = 1
    """Processes at a time."""
    engine: str = "local"
    """local, or ray."""
    address: str | None = None
    """Of a running Ray cluster; by default one is started here."""


@dataclass(frozen=True, kw_only=True)
class AuditCall(Settings):
    """What `audited` takes."""

    path: str | Path = field(kw_only=False)
    """Corpus file (.yaml, whose tasks are looked for, too), or a file or folder of documents."""
    text: Sequence[str] = ()
    """Column of the text, where documents are rows; several times to join some."""
    tasks: Annotated[Sequence[str], OptionName("task")] = ()
    """Task whose texts to look for, as `load_task` takes them; several times."""
    n: Count = 13
    """Words of a run that is looked for."""
