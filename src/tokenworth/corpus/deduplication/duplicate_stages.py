"""Stages of the corpus: what they remember of each shard to tell which documents stand twice."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tokenworth.corpus.deduplication.minhash import shingle
from tokenworth.corpus.deduplication.near_duplicates import bands
from tokenworth.corpus.document import Document
from tokenworth.errors import SettingError


@dataclass(frozen=True, kw_only=True, slots=True)
class Exact:
    """Of texts that are equal, case and white space apart, the first is kept."""

    name: ClassVar[str] = "exact"
    seen_by: ClassVar[tuple[str, ...]] = ()

    def observe(self, documents: Sequence[Document]) -> dict[str, np.ndarray]:
        """The first 16 bytes of each text's SHA-256."""
        digests = [_digest(document.text) for document in documents]
        return {"digest": np.frombuffer(b"".join(digests), dtype="<u8").reshape(-1, 2)}


@dataclass(frozen=True, kw_only=True, slots=True)
class Near:
    """Of texts that share most of their runs of five words the first is kept."""

    name: ClassVar[str] = "near"
    seen_by: ClassVar[tuple[str, ...]] = ()
    threshold: float = 0.8
    """Jaccard similarity."""

    def __post_init__(self) -> None:
        bands(self.threshold)

    def observe(self, documents: Sequence[Document]) -> dict[str, np.ndarray]:
        """A sketch and the hashed runs of each text: no text."""
        found = shingle([document.text for document in documents])
        return {"sketches": np.ascontiguousarray(found.sketches.T), "runs": found.runs, "first": found.first}


@dataclass(frozen=True, kw_only=True, slots=True)
class Semantic:
    """Of texts that say the same in other words the first is kept, as far as a model's mean states tell."""

    name: ClassVar[str] = "semantic"
    seen_by: ClassVar[tuple[str, ...]] = ("model", "layer", "max_tokens", "fingerprint")
    model: str
    """A folder, hub id or published name of any backbone."""
    threshold: float = 0.95
    """Cosine of the centred, standardised states."""
    clusters: int | None = None
    """Groups within which documents are compared; None goes by their number."""
    layer: int | None = None
    """0 (embedding) to L; None takes the one in the middle."""
    max_tokens: int = 512
    """Of a document: texts that begin alike for so long are duplicates."""
    fingerprint: str = ""
    """Of the model, found by the build."""

    def __post_init__(self) -> None:
        if not 0 < self.threshold <= 1:
            raise SettingError(f"stage semantic: threshold = {self.threshold}; give a cosine above 0 and up to 1")
        if self.clusters is not None and self.clusters < 1:
            raise SettingError(f"stage semantic: clusters must be 1 at least, not {self.clusters}")
        if self.max_tokens < 2:
            raise SettingError(f"stage semantic: max_tokens must be 2 at least, not {self.max_tokens}")

    def observe(self, documents: Sequence[Document]) -> dict[str, np.ndarray]:
        """The mean state of each text: 4 D bytes."""
        from tokenworth.corpus.model_features import mean_states

        texts = [document.text for document in documents]
        return {"states": mean_states(texts, self.model, layer=self.layer, max_tokens=self.max_tokens)}


def _digest(text: str) -> bytes:
    return hashlib.sha256(" ".join(text.casefold().split()).encode("utf-8", "surrogatepass")).digest()[:16]
