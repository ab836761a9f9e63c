"""Stages: documents in, documents out, every one that is dropped or changed written into the ledger under a reason.

A stage is its settings.  Stages of one shard (extract, normalise, quality, redact, decontaminate) need nothing but the
shard's documents; stages of the corpus (exact, near) first take a few numbers of every document, decide, and then go
over the shards (`CorpusStage`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, ClassVar, Protocol

import numpy as np

from tokenworth.corpus.cleaning import Extract, Normalise, Quality, Redact
from tokenworth.corpus.decontamination import Decontaminate
from tokenworth.corpus.deduplication import Exact, Near
from tokenworth.corpus.document import Document, Ledger


class Stage(Protocol):
    """What all stages are."""

    name: ClassVar[str]

    def __call__(self, documents: Sequence[Document], ledger: Ledger) -> list[Document]:
        """The documents that go on."""
        ...


class CorpusStage(Protocol):
    """A stage that must have seen every document before it can drop one."""

    name: ClassVar[str]

    def observe(self, documents: Sequence[Document]) -> dict[str, np.ndarray]:
        """What it remembers of a shard."""
        ...


STAGES: dict[str, type[Any]] = {
    one.name: one for one in (Extract, Normalise, Quality, Redact, Exact, Near, Decontaminate)
}
"""By name, in the order in which they stand where a file does not say."""


def facts_of(stage: Any) -> dict[str, Any]:
    """What its documents depend on, as plain data."""
    found: dict[str, Any] = asdict(stage)
    return {"stage": stage.name, **found}


def is_corpus_stage(stage: Any) -> bool:
    """Whether it must have seen every document."""
    return hasattr(stage, "observe")
