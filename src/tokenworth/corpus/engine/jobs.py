"""What one worker does: read a part into shards, take a shard through stages, observe it, apply a decision.

Every function does nothing where its result is there, so a job that is begun again goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from tokenworth.corpus.corpus_settings import Corpus
from tokenworth.corpus.document import Amount, Document, Ledger
from tokenworth.corpus.engine.shard_store import WORK, Shard, read_array, read_json, write_arrays, write_json
from tokenworth.corpus.engine.stage import CorpusStage, ShardStage
from tokenworth.corpus.readers.refusals import Refused
from tokenworth.corpus.readers.sources import Item, Part, read_part


def _ledger(keep_dropped: bool) -> Ledger:
    return Ledger(aside=[] if keep_dropped else None)


def _finish(shard: Shard, before: Sequence[Document], after: Sequence[Document], ledger: Ledger) -> None:
    ledger.taken, ledger.given = Amount.of(before), Amount.of(after)
    shard.write(after, ledger)


def read(part: Part, root: Path, corpus: Corpus) -> int:
    """Shards of a part; goes on behind the last one that is finished.  Returns how many there are."""
    done = root / part.key / "part.json"
    WORK.once(done, lambda _folder: _read_shards(part, Shard(root, part.key, 0), corpus, done))
    return int(read_json(done)["shards"])


def _read_shards(part: Part, shard: Shard, corpus: Corpus, done: Path) -> None:
    begin = place = [0, 0]  # file and item, of the last one in a finished shard
    while shard.is_finished:
        begin = read_json(shard.ledger_path)["place"]
        shard = replace(shard, number=shard.number + 1)
    items: list[Item] = []
    size = 0
    max_bytes = int(corpus.max_document_mb * 1e6)
    for *place, item in read_part(part, max_bytes=max_bytes, file=begin[0], item=begin[1]):
        items.append(item)
        size += item.size if isinstance(item, Document) else 0
        if len(items) >= corpus.shard_documents or size >= int(corpus.shard_mb * 1e6):
            _write_items(shard, items, place, corpus.keep_dropped)
            shard, items, size = replace(shard, number=shard.number + 1), [], 0
    if items:
        _write_items(shard, items, place, corpus.keep_dropped)
    shards = shard.number + bool(items)
    write_json(done, {"shards": shards, "source": part.source.name, "files": part.files})


def _write_items(shard: Shard, items: Sequence[Item], place: Sequence[int], keep_dropped: bool) -> None:
    ledger = _ledger(keep_dropped)
    refusals = [item for item in items if isinstance(item, Refused)]
    for refusal in refusals:
        ledger.drop(refusal.document, refusal.reason)
        ledger.notes.append(refusal.sentence)
    documents = [item for item in items if isinstance(item, Document)]
    ledger.taken = Amount.of([*documents, *(refusal.document for refusal in refusals)])
    ledger.given = Amount.of(documents)
    shard.write(documents, ledger, place)


def chain(before: Shard, steps: Sequence[tuple[ShardStage, str]], keep_dropped: bool) -> None:
    """Take a shard through stages, each with the key its result lies under; documents stay in memory between them."""
    documents = None
    for stage, key in steps:
        shard = replace(before, key=key)
        if shard.is_finished:
            documents = None
        else:
            taken = before.read() if documents is None else documents
            ledger = _ledger(keep_dropped)
            documents = stage(taken, ledger)
            _finish(shard, taken, documents, ledger)
        before = shard


def observe(shard: Shard, path: Path, stage: CorpusStage) -> None:
    """Keep what the stage decides by, one folder of arrays a shard."""

    def look(_folder: Path) -> None:
        documents = shard.read()
        write_arrays(path, {**stage.observe(documents), "count": np.array([len(documents)])})

    WORK.once(path, look)


def apply(shard: Shard, key: str, decision: Path, reason: str, keep_dropped: bool) -> None:
    """The shard under another key, without the documents that a stage of the corpus decided against.

    Args:
        shard: before the stage.
        key: of the shard behind it.
        decision: folder with `keep`, a truth value for each document of the shard.
        reason: under which the ledger lists what is dropped.
        keep_dropped: whether the ledger keeps the documents themselves.
    """
    after = replace(shard, key=key)

    def drop(_folder: Path) -> None:
        documents, keep = shard.read(), read_array(decision, "keep")
        ledger = _ledger(keep_dropped)
        for document, stays in zip(documents, keep, strict=True):
            if not stays:
                ledger.drop(document, reason)
        _finish(after, documents, [document for document, stays in zip(documents, keep, strict=True) if stays], ledger)

    WORK.once(after.ledger_path, drop)
