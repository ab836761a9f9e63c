"""Reading the sources, and taking their shards through the stages."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from tokenworth.base.cell_store import content_key
from tokenworth.corpus.corpus_settings import Corpus
from tokenworth.corpus.deduplication.duplicate_stages import Semantic
from tokenworth.corpus.deduplication.survivors import cluster_sizes, decide
from tokenworth.corpus.engine.flow import Flow
from tokenworth.corpus.engine.jobs import ApplyJob, ChainJob, Limits, ObserveJob, ReadJob, apply, chain, observe, read
from tokenworth.corpus.engine.shard_store import WORK, read_array, read_json, write_arrays, write_json
from tokenworth.corpus.engine.stage import facts_of, is_corpus_stage
from tokenworth.corpus.filters.decontamination import Decontaminate
from tokenworth.corpus.filters.document_stages import Redact
from tokenworth.corpus.filters.perplexity_filter import Perplexity
from tokenworth.corpus.model_features import fingerprint_of
from tokenworth.corpus.personal_data.entity_names import recogniser_version

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


def run_stages(flow: Flow, stages: Sequence[Any]) -> None:
    """Stages that are `prepared`, in order; those of one shard that follow each other run together."""
    for whole_corpus, group in groupby(stages, key=is_corpus_stage):
        if not whole_corpus:
            _shard_stages(flow, list(group))
            continue
        for stage in group:
            _corpus_stage(flow, stage)


def prepared_stages(corpus: Corpus, root: Path, notes: list[str]) -> list[Any]:
    """All stages of a corpus as `prepared` makes them, each with those that its sources go through before.

    Raises:
        TaskError, BackboneError, SettingError: as `prepared`.
    """
    ready: list[Any] = []
    for stage in corpus.stages:
        ways = {
            tuple(before for before in ready if before.name not in source.skip and hasattr(before, "form_of")): None
            for source in corpus.sources
            if stage.name not in source.skip
        }
        ready.append(prepared(stage, root, notes, [way for way in ways if way]))
    return ready


def prepared(stage: Any, root: Path, notes: list[str], ways: Sequence[Sequence[Any]] = ()) -> Any:
    """A stage that can be run: it knows its tasks' texts, or the contents of its model.

    Args:
        stage: as the corpus file says it.
        root: the work folder.
        notes: sentences are added to.
        ways: stages that change texts and that documents went through before, by source where these differ.

    Raises:
        TaskError: a task cannot be loaded.
        BackboneError: a model cannot be found.
        SettingError: names are to be found and no recogniser is installed.
    """
    if isinstance(stage, Decontaminate):
        return _with_index(stage, root, notes, ways)
    if isinstance(stage, (Semantic, Perplexity)):
        return replace(stage, fingerprint=fingerprint_of(stage.model))
    if isinstance(stage, Redact) and stage.names:
        return replace(stage, fingerprint=recogniser_version(stage.recogniser))
    return stage


def _with_index(stage: Decontaminate, root: Path, notes: list[str], ways: Sequence[Sequence[Any]]) -> Decontaminate:
    """A stage that knows where the runs of its tasks' texts lie."""
    from tokenworth.corpus.filters.contamination import index_of
    from tokenworth.corpus.filters.task_index import save_index
    from tokenworth.tasks import load_task

    tasks = [load_task(name) for name in stage.tasks]
    notes += [
        f"task {task.name} has no test part of its own: its test texts are those that seed {task.seed} holds out; "
        "write 'splits: [test, train]' to keep all of its texts out of the corpus"
        for task in tasks
        if task.test_is_drawn and "train" not in stage.splits
    ]
    before = [[facts_of(one) for one in way] for way in ways]
    key = content_key(
        ["index", 2, stage.n, [task.fingerprint for task in tasks], [task.name for task in tasks], before]
    )
    path = root / f"index-{key}"
    forms = [partial(_after, way) for way in ways]
    WORK.once(path / "owner.json", lambda folder: save_index(folder, index_of(tasks, stage.n, forms=forms)))
    if short := read_array(path, "total")[read_array(path, "total") == 0].size:
        notes.append(f"decontaminate: {short:,} task texts of fewer than 6 words are too short to be looked for")
    return replace(stage, index=str(path))


def _after(way: Sequence[Any], text: str) -> str:
    """A text after some stages."""
    for stage in way:
        text = stage.form_of(text)
    return text


def _shard_stages(flow: Flow, stages: Sequence[Any]) -> None:
    """Stages that need no other shard, one after the other with the documents in memory."""
    steps: list[list[tuple[Any, str]]] = [[] for _ in flow.parts]
    start = list(flow.keys)
    for stage in stages:
        for i in flow.members(stage):
            flow.keys[i] = content_key([facts_of(stage), flow.corpus.keep_dropped, flow.keys[i]])
            steps[i].append((stage, flow.keys[i]))
        flow.passed(stage.name)
    jobs = [
        ChainJob(shard, tuple(own), flow.corpus.keep_dropped)
        for i, own in enumerate(steps)
        if own
        for shard in flow.shards_of(i, start[i])
    ]
    flow.run(", ".join(stage.name for stage in stages), chain, jobs)


def _corpus_stage(flow: Flow, stage: Any) -> None:
    """Observe every shard, decide, drop."""
    members = flow.members(stage)
    facts, seen_by = facts_of(stage), facts_of(stage, stage.seen_by)
    jobs = [
        ObserveJob(shard, stage, flow.root / content_key(["seen", seen_by, shard.key]) / f"{shard.number:05d}.seen")
        for i in members
        for shard in flow.shards_of(i)
    ]
    flow.run(f"{stage.name}: look", observe, jobs)
    decision = flow.root / f"decision-{content_key([facts, [flow.keys[i] for i in members]])}"
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


def _decide(stage: Any, jobs: Sequence[ObserveJob], decision: Path) -> None:
    """A folder a shard that says which of its documents stay: the first of each cluster."""
    cluster = decide(stage, [job.path for job in jobs])
    keep = cluster == np.arange(len(cluster))
    begin = 0
    for number, job in enumerate(jobs):
        count = int(read_array(job.path, "count")[0])
        write_arrays(decision / f"{number:06d}", {"keep": keep[begin : begin + count]})
        begin += count
    write_json(decision / "done.json", cluster_sizes(cluster))
