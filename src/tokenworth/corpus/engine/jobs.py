"""What one worker does: read a part into shards, take a shard through stages, observe it, apply a decision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tokenworth.corpus.document import Amount, Document, Ledger
from tokenworth.corpus.engine.shard_store import WORK, Shard, read_array, read_json, write_arrays, write_json
from tokenworth.corpus.readers.refusals import Refused
from tokenworth.corpus.readers.sources import Item, Part, read_part


@dataclass(frozen=True, slots=True)
class Limits:
    """Of a shard and of a document."""

    documents: int
    bytes: int
    document_bytes: int
    keep_dropped: bool


class _Keeping(Ledger):
    """A ledger that also holds the dropped documents themselves."""

    __slots__ = ("rows",)

    def drop(self, document: Document, reason: str) -> None:
        if not hasattr(self, "rows"):
            self.rows: list[tuple[Document, str]] = []
        self.rows.append((document, reason))
        Ledger.drop(self, document, reason)


def _ledger(keep: bool) -> Ledger:
    return _Keeping() if keep else Ledger()


def _finish(shard: Shard, documents: Sequence[Document], ledger: Ledger, extra: dict[str, Any] | None = None) -> None:
    if rows := getattr(ledger, "rows", None):
        shard.write_dropped(rows)
    shard.write(documents, ledger, extra)


@dataclass(frozen=True, slots=True)
class ReadJob:
    """Read a part."""

    part: Part
    root: Path
    limits: Limits


def read(job: ReadJob) -> int:
    """Shards of a part; goes on behind the last one that is finished.  Returns how many there are."""
    done = job.root / job.part.key / "part.json"
    WORK.once(done, lambda _folder: _read_shards(job, done))
    return int(read_json(done)["shards"])


def _read_shards(job: ReadJob, done: Path) -> None:
    number, file, item = _finished(job)
    gathered: list[Item] = []
    size = 0
    items = read_part(job.part, max_bytes=job.limits.document_bytes, file=file, item=item)
    for file, item, one in items:
        gathered.append(one)
        size += one.size if isinstance(one, Document) else 0
        if len(gathered) >= job.limits.documents or size >= job.limits.bytes:
            _write(job, number, gathered, [file, item])
            number, gathered, size = number + 1, [], 0
    if gathered:
        _write(job, number, gathered, [file, item])
        number += 1
    write_json(done, {"shards": number, "source": job.part.source.name, "files": job.part.files})


def _finished(job: ReadJob) -> tuple[int, int, int]:
    """How many shards are finished, and the file and item that the last one ended with."""
    number, place = 0, (0, 0)
    while (shard := Shard(job.root, job.part.key, number)).is_finished:
        file, item = read_json(shard.ledger_path)["place"]
        number, place = number + 1, (file, item)
    return number, *place


def _write(job: ReadJob, number: int, items: Sequence[Item], place: list[int]) -> None:
    ledger = _ledger(job.limits.keep_dropped)
    for one in items:
        if isinstance(one, Refused):
            ledger.drop(one.document, one.reason)
            ledger.notes.append(one.sentence)
    documents = [one for one in items if isinstance(one, Document)]
    refused = [one.document for one in items if isinstance(one, Refused)]
    ledger.taken, ledger.given = Amount.of([*documents, *refused]), Amount.of(documents)
    _finish(Shard(job.root, job.part.key, number), documents, ledger, {"place": place})


@dataclass(frozen=True, slots=True)
class ChainJob:
    """Take a shard through stages; each one's key says where its result lies."""

    shard: Shard
    steps: tuple[tuple[Any, str], ...]
    keep_dropped: bool


def chain(job: ChainJob) -> None:
    """Every stage whose result is not there yet; with the documents in memory from one to the next."""
    before, documents = job.shard, None
    for stage, key in job.steps:
        shard = before.at(key)
        if not shard.is_finished:
            documents = before.read() if documents is None else documents
            ledger = _ledger(job.keep_dropped)
            taken = Amount.of(documents)
            documents = stage(documents, ledger)
            ledger.taken, ledger.given = taken, Amount.of(documents)
            _finish(shard, documents, ledger)
        else:
            documents = None
        before = shard


@dataclass(frozen=True, slots=True)
class ObserveJob:
    """What a corpus stage remembers of a shard, in a folder of arrays."""

    shard: Shard
    stage: Any
    path: Path


def observe(job: ObserveJob) -> None:
    """Keep what the stage decides by, one folder of arrays a shard."""

    def look(_folder: Path) -> None:
        documents = job.shard.read()
        write_arrays(job.path, {**job.stage.observe(documents), "count": np.array([len(documents)])})

    WORK.once(job.path, look)


@dataclass(frozen=True, slots=True)
class ApplyJob:
    """Drop the documents of a shard that a corpus stage decided against."""

    shard: Shard
    key: str
    decision: Path
    """Folder with `keep`, a truth value for each document of the shard."""
    reason: str
    keep_dropped: bool


def apply(job: ApplyJob) -> None:
    """The shard behind a stage of the corpus, without the documents that the stage decided against."""
    after = job.shard.at(job.key)
    WORK.once(after.ledger_path, lambda _folder: _drop(job, after))


def _drop(job: ApplyJob, after: Shard) -> None:
    documents, keep = job.shard.read(), read_array(job.decision, "keep")
    ledger = _ledger(job.keep_dropped)
    kept = []
    for document, stays in zip(documents, keep, strict=True):
        if stays:
            kept.append(document)
        else:
            ledger.drop(document, job.reason)
    ledger.taken, ledger.given = Amount.of(documents), Amount.of(kept)
    _finish(after, kept, ledger)
