"""The end of a build: which documents are taken, in which order, and the files they are written to."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from tokenworth.base.cell_store import content_key
from tokenworth.corpus.engine.flow import Flow, ledgers
from tokenworth.corpus.engine.shard_store import Shard, read_json, write_arrays, write_json
from tokenworth.corpus.output.mixture_shares import copies, places, shares
from tokenworth.corpus.output.pretraining_file import annealing_shares, write_run_file
from tokenworth.corpus.output.shuffle_jobs import CollectJob, MeasureJob, ScatterJob, added, collect, measure, scatter
from tokenworth.corpus.output.variety import Variety, allowed, measured_variety
from tokenworth.errors import TokenworthError

CORPUS = "corpus.json"


def write_output(flow: Flow, out: Path) -> None:
    """Choose, shuffle and write the documents; corpus.json last.

    Raises:
        TokenworthError: no room left, or no document left.
    """
    shards = [(i, shard) for i in flow.members() for shard in flow.shards_of(i)]
    jobs = [MeasureJob(shard, shard.path.with_suffix(".sizes")) for _, shard in shards]
    sizes = flow.run("measure", measure, jobs)
    owners = [flow.parts[i].source.name for i, _ in shards]
    variety = measured_variety(flow, [shard for _, shard in shards], owners, sizes)
    chosen, facts = _chosen(flow, owners, sizes, variety)
    key = content_key(["write", _mix_facts(flow), flow.corpus.seed, facts, flow.keys])
    total = sum(int((size * taken).sum()) for size, taken in zip(sizes, chosen, strict=True))
    if total == 0:
        raise TokenworthError(f"no document is left to write: {_losses(flow)}{_exhausted(flow, facts)}")
    files = max(1, round(total / (flow.corpus.mix.shard_mb * 1e6)))
    _make_way(flow.root, out, key)
    scattered = _scatter(flow, [shard for _, shard in shards], chosen, files, key)
    collecting = [
        CollectJob(scattered, number, flow.corpus.seed, out / f"text-{number:05d}.parquet") for number in range(files)
    ]
    counts = added(flow.run("write", collect, collecting))
    shares_got = {name: own if name in counts["documents"] else 0.0 for name, own in facts["wanted_share"].items()}
    write_run_file(flow.corpus, shares_got, out)
    annealing = annealing_shares(flow.corpus, shares_got)
    found = {"name": flow.corpus.name, "key": key, "files": files, "annealing": annealing, **facts, **counts}
    write_json(out / CORPUS, found)


def _mix_facts(flow: Flow) -> dict[str, Any]:
    """Settings of the mix that the texts depend on beyond the bytes wanted of each source."""
    return {name: value for name, value in asdict(flow.corpus.mix).items() if name in ("total_mb", "shard_mb")}


def _make_way(root: Path, out: Path, key: str) -> None:
    """Remove the files of any other output, finished or not; from then on the folder holds no whole corpus."""
    begun = root / "written.json"
    if begun.is_file() and read_json(begun) == key:
        return
    (out / CORPUS).unlink(missing_ok=True)
    for old in out.glob("text-*.parquet"):
        old.unlink()
    write_json(begun, key)


def _exhausted(flow: Flow, facts: dict[str, Any]) -> str:
    """Sources that have a weight and no document: they allow nothing of the others."""
    weighted = [one.name for one in flow.corpus.sources if one.weight]
    names = [name for name in weighted if not facts["available"][name]]
    if not names or len(names) == len(weighted):
        return ""
    return f"; nothing is left of {', '.join(names)}, and by the weights nothing of the others: leave it out"


def _losses(flow: Flow) -> str:
    """What each stage dropped and why, in words."""
    lost: dict[str, Counter[str]] = {name: Counter() for name, _ in ledgers(flow)}
    for name, own in ledgers(flow):
        for ledger in own.values():
            lost[name].update({reason: amount.documents for reason, amount in ledger.dropped.items()})
    return ", ".join(_lost(name, reasons) for name, reasons in lost.items() if reasons) or "none was read"


def _lost(name: str, reasons: Counter[str]) -> str:
    why = ", ".join(f"{reason} {number:,}" for reason, number in reasons.most_common(3))
    return f"{name} dropped {reasons.total():,} ({why})"


def _chosen(
    flow: Flow, source_of: list[str], sizes: list[np.ndarray], variety: list[Variety]
) -> tuple[list[np.ndarray], dict[str, Any]]:
    """How often every document of every shard is taken, and the mix that comes of it."""
    corpus = flow.corpus
    names = [source.name for source in corpus.sources]
    rows = {name: [i for i, own in enumerate(source_of) if own == name] for name in names}
    every = {name: np.concatenate([np.zeros(0, np.int64), *(sizes[i] for i in rows[name])]) for name in names}
    available = {name: int(own.sum()) for name, own in every.items()}
    parts, notes = allowed(variety, corpus.mix.least_variety)
    wanted = shares(available, corpus.sources, corpus.mix, parts)
    flow.notes += [*notes, *wanted.notes]
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
        "variety": [{**one.asdict(), "part": parts.get(one.source, 1.0)} for one in variety],
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
