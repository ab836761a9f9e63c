"""Stages of the corpus: what they remember of each shard, and which documents stand twice by it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np

from tokenworth.corpus.deduplication.minhash import shingle
from tokenworth.corpus.deduplication.near_duplicates import (
    candidates,
    clusters,
    columns_of,
    gather_from,
    similarities,
)
from tokenworth.corpus.deduplication.semantic_duplicates import Vectors, same_meaning
from tokenworth.corpus.document import Document
from tokenworth.corpus.engine.shard_store import read_array
from tokenworth.corpus.engine.stage import CorpusStage, ModelStage
from tokenworth.settings import Bounds, Count

_Similarity = Annotated[float, Bounds(above=0, most=1)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Exact(CorpusStage):
    """Of texts that are equal, case and white space apart, the first is kept."""

    name: ClassVar[str] = "exact"

    def observe(self, documents: Sequence[Document]) -> dict[str, np.ndarray]:
        """The first 16 bytes of each text's SHA-256."""
        plain = (" ".join(document.text.casefold().split()) for document in documents)
        digests = [hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:16] for text in plain]
        return {"digest": np.frombuffer(b"".join(digests), dtype="<u8").reshape(-1, 2)}

    def decide(self, seen: Sequence[Path]) -> np.ndarray:
        """Equal digests; 16 bytes a document are held, and as much again while they are sorted."""
        digests = np.concatenate([np.zeros((0, 2), "<u8"), *(read_array(path, "digest") for path in seen)])
        order = np.lexsort((digests[:, 1], digests[:, 0]))  # stable: of equal ones the first comes first
        ordered = digests[order]
        begins = np.ones(len(order), dtype=bool)
        begins[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
        cluster = np.empty(len(order), dtype=np.int64)
        cluster[order] = order[begins][np.cumsum(begins) - 1]
        return cluster


@dataclass(frozen=True, slots=True)
class _StoredShingles:
    """What `Near` remembers of a shard; it stays on the disk."""

    path: Path

    def array(self, name: str) -> np.ndarray:
        return read_array(self.path, name, mapped=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class Near(CorpusStage):
    """Of texts that share most of their runs of five words the first is kept."""

    name: ClassVar[str] = "near"
    threshold: _Similarity = 0.8
    """Jaccard similarity."""

    def observe(self, documents: Sequence[Document]) -> dict[str, np.ndarray]:
        """A sketch and the hashed runs of each text: no text."""
        shingled = shingle([document.text for document in documents])
        return {name: np.ascontiguousarray(shingled.array(name)) for name in ("sketches", "runs", "first")}

    def decide(self, seen: Sequence[Path]) -> np.ndarray:
        """Candidates by their sketches, compared by their runs."""
        shards = [_StoredShingles(path) for path in seen]
        pairs = candidates(columns_of(*shards), self.threshold)
        alike = pairs[similarities(pairs, gather_from(*shards)) >= self.threshold]
        return clusters(sum(len(shard.array("first")) - 1 for shard in shards), alike)


@dataclass(frozen=True, kw_only=True, slots=True)
class Semantic(ModelStage, CorpusStage):
    """Of texts that say the same in other words the first is kept, as far as a model's mean states tell."""

    name: ClassVar[str] = "semantic"
    seen_by: ClassVar[tuple[str, ...]] = ("model", "layer", "max_tokens", "fingerprint")
    model: str
    """A folder, hub id or published name of any backbone."""
    threshold: _Similarity = 0.95
    """Cosine of the centred, standardised states."""
    clusters: Count | None = None
    """Groups within which documents are compared; None goes by their number."""
    layer: int | None = None
    """0 (embedding) to L; None takes the one in the middle."""
    max_tokens: Annotated[int, Bounds(least=2)] = 512
    """Of a document: texts that begin alike for so long are duplicates."""
    fingerprint: str = ""
    """Of the model, found by the build."""

    def observe(self, documents: Sequence[Document]) -> dict[str, np.ndarray]:
        """The mean state of each text: 4 D bytes."""
        from tokenworth.corpus.model_features import mean_states

        texts = [document.text for document in documents]
        return {"states": mean_states(texts, self.model, layer=self.layer, max_tokens=self.max_tokens)}

    def decide(self, seen: Sequence[Path]) -> np.ndarray:
        """States within the threshold of each other."""
        return same_meaning(Vectors(seen), self.threshold, self.clusters)
