"""The end of a build: which documents are taken, in which order, and the files they are written to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from tokenworth.base.cell_store import content_key
from tokenworth.corpus.engine.pipeline import Flow, ledgers
from tokenworth.corpus.engine.shard_store import Shard, read_json, write_arrays, write_json
from tokenworth.corpus.output.loss_notes import losses
from tokenworth.corpus.output.mixture_shares import copies, shares
from tokenworth.corpus.output.pretraining_file import annealing_shares, write_run_file
from tokenworth.corpus.output.shuffle_jobs import added, collect, measure, scatter
from tokenworth.corpus.output.variety import allowed, measured_variety
from tokenworth.errors import TokenworthError

CORPUS = "corpus.json"


@dataclass(frozen=True, slots=True)
class MixChoice:
    """How much of each source is taken, as corpus.json tells it."""

    available: dict[str, int]
    """Bytes."""
    wanted_bytes: dict[str, int]
    wanted_share: dict[str, float]
    weights: dict[str, float | None]
    synthetic: list[str]
    variety: list[dict[str, Any]]
    seed: int


def write_output(flow: Flow, out: Path) -> None:
    """Choose, shuffle and write the documents; corpus.json last.  TokenworthError: no room, or no document left."""
    corpus, shards = flow.corpus, flow.shards()
    sizes = flow.run("measure", measure, [(shard,) for shard in shards])
    times, choice = _chosen(flow, shards, sizes)
    mix_facts = {"total_mb": corpus.mix.total_mb, "shard_mb": corpus.mix.shard_mb}
    key = content_key(["write", mix_facts, corpus.seed, asdict(choice), flow.keys])
    total = sum(int((size * taken).sum()) for size, taken in zip(sizes, times, strict=True))
    if total == 0:
        raise TokenworthError(f"no document is left to write: {losses(ledgers(flow))}{_exhausted(choice)}")
    files = max(1, round(total / (corpus.mix.shard_mb * 1e6)))
    _make_way(flow.root, out, key)
    scattered = _scatter(flow, shards, times, files, flow.root / f"scatter-{key}")
    jobs = [(scattered, number, corpus.seed, out / f"text-{number:05d}.parquet") for number in range(files)]
    counts = added(flow.run("write", collect, jobs))
    got = {name: share if name in counts["documents"] else 0.0 for name, share in choice.wanted_share.items()}
    write_run_file(corpus, got, out)
    head = {"name": corpus.name, "key": key, "files": files, "annealing": annealing_shares(corpus, got)}
    write_json(out / CORPUS, {**head, **asdict(choice), **counts})


def _chosen(flow: Flow, shards: Sequence[Shard], sizes: Sequence[np.ndarray]) -> tuple[list[np.ndarray], MixChoice]:
    """How often every document of every shard is taken, and the mix that comes of it; sources stand in their order."""
    corpus, owners = flow.corpus, [part.source for part in flow.parts for _ in range(part.count)]
    names = [source.name for source in corpus.sources]
    ends = np.cumsum([0, *map(len, sizes)])
    by_source = {
        name: np.concatenate([np.zeros(0, np.int64), *(sizes[i] for i, owner in enumerate(owners) if owner == name)])
        for name in names
    }
    variety = measured_variety(flow, shards, owners, sizes)
    available = {name: int(size.sum()) for name, size in by_source.items()}
    parts, notes = allowed(variety, corpus.mix.least_variety)
    wanted = shares(available, corpus.sources, corpus.mix, parts)
    flow.notes += [*notes, *wanted.notes]
    taken = [copies(by_source[name], wanted.bytes[name], (corpus.seed, i)) for i, name in enumerate(names)]
    total = sum(wanted.bytes.values())
    choice = MixChoice(
        available=available,
        wanted_bytes={name: round(size) for name, size in wanted.bytes.items()},
        wanted_share={name: size / total if total else 0.0 for name, size in wanted.bytes.items()},
        weights={source.name: source.weight for source in corpus.sources},
        synthetic=[source.name for source in corpus.sources if source.synthetic],
        variety=[{**row._asdict(), "part": parts.get(row.source, 1.0)} for row in variety],
        seed=corpus.seed,
    )
    times = np.concatenate(taken)
    return [times[begin:end] for begin, end in pairwise(ends)], choice


def _exhausted(choice: MixChoice) -> str:
    """Sources that have a weight and no document: they allow nothing of the others."""
    weighted = [name for name, weight in choice.weights.items() if weight]
    names = [name for name in weighted if not choice.available[name]]
    if not names or len(names) == len(weighted):
        return ""
    return f"; nothing is left of {', '.join(names)}, and by the weights nothing of the others: leave it out"


def _make_way(root: Path, out: Path, key: str) -> None:
    """Remove the files of any other output, finished or not; from then on the folder holds no whole corpus."""
    begun = root / "written.json"
    if begun.is_file() and read_json(begun) == key:
        return
    (out / CORPUS).unlink(missing_ok=True)
    for old in out.glob("text-*.parquet"):
        old.unlink()
    write_json(begun, key)


def _scatter(flow: Flow, shards: Sequence[Shard], times: Sequence[np.ndarray], files: int, folder: Path) -> list[Path]:
    """Documents of every shard by output file."""
    rows = [np.repeat(np.arange(len(taken)), taken) for taken in times]
    ends = np.cumsum([len(entries) for entries in rows])
    rng = np.random.default_rng([flow.corpus.seed, files])
    file_of = np.split(rng.integers(files, size=ends[-1]), ends[:-1])  # every file is equally likely
    plans = [folder / f"{number:06d}.plan" for number in range(len(shards))]
    scattered = [plan.with_suffix(".arrow") for plan in plans]
    for plan, path, entries, file in zip(plans, scattered, rows, file_of, strict=True):
        if not path.is_file():
            write_arrays(plan, {"rows": entries, "file": file})
    flow.run("shuffle", scatter, [(*job, files) for job in zip(shards, plans, scattered, strict=True)])
    return scattered
