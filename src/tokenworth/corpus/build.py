"""From a corpus file to shuffled files of text, stage by stage and shard by shard.

Every shard of every stage lies in the work folder under a key of all it depends on.  Whatever is killed goes on where
it was, and a changed setting makes anew what depends on it and nothing else.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from tokenworth.corpus.config import Corpus
from tokenworth.corpus.deciding import cluster_sizes, decide
from tokenworth.corpus.document import Ledger
from tokenworth.corpus.engines import Engine, Local
from tokenworth.corpus.mix import copies, places, shares
from tokenworth.corpus.sources import Part, digest, parts_of
from tokenworth.corpus.stages import Decontaminate, facts_of, is_corpus_stage
from tokenworth.corpus.store import Shard, read_array, read_json, write_arrays, write_json
from tokenworth.corpus.work import (
    ApplyJob,
    ChainJob,
    Limits,
    ObserveJob,
    ReadJob,
    apply,
    chain,
    observe,
    read,
)
from tokenworth.corpus.writing import CollectJob, MeasureJob, ScatterJob, added, collect, measure, scatter
from tokenworth.errors import TokenworthError

Progress = Callable[[str, int, int], None]
_log = logging.getLogger("tokenworth")
CORPUS = "corpus.json"


@dataclass(slots=True)
class Flow:
    """Where the documents are: for each part its shards and the key of the last stage they went through."""

    corpus: Corpus
    root: Path
    parts: list[Part]
    engine: Engine
    progress: Progress
    shards: list[int] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    history: list[tuple[str, list[str]]] = field(default_factory=list)
    """Stages so far, each with the keys behind it."""
    clusters: dict[str, dict[str, Any]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def members(self, stage: Any = None) -> list[int]:
        """Parts that go through a stage."""
        return [i for i, part in enumerate(self.parts) if stage is None or stage.name not in part.source.skip]

    def shards_of(self, part: int, key: str | None = None) -> list[Shard]:
        """Shards of a part as they are now, or after the stage with the key."""
        return [Shard(self.root, key or self.keys[part], number) for number in range(self.shards[part])]

    def run(self, what: str, function: Callable[[Any], Any], jobs: Sequence[Any]) -> list[Any]:
        """All jobs, with progress."""
        results = []
        for done, result in enumerate(self.engine.map(function, jobs), 1):
            results.append(result)
            self.progress(what, done, len(jobs))
        return results

    def passed(self, name: str) -> None:
        """A stage is behind all documents."""
        self.history.append((name, list(self.keys)))


def build(corpus: Corpus, out: str | Path, *, engine: Engine | None = None, progress: Progress | None = None) -> Flow:
    """Make what a corpus file says; OUT/text-00000.parquet and so on, and last OUT/corpus.json.

    Args:
        corpus: what `load_corpus` gave.
        out: folder of the result; OUT/work holds what is needed to go on or to begin with other settings.
        engine: where jobs run; None takes this process.
        progress: called as progress(what, done, of how many).

    Returns:
        Where every document went, for `describe`.

    Raises:
        SettingError: a source has no file.
        TaskError: a task cannot be loaded.
        TokenworthError: no room left, or no document left.
    """
    root = Path(out).resolve() / "work"
    parts = [part for source in corpus.sources for part in parts_of(corpus, source)]
    flow = Flow(corpus, root, parts, engine or Local(), progress or (lambda *_: None))
    read_sources(flow)
    for whole_corpus, group in groupby(_prepared(flow), key=is_corpus_stage):
        stages = list(group)
        if whole_corpus:
            for stage in stages:
                _corpus_stage(flow, stage)
        else:
            _shard_stages(flow, stages)
    _write(flow, Path(out).resolve())
    return flow


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


def _prepared(flow: Flow) -> Iterator[Any]:
    """The stages, with what they need made."""
    for stage in flow.corpus.stages:
        yield with_index(stage, flow.root, flow.notes) if isinstance(stage, Decontaminate) else stage


def with_index(stage: Decontaminate, root: Path, notes: list[str]) -> Decontaminate:
    """A stage that knows where the runs of its tasks' texts lie."""
    from tokenworth.corpus.contamination import index_of
    from tokenworth.corpus.looking import save_index, without_test_part
    from tokenworth.tasks import load_task

    tasks = [load_task(name) for name in stage.tasks]
    notes += [
        f"task {task.name} has no test part of its own: its test texts are those that seed {task.seed} holds out; "
        "write 'splits: [test, train]' to keep all of its texts out of the corpus"
        for task in tasks
        if without_test_part(task) and "train" not in stage.splits
    ]
    key = digest(["index", 1, stage.n, [task.fingerprint for task in tasks], [task.name for task in tasks]])
    path = root / f"index-{key}"
    if not (path / "owner.json").is_file():
        save_index(path, index_of(tasks, stage.n))
    if short := read_array(path, "total")[read_array(path, "total") == 0].size:
        notes.append(f"decontaminate: {short:,} task texts of fewer than 6 words are too short to be looked for")
    return replace(stage, index=str(path))


def _stage_facts(stage: Any) -> dict[str, Any]:
    facts = facts_of(stage)
    if "index" in facts:  # by what is in it, not by where it lies
        facts["index"] = Path(facts["index"]).name
    return facts


def _shard_stages(flow: Flow, stages: Sequence[Any]) -> None:
    """Stages that need no other shard, one after the other with the documents in memory."""
    steps: list[list[tuple[Any, str]]] = [[] for _ in flow.parts]
    start = list(flow.keys)
    for stage in stages:
        for i in flow.members(stage):
            flow.keys[i] = digest([_stage_facts(stage), flow.corpus.keep_dropped, flow.keys[i]])
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
    facts = _stage_facts(stage)
    jobs = [
        ObserveJob(shard, stage, flow.root / digest([facts, shard.key]) / f"{shard.number:05d}.seen")
        for i in members
        for shard in flow.shards_of(i)
    ]
    flow.run(f"{stage.name}: look", observe, jobs)
    decision = flow.root / f"decision-{digest([facts, [flow.keys[i] for i in members]])}"
    if not (decision / "done.json").is_file():
        _decide(stage, jobs, decision)
    flow.clusters[stage.name] = read_json(decision / "done.json")
    after = {i: digest([decision.name, flow.corpus.keep_dropped, flow.keys[i]]) for i in members}
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


def _write(flow: Flow, out: Path) -> None:
    """Choose, shuffle and write the documents; corpus.json last."""
    shards = [(i, shard) for i in flow.members() for shard in flow.shards_of(i)]
    jobs = [MeasureJob(shard, shard.path.with_suffix(".sizes")) for _, shard in shards]
    sizes = flow.run("measure", measure, jobs)
    chosen, facts = _chosen(flow, [flow.parts[i].source.name for i, _ in shards], sizes)
    key = digest(["write", asdict(flow.corpus.mix), flow.corpus.seed, facts, flow.keys])
    total = sum(int((size * taken).sum()) for size, taken in zip(sizes, chosen, strict=True))
    if total == 0:
        raise TokenworthError(f"no document is left to write: {_losses(flow)}")
    files = max(1, round(total / (flow.corpus.mix.shard_mb * 1e6)))
    _make_way(flow.root, out, key)
    scattered = _scatter(flow, [shard for _, shard in shards], chosen, files, key)
    collecting = [
        CollectJob(scattered, number, flow.corpus.seed, out / f"text-{number:05d}.parquet") for number in range(files)
    ]
    counts = added(flow.run("write", collect, collecting))
    write_json(out / CORPUS, {"name": flow.corpus.name, "key": key, "files": files, **facts, **counts})


def _make_way(root: Path, out: Path, key: str) -> None:
    """Remove the files of any other output, finished or not; from then on the folder holds no whole corpus."""
    begun = root / "written.json"
    if begun.is_file() and read_json(begun) == key:
        return
    (out / CORPUS).unlink(missing_ok=True)
    for old in out.glob("text-*.parquet"):
        old.unlink()
    write_json(begun, key)


def _losses(flow: Flow) -> str:
    """What each stage dropped, in words."""
    lost = {name: sum(a.documents for one in own.values() for a in one.dropped.values()) for name, own in ledgers(flow)}
    return ", ".join(f"{name} dropped {number:,}" for name, number in lost.items() if number) or "none was read"


def _chosen(flow: Flow, source_of: list[str], sizes: list[np.ndarray]) -> tuple[list[np.ndarray], dict[str, Any]]:
    """How often every document of every shard is taken, and the mix that comes of it."""
    corpus = flow.corpus
    names = [source.name for source in corpus.sources]
    rows = {name: [i for i, own in enumerate(source_of) if own == name] for name in names}
    every = {name: np.concatenate([np.zeros(0, np.int64), *(sizes[i] for i in rows[name])]) for name in names}
    available = {name: int(own.sum()) for name, own in every.items()}
    wanted = shares(available, corpus.sources, corpus.mix)
    flow.notes += wanted.notes
    chosen: list[np.ndarray] = [np.zeros(0, np.int64)] * len(sizes)
    for number, name in enumerate(names):
        taken = copies(every[name], wanted.bytes[name], (corpus.seed, number))
        ends = np.cumsum([len(sizes[i]) for i in rows[name]])[:-1]
        for i, own in zip(rows[name], np.split(taken, ends), strict=True) if rows[name] else ():
            chosen[i] = own
    total = sum(wanted.bytes.values())
    facts = {
        "available": available,
        "wanted_bytes": {name: round(own) for name, own in wanted.bytes.items()},
        "wanted_share": {name: own / total if total else 0.0 for name, own in wanted.bytes.items()},
        "weights": {source.name: source.weight for source in corpus.sources},
        "synthetic": [source.name for source in corpus.sources if source.synthetic],
        "seed": corpus.seed,
    }
    return chosen, facts


def _scatter(flow: Flow, shards: list[Shard], chosen: list[np.ndarray], files: int, key: str) -> tuple[Path, ...]:
    """Documents of every shard by output file."""
    folder = flow.root / f"scatter-{key}"
    entries = [np.repeat(np.arange(len(taken)), taken) for taken in chosen]
    where = np.split(places(sum(map(len, entries)), files, flow.corpus.seed), np.cumsum([len(e) for e in entries])[:-1])
    jobs = []
    for number, (shard, rows, file) in enumerate(zip(shards, entries, where, strict=True)):
        plan, path = folder / f"{number:06d}.plan", folder / f"{number:06d}.arrow"
        if not path.is_file():
            write_arrays(plan, {"rows": rows, "file": file})
        jobs.append(ScatterJob(shard, plan, files, path))
    flow.run("shuffle", scatter, jobs)
    return tuple(job.path for job in jobs)


def ledgers(flow: Flow) -> list[tuple[str, dict[str, Ledger]]]:
    """For each stage so far, what it did to each source."""
    found = []
    before: list[str] = [""] * len(flow.parts)
    for name, keys in flow.history:
        own: dict[str, Ledger] = {}
        for i, part in enumerate(flow.parts):
            if keys[i] == before[i]:
                continue  # its source skips the stage
            total = own.setdefault(part.source.name, Ledger())
            for shard in flow.shards_of(i, keys[i]):
                total.add(shard.ledger())
        found.append((name, own))
        before = keys
    return found
