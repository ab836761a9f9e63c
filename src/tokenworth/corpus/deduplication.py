"""Stages of the corpus: what they remember of each shard to tell which documents stand twice."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tokenworth.corpus.document import Document
from tokenworth.corpus.duplicates import bands
from tokenworth.corpus.sketch import shingle


@dataclass(frozen=True, kw_only=True, slots=True)
class Exact:
    """Of texts that are equal, case and white space apart, the first is kept."""

    name: ClassVar[str] = "exact"

    def observe(self, documents: Sequence[Document]) -> dict[str, np.ndarray]:
        """The first 16 bytes of each text's SHA-256."""
        digests = [_digest(document.text) for document in documents]
        return {"digest": np.frombuffer(b"".join(digests), dtype="<u8").reshape(-1, 2)}


@dataclass(frozen=True, kw_only=True, slots=True)
class Near:
    """Of texts that share most of their runs of five words the first is kept."""

    name: ClassVar[str] = "near"
    threshold: float = 0.8
    """Jaccard similarity."""

    def __post_init__(self) -> None:
        bands(self.threshold)

    def observe(self, documents: Sequence[Document]) -> dict[str, np.ndarray]:
        """A sketch and the hashed runs of each text: no text."""
        found = shingle([document.text for document in documents])
        return {"sketches": np.ascontiguousarray(found.sketches.T), "runs": found.runs, "first": found.first}


def _digest(text: str) -> bytes:
    return hashlib.sha256(" ".join(text.casefold().split()).encode("utf-8", "surrogatepass")).digest()[:16]
