"""The documents of a build on their way: read into shards, and taken through the stages."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import TypeVar

import numpy as np

from tokenworth.base.aliases import Progress
from tokenworth.base.cell_store import content_key
from tokenworth.corpus.corpus_settings import Corpus
from tokenworth.corpus.deduplication.near_duplicates import ClusterSizes, cluster_sizes
from tokenworth.corpus.document import Ledger
from tokenworth.corpus.engine.engines import Engine, Job
from tokenworth.corpus.engine.jobs import apply, chain, observe, read
from tokenworth.corpus.engine.shard_store import WORK, Shard, read_array, read_json, write_arrays, write_json
from tokenworth.corpus.engine.stage import CorpusStage, Preparation, ShardStage, Stage
from tokenworth.corpus.readers.sources import Part, parts_of

R = TypeVar("R")
_log = logging.getLogger("tokenworth")


@dataclass(slots=True)
class PartProgress:
    """How far a part of a source has come."""

    part: Part
    root: Path
    count: int = 0
    """Shards that reading it gave."""
    keys: dict[str, str] = field(default_factory=dict)
    """By stage that it went through, the key its shards lie under behind it."""

    @property
    def source(self) -> str:
        """Name of its source."""
        return self.part.source.name

    @property
    def key(self) -> str:
        """Of its shards as they are now."""
        return [*self.keys.values()][-1]

    def takes(self, stage: Stage) -> bool:
        """Whether it goes through a stage."""
        return stage.name not in self.part.source.skip

    def shards(self, stage: str | None = None) -> list[Shard]:
        """Its shards as they are now, or behind a stage."""
        key = self.keys[stage] if stage else self.key
        return [Shard(self.root, key, number) for number in range(self.count)]


@dataclass(slots=True)
class Flow:
    """Where the documents of a build are."""

    corpus: Corpus
    root: Path
    parts: list[PartProgress]
    engine: Engine
    progress: Progress
    stages: list[str] = field(default_factory=list)
    """Names of those that are behind all documents, reading among them."""
    clusters: dict[str, ClusterSizes] = field(default_factory=dict)
    """Of duplicates, by stage."""
    notes: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, corpus: Corpus, root: Path, engine: Engine, progress: Progress | None) -> Flow:
        """Before anything is read.  SettingError: a source has no file."""
        parts = [PartProgress(part, root) for source in corpus.sources for part in parts_of(corpus, source)]
        return cls(corpus, root, parts, engine, progress or (lambda *_: None))

    @property
    def keys(self) -> list[str]:
        """Of every part as it is now."""
        return [part.key for part in self.parts]

    def shards(self) -> list[Shard]:
        """Of all parts, as they are now."""
        return [shard for part in self.parts for shard in part.shards()]

    def run(self, what: str, function: Callable[..., R], jobs: Sequence[Job]) -> list[R]:
        """The results of all jobs, each the arguments of a call, with progress."""
        results = []
        for done, result in enumerate(self.engine.map(function, jobs), 1):
            results.append(result)
            self.progress(what, done, len(jobs))
        return results


def ledgers(flow: Flow) -> list[tuple[str, dict[str, Ledger]]]:
    """For each stage so far, what it did to each source."""
    history: list[tuple[str, dict[str, Ledger]]] = []
    for stage in flow.stages:
        by_source: dict[str, Ledger] = {}
        for part in flow.parts:
            if stage in part.keys:
                total = by_source.setdefault(part.source, Ledger())
                for shard in part.shards(stage):
                    total.add(shard.ledger())
        history.append((stage, by_source))
    return history


def read_sources(flow: Flow) -> None:
    """Documents of all sources as shards."""
    counts = flow.run("read", read, [(part.part, flow.root, flow.corpus) for part in flow.parts])
    for part, count in zip(flow.parts, counts, strict=True):
        part.count, part.keys = count, {"read": part.part.key}
    flow.stages.append("read")
    for source in flow.corpus.sources:
        if not any(part.count for part in flow.parts if part.source == source.name):
            flow.notes.append(f"source {source.name}: {source.path} holds no document")
            _log.warning(flow.notes[-1])


def prepared_stages(corpus: Corpus, root: Path, notes: list[str]) -> list[Stage]:
    """All stages of a corpus, each prepared with those that its sources go through before; raises as `prepare` does."""
    ready: list[Stage] = []
    for stage in corpus.stages:
        ways = {
            tuple(before for before in ready if before.name not in source.skip and before.changes_texts): None
            for source in corpus.sources
            if stage.name not in source.skip
        }
        ready.append(stage.prepare(Preparation(root, notes, [way for way in ways if way])))
    return ready


def run_stages(flow: Flow, stages: Sequence[Stage]) -> None:
    """Prepared stages, in order; those of one shard that follow each other run together."""
    for of_corpus, group in groupby(stages, key=lambda stage: isinstance(stage, CorpusStage)):
        if of_corpus:
            for stage in group:
                _run_corpus_stage(flow, stage)  # type: ignore[arg-type]  # grouped by it
        else:
            _run_shard_stages(flow, list(group))  # type: ignore[arg-type]


def _run_shard_stages(flow: Flow, stages: Sequence[ShardStage]) -> None:
    """Stages that need no other shard, one after the other with the documents in memory."""
    jobs: list[tuple[Shard, Sequence[tuple[ShardStage, str]], bool]] = []
    for part in flow.parts:
        shards, steps = part.shards(), []
        for stage in stages:
            if part.takes(stage):
                part.keys[stage.name] = content_key([stage.facts(), flow.corpus.keep_dropped, part.key])
                steps.append((stage, part.key))
        jobs += [(shard, tuple(steps), flow.corpus.keep_dropped) for shard in shards if steps]
    flow.stages += [stage.name for stage in stages]
    flow.run(", ".join(stage.name for stage in stages), chain, jobs)


def observe_shards(flow: Flow, stage: CorpusStage, shards: Sequence[Shard]) -> list[Path]:
    """What a stage remembers of shards: a folder of arrays for each, beside them."""
    facts = stage.facts_seen()
    seen = [shard.root / content_key(["seen", facts, shard.key]) / f"{shard.number:05d}.seen" for shard in shards]
    flow.run(f"{stage.name}: look", observe, [(*job, stage) for job in zip(shards, seen, strict=True)])
    return seen


def _run_corpus_stage(flow: Flow, stage: CorpusStage) -> None:
    """Observe every shard, decide, drop."""
    keep_dropped = flow.corpus.keep_dropped
    members = [part for part in flow.parts if part.takes(stage)]
    shards = [shard for part in members for shard in part.shards()]
    seen = observe_shards(flow, stage, shards)
    decision = flow.root / f"decision-{content_key([stage.facts(), [part.key for part in members]])}"
    WORK.once(decision / "done.json", lambda folder: _decide(stage, seen, folder))
    flow.clusters[stage.name] = read_json(decision / "done.json")
    after = {part.key: content_key([decision.name, keep_dropped, part.key]) for part in members}
    applied = [
        (shard, after[shard.key], decision / f"{number:06d}", f"{stage.name} duplicate", keep_dropped)
        for number, shard in enumerate(shards)
    ]
    flow.run(f"{stage.name}: drop", apply, applied)
    for part in members:
        part.keys[stage.name] = after[part.key]
    flow.stages.append(stage.name)


def _decide(stage: CorpusStage, seen: Sequence[Path], decision: Path) -> None:
    """A folder a shard that says which of its documents stay: the first of each cluster."""
    cluster = stage.decide(seen)
    keep = cluster == np.arange(len(cluster))
    begin = 0
    for number, path in enumerate(seen):
        end = begin + int(read_array(path, "count")[0])
        write_arrays(decision / f"{number:06d}", {"keep": keep[begin:end]})
        begin = end
    write_json(decision / "done.json", cluster_sizes(cluster))
