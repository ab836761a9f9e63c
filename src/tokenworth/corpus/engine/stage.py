"""Stages: documents in, documents out, every one that is dropped or changed written into the ledger under a reason.

A stage is its settings.  Stages of one shard (extract, normalise, quality, redact, perplexity, decontaminate) need
nothing but the shard's documents; stages of the corpus (exact, near, semantic) first take a few numbers of every
document, decide, and then go over the shards (`CorpusStage`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np

from tokenworth.corpus.deduplication.duplicate_stages import Exact, Near, Semantic
from tokenworth.corpus.document import Document, Ledger
from tokenworth.corpus.filters.decontamination import Decontaminate
from tokenworth.corpus.filters.document_stages import Extract, Normalise, Quality, Redact
from tokenworth.corpus.filters.perplexity_filter import Perplexity


class Stage(Protocol):
    """What all stages are."""

    name: ClassVar[str]

    def __call__(self, documents: Sequence[Document], ledger: Ledger) -> list[Document]:
        """The documents that go on."""
        ...


class CorpusStage(Protocol):
    """A stage that must have seen every document before it can drop one."""

    name: ClassVar[str]
    seen_by: ClassVar[tuple[str, ...]]
    """Settings that `observe` depends on; the others are of the decision alone."""

    def observe(self, documents: Sequence[Document]) -> dict[str, np.ndarray]:
        """What it remembers of a shard."""
        ...


STAGES: dict[str, type[Any]] = {
    one.name: one for one in (Extract, Normalise, Quality, Redact, Exact, Near, Semantic, Perplexity, Decontaminate)
}
"""By name, in the order in which they stand where a file does not say."""
ON_REQUEST = tuple(one.name for one in (Semantic, Perplexity, Decontaminate))
"""Those that need settings: a file without `stages` has the others."""
FOUND = ("index", "fingerprint")
"""Fields of stages that the build fills in; a corpus file does not have them."""


def facts_of(stage: Any, only: Sequence[str] | None = None) -> dict[str, Any]:
    """What its documents depend on, as plain data: an index and a model by what is in them, not by where they lie.

    Args:
        stage: as the build runs it.
        only: these settings alone; None takes all.
    """
    found = {name: value for name, value in asdict(stage).items() if only is None or name in only}
    if found.get("index"):
        found["index"] = Path(found["index"]).name
    if found.get("fingerprint"):
        found.pop("model", None)
    return {"stage": stage.name, **found}


def is_corpus_stage(stage: Any) -> bool:
    """Whether it must have seen every document."""
    return hasattr(stage, "observe")
