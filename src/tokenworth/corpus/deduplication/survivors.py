"""What corpus stages decide once they have seen every shard: which documents stay, and what the clusters look like."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tokenworth.corpus.deduplication.duplicate_stages import Near, Semantic
from tokenworth.corpus.deduplication.near_duplicates import Columns, Gather, candidates, clusters, ranges, similarities
from tokenworth.corpus.deduplication.semantic_duplicates import Vectors, same_meaning
from tokenworth.corpus.engine.shard_store import read_array

_BUCKETS = (2, 3, 5, 10, 100, 1000)


def decide(stage: Any, seen: Sequence[Path]) -> np.ndarray:
    """Cluster of every document of all shards in order: the number of its first member.

    Args:
        stage: exact, near or semantic.
        seen: folders that `observe` wrote, one a shard.
    """
    if isinstance(stage, Semantic):
        return same_meaning(Vectors(seen), stage.threshold, stage.clusters)
    if isinstance(stage, Near):
        return _near(stage, seen)
    return _exact(seen)


def _exact(seen: Sequence[Path]) -> np.ndarray:
    """16 bytes a document are held, and as much again while they are sorted."""
    digests = np.concatenate([np.zeros((0, 2), "<u8"), *(read_array(path, "digest") for path in seen)])
    order = np.lexsort((digests[:, 1], digests[:, 0]))  # stable: of equal ones the first comes first
    ordered = digests[order]
    begins = np.ones(len(order), dtype=bool)
    begins[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    found = np.empty(len(order), dtype=np.int64)
    found[order] = order[begins][np.cumsum(begins) - 1]
    return found


def _near(stage: Near, seen: Sequence[Path]) -> np.ndarray:
    counts = [int(read_array(path, "count")[0]) for path in seen]
    pairs = candidates(_columns(seen), stage.threshold)
    alike = pairs[similarities(pairs, _gather(seen, counts)) >= stage.threshold]
    return clusters(sum(counts), alike)


def _columns(seen: Sequence[Path]) -> Columns:
    """Columns of sketches on the disk, which are stored column by column."""

    def columns(first: int, last: int) -> np.ndarray:
        parts = [np.asarray(read_array(path, "sketches", mapped=True)[first:last]) for path in seen]
        return np.concatenate([np.zeros((last - first, 0), np.uint32), *parts], axis=1)

    return columns


def _gather(seen: Sequence[Path], counts: Sequence[int]) -> Gather:
    """Runs of documents on the disk."""
    begins = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])

    def gather(documents: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        shard = np.searchsorted(begins, documents, side="right") - 1
        runs, lengths = [np.zeros(0, np.uint32)], [np.zeros(0, np.int64)]
        for number in np.unique(shard):  # documents are sorted, so their shards are
            own = documents[shard == number] - begins[number]
            first = read_array(seen[number], "first")
            length = first[own + 1] - first[own]
            runs.append(read_array(seen[number], "runs", mapped=True)[ranges(first[own], length)])
            lengths.append(length)
        return np.concatenate(runs), np.concatenate(lengths)

    return gather


def cluster_sizes(cluster: np.ndarray) -> dict[str, Any]:
    """How many clusters of two and more there are, the largest, and how many by size."""
    sizes = np.bincount(cluster, minlength=len(cluster)) if len(cluster) else np.zeros(0, np.int64)
    sizes = sizes[sizes > 1]
    edges = [*_BUCKETS, None]
    names = [f"{low}" if high == low + 1 else f"{low}-{high - 1}" if high else f"{low}+"
             for low, high in zip(_BUCKETS, edges[1:], strict=True)]  # fmt: skip
    counts = [
        int(((sizes >= low) & (sizes < (high or np.inf))).sum()) for low, high in zip(_BUCKETS, edges[1:], strict=True)
    ]
    return {
        "clusters": len(sizes),
        "documents": int(sizes.sum()),
        "largest": int(sizes.max(initial=0)),
        "sizes": dict(zip(names, counts, strict=True)),
    }
