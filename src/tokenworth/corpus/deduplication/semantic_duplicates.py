"""Texts that say the same in other words: vectors, clusters of vectors, and within a cluster what is close.

Mean states of decoders point in nearly one direction (any two of them have a cosine of .9 and more), so vectors are
centred, divided by each coordinate's deviation and scaled to length 1 before they are compared.  They stay on the disk;
in memory are two blocks of them at a time, the sample that k-means learns from, and 12 bytes a document.
Source: Abbas et al. (2023), SemDeDup.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from tokenworth.corpus.engine.shard_store import read_array

_BLOCK = 2048
_IN_A_CLUSTER = 4000
_SAMPLE = 256  # vectors a cluster that k-means learns from: more move its centres little (faiss, too, stops there)
_SAMPLE_NUMBERS = 64_000_000
_SEED = 0
_ROUNDING = 1e-6  # of float32 products: equal vectors have a cosine of 1 within it


class Vectors:
    """(N, D) states of all shards in order, as unit vectors; read in blocks."""

    def __init__(self, seen: Sequence[Path]) -> None:
        self.paths = [path for path in seen if len(self._states(path))]
        self.ends = np.cumsum([0, *(len(self._states(path)) for path in self.paths)])
        self.mean_D, self.deviation_D = self._moments()

    def __len__(self) -> int:
        return int(self.ends[-1])

    @staticmethod
    def _states(path: Path) -> np.ndarray:
        return read_array(path, "states", mapped=True)

    def _moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and deviation of every coordinate, in two passes; a coordinate that is constant is divided by 1."""
        if not len(self):
            return np.zeros(0), np.ones(0)
        mean_D = sum(self._states(path).sum(0, dtype=np.float64) for path in self.paths) / len(self)
        square_D = sum(((self._states(path) - mean_D) ** 2).sum(0) for path in self.paths) / len(self)
        deviation_D = np.sqrt(square_D)
        return mean_D, np.where(deviation_D > 1e-6 * max(1.0, float(np.abs(mean_D).max())), deviation_D, 1.0)

    def take(self, rows: np.ndarray) -> np.ndarray:
        """(M, D) float32 unit vectors of the documents with rising numbers; one at the mean is 0."""
        shard = np.searchsorted(self.ends, rows, side="right") - 1
        parts = [self._states(self.paths[i])[rows[shard == i] - self.ends[i]] for i in np.unique(shard)]
        centred_MD = (np.concatenate(parts) - self.mean_D) / self.deviation_D
        length_M1 = np.linalg.norm(centred_MD, axis=1, keepdims=True)
        return np.divide(centred_MD, length_M1, out=np.zeros_like(centred_MD), where=length_M1 > 0).astype(np.float32)


def same_meaning(vectors: Vectors, threshold: float, clusters: int | None = None) -> np.ndarray:
    """(N,) int64 cluster of every document: the number of the first document it is as close to as the threshold.

    A document is joined only to one that is kept itself, so that no chain of small differences runs through a corpus.
    Pairs that k-means parts are not found.

    Args:
        vectors: of N documents.
        threshold: cosine from which on two are taken for one.
        clusters: of k-means; None takes one for every 4,000 documents, at most N^1/2.
    """
    leaders = np.arange(len(vectors))
    labels = _labels(vectors, clusters or default_clusters(len(vectors)))
    order = np.argsort(labels, kind="stable")
    for members in np.split(order, np.flatnonzero(np.diff(labels[order])) + 1):
        _join(vectors, members, threshold, leaders)
    return leaders


def default_clusters(documents: int) -> int:
    """So many that comparing within them (N^2 / K) costs no more than finding them (N K)."""
    return max(1, min(documents // _IN_A_CLUSTER, round(documents**0.5)))


def _labels(vectors: Vectors, clusters: int) -> np.ndarray:
    """(N,) int32 cluster of every document: k-means on a seeded sample, then the nearest centre for all."""
    n = len(vectors)
    if min(clusters, n) < 2:
        return np.zeros(n, dtype=np.int32)
    from sklearn.cluster import MiniBatchKMeans

    width = len(vectors.mean_D)
    size = min(n, max(clusters, min(_SAMPLE * clusters, _SAMPLE_NUMBERS // width)))
    sample = np.sort(np.random.default_rng(_SEED).permutation(n)[:size])
    means = MiniBatchKMeans(min(clusters, n), random_state=_SEED, n_init=1, batch_size=max(1024, 2 * clusters))
    means.fit(vectors.take(sample))
    parts = [means.predict(vectors.take(rows)) for rows in _blocks(np.arange(n))]
    return np.concatenate(parts).astype(np.int32)


def _blocks(rows: np.ndarray) -> Iterator[np.ndarray]:
    return (rows[begin : begin + _BLOCK] for begin in range(0, len(rows), _BLOCK))


def _join(vectors: Vectors, members: np.ndarray, threshold: float, leaders: np.ndarray) -> None:
    """Write into `leaders` the first kept document each member is close to: those of blocks before, then its own."""
    kept = np.zeros(0, dtype=np.int64)
    for rows in _blocks(members):
        vectors_BD = vectors.take(rows)
        for earlier in _blocks(kept):
            free = np.flatnonzero(leaders[rows] == rows)
            close = vectors_BD[free] @ vectors.take(earlier).T >= threshold - _ROUNDING
            hit = close.any(axis=1)
            leaders[rows[free[hit]]] = earlier[close[hit].argmax(axis=1)]
        free = np.flatnonzero(leaders[rows] == rows)
        leaders[rows[free]] = rows[free[_leaders(vectors_BD[free] @ vectors_BD[free].T >= threshold - _ROUNDING)]]
        kept = np.concatenate([kept, rows[leaders[rows] == rows]])


def _leaders(close_MM: np.ndarray) -> np.ndarray:
    """(M,) the first earlier one that stays and is close to each; its own place where there is none."""
    leader = np.arange(len(close_MM))
    for place in np.flatnonzero(np.tril(close_MM, -1).any(axis=1)):  # in order: the others stay
        earlier = np.flatnonzero(close_MM[place, :place] & (leader[:place] == np.arange(place)))
        if len(earlier):
            leader[place] = earlier[0]
    return leader
