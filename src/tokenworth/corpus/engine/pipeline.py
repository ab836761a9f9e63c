"""Reading the sources, and taking their shards through the stages."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import numpy as np

from tokenworth.base.cell_store import content_key
from tokenworth.corpus.corpus_settings import Corpus
from tokenworth.corpus.deduplication.cluster_sizes import cluster_sizes
from tokenworth.corpus.engine.flow import Flow
from tokenworth.corpus.engine.jobs import ApplyJob, ChainJob, Limits, ObserveJob, ReadJob, apply, chain, observe, read
from tokenworth.corpus.engine.shard_store import WORK, read_array, read_json, write_arrays, write_json
from tokenworth.corpus.engine.stage import CorpusStage, Preparation, Stage

_log = logging.getLogger("tokenworth")


def read_sources(flow: Flow) -> None:
    """Documents of all sources as shards."""
    corpus = flow.corpus
    limits = Limits(
        corpus.shard_documents, int(corpus.shard_mb * 1e6), int(corpus.max_document_mb * 1e6), corpus.keep_dropped
    )
    flow.shards = flow.run("read", read, [ReadJob(part, flow.root, limits) for part in flow.parts])
    flow.keys = [part.key for part in flow.parts]
    flow.passed("read")
    for source in corpus.sources:
        if not any(count for count, part in zip(flow.shards, flow.parts, strict=True) if part.source == source):
            flow.notes.append(f"source {source.name}: {source.path} holds no document")
            _log.warning(flow.notes[-1])


def run_stages(flow: Flow, stages: Sequence[Stage]) -> None:
    """Prepared stages, in order; those of one shard that follow each other run together."""
    for whole_corpus, group in groupby(stages, key=lambda stage: isinstance(stage, CorpusStage)):
        if not whole_corpus:
            _shard_stages(flow, list(group))
            continue
        for stage in group:
            assert isinstance(stage, CorpusStage), "grouped by it"
            _corpus_stage(flow, stage)


def prepared_stages(corpus: Corpus, root: Path, notes: list[str]) -> list[Stage]:
    """All stages of a corpus, each prepared with those that its sources go through before.

    Raises:
        TaskError, BackboneError, SettingError: as `Stage.prepare`.
    """
    ready: list[Stage] = []
    for stage in corpus.stages:
        ways = {
            tuple(before for before in ready if before.name not in source.skip and before.changes_texts): None
            for source in corpus.sources
            if stage.name not in source.skip
        }
        ready.append(stage.prepare(Preparation(root, notes, [way for way in ways if way])))
    return ready


def _shard_stages(flow: Flow, stages: Sequence[Stage]) -> None:
    """Stages that need no other shard, one after the other with the documents in memory."""
    steps: list[list[tuple[Stage, str]]] = [[] for _ in flow.parts]
    start = list(flow.keys)
    for stage in stages:
        for i in flow.members(stage):
            flow.keys[i] = content_key([stage.facts(), flow.corpus.keep_dropped, flow.keys[i]])
            steps[i].append((stage, flow.keys[i]))
        flow.passed(stage.name)
    jobs = [
        ChainJob(shard, tuple(taken), flow.corpus.keep_dropped)
        for i, taken in enumerate(steps)
        if taken
        for shard in flow.shards_of(i, start[i])
    ]
    flow.run(", ".join(stage.name for stage in stages), chain, jobs)


def _corpus_stage(flow: Flow, stage: CorpusStage) -> None:
    """Observe every shard, decide, drop."""
    members = flow.members(stage)
    jobs = [
        ObserveJob(
            shard, stage, flow.root / content_key(["seen", stage.facts_seen(), shard.key]) / f"{shard.number:05d}.seen"
        )
        for i in members
        for shard in flow.shards_of(i)
    ]
    flow.run(f"{stage.name}: look", observe, jobs)
    decision = flow.root / f"decision-{content_key([stage.facts(), [flow.keys[i] for i in members]])}"
    WORK.once(decision / "done.json", lambda folder: _decide(stage, jobs, folder))
    flow.clusters[stage.name] = read_json(decision / "done.json")
    after = {i: content_key([decision.name, flow.corpus.keep_dropped, flow.keys[i]]) for i in members}
    owners = [i for i in members for _ in range(flow.shards[i])]
    applied = [
        ApplyJob(job.shard, after[i], decision / f"{number:06d}", f"{stage.name} duplicate", flow.corpus.keep_dropped)
        for number, (i, job) in enumerate(zip(owners, jobs, strict=True))
    ]
    flow.run(f"{stage.name}: drop", apply, applied)
    for i in members:
        flow.keys[i] = after[i]
    flow.passed(stage.name)


def _decide(stage: CorpusStage, jobs: Sequence[ObserveJob], decision: Path) -> None:
    """A folder a shard that says which of its documents stay: the first of each cluster."""
    cluster = stage.decide([job.path for job in jobs])
    keep = cluster == np.arange(len(cluster))
    begin = 0
    for number, job in enumerate(jobs):
        count = int(read_array(job.path, "count")[0])
        write_arrays(decision / f"{number:06d}", {"keep": keep[begin : begin + count]})
        begin += count
    write_json(decision / "done.json", cluster_sizes(cluster))
