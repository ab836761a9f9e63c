"""Near-duplicates: candidates by locality-sensitive hashing of sketches, verified exactly, joined to clusters.

Two documents become candidates when all rows of one band of their sketches agree; with b bands of r rows and Jaccard
similarity s that happens with probability 1 - (1 - s^r)^b.  Whether a candidate pair is one is then counted on the
documents' runs of words, so that a pair below the threshold is never joined (but two may be in one cluster through a
third).
Sources: Broder (1997), On the resemblance and containment of documents; Leskovec et al., Mining of Massive Datasets,
3.4.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from typing_extensions import TypedDict

from tokenworth.base.keywords import known_keywords
from tokenworth.corpus.deduplication.minhash import EMPTY, PLACES, shingle
from tokenworth.corpus.word_hashes import mix
from tokenworth.errors import SettingError

RECALL = 0.995
"""Of pairs exactly at the threshold, by the formula above."""
_NEIGHBOURS = 4
_CHUNK_PAIRS = 4096
_SIZES = {
    "2": (2, 3),
    "3-4": (3, 5),
    "5-9": (5, 10),
    "10-99": (10, 100),
    "100-999": (100, 1000),
    "1000+": (1000, np.inf),
}
"""Of clusters: from and below."""
Gather = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""Document numbers -> their runs one after the other, and how many each has."""
Columns = Callable[[int, int], np.ndarray]
"""First and last column -> those columns of all sketches, (last - first, N) uint32."""


@known_keywords
def near_duplicates(texts: Sequence[str], threshold: float = 0.8) -> np.ndarray:
    """Cluster of each text: the index of the first text of its cluster.

    A text is the set of its runs of five words (lower case, without punctuation; fewer words are one run).  Texts
    without a word are near-duplicates of equal ones only.

    Args:
        texts: N documents.
        threshold: Jaccard similarity, in (0, 1], from which on two texts are joined.

    Returns:
        (N,) int64.

    Raises:
        SettingError: the threshold is outside its range.
    """
    shingled = shingle(texts)
    pairs = candidates(columns_of(shingled), threshold)
    alike = pairs[similarities(pairs, gather_from(shingled)) >= threshold]
    first: dict[str, int] = {}
    wordless = np.flatnonzero(np.diff(shingled.first) == 0).tolist()
    equal = np.array([(first.setdefault(texts[i], i), i) for i in wordless], dtype=np.int64).reshape(-1, 2)
    return clusters(len(texts), np.concatenate([alike, equal]))


def bands(threshold: float) -> tuple[int, int]:
    """Bands and rows a band: as many rows as still find `RECALL` of the pairs at the threshold.

    Raises SettingError: the threshold is not in (0, 1].
    """
    if not 0 < threshold <= 1:
        raise SettingError(f"threshold = {threshold}: give a Jaccard similarity above 0 and up to 1, such as 0.8")
    fitting = [r for r in range(1, 17) if 1 - (1 - threshold**r) ** (PLACES // r) >= RECALL]
    rows = max(fitting, default=1)
    return PLACES // rows, rows


def candidates(columns: Columns, threshold: float) -> np.ndarray:
    """(M, 2) pairs of documents, the earlier one first, that agree in a band; one band is in memory at a time.

    Of many documents that agree, each is paired with the next four in order: enough to join them all.
    """
    n_bands, rows = bands(threshold)
    known = np.flatnonzero(columns(0, 1)[0] != EMPTY)
    pairs = (_agreeing(columns(band * rows, (band + 1) * rows)[:, known]) for band in range(n_bands))
    every = np.concatenate([np.zeros((0, 2), np.int64), *pairs])
    merged = _distinct(every[:, 0] << 32 | every[:, 1])
    return known[np.stack([merged >> 32, merged & (2**32 - 1)], axis=1)]


def _agreeing(rows: np.ndarray) -> np.ndarray:
    key = np.zeros(rows.shape[1], dtype=np.uint64)
    for column in rows:
        key = mix(key + column)
    order = np.argsort(key, kind="stable")
    key = key[order]
    pairs = []
    for step in range(1, _NEIGHBOURS + 1):
        at = np.flatnonzero(key[:-step] == key[step:])
        pairs.append(np.stack([order[at], order[at + step]], axis=1))
        if not len(at):
            break
    return np.concatenate(pairs)


class Shingles(Protocol):
    """Documents of one shard, in memory (`Shingled`) or on the disk."""

    def array(self, name: str) -> np.ndarray:
        """As `Shingled.array`."""
        ...


def columns_of(*shards: Shingles) -> Columns:
    """Columns of the sketches of all shards in order."""

    def columns(first: int, last: int) -> np.ndarray:
        parts = [shard.array("sketches")[first:last] for shard in shards]
        return np.concatenate([np.zeros((last - first, 0), np.uint32), *parts], axis=1)

    return columns


def gather_from(*shards: Shingles) -> Gather:
    """Runs of the documents of all shards; their numbers are given in order."""
    begins = np.cumsum([0, *(len(shard.array("first")) - 1 for shard in shards)])

    def gather(documents: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        shard_of = np.searchsorted(begins, documents, side="right") - 1
        runs, lengths = [np.zeros(0, np.uint32)], [np.zeros(0, np.int64)]
        for number in np.unique(shard_of):
            rows = documents[shard_of == number] - begins[number]
            first = shards[number].array("first")
            lengths.append(first[rows + 1] - first[rows])
            runs.append(shards[number].array("runs")[_ranges(first[rows], lengths[-1])])
        return np.concatenate(runs), np.concatenate(lengths)

    return gather


def similarities(pairs: np.ndarray, gather: Gather) -> np.ndarray:
    """(M,) exact Jaccard similarity of the documents' sets of runs, chunk by chunk."""
    chunks = (pairs[begin : begin + _CHUNK_PAIRS] for begin in range(0, len(pairs), _CHUNK_PAIRS))
    return np.concatenate([np.zeros(0), *(_jaccard(chunk, gather) for chunk in chunks)])


def _jaccard(pairs: np.ndarray, gather: Gather) -> np.ndarray:
    documents, place = np.unique(pairs, return_inverse=True)
    left, right = place.reshape(-1, 2).T
    runs, counts = gather(documents)
    keys = _distinct(_numbered(np.arange(len(documents)), counts) | runs)
    counts = np.bincount((keys >> np.uint64(32)).astype(np.int64), minlength=len(documents))
    first = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
    runs = keys & np.uint64(2**32 - 1)
    numbers = np.arange(len(pairs))
    both = np.concatenate(
        [_numbered(numbers, counts[side]) | runs[_ranges(first[side], counts[side])] for side in (left, right)]
    )
    both.sort()
    shared = (both[1:][both[1:] == both[:-1]] >> np.uint64(32)).astype(np.int64)
    common = np.bincount(shared, minlength=len(pairs))
    return common / np.maximum(counts[left] + counts[right] - common, 1)


def _distinct(values: np.ndarray) -> np.ndarray:
    """Sorted, without repeats; numpy's own goes through a hash table, which takes four times as long here."""
    values = np.sort(values)
    keep = np.ones(len(values), dtype=bool)
    np.not_equal(values[1:], values[:-1], out=keep[1:])
    return values[keep]


def _numbered(numbers: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Each number as many times as its count says, in the upper half of a key."""
    return np.repeat(numbers.astype(np.uint64) << np.uint64(32), counts)


def _ranges(begins: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """begins[0], begins[0] + 1, ... counts[0] of them, then those of the next."""
    shift = begins - np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)[:-1]])
    return np.arange(counts.sum()) + np.repeat(shift, counts)


def clusters(n: int, pairs: np.ndarray) -> np.ndarray:
    """(n,) int64: the first member of each one's connected component."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(pairs), np.int8), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    _, label = connected_components(graph, directed=False)
    _, first = np.unique(label, return_index=True)
    return first[label].astype(np.int64)


class ClusterSizes(TypedDict):
    """Clusters of two and more documents."""

    clusters: int
    documents: int
    largest: int
    sizes: dict[str, int]
    """How many clusters there are by their size."""


def cluster_sizes(cluster: np.ndarray) -> ClusterSizes:
    """How large clusters are, given that of every document as `clusters` numbers them."""
    sizes = np.bincount(cluster, minlength=len(cluster)) if len(cluster) else np.zeros(0, np.int64)
    sizes = sizes[sizes > 1]
    return {
        "clusters": len(sizes),
        "documents": int(sizes.sum()),
        "largest": int(sizes.max(initial=0)),
        "sizes": {name: int(((sizes >= low) & (sizes < high)).sum()) for name, (low, high) in _SIZES.items()},
    }
